"""What people see: colours where they are wanted, aligned tables, and JSON for programs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import click

_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in range(32)},
    **{code: f"\\x{code:02x}" for code in range(127, 160)},
    ord("\n"): "\n",
    ord("\t"): "\t",
    # Bytes that are no text, as Python keeps them.
    **{0xDC00 + byte: f"\\x{byte:02x}" for byte in range(128, 256)},
}
_LEAST = 20
"""Columns for the last one of a table, which may be cut."""
_PLENTY = 200
"""Columns where there is no screen."""


def is_fancy(stream: IO[str]) -> bool:
    """Whether colours belong there: a terminal that can show them, and nobody who objects."""
    if os.environ.get("NO_COLOR") or os.environ.get("CI") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def say(text: str = "", *, err: bool = False) -> None:
    """Write a line, in colour if it is wanted there."""
    click.echo(text, err=err, color=is_fancy(sys.stderr if err else sys.stdout))


def note(text: str) -> None:
    """A line for people only, which programs that read the output don't meet."""
    say(dim(text), err=True)


def complain(text: str) -> None:
    """The one line that says what went wrong."""
    say(click.style("Error: ", fg="red", bold=True) + click.style(printable(text), fg="red"), err=True)


def dim(text: str) -> str:
    return click.style(text, dim=True)


def bold(text: str) -> str:
    return click.style(text, bold=True)


def printable(text: str) -> str:
    """Text from elsewhere, without the control characters that could act on a terminal."""
    return text.translate(_ESCAPES)


def one_line(text: str, width: int) -> str:
    """The text in one line of up to `width` characters."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= width else text[: max(1, width - 1)] + "…"


def screen_width() -> int:
    """Columns of the terminal; plenty where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _PLENTY


def table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Iterable[int] = (), whole: bool = False
) -> None:
    """Write `aligned` columns; where the screen is too narrow for them, each row as lines of its own.

    Args:
        whole: the last column is not to be cut, either.
    """
    width, least = screen_width(), _least_width(titles, rows, whole=whole)
    fits = width >= min(least, _PLENTY)
    for line in aligned(titles, rows, right=right, width=max(width, least)) if fits else stacked(titles, rows):
        say(line)


def _least_width(titles: Sequence[str], rows: Sequence[Sequence[str]], *, whole: bool) -> int:
    """Columns of a screen that shows them beside each other."""
    widths = [max(_length(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    last = widths[-1] if whole else min(widths[-1], _LEAST)
    return sum(widths[:-1]) + 2 * (len(titles) - 1) + last


def stacked(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of rows that stand below each other, each cell with its title, and the first without."""
    width = max(map(len, titles[1:]), default=0)
    for number, (first, *rest) in enumerate(rows):
        if number:
            yield ""
        yield first
        for title, cell in zip(titles[1:], rest, strict=True):
            if cell:
                yield f"  {dim(title.ljust(width))}  {cell}"


def aligned(
    titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = (), width: int
) -> Iterator[str]:
    """Lines of aligned columns, the last one cut at the screen's edge.

    Args:
        titles: of the columns.
        rows: their cells, which may be styled, but for those of the last column.
        right: the columns that are aligned to the right.
        width: of the screen.
    """
    cells = [[click.style(title, dim=True) for title in titles], *(list(row) for row in rows)]
    widths = [max(_length(row[column]) for row in cells) for column in range(len(titles))]
    room = max(_LEAST, width - sum(widths[:-1]) - 2 * (len(titles) - 1))
    to_right = frozenset(right)
    for row in cells:
        last = row[-1] if _length(row[-1]) <= room else one_line(click.unstyle(row[-1]), room)
        shown = [
            _pad(cell, width, column in to_right) for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        shown[-1] = _pad(last, min(widths[-1], room), len(row) - 1 in to_right)
        yield "  ".join(shown).rstrip()


def facts(pairs: Iterable[tuple[str, str]], *, err: bool = False) -> None:
    """Names and values, one a line, without those that have no value."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        first, *more = value.split("\n")
        say(f"{dim(name.ljust(width))}  {first}", err=err)
        for line in more:
            say(f"{'':{width}}  {line}", err=err)


def size_text(count: int) -> str:
    """A number of bytes: `812 B`, `4.2 kB`, `1.3 GB`."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"


def _length(cell: str) -> int:
    return len(click.unstyle(cell))


def _pad(cell: str, width: int, to_right: bool) -> str:
    space = " " * (width - _length(cell))
    return space + cell if to_right else cell + space


def as_json(value: Any) -> str:
    """JSON text; what JSON has no form for is shown as Python would."""
    from aioqueue.payload.json_form import json_text

    return json_text(value).decode()


def say_json(value: Any) -> None:
    """The output of a command called with `--json`: indented for eyes, one line for programs."""
    text = as_json(value)
    if sys.stdout.isatty():
        import msgspec

        text = msgspec.json.format(text, indent=2)
    click.echo(text)


def shown(value: Any) -> str:
    """A task's result for people: text as it is, the rest as JSON."""
    return printable(value) if isinstance(value, str) else printable(as_json(value))
