"""`aioqueue schedule`: what fires when, and changing it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from aioqueue.cli.calls import CallCommand, check_call, find_task, unmarked
from aioqueue.cli.groups import Group
from aioqueue.cli.outcome import STATE_COLOURS
from aioqueue.cli.running import FAILED, end, run
from aioqueue.cli.target import command, json_option, target, target_options
from aioqueue.cli.terminal import bold, complain, dim, facts, note, one_line, printable, say, say_json, table
from aioqueue.cli.times import moment_text, read_moment, span_option, span_text
from aioqueue.cli.values import parse_list, parse_object, split
from aioqueue.exceptions import AioQueueError, ConfigurationError, ScheduleExists, suggest

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.beat.schedules import ScheduleInfo
    from aioqueue.message import Record
    from aioqueue.schedules import Schedule

_MOST = 10_000


@click.group(cls=Group, default="list")
@target_options
def schedule() -> None:
    """What fires when. Without a command: list."""


@schedule.command("list")
@target_options
@json_option
@click.argument("words", nargs=-1, metavar="[MODULE:APP]")
def list_schedules(words: tuple[str, ...], as_json: bool) -> None:
    """List the schedules: when they fire, and what became of the last run.

    Named with its code, it also tells which schedules of that no scheduler has taken up yet.
    """
    about = target()
    if rest := about.take(words, first=not about.namespace):
        raise click.UsageError(f"One argument too many: {' '.join(rest)}")
    app = about.connection()
    found, records, alive, unknown = run(_ask(app))
    if as_json:
        say_json([_as_data(info, records.get(info.name)) for info in found])
    elif found:
        now = datetime.now(UTC)
        table(
            ["name", "next", "last", "runs", "missed", "source", "task", "schedule"],
            [_row(info, records.get(info.name), now) for info in found],
            right=(3, 4),
        )
        for info in found:
            if info.problem:
                complain(f"the schedule {info.name}: {info.problem}")
    else:
        note(f"There are no schedules in {app.namespace!r}.")
    if unknown:
        note(f"In the code, but not taken up by any scheduler yet: {printable(', '.join(unknown))}.")
    if not alive and (found or unknown):
        note(_no_scheduler())


@schedule.command()
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME")
def show(words: tuple[str, ...], as_json: bool) -> None:
    """Show one schedule."""
    app, name = _one(words)
    info, record, alive = run(_ask_one(app, name))
    if as_json:
        say_json(_as_data(info, record))
        return
    sent = ", ".join(f"{option}={value!r}" for option, value in info.options.items())
    facts(
        [
            ("name", bold(printable(info.name))),
            ("schedule", printable(info.schedule)),
            ("task", printable(info.task)),
            ("args", printable(", ".join(map(repr, info.args)))),
            ("kwargs", printable(", ".join(f"{name}={value!r}" for name, value in info.kwargs.items()))),
            ("options", printable(sent)),
            ("source", info.source),
            ("next", _next(info) or moment_text(info.next_run_at)),
            ("last due", moment_text(info.last_due_at)),
            ("last task", printable(info.last_task_id or "") + (f"  {_state(record)}" if record else "")),
            ("runs", str(info.runs)),
            ("missed", str(info.misfires) if info.misfires else ""),
            ("misfire", info.misfire + (f", within {span_text(info.misfire_grace)}" if info.misfire_grace else "")),
            ("at once", f"{info.max_running} at most" if info.max_running else ""),
            ("from", moment_text(info.start_at)),
            ("until", moment_text(info.end_at)),
            ("runs at most", str(info.max_runs) if info.max_runs else ""),
            ("problem", click.style(printable(info.problem), fg="red") if info.problem else ""),
        ]
    )
    if not alive:
        note(_no_scheduler())


@schedule.command("next")
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME [N]")
def next_times(words: tuple[str, ...], as_json: bool) -> None:
    """Print the next N due times, by default 10: in local time, and in the schedule's zone."""
    about = target()
    name, *more = list(about.take(words, first=not about.is_said) if len(words) > 1 else words)
    count = _count(more)
    app = about.connection()

    async def ask() -> list[datetime]:
        async with app:
            if await app.schedules.get(name) is None:
                raise await _no_such(app, name)
            return await app.schedules.upcoming(name, count)

    found = run(ask())
    if as_json:
        say_json(found)
        return
    table(["local", "in its zone"], [_both(moment) for moment in found])
    if not found:
        note(f"{printable(name)} is never due any more.")


def _count(words: Sequence[str]) -> int:
    if not words:
        return 10
    number, *more = words
    if more:
        raise click.UsageError(f"One argument too many: {' '.join(more)}")
    if not number.isdecimal() or not 1 <= int(number) <= _MOST:
        raise click.UsageError(f"N is a whole number from 1 to {_MOST:,}, not {number!r}.")
    return int(number)


def _both(moment: datetime) -> list[str]:
    form = "%a %Y-%m-%d %H:%M:%S"
    fraction = f"{moment:.%f}"[:4] if moment.microsecond else ""
    return [f"{moment.astimezone():{form}}{fraction}", f"{moment:{form}}{fraction} {moment.tzname()}"]


@schedule.command(cls=CallCommand)
@target_options
@click.option("-a", "--args", "args_json", metavar="JSON", help="Arguments by position, as a JSON list.")
@click.option("-k", "--kwargs", "kwargs_json", metavar="JSON", help="Arguments by name, as a JSON object.")
@click.option("-Q", "--queue", metavar="NAME", help="In place of the task's own.")
@click.option("--priority", type=click.IntRange(0, 9), metavar="N", help="Higher runs first.")
@span_option("--expires", help="Do not start it later than that after it was sent.")
@click.option("--tz", metavar="ZONE", help="Of a crontab that names none, such as Europe/Berlin.")
@click.option(
    "--misfire",
    type=click.Choice(["skip", "once", "all"]),
    help="What becomes of due times while no scheduler ran; by default once.",
)
@span_option("--misfire-grace", help="How late a due time may be to be run at all.")
@click.option("--max-running", type=click.IntRange(1), metavar="N", help="Leave it out while so many are running.")
@click.option("--start-at", type=read_moment, metavar="TIME", help="Nothing is due before.")
@click.option("--end-at", type=read_moment, metavar="TIME", help="Nothing is due after.")
@click.option("--max-runs", type=click.IntRange(1), metavar="N", help="After so many it is over.")
@click.option("--replace", is_flag=True, help="Take the place of the one of that name.")
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME SCHEDULE TASK [ARG|NAME=VALUE]...")
def add(
    words: tuple[str, ...],
    args_json: str | None,
    kwargs_json: str | None,
    queue: str | None,
    priority: int | None,
    expires: float | None,
    tz: str | None,
    replace: bool,
    as_json: bool,
    **terms: Any,
) -> None:
    """Add a schedule: its name, when it is due, and the task with its arguments.

    SCHEDULE is a number of seconds, a crontab in quotes ("0 9 * * mon-fri", "@daily"), or one of
    'every(minutes=10)', 'crontab("0 9 * * *", tz="Europe/Berlin")', 'one_off("2026-12-31T18:00:00+01:00")',
    'solar("sunset", 52.5, 13.4)'. Arguments are read as those of `aioqueue call`.
    """
    from aioqueue.canvas import Signature
    from aioqueue.periodic import NAME

    words = tuple(unmarked(word) for word in words)
    about = target()
    rest = about.take(words, first=not about.is_said)
    if len(rest) < 3:
        raise click.UsageError("Give a name, a schedule and a task: aioqueue schedule add poll 60 shop.tasks.poll")
    name, when, task_name, *given = rest
    try:
        NAME.of("The name of a schedule", name)
        schedule = _schedule(when, tz)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    app = about.connection()
    task = find_task(app, task_name, need=about.app_place is not None)
    args, kwargs = split(given, None if isinstance(task, str) else task)
    args = [*parse_list(args_json, "--args"), *args]
    kwargs = {**parse_object(kwargs_json, "--kwargs"), **kwargs}
    if not isinstance(task, str):
        check_call(task, args, kwargs, undone="nothing was added")
    sending = {"queue": queue, "priority": priority, "expires": expires}
    call: Signature[Any] = Signature(
        app,
        task if isinstance(task, str) else task.name,
        args,
        kwargs,
        {option: value for option, value in sending.items() if value is not None},
    )

    async def put() -> ScheduleInfo:
        async with app:
            try:
                return await app.schedules.add(name, call, schedule, replace=replace, **terms)
            except ScheduleExists:
                raise ScheduleExists(
                    f"There is a schedule {name!r} already in {app.namespace!r}. Nothing was changed: take another "
                    "name, or --replace."
                ) from None

    info = run(put())
    if as_json:
        say_json(_as_data(info, None))
    else:
        say(f"{printable(info.name)}  {printable(info.schedule)}, next {moment_text(info.next_run_at)}")


def _schedule(text: str, tz: str | None) -> Schedule:
    """When it is due.

    Raises:
        ConfigurationError: it is no schedule, or there is no such zone.
    """
    from aioqueue.schedules import as_schedule
    from aioqueue.schedules.zones import zone

    schedule = as_schedule(text)
    return schedule if tz is None else schedule.localized(zone(tz, "--tz").key)


def _change(
    words: tuple[str, ...], as_json: bool, done: str, change: Callable[[AioQueue, str], Awaitable[Any]]
) -> None:
    """Do something to each of the schedules that are named."""
    about = target()
    names = about.take_names(words)
    app = about.connection()

    async def each() -> dict[str, str | None]:
        problems: dict[str, str | None] = {}
        async with app:
            for name in names:
                try:
                    await change(app, name)
                    problems[name] = None
                except AioQueueError as error:
                    problems[name] = str(error)
        return problems

    problems = run(each())
    if as_json:
        say_json([{"name": name, done: problem is None, "problem": problem} for name, problem in problems.items()])
    else:
        for name, problem in problems.items():
            if problem is None:
                say(f"{printable(name)}  {done}")
            else:
                complain(problem)
    end(FAILED if any(problems.values()) else 0)


@schedule.command()
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME...")
def pause(words: tuple[str, ...], as_json: bool) -> None:
    """Let schedules fire no more, until they are resumed.

    Exit codes: 0 done; 1 some were not there.
    """
    _change(words, as_json, "paused", lambda app, name: app.schedules.pause(name))


@schedule.command()
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME...")
def resume(words: tuple[str, ...], as_json: bool) -> None:
    """Let schedules fire again, from their next due time on.

    Exit codes: 0 done; 1 some were not there.
    """
    _change(words, as_json, "resumed", lambda app, name: app.schedules.resume(name))


@schedule.command()
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME...")
def remove(words: tuple[str, ...], as_json: bool) -> None:
    """Drop schedules. Those of the code come back with the next scheduler that starts: pause them.

    Exit codes: 0 done; 1 some were not there.
    """

    async def drop(app: AioQueue, name: str) -> None:
        if not await app.schedules.remove(name):
            raise await _no_such(app, name)

    _change(words, as_json, "removed", drop)


@schedule.command()
@target_options
@json_option
@click.argument("words", nargs=-1, required=True, metavar="[MODULE:APP] NAME")
def trigger(words: tuple[str, ...], as_json: bool) -> None:
    """Send what a schedule sends, once and now, and print the id; also if it is paused."""
    app, name = _one(words)

    async def send() -> str:
        async with app:
            return (await app.schedules.trigger(name)).id

    id = run(send())
    if as_json:
        say_json({"name": name, "id": id})
    else:
        say(id)


def _one(words: tuple[str, ...]) -> tuple[AioQueue, str]:
    """The app, and the one name that is given."""
    about = target()
    names = about.take_names(words)
    if len(names) != 1:
        raise click.UsageError(f"It takes one name, not {len(names)}: {' '.join(names)}")
    return about.connection(), names[0]


async def _ask(app: AioQueue) -> tuple[list[ScheduleInfo], dict[str, Record], bool, list[str]]:
    """The schedules, the records of their last tasks, whether a scheduler is alive, and what none has taken up."""
    from aioqueue.beat.declaring import names_in_code

    async with app:
        found = await app.schedules.list()
        unknown = sorted(names_in_code(app) - {info.name for info in found})
        return found, await _records(app, found), bool(await (await app.broker()).schedulers()), unknown


async def _ask_one(app: AioQueue, name: str) -> tuple[ScheduleInfo, Record | None, bool]:
    async with app:
        info = await app.schedules.get(name)
        if info is None:
            raise await _no_such(app, name)
        records = await _records(app, [info])
        return info, records.get(name), bool(await (await app.broker()).schedulers())


async def _no_such(app: AioQueue, name: str) -> AioQueueError:
    from aioqueue.beat.declaring import names_in_code

    if name in names_in_code(app):
        return AioQueueError(f"The schedule {name!r} is in the code, but not taken up by any scheduler yet.")
    known = [info.name for info in await app.schedules.list()]
    return AioQueueError(f"There is no schedule {name!r} in {app.namespace!r}.{suggest(name, known)}")


async def _records(app: AioQueue, found: Sequence[ScheduleInfo]) -> dict[str, Record]:
    """The records of the tasks that were sent last, as far as there are any, by the schedules' names."""
    from aioqueue.message import read_record

    last = {info.name: info.last_task_id for info in found if info.last_task_id}
    records: dict[str, Record] = {}
    for (name, id), data in zip(last.items(), await (await app.broker()).records(list(last.values())), strict=True):
        if data is not None:
            try:
                records[name] = read_record(id, data)
            except AioQueueError:
                continue
    return records


def _row(info: ScheduleInfo, record: Record | None, now: datetime) -> list[str]:
    last = ""
    if info.last_due_at is not None:
        last = f"{span_text((now - info.last_due_at).total_seconds())} ago"
        if record is not None:
            last += f" {_state(record)}"
    coming = _next(info)
    if not coming and info.next_run_at is not None:
        coming = f"in {span_text((info.next_run_at - now).total_seconds())}"
    return [
        bold(printable(info.name)),
        coming,
        last,
        str(info.runs) if info.runs else dim("0"),
        str(info.misfires) if info.misfires else dim("0"),
        info.source,
        one_line(info.task, 60),
        one_line(info.schedule, 200),
    ]


def _next(info: ScheduleInfo) -> str:
    """Why it does not fire; "" if it does."""
    if info.paused:
        return click.style("paused", fg="yellow")
    return dim("never again") if info.next_run_at is None else ""


def _state(record: Record) -> str:
    state = click.style(printable(record.state), fg=STATE_COLOURS.get(record.state))
    ran = _ran(record)
    return state if ran is None else f"{state} in {span_text(ran)}"


def _ran(record: Record) -> float | None:
    return (record.ended - record.started) / 1000 if record.started and record.ended else None


def _as_data(info: ScheduleInfo, record: Record | None) -> dict[str, Any]:
    import msgspec

    found = msgspec.structs.asdict(info)
    return {
        **found,
        "last_state": record.state if record is not None else None,
        "last_seconds": _ran(record) if record is not None else None,
    }


def _no_scheduler() -> str:
    beat = printable(command("beat"))
    return f"No scheduler is alive, so nothing fires: run `{beat}`, or a worker with --beat."
