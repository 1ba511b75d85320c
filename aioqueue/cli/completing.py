"""What the shell offers when Tab is pressed: apps, tasks, parameters and queues.

Apps are found by reading files, tasks and queues by importing the app; no broker is asked. Whatever goes wrong, nothing
is offered: there is nobody to tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from aioqueue.app import AioQueue

_APP = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:\w+\.)*AioQueue\(", re.MULTILINE)
_NOT_OURS = {"node_modules", "site-packages", "__pycache__", "venv", "env", "build", "dist"}
_MOST_FILES = 2000
_DEEPEST = 3

Completion = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def completion(find: Callable[[click.Context, str], Iterable[str]]) -> Completion:
    """What click asks for: of what is found, that which begins as the word does."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            found = [name for name in find(ctx, incomplete) if name.startswith(incomplete)]
        except (Exception, SystemExit):
            return []
        return [CompletionItem(name) for name in dict.fromkeys(found)]

    return complete


def apps_here() -> list[str]:
    """The apps in the modules of the current directory, as `module:attribute`; nothing is imported."""
    return sorted(
        f"{'.'.join(path.with_suffix('').parts).removesuffix('.__init__')}:{name}"
        for path in islice(_modules(Path()), _MOST_FILES)
        for name in _APP.findall(path.read_text(encoding="utf-8", errors="replace"))
    )


def _modules(folder: Path) -> Iterable[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _NOT_OURS:
            continue
        if path.suffix == ".py" and path.stem.isidentifier():
            yield path
        elif path.is_dir() and path.name.isidentifier() and len(path.parts) < _DEEPEST:
            yield from _modules(path)


def _app(ctx: click.Context) -> tuple[AioQueue | None, list[str]]:
    """The app that the words before this one name, and the other words."""
    from aioqueue.cli.finding import looks_like_app
    from aioqueue.cli.target import Target

    about = ctx.ensure_object(Target)
    words: list[str] = list(ctx.params.get("words") or ctx.args)
    if about.app_place is None and words and looks_like_app(words[0]):
        about.place = words.pop(0)
    return (about.app() if about.app_place is not None else None), words


def _apps(ctx: click.Context, incomplete: str) -> Iterable[str]:
    return apps_here()


def _queues(ctx: click.Context, incomplete: str) -> Iterable[str]:
    from aioqueue.routing.addressing import known_queues

    app, _ = _app(ctx)
    if app is None:
        return apps_here()
    *before, _ = incomplete.split(",")  # as after -Q
    lead = "".join(f"{name}," for name in before)
    said = [queue.name for queue in app.conf.task_queues] + [app.conf.task_default_queue]
    return [lead + name for name in [*said, *(name for task in app.tasks.values() for name in known_queues(app, task))]]


def _calls(ctx: click.Context, incomplete: str) -> Iterable[str]:
    app, words = _app(ctx)
    if app is None:
        return apps_here()
    short = {name.rpartition(".")[2]: name for name in app.tasks}
    if not words:
        return [*short, *app.tasks]
    task: Any = app.tasks.get(words[0]) or app.tasks[short[words[0]]]
    return [f"{name}=" for name in task.parameters.signature.parameters]


complete_apps = completion(_apps)
complete_queues = completion(_queues)
complete_calls = completion(_calls)
