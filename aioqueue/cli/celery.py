"""Options of Celery's commands that people have in their scripts, and that have no effect here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import click

_logger = logging.getLogger("aioqueue.worker")


class Option(NamedTuple):
    """Such an option.

    Attributes:
        names: as it is written, the long one last.
        why: it has no effect.
        flag: it takes no value.
    """

    names: tuple[str, ...]
    why: str
    flag: bool = False

    @property
    def name(self) -> str:
        """The keyword argument of the command."""
        return "_" + self.names[-1].lstrip("-").replace("-", "_")


OF_BEAT: Final = (
    Option(("-s", "--schedule"), "schedules are kept in the broker, not in a file"),
    Option(("-S", "--scheduler"), "there is one scheduler, and schedules are kept in the broker"),
)
"""Those of each command that may fire schedules."""


def without_effect(options: tuple[Option, ...]) -> Callable[[click.Command], click.Command]:
    """Let a command take these options; they are not in its help."""

    def add(command: click.Command) -> click.Command:
        for option in options:
            command.params.append(click.Option([option.name, *option.names], is_flag=option.flag, hidden=True))
        return command

    return add


def tell_without_effect(options: tuple[Option, ...], given: Mapping[str, object]) -> None:
    """Say so of those that were given."""
    for option in options:
        if given.get(option.name) not in (None, False):
            _logger.warning("%s has no effect: %s", option.names[-1], option.why)
