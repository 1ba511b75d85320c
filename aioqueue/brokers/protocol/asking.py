"""Asking workers, and what they answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final, Protocol

import msgspec

LARGEST_QUESTION: Final = 64 * 1024
"""Bytes of a question's arguments, at most."""
LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes of one worker's answer, at most."""


class Question(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What workers are asked, or told to do.

    Attributes:
        id: its own; what it was answered comes under that.
        name: what is asked.
        arguments: encoded; the broker does not look into them.
        steers: it changes how workers work. A broker that knows rights lets fewer people do that.
        to: the names of the workers that it is for, with `*` and `?`; empty for all.
        until: when nobody waits for an answer any more; ms since the epoch by the broker's clock.
    """

    id: str
    name: str
    arguments: bytes = b""
    steers: bool = False
    to: tuple[str, ...] = ()
    until: int = 0


class Answer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one worker answers.

    Attributes:
        worker: the id of its incarnation.
        name: its name.
        data: what it says, encoded.
        error: why it does not do what it was told to; else "".
    """

    worker: str
    name: str
    data: bytes = b""
    error: str = ""


class Asking(Protocol):
    """A client asks."""

    def ask(self, question: Question) -> AsyncGenerator[Answer]:
        """The answers to a question, as they come and without an end: who asks knows how long to wait. Nothing of it is
        kept: workers that do not listen now never hear of it, and an answer for which nobody waits is dropped.

        Raises:
            BrokerUnavailable: the connection was lost; the question may have been heard.
        """
        ...


class Answering(Protocol):
    """A worker answers what comes as a notice."""

    async def answer(self, question: str, answer: Answer) -> None:
        """Give an answer to whoever has asked the question of that id."""
        ...
