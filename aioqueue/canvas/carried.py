"""A canvas as one message: the call of a task of ours, which is replaced by the canvas when it runs.

So what can send messages and nothing more, as the claim of a schedule, can send any canvas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from aioqueue.canvas.base import Canvas
from aioqueue.canvas.signatures import Signature

CARRIER = "aioqueue.canvas"
"""The name of that task. Its argument is what `to_dict` gives."""
COLLECT = "aioqueue.collect"
"""The name of the task of ours that makes the results of a group the result of one task."""
OURS = frozenset({CARRIER, COLLECT})


def as_message(canvas: Canvas[Any]) -> Signature[Any] | None:
    """The call, if a canvas is one that one message can say."""
    if type(canvas) is not Signature:
        return None
    call = cast("Signature[Any]", canvas)
    return call if call.is_plain and call.spread is None else None


def first_call(canvas: Canvas[Any]) -> tuple[Signature[Any], dict[str, Any]] | None:
    """The first single task of a canvas, and the options that count for it; None where there is none."""
    options: dict[str, Any] = {}
    one: Canvas[Any] | None = canvas
    while one is not None:
        options = {**options, **one.options}
        if isinstance(one, Signature):
            return one, options
        one = next(iter(one.contents()), None)
    return None


def headed(canvas: Canvas[Any], headers: Mapping[str, Any]) -> Canvas[Any]:
    """A copy in which each task has these headers beside those that it would have had; links and handlers too."""
    found = canvas.clone()
    # A stack of our own: canvases nest without limits.
    pending: list[tuple[Canvas[Any], Mapping[str, Any]]] = [(found, {})]
    while pending:
        one, around = pending.pop()
        own: Mapping[str, Any] = one.options.get("headers") or around
        if isinstance(one, Signature):
            one.options["headers"] = {**own, **headers}
        pending += [(part, own) for part in one.contents()]
        pending += [(beside, {}) for beside in (*one.links, *one.errbacks)]
    return found
