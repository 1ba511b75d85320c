"""A call on its way out, as the middlewares see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError
from aioqueue.options import NOTHING_SENT, arguments, checked

_APART = ("headers", "link", "link_error")


@dataclass(slots=True)
class OutgoingMessage:
    """A call that is about to be sent, to be read and changed in `Middleware.around_send`.

    Attributes:
        name: the task's name.
        args, kwargs: the arguments. In a canvas without what comes before them from another task.
        headers: what travels along, read as `ctx.headers`.
        options: all other options of this sending that were given, see `SendOptions`.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    headers: dict[str, Any]
    options: dict[str, Any]

    @classmethod
    def of(cls, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """A call, as a copy that may be changed."""
        return cls(
            name,
            args,
            dict(kwargs),
            dict(options.get("headers") or {}),
            {option: value for option, value in options.items() if option not in _APART and value is not None},
        )

    def checked(self) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """The arguments and options as they are now.

        Raises:
            ConfigurationError: something of it cannot be so.
        """
        try:
            kinds.TEXT.of("The name", self.name, NOTHING_SENT)
            args, kwargs = arguments(self.args, self.kwargs)
            for option in _APART:
                if option in self.options:
                    where = "is message.headers" if option == "headers" else "belongs to the canvas that is sent"
                    raise ConfigurationError(f"The option {option} {where}, and cannot be set here.{NOTHING_SENT}")
            options = checked(self.options)
            if headers := kinds.MAPPING.of("What is given as headers", self.headers, NOTHING_SENT):
                options["headers"] = dict(headers)
        except ConfigurationError as error:
            after = "" if str(error).endswith(NOTHING_SENT) else NOTHING_SENT
            raise ConfigurationError(f"An around_send has changed the message of {self.name}. {error}{after}") from None
        return args, kwargs, options
