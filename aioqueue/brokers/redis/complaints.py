"""What a worker says of what is broken in the broker."""

from __future__ import annotations

import re
from time import monotonic

from aioqueue.logs import logger

# What is broken is told of so often.
_SAY_AGAIN = 60.0


class Complaints:
    """Says what does not go away by itself: at once, and then now and again."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def tell(self, text: str, *arguments: object) -> None:
        """Say it, unless something of the kind has just been said."""
        now = monotonic()
        if now - self._told.get(text, float("-inf")) >= _SAY_AGAIN:
            self._told[text] = now
            logger.warning(text, *arguments)


_CALL_SITE = re.compile(r",? ?(on @user_script:\d+|script: [0-9a-f]+,?)\.?")


def problem_of(error: Exception) -> str:
    """What a script says of what is wrong, without its own code."""
    about = str(error)
    for word in ("REFUSED ", "BLOCKED "):
        about = about.removeprefix(word)
    return shown(re.sub(r"^(\w+:\d+:|user_script:\d+:) ?", "", _CALL_SITE.sub("", about)))


def shown(text: bytes | str) -> str:
    """A text from elsewhere, fit for a log."""
    shown = text.decode(errors="backslashreplace") if isinstance(text, bytes) else text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in shown)[:500]
