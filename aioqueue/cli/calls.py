"""A call of a task on the command line: which task, and whether the arguments fit it."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from aioqueue.cli.groups import Command
from aioqueue.cli.values import check_types
from aioqueue.exceptions import PayloadError

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.task import Task

_NUMBER = re.compile(r"-\.?\d.*")
_MARK = "\0"


class CallCommand(Command):
    """Takes negative numbers as arguments, where click would see options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with_value = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        before = [None, *args]
        words = [
            _MARK + word if _NUMBER.fullmatch(word) and last not in with_value else word
            for last, word in zip(before, args, strict=False)
        ]
        return super().parse_args(ctx, words)


def unmarked(word: str) -> str:
    """The word as it was given to such a command."""
    return word.removeprefix(_MARK)


def find_task(app: AioQueue, name: str, *, need: bool) -> Task[..., Any] | str:
    """The task of that name, or the only one whose name ends like that; the name itself where no code is at hand."""
    if name in app.tasks:
        return app.tasks[name]
    if not need:
        return name
    ends = [known for known in app.tasks if known.endswith(f".{name}")]
    if len(ends) == 1:
        return app.tasks[ends[0]]
    if ends:
        raise click.UsageError(f"Several tasks are called {name!r}: {', '.join(sorted(ends))}. Say which.")
    short = {known.rpartition(".")[2]: known for known in app.tasks}
    near = get_close_matches(name, [*app.tasks, *short], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise click.UsageError(f"The app {app.name!r} has no task {name!r}.{hint} {known_tasks(app)}")


def known_tasks(app: AioQueue) -> str:
    """Which tasks an app has, for a message."""
    names = sorted(app.tasks)
    if not names:
        return "It has no tasks; are the modules with the tasks imported (include=[...])?"
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"It has {', '.join(names[:8])}{more}."


def check_call(
    task: Task[..., Any], args: list[Any], kwargs: dict[str, Any], *, undone: str = "nothing was sent"
) -> None:
    """Whether the arguments fit: an error of the command line, which the user can put right.

    Args:
        undone: what has not been done then, for the message.
    """
    if task.parameters.fits(args, kwargs):
        check_types(task, args, kwargs, undone=undone)
    try:
        task.parameters.check(args, kwargs, task_name=task.name)
        task.parameters.convert(args, kwargs, content="json", task_name=task.name)
    except (TypeError, PayloadError) as error:
        raise click.UsageError(str(error).replace("nothing was sent", undone)) from error
