"""Calls of tasks as data, and what can be made of them: chains, groups, chords, chunks."""

from __future__ import annotations

from typing import NoReturn

from aioqueue.canvas.base import Canvas
from aioqueue.canvas.composites import chain, chord, chunks, group
from aioqueue.canvas.dicts import signature
from aioqueue.canvas.signatures import Signature
from aioqueue.canvas.stamping import StampingVisitor

__all__ = ["Canvas", "Signature", "StampingVisitor", "chain", "chord", "chunks", "group", "signature"]


def __getattr__(name: str) -> NoReturn:
    from aioqueue.other_words import elsewhere

    raise elsewhere(__name__, name)
