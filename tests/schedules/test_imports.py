"""What schedules cost those who use none."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_only_who_uses_schedules_imports_what_they_need() -> None:
    code = (
        "import sys, aioqueue, aioqueue.app, aioqueue.worker;"
        "assert not {'cronsim', 'astral', 'aioqueue.schedules'} & set(sys.modules), 'imported unasked';"
        "from aioqueue import crontab, every, one_off, solar, Schedule; every(60);"
        "assert 'astral' not in sys.modules, 'astral is imported by others than solar';"
        "solar('sunrise', 1, 2); assert 'astral' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_astral_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['astral'] = None;"
        "from aioqueue import solar\n"
        "try: solar('sunrise', 1, 2)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == (
        'ConfigurationError solar(...) needs astral, which is not installed: pip install "aioqueue[solar]".\n'
    )


WORKER = """
import asyncio, sys
from aioqueue import AioQueue

app = AioQueue("x", broker=sys.argv[1])


@app.task
async def ran(): return True


if len(sys.argv) > 2:
    app.periodic(60)(ran)


async def main():
    async with app.worker():
        assert await (await ran.send()).get(timeout=30)
    print(*sorted(sys.modules))


asyncio.run(main())
"""


@pytest.mark.parametrize("broker", ["memory", "redis"])
@pytest.mark.parametrize("schedules", [False, True])
def test_a_worker_without_beat_imports_nothing_of_it(
    broker: str, schedules: bool, request: pytest.FixtureRequest
) -> None:
    """Schedules in its code are values, and no more."""
    url = "memory://" if broker == "memory" else request.getfixturevalue("redis_url")
    command = [sys.executable, "-c", WORKER, url, *(["with schedules"] if schedules else [])]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    imported = done.stdout.split()
    assert "aioqueue.worker" in imported
    assert [name for name in imported if name.startswith(("aioqueue.beat.", "astral"))] == []
    assert "aioqueue.beat" not in imported
    if not schedules:
        assert [
            name for name in imported if name.startswith(("aioqueue.schedules", "aioqueue.periodic", "cronsim"))
        ] == []
