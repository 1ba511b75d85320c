"""Stamps that are computed from what they are put on."""

from __future__ import annotations

from collections.abc import Mapping
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
    found: Any = canvas
    if isinstance(found, Signature):
        _put(canvas, visitor.on_signature(cast("Signature[Any]", found)))
    elif isinstance(found, chain):
        _visit_chain(cast("chain[Any]", found), visitor)
    elif isinstance(found, group):
        _visit_group(cast("group[Any]", found), visitor)
    elif isinstance(found, chord):
        _visit_chord(cast("chord[Any]", found), visitor)
    elif isinstance(found, chunks):
        visit(cast("chunks[Any]", found).signature, visitor)
    for link in canvas.links:
        _put(link, visitor.on_callback(link))
        visit(link, visitor)
    for errback in canvas.errbacks:
        _put(errback, visitor.on_errback(errback))
        visit(errback, visitor)


def _visit_chain(canvas: chain[Any], visitor: StampingVisitor) -> None:
    _put(canvas, visitor.on_chain_start(canvas))
    for task in canvas.tasks:
        visit(task, visitor)
    visitor.on_chain_end(canvas)


def _visit_group(canvas: group[Any], visitor: StampingVisitor) -> None:
    _put(canvas, visitor.on_group_start(canvas))
    for task in canvas.tasks:
        visit(task, visitor)
    visitor.on_group_end(canvas)


def _visit_chord(canvas: chord[Any], visitor: StampingVisitor) -> None:
    _put(canvas.header, visitor.on_chord_header_start(canvas))
    visit(canvas.header, visitor)
    visitor.on_chord_header_end(canvas)
    if canvas.body is not None:
        _put(canvas.body, visitor.on_chord_body(canvas))
        visit(canvas.body, visitor)


def _put(canvas: Canvas[Any], stamps: Stamps) -> None:
    if stamps:
        canvas.stamp(**stamps)
