"""Sending canvases: part by part, and then all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aioqueue.canvas.base import Canvas
from aioqueue.canvas.plan import At, Plan
from aioqueue.context import current
from aioqueue.exceptions import QueueFull
from aioqueue.group_result import result_of
from aioqueue.sending import Place

if TYPE_CHECKING:
    from aioqueue.app import AioQueue
    from aioqueue.result import AsyncResult

_FULL_AGAIN = 0.05


async def post_canvas(canvas: Canvas[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> AsyncResult[Any]:
    """Send a canvas whole; its parts are stored as they are made, and with the last one it begins."""
    app = canvas.app
    parent = current.get()
    inherited = Place()
    if parent is not None and parent.id:
        inherited = Place(parent_id=parent.id, root_id=parent.root_id, stamps=parent.stamps)
    at = At(args=args, kwargs=kwargs, stamps=inherited.stamps)
    if app.conf.task_always_eager:
        from aioqueue.worker.eager import run_canvas_eagerly

        result = await run_canvas_eagerly(app, canvas, at, inherited)
        if parent is not None and parent.id:
            parent.children.append(result.id)
        return result
    plan = await store(app, canvas, at, inherited)
    if parent is not None and parent.id:
        parent.children.append(plan.id_of(plan.end))
    for about in plan.sent:
        for observer in app.observers:
            observer(*about)
    return result_of(app, plan, plan.end)


async def store(app: AioQueue, canvas: Canvas[Any], at: At, inherited: Place, *, held: bool = False) -> Plan:
    """Store a canvas as a workflow; `held` until something else starts it.

    Raises:
        AioQueueError: as `Canvas.send`; then nothing of it is left.
    """
    broker = await app.broker()
    timeout = app.conf.send_timeout
    plan = Plan(app, now=broker.now(), keep=int((app.conf.result_expires or 0) * 1000), inherited=inherited)
    stored = False
    try:
        for part in plan.parts(canvas, at):
            await broker.store(plan.id, part, None, timeout=timeout)
            stored = True
        part, start = plan.last(held=held)
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            try:
                await broker.store(plan.id, part, start, timeout=timeout, max_length=app.conf.queue_max_length)
                return plan
            except QueueFull:
                if app.conf.queue_full == "raise" or asyncio.get_running_loop().time() + _FULL_AGAIN > deadline:
                    raise
            await asyncio.sleep(_FULL_AGAIN)
    except BaseException:
        if stored:
            await broker.discard(plan.id)
        raise
