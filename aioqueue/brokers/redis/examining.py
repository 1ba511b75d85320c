"""How a Redis server is, and what of a namespace is stuck in it: for `aioqueue doctor`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any, Final

import msgspec

from aioqueue.brokers.protocol import Finding, Health
from aioqueue.brokers.redis import keys
from aioqueue.brokers.redis.link import pairs, text, whole_number
from aioqueue.brokers.redis.requests import Requests
from aioqueue.brokers.redis.rights import OF_WORKERS, named
from aioqueue.exceptions import AioQueueError, BrokerUnavailable
from aioqueue.wording import counted, few

_ROUND_TRIPS: Final = 11
_SLOW: Final = 0.010
"""Seconds of a round trip."""
_NEARLY_FULL: Final = 0.9
_SILENT_FOR: Final = 60_000
"""ms after the end of a lease, by which living workers have taken over."""
_LONGEST_LEASE: Final = 24 * 3600 * 1000
"""ms; nobody of ours takes out one that is longer."""
_KEYS_AT_ONCE: Final = 1000
_MOST_KEYS: Final = 200_000
_WHERE: Final = "docs: Redis and Valkey, Access rights"


class RedisExamining(Requests):
    """Looks a server over, and changes nothing."""

    async def examine(self) -> list[Finding]:
        """As of a broker."""
        findings: list[Finding] = []
        looks: dict[str, Callable[[], Awaitable[list[Finding]]]] = {
            "latency": self._latency,
            "server": self._of_the_server,
            "rights": self._rights,
            "leases": self._leases,
            "keys": self._keys_of_nobody,
        }
        for check, look in looks.items():
            try:
                findings += await look()
            except BrokerUnavailable:
                raise
            except AioQueueError as error:  # most often the user may not
                findings.append(
                    Finding(
                        check,
                        Health.UNKNOWN,
                        f"It could not be looked at: {error}",
                        f"Let a user with more rights ask ({_WHERE})." if "NOPERM" in str(error) else "",
                    )
                )
        return findings

    async def _latency(self) -> list[Finding]:
        times: list[float] = []
        for _ in range(_ROUND_TRIPS):
            began = perf_counter()
            await self._call("TIME")
            times.append(perf_counter() - began)
        middle = median(times)
        says = (
            f"A round trip takes {middle * 1000:.1f} ms, the longest of {_ROUND_TRIPS} took {max(times) * 1000:.1f} ms."
        )
        if middle < _SLOW:
            return [Finding("latency", Health.OK, says)]
        advice = "Run workers and senders near the server, on the same network; send many at once with app.send_many."
        return [Finding("latency", Health.WARNING, says, advice)]

    async def _of_the_server(self) -> list[Finding]:
        said = await self._call("INFO")
        lines = (said.decode(errors="replace") if isinstance(said, bytes) else str(said)).splitlines()
        about = dict(line.split(":", 1) for line in lines if ":" in line)
        return [_memory(about), _persistence(about, await self._synced())]

    async def _synced(self) -> str:
        """`appendfsync`; "" where this user may not ask."""
        try:
            said = await self._call("CONFIG", "GET", "appendfsync")
        except BrokerUnavailable:
            raise
        except AioQueueError:
            return ""
        return text(pairs(said).get(b"appendfsync", b""))

    async def _rights(self) -> list[Finding]:
        at: list[int] = await self._run("lacking", msgspec.msgpack.encode(OF_WORKERS))
        if not at:
            return [Finding("rights", Health.OK, "This user may do all that a worker does.")]
        lacking = sorted({named(OF_WORKERS[one - 1]) for one in at})
        places = sorted({word[1:] for one in at for word in OF_WORKERS[one - 1] if word.startswith("@")})
        return [
            Finding(
                "rights",
                Health.WARNING,
                f"This user may not do all that a worker does. It lacks {' '.join(lacking)} (on {few(places)}).",
                f"For a worker, give it these on ~{self._keys.all} and &{self._keys.all}; a producer or a "
                f"client needs less ({_WHERE}).",
            )
        ]

    # What is stuck

    async def _leases(self) -> list[Finding]:
        now = self.now()
        ends = await self._ends_of_leases()
        fallen = {text(one) for one in await self._call("SMEMBERS", self._keys.fallen)}
        alive = [one for one, end in ends.items() if now < end <= now + _LONGEST_LEASE]
        endless = sorted(one for one, end in ends.items() if end > now + _LONGEST_LEASE)
        silent = sorted({one for one, end in ends.items() if end < now - _SILENT_FOR} | fallen)
        findings: list[Finding] = []
        if endless:
            findings.append(
                Finding(
                    "leases",
                    Health.PROBLEM,
                    f"{counted(len(endless), 'lease')} will not end, and what is held under it is never run again: "
                    f"{few(endless)}.",
                    f"If no such worker is alive: ZADD '{self._keys.leases}' 1 {endless[0]}, and others take over.",
                )
            )
        if silent and not alive:
            findings.append(
                Finding(
                    "leases",
                    Health.PROBLEM,
                    f"{counted(len(silent), 'worker')} died, and none is alive to take over what it held: "
                    f"{few(silent)}.",
                    "Start a worker: it puts back at once what they held.",
                )
            )
        elif silent:
            findings.append(
                Finding(
                    "leases",
                    Health.WARNING,
                    f"What {counted(len(silent), 'dead worker')} held is not all taken over, though others are alive: "
                    f"{few(silent)}.",
                    "Look at the workers' log for what cannot be queued again.",
                )
            )
        return findings or [Finding("leases", Health.OK, f"{counted(len(alive), 'lease')} and none that is stuck.")]

    async def _ends_of_leases(self) -> dict[str, int]:
        found: list[Any] = await self._call("ZRANGE", self._keys.leases, 0, -1, "WITHSCORES")
        # RESP3 answers with pairs.
        flat = [part for pair in found for part in pair] if found and isinstance(found[0], list) else found
        ends = zip(flat[::2], flat[1::2], strict=True)
        return {text(one): 2**53 if (end := whole_number(score)) is None else end for one, score in ends}

    async def _keys_of_nobody(self) -> list[Finding]:
        named = self._keys
        queues = {text(one) for one in await self._call("SMEMBERS", self._keys.queues)}
        known = {*await self._ends_of_leases()} | {text(one) for one in await self._call("SMEMBERS", named.fallen)}
        orphans: list[str] = []
        looked, whole = 0, True
        async for page, all_seen in self._pages():
            looked, whole = looked + len(page), all_seen
            orphans += [name for name in page if await self._is_nobodys(name, queues, known)]
        for data, index in ((named.delayed_data, named.delayed), (named.dead_data, named.dead)):
            extra = int(await self._call("HLEN", data)) - int(await self._call("ZCARD", index))
            if extra > 0:
                orphans.append(f"{self._own(data)} ({extra} more than {self._own(index)} knows)")
        rest = "" if whole else f", of the first {_MOST_KEYS} of the server"
        if not orphans:
            return [Finding("keys", Health.OK, f"{counted(looked, 'key')}{rest}, and none that is nobody's.")]
        return [
            Finding(
                "keys",
                Health.WARNING,
                f"{counted(len(orphans), 'key')} of {named.all} is nobody's{rest}: {few(orphans)}.",
                "Nothing of ours leaves such behind: somebody has written there, or removed what belongs to it. A "
                f"queue is known again with SADD '{self._keys.queues}' NAME; look at the rest, and UNLINK it.",
            )
        ]

    def _own(self, key: str) -> str:
        """A key's name after the prefix."""
        return key[len(self._keys.prefix) :]

    async def _is_nobodys(self, name: str, queues: set[str], workers: set[str]) -> bool:
        kind, _, rest = name.partition(":")
        if kind == "q":
            return keys.queue_of(name) not in queues and bool(await self._call("XLEN", self._keys.stream(name)))
        return kind == "early" and rest not in workers

    async def _pages(self) -> AsyncIterator[tuple[Sequence[str], bool]]:
        """The names of the namespace's keys after the prefix, and whether these are all."""
        cursor, looked = b"0", 0
        pattern = "".join(f"\\{one}" if one in "[]*?\\" else one for one in self._keys.all[:-1]) + "*"
        while looked < _MOST_KEYS:
            cursor, names = await self._call("SCAN", cursor, "MATCH", pattern, "COUNT", _KEYS_AT_ONCE)
            looked += _KEYS_AT_ONCE
            yield [self._own(text(name)) for name in names], cursor == b"0"
            if cursor == b"0":
                return


def _memory(about: dict[str, str]) -> Finding:
    policy, evicted = about.get("maxmemory_policy", "noeviction"), int(about.get("evicted_keys", "0"))
    used, most = int(about.get("used_memory", "0")), int(about.get("maxmemory", "0"))
    full = f"{used / most:.0%} of {most / 2**20:.0f} MiB" if most else f"{used / 2**20:.0f} MiB"
    says = f"maxmemory-policy {policy}; {full} are used."
    advice = "Set maxmemory-policy noeviction, and use this server for nothing but tasks."
    if policy != "noeviction" and (most or evicted):
        dropped = f" {counted(evicted, 'key')} went that way." if evicted else ""
        return Finding("memory", Health.PROBLEM, f"{says} When it is full it drops what is queued.{dropped}", advice)
    if policy != "noeviction":
        return Finding("memory", Health.WARNING, f"{says} With a maxmemory it would drop what is queued.", advice)
    if most and used > _NEARLY_FULL * most:
        advice = "Raise maxmemory, set queue_max_length, or lower result_expires: when it is full nothing can be sent."
        return Finding("memory", Health.WARNING, says, advice)
    return Finding("memory", Health.OK, says)


def _persistence(about: dict[str, str], synced: str) -> Finding:
    writes = {name: about.get(name, "ok") for name in ("aof_last_write_status", "rdb_last_bgsave_status")}
    appends = about.get("aof_enabled") == "1"
    if appends and writes["aof_last_write_status"] != "ok":
        return Finding(
            "persistence",
            Health.PROBLEM,
            "The append-only file could not be written the last time; the server may take no more tasks.",
            "Look at its log and at its disk.",
        )
    if appends and synced == "no":
        says = "appendonly yes, appendfsync no: a crash of the machine can lose the last half minute."
        return Finding("persistence", Health.WARNING, says, "Set appendfsync everysec, or always.")
    if appends:
        return Finding("persistence", Health.OK, f"appendonly yes{f', appendfsync {synced}' if synced else ''}.")
    says = (
        "There is no append-only file: when the server dies, what came since its last snapshot is lost "
        f"({counted(int(about.get('rdb_changes_since_last_save', '0')), 'change')} now)."
    )
    health = Health.WARNING
    if writes["rdb_last_bgsave_status"] != "ok":
        says, health = says + " And the last snapshot failed.", Health.PROBLEM
    return Finding("persistence", health, says, "Set appendonly yes.")
