"""Stamps that are computed from what they are put on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from aioqueue.canvas.composites import chain, chord, chunks, group
from aioqueue.canvas.signatures import Signature

if TYPE_CHECKING:
    from aioqueue.canvas.base import Canvas

Stamps = Mapping[str, Any] | None


class StampingVisitor:
    """Computes stamps for the parts of a canvas: `canvas.stamp(MyVisitor())`.

    Each method is given a part, and returns its stamps or nothing. What is given to a composition is inherited by all
    in it. The names are Celery's.
    """

    def on_signature(self, sig: Signature[Any]) -> Stamps:
        """Each single task."""

    def on_chain_start(self, chain: chain[Any]) -> Stamps:
        """A chain, before its elements."""

    def on_chain_end(self, chain: chain[Any]) -> None:
        """A chain, after its elements."""

    def on_group_start(self, group: group[Any]) -> Stamps:
        """A group, before its members."""

    def on_group_end(self, group: group[Any]) -> None:
        """A group, after its members."""

    def on_chord_header_start(self, chord: chord[Any]) -> Stamps:
        """A chord, before its header; the stamps are the header's."""

    def on_chord_header_end(self, chord: chord[Any]) -> None:
        """A chord, after its header."""

    def on_chord_body(self, chord: chord[Any]) -> Stamps:
        """A chord, before its body; the stamps are the body's."""

    def on_callback(self, callback: Canvas[Any]) -> Stamps:
        """What is linked."""

    def on_errback(self, errback: Canvas[Any]) -> Stamps:
        """An error handler."""


def visit(canvas: Canvas[Any], visitor: StampingVisitor) -> None:
    """Put a visitor's stamps on a canvas, in place. A generator of a group is read for it."""
    # A stack of our own: canvases nest without limits.
    pending = [_steps(canvas, visitor)]
    while pending:
        part = next(pending[-1], None)
        if part is None:
            pending.pop()
        else:
            pending.append(_steps(part, visitor))


def _steps(canvas: Canvas[Any], visitor: StampingVisitor) -> Iterator[Canvas[Any]]:
    """Stamp a canvas; what is given out is to be visited before it goes on."""
    found: Any = canvas
    if isinstance(found, Signature):
        _put(canvas, visitor.on_signature(cast("Signature[Any]", found)))
    elif isinstance(found, chain):
        yield from _chain(cast("chain[Any]", found), visitor)
    elif isinstance(found, group):
        yield from _group(cast("group[Any]", found), visitor)
    elif isinstance(found, chord):
        yield from _chord(cast("chord[Any]", found), visitor)
    elif isinstance(found, chunks):
        yield cast("chunks[Any]", found).signature
    for link in canvas.links:
        _put(link, visitor.on_callback(link))
        yield link
    for errback in canvas.errbacks:
        _put(errback, visitor.on_errback(errback))
        yield errback


def _chain(canvas: chain[Any], visitor: StampingVisitor) -> Iterator[Canvas[Any]]:
    _put(canvas, visitor.on_chain_start(canvas))
    yield from canvas.tasks
    visitor.on_chain_end(canvas)


def _group(canvas: group[Any], visitor: StampingVisitor) -> Iterator[Canvas[Any]]:
    _put(canvas, visitor.on_group_start(canvas))
    yield from canvas.tasks
    visitor.on_group_end(canvas)


def _chord(canvas: chord[Any], visitor: StampingVisitor) -> Iterator[Canvas[Any]]:
    _put(canvas.header, visitor.on_chord_header_start(canvas))
    yield canvas.header
    visitor.on_chord_header_end(canvas)
    if canvas.body is not None:
        _put(canvas.body, visitor.on_chord_body(canvas))
        yield canvas.body


def _put(canvas: Canvas[Any], stamps: Stamps) -> None:
    if stamps:
        canvas.stamp(**stamps)
