"""Broker URLs, as they may be shown."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

SENTINEL = ("redis+sentinel", "rediss+sentinel")
REDIS = ("redis", "rediss", "unix", *SENTINEL)
"""Schemes of URLs."""

_NO_PORT = re.compile(r":(?!\d*(?:,|$))[^,\]]*(?=,|$)")
_SPECIAL = re.compile(r"[/?#@]")
_MAY_HOLD_AT = re.compile(r"(\w*password|\w*username|client_name|lib_name|ssl_\w+)=")
_SECRET = ("password", "passwd", "token", "secret", "key", "auth")


def masked(url: str) -> str:
    """`url` without its password, and without secrets among its options; fit for logs and errors.

    A password that should have been percent-encoded may hold any character, so all up to the last `@` is taken for the
    user's name and password; what cannot be told apart is not shown.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    user, at, place = ("", "", rest) if scheme == "unix" and rest.startswith("/") else rest.rpartition("@")
    if at:
        name, colon, _ = user.partition(":")
        user = f"{name}:***" if colon and mark and not _SPECIAL.search(name) else "***"
    place, question, query = place.partition("?")
    if not at:  # a password whose user or host was forgotten looks like a port
        hosts, slash, path = place.partition("/")
        place = _NO_PORT.sub(":***", hosts) + slash + path
    options = [
        (name, "***" if any(word in name.lower() for word in _SECRET) else value)
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    shown = urlencode(options, safe="*/", quote_via=quote)
    text = f"{scheme}{mark}{user}{at}{place}{question if shown else ''}{shown}"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def scheme_of(url: str) -> str:
    """Its scheme, in small letters."""
    return url.partition(":")[0].lower()


def is_misread(url: str) -> bool:
    """Whether a password in it has characters that end it before its time, so that what follows is taken for a host, a
    path or options."""
    parts = urlsplit(url)
    if parts.scheme == "unix" or "@" in parts.netloc:
        return False
    options = [option for option in parts.query.split("&") if not _MAY_HOLD_AT.match(option)]
    return any("@" in part for part in (parts.path, parts.fragment, *options))
