"""Work that blocks, in a thread, with its progress: a folder is packed into a zip archive.

$ python examples/files.py FOLDER ARCHIVE.zip
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from aioqueue import AioQueue, TaskContext

app = AioQueue("files")


@app.task(bind=True)
def pack(ctx: TaskContext, folder: str, archive: str) -> int:
    """Pack a folder; returns the archive's size."""
    files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
    # Beside, and then moved: should the worker die and the task run again, nobody meets half an archive.
    part = Path(f"{archive}.{ctx.id}")
    with ZipFile(part, "w", ZIP_DEFLATED) as zip:
        for number, file in enumerate(files, 1):
            zip.write(file, file.relative_to(folder))
            ctx.progress(number, len(files))  # in a thread it is done when it returns
    return part.replace(archive).stat().st_size


async def main(folder: str, archive: str) -> None:
    async with app.worker(concurrency=4):
        result = await pack.send(folder, archive)
        async for info in result.watch():
            if info.state == "PROGRESS":
                print(f"\r{info.meta['done']:>6} of {info.meta['total']} files", end="", flush=True)
        print(f"\n{archive}: {await result:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    # A worker elsewhere would have another current folder.
    asyncio.run(main(*(str(Path(name).absolute()) for name in sys.argv[1:])))
