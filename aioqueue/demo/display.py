"""What is seen of a run while it goes on: a picture on a terminal, else a line a second."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import IO, Any, Protocol, cast

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aioqueue.cli.terminal import is_fancy
from aioqueue.demo.figures import Kill, Now, WorkerFigures
from aioqueue.demo.files import Selection
from aioqueue.demo.server import DemoServer
from aioqueue.demo.summary import head
from aioqueue.demo.wording import count, span, spread

_EVERY = 1.0
_WIDEST = 110
_STATES = {"": "dim", "killed": "bold yellow", "stopped": "dim", "failed": "bold red"}


class Display(Protocol):
    """What is told of a run."""

    def begin(self, server: DemoServer, selection: Selection) -> None:
        """The broker is there."""

    def started(self, now: Now) -> None:
        """The workers have been started."""

    def killed(self, kill: Kill, lease: float) -> None:
        """A worker has been killed, whose lease lasts for up to `lease` seconds more."""

    def update(self, now: Now) -> None:
        """The figures have changed."""

    def close(self) -> None:
        """There is nothing more to show."""


def console_for(stream: IO[str]) -> Console:
    """For a terminal as it is; for anything else plain text."""
    if is_fancy(stream):
        return Console(file=stream, highlight=False, markup=False, emoji=False)
    # Where the encoding has no "·", a "?" will do.
    cast("TextIOWrapper[Any]", stream).reconfigure(errors="replace")
    return Console(
        file=stream, highlight=False, markup=False, emoji=False, no_color=True, force_terminal=False, width=100
    )


def show(console: Console, *what: RenderableType) -> None:
    """Print it; where it is not for eyes alone, without the spaces at the lines' ends."""
    if console.is_terminal:
        console.print(*what, sep="\n")
        return
    with console.capture() as captured:
        console.print(*what, sep="\n")
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    console.file.flush()


@contextmanager
def display_on(console: Console) -> Generator[Display]:
    """The display that suits the console."""
    if not console.is_terminal:
        yield LineDisplay(console)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveDisplay(console, live)


class LineDisplay:
    """A line when something happens, and one a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = _EVERY

    def begin(self, server: DemoServer, selection: Selection) -> None:
        """The heading."""
        show(self._console, head(server, selection), "")

    def started(self, now: Now) -> None:
        """The processes."""
        for worker in now.workers:
            self._say(f"started {worker.name}, process {worker.pid}")

    def killed(self, kill: Kill, lease: float) -> None:
        """What it was in the middle of."""
        self._say(f"{kill.after:5.1f} s  {_killed(kill, lease)}")

    def update(self, now: Now) -> None:
        """The main figures, if a second has passed."""
        if now.seconds < self._next:
            return
        self._next = int(now.seconds / _EVERY + 1) * _EVERY
        line = f"{now.seconds:5.1f} s  done {count(now.ended)} of {count(now.total)}  {now.rate:,.0f}/s"
        if now.wait is not None and now.run is not None:
            line += f"  wait p95 {span(now.wait.p95)}  run p95 {span(now.run.p95)}"
        line += f"  failed {count(now.failed)}"
        if now.recovered:
            line += f"  recovered {count(now.recovered)}"
        self._say(line)

    def close(self) -> None:
        """Nothing to do."""

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)
        self._console.file.flush()


class LiveDisplay:
    """A picture that changes in place, and makes room for the summary in the end."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live
        self._news = Text()

    def begin(self, server: DemoServer, selection: Selection) -> None:
        """The heading, which stays."""
        show(self._console, head(server, selection), "")

    def started(self, now: Now) -> None:
        """The processes."""
        self._news = Text("starting the workers", style="dim")
        self.update(now)
        self._news = Text()

    def killed(self, kill: Kill, lease: float) -> None:
        """What it was in the middle of."""
        self._news = Text(_killed(kill, lease), style="yellow")

    def update(self, now: Now) -> None:
        """Draw it anew."""
        # Not as wide as the terminal: the echo of Ctrl-C would go to another line, and upset the picture.
        width = min(self._console.width - 6, _WIDEST)
        self._live.update(Padding(Constrain(self._picture(now), width), (0, 0, 0, 2), expand=False), refresh=True)

    def close(self) -> None:
        """Take the picture away."""
        self._live.stop()

    def _picture(self, now: Now) -> Group:
        workers = Table.grid(padding=(0, 3, 0, 0))
        for column in range(4):
            workers.add_column(justify="right" if column in (2, 3) else "left", no_wrap=True)
        for worker in now.workers:
            workers.add_row(*_row(worker, at_work=now.seconds > 0))
        progress = Table.grid(padding=(0, 2, 0, 0), expand=True)
        progress.add_column(ratio=1)
        progress.add_column(no_wrap=True)
        progress.add_row(
            ProgressBar(total=now.total, completed=now.ended, complete_style="cyan", finished_style="green"),
            Text(f"{count(now.ended)} of {count(now.total)}"),
        )
        figures = Table.grid(padding=(0, 3, 0, 0))
        figures.add_column(style="dim", no_wrap=True)
        figures.add_column()
        figures.add_row("now", Text.assemble(f"{now.rate:,.0f} tasks/s", (f"   after {now.seconds:.1f} s", "dim")))
        figures.add_row("wait", spread(now.wait))
        figures.add_row("run", spread(now.run))
        figures.add_row("failed", Text(count(now.failed), style="red" if now.failed else ""))
        figures.add_row("recovered", Text(count(now.recovered), style="green" if now.recovered else ""))
        return Group(workers, Text(), progress, Text(), figures, Text(), self._news)


def _row(worker: WorkerFigures, *, at_work: bool) -> list[Text]:
    state = worker.end or (f"{worker.running} running" if at_work else "")
    return [
        Text(worker.name, style="bold"),
        Text(f"process {worker.pid}", style="dim"),
        Text(f"{count(worker.runs)} runs"),
        Text(state, style=_STATES.get(worker.end, "")),
    ]


def _killed(kill: Kill, lease: float) -> str:
    return (
        f"kill -9 {kill.worker}, in the middle of {count(kill.running, 'task')}; "
        f"its lease ends within {lease:g} s, and what it held goes to others"
    )
