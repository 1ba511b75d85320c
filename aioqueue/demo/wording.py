"""Figures, as people read them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from aioqueue.demo.figures import Percentiles


def span(seconds: float) -> str:
    """`0.42 ms`, `4.2 ms`, `420 ms`, `4.2 s`."""
    milliseconds = seconds * 1000
    if milliseconds < 1:
        return f"{milliseconds:.2f} ms"
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    return f"{seconds:.1f} s"


def count(number: int, noun: str = "") -> str:
    """`1,204`, `1 file`, `2 files`."""
    return f"{number:,}" + (f" {noun}{'' if number == 1 else 's'}" if noun else "")


def spread(times: Percentiles | None, width: int = 8) -> str:
    """`p50 0.42 ms   p95 4.2 ms   p99 12 ms`, in columns."""
    if times is None:
        return ""
    columns = (("p50", times.p50), ("p95", times.p95), ("p99", times.p99))
    return "  ".join(f"{name} {span(value):<{width}}" for name, value in columns).rstrip()


def short(path: str | Path) -> str:
    """A path as it would be typed here: relative, or below ~, if that is shorter."""
    path = os.fspath(path)
    ways = [path]
    try:
        home = os.fspath(Path.home())
        if path == home or path.startswith(home + os.sep):
            ways.append("~" + path[len(home) :])
        relative = os.path.relpath(path)
        if not relative.startswith(os.pardir):
            ways.append(relative)
    except (RuntimeError, OSError):
        pass
    return min(ways, key=len)


def program() -> str:
    """How the user calls aioqueue."""
    called = sys.argv[0]
    if Path(called).name != "aioqueue":
        return f"{short(sys.executable)} -m aioqueue"
    found = shutil.which("aioqueue")
    return "aioqueue" if found is not None and Path(found).samefile(called) else short(called)


def example() -> str | None:
    """Where the smallest example is; None where the examples are not installed."""
    file = Path(__file__).parents[2] / "examples" / "hello.py"
    return short(file) if file.is_file() else None


def quoted(text: str) -> str:
    """Text from elsewhere, without the control characters that could act on a terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
