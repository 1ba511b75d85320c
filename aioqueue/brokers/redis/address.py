"""What a URL of a Redis server may say. What redis-py would drop, or stumble over when it connects, is found here."""

from __future__ import annotations

import codecs
import math
import re
import ssl
from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis.connection

from aioqueue.exceptions import ConfigurationError, suggest
from aioqueue.kinds import Kind
from aioqueue.settings import Settings
from aioqueue.url import SENTINEL, is_misread, masked

_ENCODED: Final = "Write a password percent-encoded, as urllib.parse.quote(password, safe='') gives it"
_TRUE: Final = ("1", "true", "t", "yes", "y")
_FALSE: Final = ("0", "false", "f", "no", "n")
_FORMS: Final = (
    "It looks like redis://[user:password@]host[:6379][/0], rediss://… with TLS, unix:///path, or "
    "redis+sentinel://host[:26379],host…/name[/0]."
)


def check_address(url: str) -> None:
    """Look at each part of a URL with one of the schemes for Redis.

    Raises:
        ConfigurationError: one of them says nothing that can be used.
    """
    try:
        parts = urlsplit(url)
        misread = is_misread(url)
    except ValueError:
        raise _refusal(
            url, f"its host is a name, or an address, one of IPv6 in brackets, as [::1]; or: {_ENCODED}"
        ) from None
    if misread:
        raise _refusal(url, f"the password in it has a /, ? or #, which ends it there. {_ENCODED}")
    if "://" not in url:
        raise _refusal(url, f"after {parts.scheme} comes ://")
    if not url.isprintable() or " " in url:
        raise _refusal(url, "it has a space, or another character that cannot be seen; write it percent-encoded")
    if parts.fragment or url.endswith("#"):
        raise _refusal(url, "it has a part after a #, which says nothing here")
    database = _check_place(url, parts)
    _check_options(url, parts, database)


def _refusal(url: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"The broker's URL {masked(url)} cannot be used: {why}. {_FORMS}")


def _check_place(url: str, parts: SplitResult) -> str:
    """Look at what comes before the options; returns the database, '' if it names none."""
    hosts, path = parts.netloc.rpartition("@")[2], unquote(parts.path)
    if parts.scheme == "unix":
        if hosts:
            raise _refusal(url, "the path of a socket begins with a /, so there are three of them, as in unix:///path")
        if not path.strip("/"):
            raise _refusal(url, "it has no path of a socket")
        return ""
    if parts.scheme in SENTINEL:
        name, _, database = parts.path.lstrip("/").partition("/")
        if not name:
            raise _refusal(url, "it does not say which primary the Sentinels are to be asked for")
        if not all(host.partition(":")[0] for host in hosts.split(",")):
            raise _refusal(url, "it names no Sentinel, or an empty one")
    else:
        if "," in hosts:
            raise _refusal(
                url, "it names several hosts, as redis+sentinel:// takes them, which asks them for the primary"
            )
        database = path.removeprefix("/")
    for host in hosts.split(",") if parts.scheme in SENTINEL else (hosts,):
        _check_port(url, host)
    if database and not _is_database(database := database.removesuffix("/")):
        raise _refusal(url, f"its database is a whole number from 0 on, not {database!r}")
    return database


def _check_port(url: str, host: str) -> None:
    try:
        port = urlsplit(f"//{host}").port
    except ValueError:
        port = 0
    if not host.startswith("[") and host.count(":") > 1:
        raise _refusal(url, "its host is a name, or an address, one of IPv6 in brackets, as [::1]")
    if port == 0:
        # It is not shown alone, as it may be a part of a password.
        unless = f", or: {_ENCODED}" if "@" in url else ""
        raise _refusal(url, f"its port is no number from 1 to 65535{unless}")


def _check_options(url: str, parts: SplitResult, database: str) -> None:
    seen: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in seen:
            raise _refusal(url, f"its option {name} is given twice")
        seen[name] = value
        kind = _kind_of(url, parts.scheme, name)
        if not value:
            raise _refusal(url, f"its option {name} has no value, as in {name}=…; give it one, or leave it out")
        kind.of(f"The broker's URL {masked(url)} cannot be used: its option {name}", value)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    for name, before in (("username", user), ("password", password)):
        if before and name in seen:
            raise _refusal(url, f"it gives the {name} twice, before the host and as an option")
    if database and seen.get("db", database) != database:
        raise _refusal(url, f"it names two databases, {database} and {seen['db']}")


def _kind_of(url: str, scheme: str, name: str) -> Kind:
    """What an option takes."""
    if name in Settings.__struct_fields__:
        raise _refusal(url, f"{name} is a setting, and goes to the app: AioQueue(..., {name}=...)")
    known = dict(_OPTIONS)
    if scheme != "unix":
        known |= _TCP
    if scheme.startswith("rediss"):
        known |= _TLS
    if scheme in SENTINEL:
        known |= _OF_SENTINELS
    if name in known:
        return known[name]
    if name in _TLS:
        raise _refusal(url, f"its option {name} is for TLS, with which the scheme begins with rediss")
    if name in _OF_SENTINELS:
        raise _refusal(url, f"its option {name} is for Sentinels, whose URL begins with redis+sentinel://")
    if name in ("host", "port", "path"):
        raise _refusal(url, f"its {name} stands before the ?, not among the options")
    raise _refusal(url, f"it has an unknown option, {name}.{suggest(name, known)} Known are {', '.join(sorted(known))}")


def _whole(lowest: int, takes: str) -> Kind:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) < lowest:
            raise ValueError
        return int(text)

    return Kind(takes, read)


def _is_database(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,10}", text) is not None


def _read_seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError
    return number


def _word(*words: str, takes: str) -> Kind:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError
        return text

    return Kind(takes, read)


def _tried(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """`read`, of whose error no more is said than that there is one."""

    def tried(text: str) -> Any:
        try:
            return read(text)
        except Exception:
            raise ValueError from None

    return tried


def _utf8(text: str) -> str:
    if codecs.lookup(text).name != "utf-8":
        raise ValueError
    return text


def _name(text: str) -> str:
    if not all("!" <= letter <= "~" for letter in text):
        raise ValueError
    return text


_FLAG: Final = _word(*_TRUE, *_FALSE, takes="true or false")
_TEXT: Final = Kind("text", str)
_NAME: Final = Kind("a name without spaces", _name)
_SECONDS: Final = Kind("a number of seconds above 0", _read_seconds)
_VERIFY: Final = Kind(
    "names of ssl.VerifyFlags, as VERIFY_X509_STRICT",
    _tried(cast("Any", redis.connection).URL_QUERY_ARGUMENT_PARSERS["ssl_include_verify_flags"]),
)
_OPTIONS: Final[dict[str, Kind]] = {
    "db": _whole(0, "the number of a database, from 0 on"),
    "username": _TEXT,
    "password": _TEXT,
    "client_name": _NAME,
    "lib_name": _NAME,
    "lib_version": _NAME,
    "protocol": _word("2", "3", takes="2 or 3"),
    "socket_timeout": _SECONDS,
    "socket_connect_timeout": _SECONDS,
    "socket_read_size": _whole(1, "a whole number of bytes from 1 on"),
    "health_check_interval": _whole(0, "a whole number of seconds from 0 on"),
    "max_connections": _whole(1, "a whole number from 1 on"),
    "retry_on_timeout": _FLAG,
    "encoding": Kind("utf-8, which aioqueue counts on", _tried(_utf8)),
    "decode_responses": _word(*_FALSE, takes="false (aioqueue reads answers as bytes)"),
}
_TCP: Final[dict[str, Kind]] = {"socket_keepalive": _FLAG}
_TLS: Final[dict[str, Kind]] = {
    "ssl_ca_certs": _TEXT,  # that files are there is looked at where they are read
    "ssl_ca_data": _TEXT,
    "ssl_ca_path": _TEXT,
    "ssl_certfile": _TEXT,
    "ssl_keyfile": _TEXT,
    "ssl_password": _TEXT,
    "ssl_cert_reqs": _word("none", "optional", "required", takes="none, optional or required"),
    "ssl_check_hostname": _FLAG,
    "ssl_min_version": Kind("771 (TLS 1.2) or 772 (TLS 1.3)", _tried(lambda text: ssl.TLSVersion(int(text)))),
    "ssl_ciphers": Kind("a list of ciphers as OpenSSL takes it", _tried(lambda text: _context().set_ciphers(text))),
    "ssl_include_verify_flags": _VERIFY,
    "ssl_exclude_verify_flags": _VERIFY,
}
_OF_SENTINELS: Final[dict[str, Kind]] = {"sentinel_username": _TEXT, "sentinel_password": _TEXT}


def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
