"""Exceptions that tasks of these tests raise."""

from __future__ import annotations


class Fault(Exception):
    """What tasks of these tests raise."""


class Other(Exception):
    """Something else."""


class WithCode(Exception):
    """An exception whose constructor takes more than a message."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
