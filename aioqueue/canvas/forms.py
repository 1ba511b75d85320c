"""What a canvas is at bottom, whatever it is wrapped in: for the walk that makes nodes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from aioqueue.canvas.base import Canvas
from aioqueue.canvas.composites import chain, chunks, group
from aioqueue.canvas.signatures import Signature


def flat(canvas: chain[Any]) -> Iterator[Canvas[Any]]:
    """The elements of a chain, those of bare chains in it included."""
    stack = [iter(canvas.tasks)]
    while stack:
        element = next(stack[-1], None)
        if element is None:
            stack.pop()
        elif isinstance(element, chain) and element.is_bare:
            stack.append(iter(element.tasks))
        else:
            yield element


def as_group(canvas: Canvas[Any]) -> Canvas[Any]:
    """Chunks as the group that they are; all else as it is."""
    return cast("chunks[Any]", canvas).group() if isinstance(canvas, chunks) else canvas


def group_of(canvas: Canvas[Any]) -> group[Any] | None:
    """The group that a canvas is, and be it as the only element of a chain."""
    while isinstance(canvas, chain) and len(canvas) == 1 and canvas.is_bare:
        canvas = as_group(canvas[0])
    return cast("group[Any]", canvas) if isinstance(canvas, group) else None


def is_single(canvas: Canvas[Any]) -> bool:
    """Whether it is one task."""
    return type(canvas) is Signature


def plain_single(canvas: Canvas[Any]) -> Signature[Any] | None:
    """The task that a canvas is, if it is one without links."""
    return cast("Signature[Any]", canvas) if type(canvas) is Signature and canvas.is_plain else None
