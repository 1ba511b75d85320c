"""URLs of brokers that are nobody else's: this process's memory (`memory://`), and a private server (`embedded://`)."""

from __future__ import annotations

import re

from aioqueue.exceptions import ConfigurationError
from aioqueue.url import masked, scheme_of


def is_memory(url: str | None) -> bool:
    """Whether it means the memory of this process.

    Raises:
        ConfigurationError: it does, and wants more of it than there is.
    """
    if url is None or scheme_of(url) != "memory":
        return False
    if _named_alone(url):
        raise _too_much(url, "a name")
    return True


def is_embedded(url: str | None) -> bool:
    """Whether it means a private server."""
    return not url or scheme_of(url) == "embedded"


def embedded_name(url: str | None) -> str:
    """The app whose private server it means; "" is the app's own.

    Raises:
        ConfigurationError: it says more than that.
    """
    return _named_alone(url or "")


def _named_alone(url: str) -> str:
    """The name that a URL has after its scheme, and nothing more."""
    scheme, mark, rest = url.partition("://")
    if url and not mark:
        raise ConfigurationError(f"The broker's URL {masked(url)} has no :// after {scheme_of(url)}.")
    name, sign, more = re.fullmatch(r"([^/?#]*)([/?#]?)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    if sign == "?" and more:
        option = more.partition("=")[0]
        raise ConfigurationError(
            f"The broker's URL {masked(url)} has options, and {scheme}:// takes none. A setting goes to the app: "
            f"AioQueue(..., {option}=...)."
        )
    if more or sign == "#":
        raise _too_much(url, "a path" if sign == "/" else "a part after a #")
    return name


def _too_much(url: str, part: str) -> ConfigurationError:
    scheme = scheme_of(url)
    takes = "the name of an app, as in embedded://shop" if scheme == "embedded" else "nothing more"
    return ConfigurationError(f"The broker's URL {masked(url)} has {part}: after {scheme}:// comes {takes}.")
