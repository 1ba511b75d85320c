"""What is seen of a run before and after: the heading, the outcome, and what to do next."""

from __future__ import annotations

import platform
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aioqueue._version import __version__
from aioqueue.demo.figures import FailedFile, Report
from aioqueue.demo.files import Selection
from aioqueue.demo.server import DemoServer
from aioqueue.demo.wording import count, example, program, quoted, short, span, spread

if TYPE_CHECKING:
    from aioqueue.demo.run import Demo

_APP = "aioqueue.demo.tasks:app"
_MOST_FAILURES = 5
_MOST_LANGUAGES = 4
# The widest line of percentiles, so that what is said of them is aligned.
_SPREAD = 40


def head(server: DemoServer, selection: Selection) -> RenderableType:
    """What runs, where, and on what."""
    program, where = _parts(server)
    started = f", started in {span(server.started_in)}" if server.started_in is not None else ""
    title = Text.assemble(
        ("aioqueue", "bold cyan"),
        f" {__version__}",
        (f" · {platform.python_implementation()} {platform.python_version()} · {program}{started}\n{where}", "dim"),
    )
    texts = len(selection.paths) - selection.not_text
    which = [f"{count(texts)} of {count(selection.texts_found)} texts"] if texts < selection.texts_found else []
    if selection.not_text:
        which = [*(which or [f"{count(texts)} texts"]), f"{count(selection.not_text)} binaries"]
    lines = Text.assemble(
        "A task for each of ",
        (count(len(selection.paths), "file"), "bold"),
        f" below {quoted(short(selection.folder))}\n",
        f"({', '.join(which)}): " if which else "",
        "SHA-256, lines, longest line, language",
    )
    return Group(title, lines)


def _parts(server: DemoServer) -> tuple[str, str]:
    """The program, and where it is."""
    program, _, where = server.description.rpartition(" at ")
    if where.startswith("/"):
        return program.removeprefix("embedded "), f"embedded, its data in {short(where)}"
    return program, f"at {where}"


def interrupted(course: Demo) -> RenderableType:
    """What is said after Ctrl-C."""
    ended, total = course.progress
    text = Text(f"Stopped after {count(ended)} of {count(total)}. ", style="yellow")
    if course.left:
        text.append(f"Still running: {', '.join(course.left)}.", style="bold red")
    elif course.workers:
        processes = ", ".join(str(worker.pid) for worker in course.workers)
        text.append(f"The workers (processes {processes}) have ended")
        text.append(", and so has the server." if course.server.end == "stopped" else ".")
    else:
        text.append("No worker had been started.")
    return text


def outcome(report: Report) -> RenderableType:
    """What came of it."""
    parts = (_times(report), _verdict(report), _found_out(report), _end(report), _next(report))
    spaced = [line for part in parts for line in (Padding(part, (0, 2)), Text())]
    return Group(*spaced[:-1])


def _times(report: Report) -> RenderableType:
    rate = f"{report.rate:,.0f}/s with {count(len(report.workers), 'worker')}"
    if report.rate_after_kill is not None:
        rate += f", {report.rate_after_kill:,.0f}/s with {count(len(report.workers) - 1)}"
    grid = Table.grid("", "", padding=(0, 2, 0, 0))
    grid.columns[0].style = "dim"
    grid.add_row("sent", f"{count(report.files - report.alone_count)} in {span(report.sent_in)}")
    grid.add_row("done", f"{count(report.succeeded + report.failed)} in {span(report.seconds)}, {rate}")
    grid.add_row("run", _remarked(spread(report.run), "the task itself"))
    grid.add_row("wait", _remarked(spread(report.wait), "sent at once, until started"))
    if report.alone is not None:
        grid.add_row("alone", _remarked(spread(report.alone), "one by one, until the result"))
    return grid


def _verdict(report: Report) -> RenderableType:
    grid = Table.grid("", "", "", padding=(0, 2, 0, 0))
    grid.columns[1].justify = "right"
    grid.columns[1].style = "bold"
    ends = f"{count(report.files)} tasks, {count(report.succeeded + report.failed)} ends"
    if report.lost:
        ends += f"; none for {_some([quoted(file) for file in report.lost_files])}"
    grid.add_row(_mark("lost", report.lost == 0), count(report.lost), ends)
    if (kill := report.kill) is not None:
        later = f"; all had run {span(kill.recovered_after)} after its end" if kill.recovered_after is not None else ""
        grid.add_row(_mark("recovered"), count(report.recovered), f"which {kill.worker} held{later}")
    elif report.kill_wanted:
        grid.add_row(Text("recovered", style="dim"), "0", "it was all done before a worker could be killed")
    grid.add_row(_mark("twice", report.twice_unexplained == 0), count(report.twice), _why_twice(report))
    failed = Text("failed", style="yellow" if report.failed else "bold green")
    grid.add_row(failed, count(report.failed), _failures(report))
    return grid


def _why_twice(report: Report) -> str:
    if report.twice_unexplained:
        return f"{count(report.twice_unexplained)} of them without a killed worker for a reason"
    return f"begun in {report.kill.worker}, ended elsewhere" if report.twice and report.kill is not None else ""


def _failures(report: Report) -> str:
    """The failures, those of a kind together."""
    kinds: dict[str, list[str]] = {}
    for failure in report.failures:
        kinds.setdefault(_kind(failure), []).append(quoted(PurePath(failure.file).name))
    return "\n".join(f"{kind}:\n{_some(names)}" for kind, names in kinds.items())


def _kind(failure: FailedFile) -> str:
    kind = failure.error.partition(":")[0]
    if failure.retries:
        kind += f", retried {'twice' if failure.retries == 2 else count(failure.retries, 'time')}"
    return f"{kind}, now in the dead letters" if failure.dead else kind


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_FAILURES
    return ", ".join(names[:_MOST_FAILURES]) + (f" and {count(more)} more" if more > 0 else "")


def _found_out(report: Report) -> RenderableType:
    """What the tasks were for."""
    text = Text()
    for name, figures in islice(report.languages.items(), _MOST_LANGUAGES):
        text.append(name, style="bold")
        text.append(f" {count(figures.files, 'file')}, {count(figures.lines, 'line')} · ")
    more = list(report.languages.values())[_MOST_LANGUAGES:]
    if more:
        text.append(f"others {count(sum(figures.files for figures in more), 'file')}")
    else:
        text.right_crop(3)
    return text


def _end(report: Report) -> RenderableType:
    text = Text(f"{span(report.total)} in all. ")
    if report.left_running:
        text.append(f"Still running: {', '.join(report.left_running)}.", style="bold red")
    elif report.server == "stopped":
        text.append("The workers have ended, and so has the server.")
    else:
        text.append(f"The workers have ended.{' Others use the server, so it stays.' if report.server else ''}")
    return text


def _next(report: Report) -> RenderableType:
    call = program()
    grid = Table.grid("", "", padding=(0, 2, 0, 0))
    if report.failed:
        grid.add_row(f"{call} dead list -A {_APP}", Text("why they failed", style="dim"))
    else:
        grid.add_row(f"{call} queues list -A {_APP}", Text("what waits", style="dim"))
    if (file := example()) is not None:
        grid.add_row(file, Text("twelve lines to begin with", style="dim"))
    return Group(Text("Next", style="bold"), grid)


def _remarked(text: str, remark: str) -> Text:
    return Text.assemble(text.ljust(_SPREAD), (remark, "dim"))


def _mark(word: str, good: bool = True) -> Text:
    return Text(word, style="bold green" if good else "bold red")
