"""What schedules cost those who use none."""

from __future__ import annotations

import subprocess
import sys


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
