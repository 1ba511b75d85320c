"""All that Celery says of a broker in several settings, as one URL.

`sentinel://a:26379;b:26379/name/0` and the name in `broker_transport_options`; `broker_use_ssl`; options of sockets and
pools: here all of it is in the URL.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from aioqueue import kinds
from aioqueue.exceptions import ConfigurationError
from aioqueue.url import REDIS, SENTINEL, masked, scheme_of

OF_THE_BROKER: Final = (
    "broker_url",
    "broker_use_ssl",
    "broker_connection_timeout",
    "broker_transport_options",
)
"""The settings that are read here, in the order in which they are."""

_IN_THE_URL: Final = (
    "socket_connect_timeout",
    "socket_keepalive",
    "retry_on_timeout",
    "health_check_interval",
    "max_connections",
    "client_name",
)
_VISIBILITY: Final = (
    "visibility_timeout here is for how long a worker may be silent, not how long a task may take: its 30 s do for "
    "tasks of any length"
)
# Options of kombu's for Redis that say how it does what is done another way here.
_ITS_OWN: Final = frozenset(
    {
        *("fanout_prefix", "fanout_patterns", "priority_steps", "sep", "queue_order_strategy", "unacked_key"),
        *("unacked_index_key", "unacked_mutex_key", "unacked_mutex_expire", "unacked_restore_limit"),
        *("ack_emulation", "socket_timeout", "polling_interval", "confirm_publish", "max_retries"),
        *("interval_start", "interval_step", "interval_max", "queue_name_prefix", "predefined_queues"),
    }
)
_TLS_NAMES: Final = {
    "cert_reqs": "ssl_cert_reqs",
    "ca_certs": "ssl_ca_certs",
    "certfile": "ssl_certfile",
    "keyfile": "ssl_keyfile",
    "check_hostname": "ssl_check_hostname",
}
_TLS: Final = (*_TLS_NAMES.values(), "ssl_password", "ssl_ca_data", "ssl_ca_path", "ssl_ciphers")
_REQUIREMENTS: Final = {ssl.CERT_NONE: "none", ssl.CERT_OPTIONAL: "optional", ssl.CERT_REQUIRED: "required"}


def redis_url(url: str) -> str:
    """A broker's URL as Celery takes it, as it is written here.

    Raises:
        ConfigurationError: it cannot be read.
    """
    scheme = scheme_of(url)
    if scheme in ("sentinel", "sentinels"):
        url = _sentinel(url)
    elif scheme == "redis+socket":
        parts = urlsplit(url)
        options = [("db" if name == "virtual_host" else name, value) for name, value in parse_qsl(parts.query)]
        url = f"unix://{parts.netloc}{parts.path}{'?' if options else ''}{urlencode(options)}"
    elif "ssl_cert_reqs=CERT_" not in url:
        return url
    head, mark, query = url.partition("?")
    options = [
        (name, value.removeprefix("CERT_").lower() if name == "ssl_cert_reqs" else value)
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    return f"{head}{mark}{urlencode(options, safe='/:', quote_via=quote)}"


def _sentinel(url: str) -> str:
    """`sentinel://user:password@a:26379;b:26379/name/0`, where each host may have the scheme again, and the name be
    left to `master_name`."""
    scheme, _, rest = url.partition("://")
    rest, question, query = rest.partition("?")
    user, hosts, path = "", list[str](), ""
    for part in rest.replace(",", ";").split(";"):
        place = part.rpartition("://")[2]
        found, at, place = place.rpartition("@")
        user = user or f"{found}{at}"
        host, _, said = place.partition("/")
        path = path or said.strip("/")
        if host:
            hosts.append(host)
    name, _, database = path.partition("/")
    if name.isdigit() and not database:
        name, database = "", name
    if not name and database:  # it is said beside a name that is still to come
        query, question = f"db={database}{'&' if query else ''}{query}", "?"
    begin = "rediss+sentinel" if scheme == "sentinels" else "redis+sentinel"
    place = f"/{name}{'/' + database if database else ''}" if name else ""
    return f"{begin}://{user}{','.join(hosts)}{place}{question}{query}"


class BrokerUrl:
    """The URL, as one setting after the other makes it.

    Args:
        url: what it is so far; None is a private server.
    """

    def __init__(self, url: str | None) -> None:
        self.url = url

    def read(self, name: str, value: Any) -> Iterator[str]:
        """Read one of `OF_THE_BROKER`; gives what is to be said of what it says and means nothing here.

        Raises:
            ConfigurationError: it is of a wrong kind.
        """
        match name:
            case "broker_url":
                yield from self._url(value)
            case "broker_use_ssl":
                yield from self._tls(value)
            case "broker_connection_timeout":
                if value is not None:
                    yield from self._add({"socket_connect_timeout": kinds.LIMIT.of("broker_connection_timeout", value)})
            case _:
                yield from self._transport(kinds.MAPPING.of("broker_transport_options", value or {}))

    def _url(self, value: Any) -> Iterator[str]:
        if isinstance(value, list | tuple):
            value = ";".join(map(str, cast("list[Any]", value)))
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"broker_url is text, or a list of such, not {kinds.shown(value)}.")
        if value and ";" in value and not scheme_of(value).startswith("sentinel"):
            value, *others = value.split(";")
            yield (
                f"of several URLs the first one is used, {masked(value)}, and not the {len(others)} after it; of "
                "several servers Redis Sentinel says which it is"
            )
        self.url = redis_url(value) if value else None

    def _tls(self, value: Any) -> Iterator[str]:
        if not value:
            return
        if not self._is_redis:
            yield "it is for a broker on Redis, whose URL says it: broker='rediss://host'"
            return
        assert self.url is not None
        if not self.url.startswith("rediss"):
            self.url = f"rediss{self.url.removeprefix('redis')}"
        if isinstance(value, Mapping):
            given = {_TLS_NAMES.get(name, name): one for name, one in cast("Mapping[str, Any]", value).items()}
            unknown = [name for name in given if name not in _TLS]
            if unknown:
                yield f"{', '.join(unknown)}: no option of a rediss:// URL"
            yield from self._add({name: _as_tls(name, one) for name, one in given.items() if name in _TLS})

    def _transport(self, options: Mapping[str, Any]) -> Iterator[str]:
        if (name := options.get("master_name")) is not None:
            yield from self._named(str(name))
        theirs = kinds.MAPPING.of("sentinel_kwargs", options.get("sentinel_kwargs") or {})
        found = {f"sentinel_{word}": theirs[word] for word in ("username", "password") if word in theirs}
        yield from self._add(found | {word: options[word] for word in _IN_THE_URL if options.get(word) is not None})
        if options.get("visibility_timeout") is not None:
            yield _VISIBILITY
        if options.get("global_keyprefix"):
            yield "global_keyprefix: set `namespace`, the prefix of all keys"
        read = {*_IN_THE_URL, *_ITS_OWN, "master_name", "sentinel_kwargs", "visibility_timeout", "global_keyprefix"}
        if others := [word for word in options if word not in read]:
            yield f"{', '.join(others)}: nothing of that kind here"

    def _named(self, name: str) -> Iterator[str]:
        if self.url is None or scheme_of(self.url) not in SENTINEL:
            yield "master_name is for broker_url='sentinel://host:26379'"
            return
        parts = urlsplit(self.url)
        _, _, database = parts.path.lstrip("/").partition("/")
        self.url = urlunsplit(parts._replace(path=f"/{quote(name)}{'/' + database if database else ''}"))

    def _add(self, options: Mapping[str, Any]) -> Iterator[str]:
        """Put options into the URL; what it says itself counts."""
        if not options:
            return
        if not self._is_redis:
            yield f"{', '.join(options)}: for a broker on Redis, whose URL says it"
            return
        assert self.url is not None
        head, _, query = self.url.partition("?")
        said = dict(parse_qsl(query, keep_blank_values=True))
        texts = {name: _as_text(value) for name, value in options.items()}
        if scheme_of(self.url) == "unix":
            texts.pop("socket_keepalive", None)
        said = texts | said
        self.url = f"{head}?{urlencode(said, safe='/:', quote_via=quote)}" if said else head

    @property
    def _is_redis(self) -> bool:
        return self.url is not None and scheme_of(self.url) in REDIS


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _as_tls(name: str, value: Any) -> Any:
    if name != "ssl_cert_reqs":
        return value
    return str(_REQUIREMENTS.get(value, value)).removeprefix("CERT_").lower()
