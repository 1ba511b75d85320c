"""Canvases that a running task puts into its own workflow: what goes on in its place, and what joins its group.

They are stored while the task runs, held, and begin with the step that ends it; so they begin once, or not at all (D2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from aioqueue.canvas import Canvas, Signature, chain, chord, chunks, group
from aioqueue.canvas.plan import At, Plan
from aioqueue.canvas.posting import store
from aioqueue.exceptions import AioQueueError, ConfigurationError
from aioqueue.sending import Place
from aioqueue.worker.builtin import COLLECT
from aioqueue.worker.run import Run
from aioqueue.workflow import START, TASK, Addition, Node

if TYPE_CHECKING:
    from aioqueue.app import AioQueue


async def store_replacement(app: AioQueue, run: Run, canvas: Canvas[Any]) -> Plan:
    """Store what goes on in the place of a task; its end has the task's id.

    Raises:
        ConfigurationError: there is nothing in it.
    """
    message = run.message
    plan = await _store(app, run, canvas, At(id=run.delivery.id, wanted=message.wanted, stamps=message.stamps))
    if not any(name and name != COLLECT for name in plan.tasks):
        await (await app.broker()).discard(plan.id)
        raise no_replacement(run, canvas)
    return plan


def no_replacement(run: Run, canvas: Canvas[Any]) -> ConfigurationError:
    """A task cannot be replaced by nothing."""
    return ConfigurationError(
        f"Task {run.task.name}[{run.delivery.id}] was to be replaced by {canvas!r}, in which there is no task. "
        "Return a value instead."
    )


async def store_addition(app: AioQueue, run: Run, canvas: Canvas[Any]) -> tuple[Plan, Addition]:
    """Store what joins a task's group.

    Raises:
        AioQueueError: the task is in no group.
    """
    workflow, dot, join = (run.message.group_id or "").partition(".")
    if not dot or not join.isdigit():
        raise AioQueueError(f"Task {run.task.name}[{run.delivery.id}] belongs to no group. Nothing was added.")
    plan = await _store(app, run, canvas, At(wanted=True, stamps=run.message.stamps))
    node = Node(
        kind=TASK,
        id=plan.id_of(plan.end),
        task=plan.tasks[plan.end],
        after=START,
        wanted=True,
        group=int(join),
    )
    return plan, Addition(plan.id, (workflow, int(join)), node)


async def drop_additions(app: AioQueue, additions: Sequence[Addition]) -> None:
    """Drop what was to join a group and will not, since the task that added it has not ended well."""
    broker = await app.broker()
    for addition in additions:
        try:
            await broker.discard(addition.workflow)
        except AioQueueError:  # it expires a day later
            return


async def _store(app: AioQueue, run: Run, canvas: Canvas[Any], at: At) -> Plan:
    message = run.message
    inherited = Place(
        group_id=message.group_id,
        parent_id=run.delivery.id,
        root_id=message.root_id or run.delivery.id,
        stamps=message.stamps,
    )
    if _ends_in_group(canvas):  # which has no record of its own that somebody could wait for
        collect: Signature[Any] = Signature(app, COLLECT, options={"queue": message.queue})
        canvas = cast("Canvas[Any]", chain(canvas, collect))
    return await store(app, canvas, at, inherited, held=True)


def _ends_in_group(canvas: Canvas[Any]) -> bool:
    while True:
        if isinstance(canvas, group | chunks):
            return True
        if isinstance(canvas, chain) and len(canvas):
            canvas = canvas[-1]
        elif isinstance(canvas, chord) and canvas.body is not None:
            canvas = canvas.body
        else:
            return False
