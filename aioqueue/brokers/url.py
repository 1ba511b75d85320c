"""Broker URLs, as they may be shown."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

SENTINEL = ("redis+sentinel", "rediss+sentinel")
REDIS = ("redis", "rediss", "unix", *SENTINEL)
"""Schemes of URLs."""

_SECRET = ("password", "passwd", "token", "secret", "key", "auth")


def masked(url: str) -> str:
    """`url` without its password, and without secrets among its options; fit for logs and errors."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc
        if "@" in netloc:
            user, _, host = netloc.rpartition("@")
            name = user.partition(":")[0]
            netloc = f"{name}:***@{host}" if ":" in user else f"{name or '***'}@{host}"
        options = [
            (name, "***" if any(word in name.lower() for word in _SECRET) else value)
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        ]
        query = urlencode(options, safe="*/", quote_via=quote)
        return f"{parts.scheme}://{netloc}{parts.path}{'?' + query if query else ''}"
    except ValueError:
        return "a URL that cannot be read"
