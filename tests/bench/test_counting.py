"""Nobody gets a figure for tasks that were dropped, and who runs some twice is told."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from benchmarks.bench import Bench, Failed, Sizes
from benchmarks.copies import copy
from benchmarks.figures import summary
from benchmarks.measuring import Tally
from benchmarks.registry import PEERS
from benchmarks.suite import Results


class Worker:
    """As a bench sees one."""

    alive = True

    def last_words(self) -> str:
        return "out of memory"


@pytest.fixture
def bench(tmp_path: Path, redis_url: str) -> Iterator[Bench]:
    made = Bench(PEERS[0], Path("python"), redis_url, tmp_path, Sizes(patience=0.2))
    yield made
    made.client.close()


def _ran(bench: Bench, name: str, ended: int, first: int = 1, last: int = 1_000_000_001) -> None:
    (bench.tally_folder / name).write_bytes(struct.pack("5Q", ended, first, last, 0, 0))


def _watch(bench: Bench, expected: int, worker: Any = None) -> Tally:
    return list(bench.watch(worker or Worker(), expected))[-1]


def test_the_rate_is_from_the_first_end_to_the_last_over_all_processes(bench: Bench) -> None:
    _ran(bench, "1", 6, first=2_000_000_001, last=3_000_000_001)
    _ran(bench, "2", 5, first=1_000_000_001, last=2_500_000_001)
    tally = _watch(bench, 11)
    assert tally.ended == 11
    assert tally.rate == pytest.approx(10 / 2)


def test_a_task_too_few(bench: Bench) -> None:
    _ran(bench, "1", 9)
    with pytest.raises(Failed, match="ran 9 of 10, then none for 0 s: out of memory"):
        _watch(bench, 10)


def test_a_task_too_many(bench: Bench) -> None:
    _ran(bench, "1", 1001)
    assert _watch(bench, 1000).ended == 1001
    assert bench.repeated == 1
    _ran(bench, "1", 11)
    with pytest.raises(Failed, match="ran 11 tasks of 10"):
        _watch(bench, 10)


def test_a_worker_that_ends(bench: Bench) -> None:
    _ran(bench, "1", 3)
    worker = Worker()
    worker.alive = False
    with pytest.raises(Failed, match="its worker ended after 3 tasks: out of memory"):
        _watch(bench, 10, worker)


def test_copies_have_ids_of_their_own_wherever_the_id_was(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        id = "01890000-0000-7000-8000-00000abcdef0"
        client.set(f"job:{id}", f"\x00{id}{id}", px=100_000)
        client.rpush("queue", id)
        client.zadd("all", {f"job:{id}": 0.5})
        client.hset("jobs", id, "waits")
        client.xadd("stream", {"m": b"\xff" + id.encode()})
        client.set("other", "stays alone")
        copy(client, id, 12)
        assert client.llen("queue") == client.zcard("all") == client.hlen("jobs") == client.xlen("stream") == 13
        ids = client.lrange("queue", 0, -1)
        assert len(set(ids)) == 13 and all(len(found) == len(id) for found in ids)
        for found in ids:
            assert client.get(b"job:" + found) == b"\x00" + found + found
            assert client.pttl(b"job:" + found) > 0
        assert {fields[b"m"][1:] for _, fields in client.xrange("stream")} == set(ids)
        with pytest.raises(LookupError, match="nowhere"):
            copy(client, "unknown-id", 1)


def test_places_need_a_distance_of_a_third() -> None:
    rates = {"floor": 9000.0, "aioqueue": 1000.0, "saq": 900.0, "arq": 760.0, "rq": 10.0}
    results = Results([{peer: {"drain": rate, "p50": 1e6 / rate} for peer, rate in rates.items()}])
    for metric in ("drain", "p50"):
        table = summary(results)[metric]
        places = {peer: figure.place for peer, figure in table.items()}
        assert places == {"floor": None, "aioqueue": 1, "saq": 1, "arq": 2, "rq": 4}
