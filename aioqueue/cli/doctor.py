"""`aioqueue doctor`: what may be wrong, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from aioqueue.cli.completing import complete_apps
from aioqueue.cli.groups import Command
from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import bold, dim, note, printable, say, say_json, screen_width
from aioqueue.wording import counted

if TYPE_CHECKING:
    from aioqueue.brokers.protocol import Finding

_COLOURS: Final = {"ok": "green", "unknown": "cyan", "warning": "yellow", "problem": "red"}
_WIDEST: Final = 110


@click.command(cls=Command)
@target_options
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]", shell_complete=complete_apps)
def doctor(words: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Look the app, its broker and its workers over, and say what to do about what is wrong.

    Looks at the software and its extras; the broker, its memory, persistence, latency, clock and access rights; leases
    that are stuck and keys that are nobody's; workers, queues without any, dead letters and schedules. Changes nothing.

    Exit codes: 0 nothing is wrong, though there may be warnings; 1 there is a problem.
    """
    about = target()
    if rest := about.take(words, first=not about.namespace):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    app = about.connection()

    from aioqueue.doctor import examine

    found = run(examine(app))
    if as_json:
        say_json(
            [
                {"check": one.check, "health": one.health.value, "says": one.says, "advice": one.advice or None}
                for one in found
            ]
        )
    else:
        _show(found)
    wrong = {"problem", "warning"} if strict else {"problem"}
    end(FAILED if any(one.health.value in wrong for one in found) else 0)


def _show(found: list[Finding]) -> None:
    width = max(len(one.check) for one in found)
    indent = len("problem") + 2 + width + 2
    room = max(40, min(screen_width(), _WIDEST) - indent)
    for one in found:
        health = click.style(one.health.value.ljust(len("problem")), fg=_COLOURS[one.health.value])
        lines = [(line, str) for line in _lines(one.says, room)]
        lines += [(line, dim) for line in _lines(one.advice, room)]
        for at, (line, style) in enumerate(lines):
            head = f"{health}  {bold(one.check.ljust(width))}" if at == 0 else " " * (indent - 2)
            say(f"{head}  {style(line)}")
    counts = {word: sum(one.health.value == word for one in found) for word in ("problem", "warning")}
    if any(counts.values()):
        note(f"{counted(counts['problem'], 'problem')}, {counted(counts['warning'], 'warning')}.")
    else:
        note("Nothing is wrong.")


def _lines(text: str, room: int) -> list[str]:
    """The text in lines; words are not cut, so that commands can be pasted."""
    lines: list[str] = []
    for word in printable(text).split():
        if lines and len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
