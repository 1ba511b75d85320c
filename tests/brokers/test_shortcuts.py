"""Short cuts carry all there is, or are not taken: each field of what goes through them is tried."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import fields, replace

from aioqueue.brokers.protocol import Delivery, Outgoing, Settlement
from aioqueue.brokers.redis import RedisBroker, outbox, settler
from aioqueue.brokers.redis.consumer import RedisConsumer
from aioqueue.brokers.redis.link import Link
from aioqueue.brokers.redis.outbox import Outbox
from aioqueue.brokers.redis.reader import Handle
from aioqueue.brokers.redis.server import Server
from aioqueue.shortcuts import nothing_beside
from aioqueue.workflow import FAILED, JOIN, Addition, Node, Step, Told, decode_node, encode_node

from .steps import worker_status

NODE = Node(kind="t", id="w.1", task="shop.pay", queue="q", wanted=True, before=3, to=(2,), takes=True, data=b"message")
OTHER_NODE: dict[str, Any] = {
    "kind": JOIN,
    "id": "another",
    "task": "shop.other",
    "queue": "other",
    "priority": 9,
    "due": 1,
    "delay": 1,
    "before": 0,
    "on_error": (4,),
    "wanted": False,
    "to": (2, 3),
    "pages": 1,
    "members": 1,
    "group": 1,
    "linked": True,
    "joins": (1,),
    "takes": False,
    "data": b"another",
}
STEP = Step("workflow", "1", value=b"value")
OTHER_STEP: dict[str, Any] = {
    "workflow": "another",
    "node": "2",
    "state": FAILED,
    "value": b"another",
    "told": Told(b"failure", b"record", b"record"),
    "graft": "another",
    "additions": (Addition("another", ("workflow", 2), NODE),),
}
MESSAGE = Outgoing("id", "q", 0, b"message")
OTHER_MESSAGE: dict[str, Any] = {
    "id": "another",
    "queue": "other",
    "priority": 9,
    "data": b"another",
    "due": 1,
    "delay": 1,
    "once": True,
    "call": "call",
}
END = Settlement(Delivery(Handle("q:q:0", "1-1", 1), "id", b"", "q"), record=b"record", final=True)
OTHER_END: dict[str, Any] = {
    "delivery": Delivery(Handle("q:q:0", "1-2", 2), "another", b"", "q"),
    "acknowledge": False,
    "record": b"another",
    "final": False,
    "expires": 1,
    "sends": (MESSAGE,),
    "dead": b"letter",
    "step": STEP,
    "if_revoked": True,
    "own_id": True,
    "early": True,
}
NOTES = {"problem", "blocked"}
"""What the broker notes of a settlement."""


@pytest.fixture
def worker() -> RedisConsumer:
    """A consumer that is never used."""
    broker = RedisBroker("redis://localhost:1", "tests")
    return broker.consumer(worker_status("w"), visibility_timeout=30, dead_letters_max_length=10)


@pytest.fixture
def box() -> Outbox:
    """An outbox that is never used, and knows the queues."""
    made = Outbox(Link(Server("redis://localhost:1")), "{tests:0}:", "client", "a server", lambda: 0)
    made._known_queues |= {"q", "other"}
    return made


def names(struct: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in fields(struct)}


@pytest.mark.parametrize(
    ("struct", "tried"),
    [
        (Node, {*OTHER_NODE}),
        (Step, {*OTHER_STEP}),
        (Outgoing, {*OTHER_MESSAGE}),
        (Settlement, {*OTHER_END} | NOTES),
    ],
)
def test_all_fields_are_tried(struct: type[msgspec.Struct], tried: set[str]) -> None:
    assert names(struct) == tried


def settling(worker: RedisConsumer, *settlements: Settlement) -> Any:
    script, arguments, _ = worker._settler._request(settlements)
    return script.name, arguments


@pytest.mark.parametrize("name", OTHER_END)
def test_nothing_of_an_end_is_dropped(worker: RedisConsumer, name: str) -> None:
    other = replace(END, **{name: OTHER_END[name]})
    assert settling(worker, other) != settling(worker, END)
    assert settling(worker, other, END) != settling(worker, END, END)


@pytest.mark.parametrize("name", OTHER_STEP)
def test_nothing_of_a_step_is_dropped(worker: RedisConsumer, name: str) -> None:
    usual = replace(STEP, state=FAILED) if name == "told" else STEP  # which bad ends have
    other = replace(usual, **{name: OTHER_STEP[name]})
    assert settling(worker, replace(END, step=other)) != settling(worker, replace(END, step=usual))


@pytest.mark.parametrize("name", sorted(names(Told)))
def test_nothing_of_what_is_told_is_dropped(worker: RedisConsumer, name: str) -> None:
    usual = replace(STEP, state=FAILED)
    other = replace(usual, told=replace(usual.told, **{name: b"told"}))
    assert settling(worker, replace(END, step=other)) != settling(worker, replace(END, step=usual))


def sending(box: Outbox, *messages: Outgoing) -> Any:
    parcel: Any = outbox._Parcel(messages, 0, 1.0, 1.0, None)  # type: ignore[arg-type]
    request = box._request([parcel])
    box._number = 0
    return request.script.name, request.arguments


@pytest.mark.parametrize("name", OTHER_MESSAGE)
def test_nothing_of_a_message_is_dropped(box: Outbox, name: str) -> None:
    usual = replace(MESSAGE, once=True) if name == "call" else MESSAGE  # there are no calls without it
    other = replace(usual, **{name: OTHER_MESSAGE[name]})
    assert sending(box, other) != sending(box, usual)
    assert sending(box, other, other) != sending(box, usual, usual)


@pytest.mark.parametrize("name", OTHER_NODE)
def test_nothing_of_a_node_is_dropped(name: str) -> None:
    other = replace(NODE, **{name: OTHER_NODE[name]})
    assert encode_node(other) != encode_node(NODE)
    assert decode_node(encode_node(other)) == replace(
        other, to=list(other.to), on_error=list(other.on_error), joins=list(other.joins)
    )


def test_the_short_cuts_are_taken(worker: RedisConsumer, box: Outbox) -> None:
    assert settling(worker, END)[0] == "settle_one"
    assert sending(box, MESSAGE)[0] == "send_one"
    assert encode_node(NODE)[1] == 1


LONG_WAYS = [
    (settler._is_end_alone, END, OTHER_END, {"delivery", "record", "expires"}),
    (settler._is_short, END, OTHER_END, {"delivery", "acknowledge", "record", "final", "expires", "step"}),
    (settler._is_done, STEP, OTHER_STEP, {"workflow", "node", "value"}),
    (outbox._is_plain, MESSAGE, OTHER_MESSAGE, {"id", "queue", "priority", "data"}),
]


@pytest.mark.parametrize(("is_plain", "usual", "others", "carried"), LONG_WAYS)
def test_what_is_not_carried_takes_the_long_way(
    is_plain: Any, usual: Any, others: dict[str, Any], carried: set[str]
) -> None:
    assert is_plain(usual)
    for name, other in others.items():
        assert is_plain(replace(usual, **{name: other})) == (name in carried), name


# What holds for fields that there are not yet


class Kept(msgspec.Struct):
    """Something with a short cut."""

    id: str
    size: int = 3
    tags: tuple[str, ...] = ()
    note: str | None = None
    marks: list[int] = []


class Later(Kept):
    """The same, when somebody has added a field."""

    urgent: bool = False


def test_a_field_that_is_added_is_asked_for() -> None:
    is_plain = nothing_beside(Later, "id", "size")
    assert is_plain(Later("a", 4))
    assert not is_plain(Later("a", urgent=True))
    assert not is_plain(Later("a", tags=("x",)))
    assert not is_plain(Later("a", note=""))
    assert not is_plain(Later("a", marks=[1]))


def test_another_value_may_be_the_usual_one() -> None:
    is_plain = nothing_beside(Later, "id", urgent=True)
    assert is_plain(Later("a", urgent=True))
    assert not is_plain(Later("a"))


def test_all_may_be_carried() -> None:
    assert nothing_beside(Kept, "id", "size", "tags", "note", "marks")(Kept("a", 1, ("x",), "y", [1]))


def test_what_has_no_default_is_to_be_carried() -> None:
    with pytest.raises(TypeError, match="carry id of Kept"):
        nothing_beside(Kept, "size")


def test_there_has_to_be_such_a_field() -> None:
    with pytest.raises(TypeError, match="Kept has no field ids, sizes"):
        nothing_beside(Kept, "ids", sizes=3)
