"""What is said of a broker's URL that cannot be used: when the app connects, and before anything is connected to."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from aioqueue import AioQueue
from aioqueue.exceptions import BrokerUnavailable, ConfigurationError

ANY_SERVER = [
    ("[::1", "its host is a name, or an address"),
    ("user:S3CR3T@[::1", "its host is a name, or an address"),
    ("h:99999", "its port is no number from 1 to 65535"),
    ("h:0", "its port is no number from 1 to 65535"),
    ("h:abc", "its port is no number from 1 to 65535"),
    (":S3CR3T", "its port is no number from 1 to 65535"),
    ("user:S3CR3T", "its port is no number from 1 to 65535"),
    ("::1", "one of IPv6 in brackets"),
    ("user:S3CR3T@h?password=S3CR3T", "gives the password twice"),
    ("h/x", "its database is a whole number from 0 on, not 'x'"),
    ("h/-1", "its database is a whole number from 0 on, not '-1'"),
    ("h/0/1", "its database is a whole number from 0 on, not '0/1'"),
    ("h/1?db=2", "two databases, 1 and 2"),
    ("h#frag", "a part after a #"),
    ("h/0#", "a part after a #"),
    ("h h", "has a space"),
    ("h\n", "cannot be seen"),
    ("h?host=other", "its host stands before the \\?"),
    ("h?socket_keepalive=maybe", "its option socket_keepalive is true or false, not 'maybe'"),
]
OPTIONS = [
    ("x", "an unknown option, x"),
    ("db", "its option db has no value"),
    ("password=", "its option password has no value"),
    ("db=-1", "its option db is the number of a database, from 0 on, not '-1'"),
    ("db=x", "its option db is the number of a database"),
    ("db=0&db=1", "its option db is given twice"),
    ("protocol=9", "its option protocol is 2 or 3, not '9'"),
    ("decode_responses=1", "its option decode_responses is false"),
    ("retry_on_timeout=maybe", "its option retry_on_timeout is true or false"),
    ("socket_timeout=-1", "its option socket_timeout is a number of seconds above 0, not '-1'"),
    ("socket_connect_timeout=nan", "its option socket_connect_timeout is a number of seconds above 0"),
    ("socket_read_size=0", "its option socket_read_size is a whole number of bytes from 1 on"),
    ("health_check_interval=x", "its option health_check_interval is a whole number"),
    ("max_connections=x", "its option max_connections is a whole number"),
    ("client_name=a%20b", "its option client_name is a name without spaces, not 'a b'"),
    ("encoding=utf-16", "its option encoding is utf-8"),
    *[
        (f"{name}=3", f"an unknown option, {name}")
        for name in ("retry", "retry_on_error", "parser_class", "socket_type")
    ],
]
TLS = [
    ("ssl_cert_reqs=x", "its option ssl_cert_reqs is none, optional or required, not 'x'"),
    ("ssl_check_hostname=maybe", "its option ssl_check_hostname is true or false"),
    ("ssl_min_version=x", r"its option ssl_min_version is 771 \(TLS 1.2\)"),
    ("ssl_ciphers=x", "its option ssl_ciphers is a list of ciphers"),
    ("ssl_include_verify_flags=x", "its option ssl_include_verify_flags is names"),
]
SERVERS = ("redis://h", "rediss://u:S3CR3T@h/", "unix:///s")
SENTINEL = ("redis+sentinel", "rediss+sentinel")
WRONG = [
    *[(f"{scheme}://{rest}", told) for scheme in ("redis", "rediss") for rest, told in ANY_SERVER],
    *[(f"{start}?{option}", told) for start in SERVERS for option, told in OPTIONS],
    *[(f"{scheme}://h/name?{option}", told) for scheme in SENTINEL for option, told in OPTIONS],
    *[(f"{start}?{option}", told) for start in ("rediss://h", "rediss+sentinel://h/name") for option, told in TLS],
    *[(f"redis://h?{option}", "is for TLS, with which the scheme begins with rediss") for option, _ in TLS],
    ("redis+sentinel://[::1/name", "its host is a name, or an address"),
    ("redis+sentinel://h:99999/name", "its port is no number"),
    ("redis+sentinel://g,h:x/name", "its port is no number"),
    ("redis+sentinel://h/name/x", "its database is a whole number"),
    ("redis+sentinel://h/name/0/1", "its database is a whole number"),
    ("redis+sentinel://h/name#f", "a part after a #"),
    ("redis+sentinel://h/name?sentinel_password", "its option sentinel_password has no value"),
    ("redis://h?sentinel_password=S3CR3T", "is for Sentinels"),
    ("redis://g,h", "it names several hosts"),
    ("redis:h", "after redis comes ://"),
    (" redis://h", "has the scheme ' redis'"),
    ("unix://", "no path of a socket"),
    ("unix:///", "no path of a socket"),
    ("unix://tmp/s", "three of them"),
    ("unix:///s#f", "a part after a #"),
    ("memory:", "no :// after memory"),
    ("memory://h", "has a name"),
    ("memory:///x", "has a path"),
    ("memory://#f", "a part after a #"),
    ("memory://?x", "has options"),
    ("MEMORY://?x=1", "has options"),
    ("embedded://shop/x", "has a path"),
    ("embedded://shop#f", "a part after a #"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "told"), WRONG)
async def test_a_url_that_cannot_be_used(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        await AioQueue("shop", broker=url, send_timeout=0.1).open()
    assert "S3CR3T" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1/2/",
        "REDIS://127.0.0.1:1?db=1&protocol=3&client_name=me&socket_timeout=5&retry_on_timeout=true",
        "redis://[::1]:1/0?db=0&decode_responses=false&encoding=UTF8&socket_keepalive=no",
        "rediss://127.0.0.1:1?ssl_cert_reqs=none&ssl_min_version=772&ssl_ciphers=DEFAULT&ssl_check_hostname=0",
        "redis+sentinel://[::1]:1,127.0.0.1:1/name/0?sentinel_password=x",
        "unix:///none/such.sock?db=1",
        "unix://user:password@/none/such.sock",
    ],
)
async def test_a_url_that_can_be_used(url: str) -> None:
    with pytest.raises(BrokerUnavailable):
        await AioQueue("shop", broker=url, send_timeout=0.1).open()


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile"])
async def test_files_are_read_at_once(tmp_path: Path, option: str) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    for told, file in (("cannot be used", "junk.pem"), ("is no file", "other.pem")):
        with pytest.raises(ConfigurationError, match=f"{option}.*{told}"):
            await AioQueue("shop", broker=f"rediss://h?{option}={tmp_path / file}").open()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("ssl_ca_data=x", "ssl_ca_data .*cannot be used"),
        ("ssl_ca_path=/no/such", "ssl_ca_path=/no/such .* no folder"),
        (f"ssl_keyfile={quote(__file__)}", "an ssl_keyfile without its ssl_certfile"),
    ],
)
async def test_what_else_is_said_of_certificates(option: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        await AioQueue("shop", broker=f"rediss://u:S3CR3T@h?{option}").open()


@pytest.mark.parametrize("url", ["redis://[::1", "memory://x", "redis://h/x", "embedded://a/b"])
async def test_who_looks_at_it_otherwise_says_so_too(url: str) -> None:
    with pytest.raises(ConfigurationError):
        async with AioQueue("shop").testing(broker=url) as t:
            await t.app.broker()
