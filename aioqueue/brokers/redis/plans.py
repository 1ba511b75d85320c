"""What scripts are given: plans, and the rows in them.

A script gets its plan in one piece of msgpack, where a struct is an array. Python fills it by the names of its fields,
and Lua reads it by the same: `END.entry` is where `entry` stands in an `End` (see `scripts.py`). What is long, such as
messages and records, stands apart in ARGV; a plan says at which index.

A row can have two lengths: most have the first fields only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


class Row(msgspec.Struct, array_like=True, gc=False):
    """An array whose items have names."""


# Of send.lua, and of whatever queues messages (lib/enqueue.lua)


class Message(Row):
    """A message to be queued.

    Attributes:
        id, queue, priority: as in `Outgoing`.
        data: index of what it says.
        due: ms since the epoch, or 0.
        delay: ms from now, or 0.
        call: what is called, if its id is its sender's own: then 1 is whatever may be called. Else 0.
    """

    id: str
    queue: str
    priority: int
    data: int
    due: int
    delay: int
    call: int | str


class Parcel(Row):
    """Messages that are queued together or not at all.

    Attributes:
        most: how many messages each queue may hold, or by their names, or 0.
        messages: which.
    """

    most: int | Mapping[str, int]
    messages: Sequence[Message]


class Send(Row):
    """The plan of send.lua.

    Attributes:
        client, number: who asks, and his number of the request.
        offset: ms to add to the server's clock.
        queues: names that are new to the client.
        parcels: what is to be sent.
    """

    client: str
    number: int
    offset: int
    queues: Sequence[str]
    parcels: Sequence[Parcel]


# Of settle.lua


class Stream(Row):
    """A stream of which entries are settled.

    Attributes:
        name: after the prefix.
        first, last: ids of the first and the last entry of this batch.
        most: how many entries this worker may hold.
    """

    name: str
    first: str
    last: str
    most: int


class Addition(Row):
    """A workflow that joins a group.

    Attributes:
        workflow: which.
        whole, group: the workflow of the group, and its join there.
        node: index of the node that stands for it.
    """

    workflow: str
    whole: str
    group: str
    node: int


class Done(Row):
    """What a good end means for a workflow.

    Attributes:
        workflow, node: where it stands.
        state: a letter.
        value: index of its result, 0 is none; of a bad end that of its failure.
    """

    workflow: str
    node: str
    state: str
    value: int


class Step(Done):
    """What any end means for a workflow.

    Attributes:
        upstream, chord: indices of the records of what comes after it, and of its chord's body, as in `Told`; or 0.
        graft: the workflow that goes on in its place, or "".
        additions: those that join groups.
    """

    upstream: int
    chord: int
    graft: str
    additions: Sequence[Addition]


class End(Row):
    """A settlement of which no more is to be said.

    Attributes:
        stream: which of the streams, from 1.
        entry: the entry's id.
        id: the task's.
        acknowledge, final: 0 or 1.
        record: index of the record, or 0.
        keep: ms to keep it, 0 for ever, -1 not at all.
        step: what it means for its workflow, or 0.
    """

    stream: int
    entry: str
    id: str
    acknowledge: int
    record: int
    final: int
    keep: int
    step: Done | int


class WholeEnd(End):
    """Any settlement.

    Attributes:
        sends: messages that go out with it.
        letter: index of its dead letter, or 0.
        if_revoked: 1 to put it back if it is not revoked.
        own: 1 if its id is its sender's own.
        early: 1 if it is acknowledged before its end, or was.
    """

    sends: Sequence[Message]
    letter: int
    if_revoked: int
    own: int
    early: int


class Settle(Row):
    """The plan of settle.lua.

    Attributes:
        worker, number, offset: as in `Send`.
        most_dead: how many dead letters there may be.
        streams: those of the entries.
        ends: the settlements.
    """

    worker: str
    number: int
    offset: int
    most_dead: int
    streams: Sequence[Stream]
    ends: Sequence[End]


# Of put_part.lua


class Count(Row):
    """For how many ends a join waits."""

    join: int
    ends: int


class Start(Row):
    """What is said of a workflow when all of it is there.

    Attributes:
        finish: the node whose end is the workflow's.
        total, open, keep, names, queues, claims, call: as in `workflow.Start`.
        held: 1 not to begin it.
        most: as in `Parcel`.
    """

    finish: str
    total: int
    open: int
    keep: int
    names: dict[str, int]
    held: int
    queues: dict[str, int]
    most: int | Mapping[str, int]
    claims: Sequence[str]
    call: str


class PutPart(Row):
    """The plan of put_part.lua.

    Attributes:
        client, number, offset: as in `Send`.
        workflow: its id.
        hold: ms to keep what is never begun.
        counts: of its joins.
        start: what is said of the whole, with the last part; else 0.
    """

    client: str
    number: int
    offset: int
    workflow: str
    hold: int
    counts: Sequence[Count]
    start: Start | int


# Of claim_schedules.lua


class Claims(Row):
    """The plan of claim_schedules.lua.

    Attributes:
        client, number, offset: as in `Send`.
        until_when: by the broker's clock; nothing is claimed after it.
        most: as in `Parcel`.
        claims: the fields of each `Claim`, in their order.
    """

    client: str
    number: int
    offset: int
    until_when: int
    most: int | Mapping[str, int]
    claims: Sequence[tuple[object, ...]]


# What only scripts make, and read


class Kept(Row):
    """A record to be kept.

    Attributes:
        id: the task's.
        stored: it, as it is stored.
        keep: ms to keep it, 0 for ever, -1 to tell only those who wait.
    """

    id: str
    stored: bytes
    keep: int


class Work(Row):
    """Something that workflows have left over: a step to be made.

    Attributes:
        op: which.
        workflow, node: of what.
        about, value: what it takes besides.
    """

    op: str
    workflow: str
    node: str
    about: object
    value: bytes


NAMES: dict[str, type[Row]] = {
    "MESSAGE": Message,
    "PARCEL": Parcel,
    "SEND": Send,
    "STREAM": Stream,
    "ADDITION": Addition,
    "STEP": Step,
    "END": WholeEnd,
    "SETTLE": Settle,
    "COUNT": Count,
    "START": Start,
    "PUT_PART": PutPart,
    "CLAIMS": Claims,
    "KEPT": Kept,
    "WORK": Work,
}
"""What scripts call them."""
