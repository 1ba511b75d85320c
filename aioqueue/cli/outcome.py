"""What became of a task, waited for and shown: for `call` and `result`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aioqueue.cli.running import FAILED, NOT_ENDED
from aioqueue.cli.target import command, target
from aioqueue.cli.terminal import bold, complain, dim, facts, note, one_line, printable, say, shown
from aioqueue.cli.times import moment_text, span_text

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.result import AsyncResult
    from aioqueue.task_info import TaskInfo

STATE_COLOURS = {"SUCCESS": "green", "FAILURE": "red", "REVOKED": "magenta", "RETRY": "yellow"}
_WARN_AFTER = 1.0


def raw_result(app: AioQueue, id: str, name: str = "", *, sent: bool = False) -> AsyncResult[Any]:
    """The result as it is stored: to be shown, it need not fit the task's annotation."""
    from aioqueue.result import AsyncResult
    from aioqueue.result_of_id import ResultOfId

    return (AsyncResult if sent else ResultOfId)(app, id, name=name, convert=_as_it_is)


def _as_it_is(value: Any) -> Any:
    return value


async def wait(result: AsyncResult[Any], timeout: float | None) -> TaskInfo:
    """The task's end, or what is known of it after `timeout` seconds."""
    from aioqueue.waiting import OutOfTime, within

    async def end() -> TaskInfo | None:
        async for info in result.watch():
            if info.ready:
                return info
        return None

    try:
        return await within(timeout, end()) or await result.info()
    except OutOfTime:
        return await result.info()


async def warn_without_worker(app: AioQueue, queue: str) -> None:
    """Tell somebody who waits that nobody is there to do it."""
    import asyncio

    await asyncio.sleep(_WARN_AFTER)
    workers = await (await app.broker()).workers()
    if not any(queue in worker.queues for worker in workers):
        from aioqueue.worker.consuming import Consuming

        # One that names its queues takes no others: it is named only where a worker would not take it by itself.
        named = () if queue in Consuming(app, None, None).names else ("-Q", queue)
        code = () if target().app_place else ("-A", "MODULE:APP")
        one = printable(command("worker", *code, *named))
        note(f"No worker consumes the queue {queue!r} so far; this waits for one: {one}")


def exit_code(info: TaskInfo) -> int:
    """0 after a success, 1 after a failure, 3 as long as the task goes on."""
    if not info.ready:
        return NOT_ENDED
    return 0 if info.state == "SUCCESS" else FAILED


def as_data(info: TaskInfo) -> dict[str, Any]:
    """Everything about a task, for JSON."""
    from aioqueue.task_info import exception_data  # by now it is here; the help does without

    timings = info.timings
    return {
        "id": info.id,
        "task": info.name or None,
        "state": info.state,
        "ready": info.ready,
        "result": info.result,
        "exception": exception_data(info.exception),
        "traceback": info.traceback,
        "reason": info.reason,
        "meta": info.meta,
        "retries": info.retries,
        "args": info.args or None,
        "worker": info.worker or None,
        "sent": timings.sent,
        "started": timings.started,
        "ended": timings.ended,
        "wait": timings.wait,
        "run": timings.run,
        "dead": info.dead,
        "parent_id": info.parent_id,
        "root_id": info.root_id,
        "group_id": info.group_id,
        "children": info.children,
    }


def exception_text(error: BaseException | None) -> str:
    """`ValueError: no such user`."""
    if error is None:
        return ""
    from aioqueue.task_info import exception_name

    name, message = exception_name(error), str(error)
    # A TaskFailed tells the original type in its own message.
    return printable(message if not message or message.startswith(name) else f"{name}: {message}") or name


def show(info: TaskInfo, where: str = "") -> None:
    """Everything about a task, for people; `where` it is while no record says so."""
    timings = info.timings
    started = moment_text(timings.started)
    if started and timings.wait is not None:
        started += f", after waiting {span_text(timings.wait)}"
    ended = moment_text(timings.ended)
    if ended and timings.run is not None:
        ended += f", ran {span_text(timings.run)}"
    facts(
        [
            ("id", bold(printable(info.id))),
            ("task", printable(call_text(info.name, info.args))),
            (
                "state",
                click.style(printable(info.state), fg=STATE_COLOURS.get(info.state), bold=True) + _more(info, where),
            ),
            ("result", shown(info.result) if info.state == "SUCCESS" else ""),
            ("error", click.style(exception_text(info.exception), fg="red") if info.exception is not None else ""),
            ("progress", "" if info.meta is None else shown(info.meta)),
            ("retries", str(info.retries) if info.retries else ""),
            ("worker", printable(info.worker)),
            ("sent", moment_text(timings.sent)),
            ("started", started),
            ("ended", ended),
            ("parent", printable(info.parent_id or "")),
            ("children", printable("\n".join(info.children))),
        ]
    )
    if info.traceback:
        say()
        say(printable(info.traceback.rstrip()))


def call_text(name: str, args: str) -> str:
    """A call: the task's name, and its arguments as a record or a worker has them."""
    text = one_line(args, 200)
    return name + (text if not text or text.startswith("(") else f"({text})")


def _more(info: TaskInfo, where: str) -> str:
    if info.dead:
        return f"  among the dead letters, see `{printable(command('dead', 'show', info.id))}`"
    return f"  {printable(where)}" if where else ""


def show_end(info: TaskInfo, where: str = "") -> None:
    """What a call came to: its result on stdout, or its error on stderr; or `where` it is."""
    if info.state == "SUCCESS":
        say(shown(info.result))
    elif info.ready:
        error = exception_text(info.exception) or info.reason or info.state
        frames = printable((info.traceback or "").rstrip()).removesuffix(error).rstrip()
        if frames:
            say(dim(frames), err=True)
        complain(error)
    else:
        complain(f"Task {info.id} has not ended yet (its state is {info.state}{where and f': {where}'}). It goes on.")
        again, end = command("result", info.id, "--wait"), command("revoke", info.id)
        note(f"Wait again with `{printable(again)}`, or end it with `{printable(end)}`.")
