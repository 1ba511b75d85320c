"""Commands in advice can be pasted as they stand."""

from __future__ import annotations

import pytest

from aioqueue import AioQueue
from aioqueue.advice import command, command_line, without_password

shop = AioQueue("shop", broker="memory://")


@shop.task
async def work() -> None: ...


def test_the_app_is_named_by_where_it_is() -> None:
    assert command(shop, "beat") == f"aioqueue -A {__name__}:shop beat"
    assert command(AioQueue("of.nobody", broker="memory://"), "beat") == "aioqueue -A MODULE:APP beat"


def test_the_command_names_it_as_it_was_told() -> None:
    app = AioQueue("shop", broker="memory://")
    app.reached_by = ("-A", "shop.tasks:app", "-b", "redis://queue:6379/0", "--namespace", "my shop")
    assert command(app, "dead", "requeue", "a b") == (
        "aioqueue -A shop.tasks:app -b redis://queue:6379/0 --namespace 'my shop' dead requeue 'a b'"
    )
    assert command_line((), ("tasks",)) == "aioqueue tasks"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://queue:6379/0", "redis://queue:6379/0"),
        ("redis://:s3cret@queue:6379/0", "redis://queue:6379/0"),
        ("rediss://ann:s3cret@queue/1?ssl_ca_certs=/ca.pem", "rediss://queue/1?ssl_ca_certs=/ca.pem"),
        ("redis://queue/0?password=s3cret", "redis://queue/0"),
        ("redis://queue/0?password=s3cret&db=3", "redis://queue/0?db=3"),
        ("redis://queue/0?db=3&password=s3cret", "redis://queue/0?db=3"),
        ("redis+sentinel://:s3cret@a:26379,b:26379/main/0", "redis+sentinel://a:26379,b:26379/main/0"),
        ("embedded://shop", "embedded://shop"),
    ],
)
def test_no_password_is_in_it(url: str, shown: str) -> None:
    assert without_password(url) == shown
