"""`aioqueue call`: send a task, and wait for it if asked to."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import click

from aioqueue.cli.calls import CallCommand, check_call, find_task, known_tasks, unmarked
from aioqueue.cli.celery import Option, tell_without_effect, without_effect
from aioqueue.cli.completing import complete_calls, complete_queues
from aioqueue.cli.outcome import as_data, exit_code, raw_result, show_end, wait, warn_without_worker
from aioqueue.cli.running import end, run
from aioqueue.cli.target import json_option, target, target_options
from aioqueue.cli.terminal import note, say, say_json, shown
from aioqueue.cli.times import parse_moment, parse_span_or_moment, span_option
from aioqueue.cli.values import parse_list, parse_object, split
from aioqueue.cli.whereabouts import looked_for
from aioqueue.exceptions import AioQueueError, ConfigurationError

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.brokers.protocol import Outgoing
    from aioqueue.task import Task

_OF_CELERY = (Option(("--exchange",), "there are no exchanges: write --queue, or --routing-key", needed=True),)


@without_effect(_OF_CELERY)
@click.command(cls=CallCommand)
@target_options
@click.option("-a", "--args", "args_json", metavar="JSON", help="Arguments by position, as a JSON list.")
@click.option("-k", "--kwargs", "kwargs_json", metavar="JSON", help="Arguments by name, as a JSON object.")
@click.option("--wait/--no-wait", "-w", "waits", default=False, help="Wait for the result and print it.")
@span_option("--timeout", help="Wait for no longer; then the exit code is 3.")
@span_option("--countdown", help="Start it that much later.")
@click.option("--eta", type=parse_moment, metavar="TIME", help="Start it then; without a zone it is UTC.")
@click.option("--expires", type=parse_span_or_moment, metavar="SECONDS|TIME", help="Do not start it later than that.")
@click.option("-Q", "--queue", metavar="NAME", help="In place of the task's own.", shell_complete=complete_queues)
@click.option("--priority", type=click.IntRange(0, 9), metavar="N", help="Higher runs first.")
@click.option("--routing-key", metavar="WORDS", help="For queues by topic, as orders.eu.paid.")
@click.option("--serializer", metavar="NAME", help="In place of the task's own: msgpack or json.")
@click.option("--compression", metavar="NAME", help="In place of the task's own, such as zlib.")
@click.option("--task-id", metavar="ID", help="In place of a new one.")
@json_option
@click.argument(
    "words", nargs=-1, required=True, metavar="[MODULE:APP] TASK [ARG|NAME=VALUE]...", shell_complete=complete_calls
)
def call(
    words: tuple[str, ...],
    args_json: str | None,
    kwargs_json: str | None,
    waits: bool,
    timeout: float | None,
    as_json: bool,
    **options: float | datetime | str | int | None,
) -> None:
    """Send a task; print its id, or with --wait its result.

    An argument is read as JSON if it is JSON (5, true, null, "5", [1, 2]), else as text; for a parameter annotated as
    str it is text anyway. The task's name may be short: add means shop.tasks.add, where only one task ends like that.

    Exit codes: 0 sent, or with --wait: succeeded; 1 the task failed, or could not be sent; 2 there is no such task, or
    the arguments don't fit it; 3 it has not ended within --timeout.
    """
    words = tuple(unmarked(word) for word in words)
    about = target()
    name, *rest = about.take(words, first=not about.is_said) or ("",)
    app = about.connection()
    if not name:
        raise click.UsageError(f"Which task? {known_tasks(app)}")
    task = find_task(app, name, need=about.app_place is not None)
    args, kwargs = split(rest, None if isinstance(task, str) else task)
    args = [*parse_list(args_json, "--args"), *args]
    kwargs = {**parse_object(kwargs_json, "--kwargs"), **kwargs}
    if not isinstance(task, str):
        check_call(task, args, kwargs)
    tell_without_effect(_OF_CELERY, options)
    own = {option.name for option in _OF_CELERY}
    given = {option: value for option, value in options.items() if value is not None and option not in own}
    if "countdown" in given and "eta" in given:
        raise click.UsageError("Give --countdown or --eta, not both.")
    end(
        run(_call(app, task, args, kwargs, given, waits=waits or timeout is not None, timeout=timeout, as_json=as_json))
    )


async def _call(
    app: AioQueue,
    task: Task[..., Any] | str,
    args: list[Any],
    kwargs: dict[str, Any],
    options: dict[str, Any],
    *,
    waits: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    import asyncio

    from aioqueue.result import AsyncResult

    sent: list[Outgoing] = []

    def observe(task: object, args: object, kwargs: object, options: object, message: Outgoing) -> None:
        sent.append(message)

    app.observers.append(observe)
    name = task if isinstance(task, str) else task.name
    if waits:
        # A task that keeps no result could be waited for in vain.
        options["ignore_result"] = False
    async with app:
        try:
            result = cast("object", await app.send_task(name, args, kwargs, **options))
        except ConfigurationError as error:  # of an option: the app's own settings have been looked at
            raise click.UsageError(str(error)) from error
        if not isinstance(result, AsyncResult):
            return _show_answer(name, result, as_json=as_json)
        if not waits:
            if as_json:
                say_json({"id": result.id, "task": name, "queue": sent[0].queue if sent else None})
            else:
                say(result.id)
            return 0
        warning = asyncio.create_task(warn_without_worker(app, sent[0].queue)) if sent else None
        try:
            watched = raw_result(app, result.id, name, sent=True)
            info, where = await looked_for(app, watched, await wait(watched, timeout))
        finally:
            if warning is not None:
                warning.cancel()
                with suppress(asyncio.CancelledError, AioQueueError):
                    await warning
    if as_json:
        say_json(as_data(info))
    else:
        show_end(info, where)
    return exit_code(info)


def _show_answer(name: str, answer: object, *, as_json: bool) -> int:
    """What a middleware has answered with in place of a result."""
    if as_json:
        say_json({"id": None, "task": name, "queue": None, "answer": answer})
    else:
        say(shown(answer))
        note("That is what a middleware answered with; there is no id to wait for.")
    return 0
