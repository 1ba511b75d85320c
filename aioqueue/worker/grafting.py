"""Canvases that a running task puts into its own workflow: what goes on in its place, and what joins its group.

They are stored while the task runs, held, and begin with the step that ends it; so they begin once, or not at all (D2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from aioqueue.canvas import Canvas, Signature, chain, chord, chunks, group
from aioqueue.canvas.layout import At
from aioqueue.dispatch import Dispatch
from aioqueue.exceptions import AioQueueError, ConfigurationError
from aioqueue.message import stamps_of
from aioqueue.outgoing import Role
from aioqueue.shape import Shape
from aioqueue.worker.builtin import COLLECT
from aioqueue.worker.run import Run
from aioqueue.workflow import SOURCE, TASK, Addition, Node

if TYPE_CHECKING:
    from aioqueue.core import Core


async def put_replacement(app: Core, run: Run, canvas: Canvas[Any]) -> Shape:
    """Store what goes on in the place of a task; its end has the task's id.

    Raises:
        ConfigurationError: there is nothing in it.
    """
    message = run.message
    shape = await _store(app, run, canvas, At(id=run.delivery.id, wanted=message.wanted, stamps=stamps_of(message)))
    if not any(name and name != COLLECT for name in shape.tasks):
        await (await app.broker()).discard(shape.id)
        raise ConfigurationError(
            f"Task {run.task.name}[{run.delivery.id}] was to be replaced by {canvas!r}, in which there is no task. "
            "Return a value instead."
        )
    return shape


async def put_addition(app: Core, run: Run, canvas: Canvas[Any]) -> tuple[Shape, Addition]:
    """Store what joins a task's group.

    Raises:
        AioQueueError: the task is in no group.
    """
    workflow, dot, join = (run.message.group_id or "").partition(".")
    if not dot or not join.isdigit():
        raise AioQueueError(f"Task {run.task.name}[{run.delivery.id}] belongs to no group. Nothing was added.")
    shape = await _store(app, run, canvas, At(wanted=True, stamps=stamps_of(run.message)))
    node = Node(
        kind=TASK,
        id=shape.id_of(shape.end),
        task=shape.tasks[shape.end],
        before=SOURCE,
        wanted=True,
        group=int(join),
    )
    return shape, Addition(shape.id, (workflow, int(join)), node)


async def drop_additions(app: Core, additions: Sequence[Addition]) -> None:
    """Drop what was to join a group and will not, since the task that added it has not ended well."""
    broker = await app.broker()
    for addition in additions:
        try:
            await broker.discard(addition.workflow)
        except AioQueueError:  # it expires a day later
            return


async def _store(app: Core, run: Run, canvas: Canvas[Any], at: At) -> Shape:
    message = run.message
    inherited = Role(
        group_id=message.group_id,
        parent_id=run.delivery.id,
        root_id=message.root_id or run.delivery.id,
        stamps=stamps_of(message),
    )
    if _ends_in_group(canvas):  # which has no record of its own that somebody could wait for
        collect: Signature[Any] = Signature(app, COLLECT, options={"queue": message.queue})
        canvas = cast("Canvas[Any]", chain(canvas, collect))
    if run.begins is None:
        run.begins = []
    return await Dispatch(app).put_workflow(canvas, at, inherited, later=run.begins)


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
