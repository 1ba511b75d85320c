"""What is known of a run: what was sent, what the queue says became of it, and what the ledger says really ran."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path, PurePath
from time import time_ns

import msgspec

from aioqueue.brokers.protocol import Broker
from aioqueue.demo.figures import FailedFile, Kill, LanguageFigures, Percentiles, percentiles
from aioqueue.demo.ledger import Ledger
from aioqueue.demo.tasks import Facts
from aioqueue.message import Record, State, decode_record
from aioqueue.payload.codec import decode
from aioqueue.result import AsyncResult

_PAGE = 1000
_LARGEST = 1_000_000


class Books:
    """The books of a run.

    Attributes:
        ledger: what ran.
        paths: the files by the ids of their tasks, once these are sent.
        sent_at: when those were sent that were sent all at once; ns.
        start: when the first of these was; ns.
        ends: the queue's final records.
        failed: how many of them are not successes.
        kill: the kill, if there was one.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.paths: dict[str, str] = {}
        self.sent_at: dict[str, int] = {}
        self.start = 0
        self.ends: dict[str, Record] = {}
        self.failed = 0
        self.kill: Kill | None = None
        self._killed_at = 0
        self._to_ask: deque[str] = deque()

    def sent(self, results: Sequence[AsyncResult[Facts]], paths: Sequence[str], at: int | None = None) -> None:
        """These were sent; `at` that time, if among all the others."""
        for result, path in zip(results, paths, strict=True):
            self.paths[result.id] = path
            if at is not None:
                self.sent_at[result.id] = at

    async def look_up(self, broker: Broker, *, everything: bool) -> int:
        """Ask the queue for ends, a page at a time, of tasks that have run; returns how many there were.

        Args:
            broker: where the records are.
            everything: when there are none of those, ask for all that have no end.
        """
        self.ledger.read()
        self._to_ask.extend(id for id in self.ledger.take_finished() if id not in self.ends)
        if everything and not self._to_ask:
            self._to_ask.extend(id for id in self.paths if id not in self.ends)
        ids = list({self._to_ask.popleft(): None for _ in range(min(_PAGE, len(self._to_ask)))})
        found = 0
        for id, data in zip(ids, await broker.records(ids), strict=True):
            record = decode_record(data) if data is not None else None
            if record is not None and record.final:
                if id not in self.ends:
                    found += 1
                    self.failed += record.state != State.SUCCESS
                    self.ends[id] = record
            elif id in self.ledger.ended:  # not recorded yet, or retried
                self._to_ask.append(id)
        return found

    def bury(self, name: str, pid: int) -> Kill:
        """A worker has just been killed, and has stopped writing before."""
        self._killed_at = time_ns()
        self.ledger.read()
        self.kill = Kill(
            worker=name,
            pid=pid,
            after=self._since_start(self._killed_at),
            ended=len(self.ledger.ended),
            running=self.ledger.bury(pid),
        )
        return self.kill

    def _since_start(self, at: int) -> float:
        return (at - self.start) / 1e9

    # Figures

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._since_start(time_ns()) if self.start else 0.0

    def waits(self) -> Percentiles | None:
        """From sending a task, among all the others, to its first run."""
        first = self.ledger.first
        return percentiles((first[id] - sent) / 1e9 for id, sent in self.sent_at.items() if id in first)

    def runs(self) -> Percentiles | None:
        """How long the runs took."""
        return percentiles(self.ledger.seconds)

    def seconds_to_last_end(self) -> float:
        """From the start to the last run's end."""
        return self._since_start(max(self.ledger.ended.values(), default=self.start))

    def kill_and_recovery(self) -> Kill | None:
        """The kill, with what became of the tasks that the worker held."""
        kill, ended = self.kill, self.ledger.ended
        if kill is None or not self.ledger.recovered:
            return kill
        last = max(ended[id] for id in self.ledger.recovered)
        return Kill(
            worker=kill.worker,
            pid=kill.pid,
            after=kill.after,
            ended=kill.ended,
            running=kill.running,
            recovered_after=(last - self._killed_at) / 1e9,
        )

    def rates(self) -> tuple[float, float | None]:
        """Ends per second until the kill, or until all was done, and then until all was done but what it delayed."""
        ledger, kill_at = self.ledger, self._killed_at
        delayed = ledger.recovered | {id for id, retries in ledger.begun if retries}
        ends = sorted(at for id, at in ledger.ended.items() if id in self.sent_at and id not in delayed)
        before = [at for at in ends if not kill_at or at <= kill_at]
        after = ends[len(before) :]
        until = kill_at or (before[-1] if before else 0)
        rate = len(before) / self._since_start(until) if until > self.start else 0.0
        return rate, len(after) / ((after[-1] - kill_at) / 1e9) if after else None

    async def failures(self, broker: Broker, folder: Path) -> list[FailedFile]:
        """What failed, and whether it lies among the dead letters."""
        failed = {id: record for id, record in self.ends.items() if record.state != State.SUCCESS}
        if not failed:
            return []
        dead = {letter.id for letter in await broker.dead_letters(limit=1_000_000)}
        return [
            FailedFile(
                file=self._below(folder, id),
                error=record.failure.summary if record.failure is not None else record.reason or record.state,
                retries=record.retries,
                dead=id in dead,
            )
            for id, record in sorted(failed.items(), key=lambda item: self.paths[item[0]])
        ]

    def lost(self, folder: Path) -> list[str]:
        """The files whose tasks have no end."""
        return sorted(self._below(folder, id) for id in self.paths.keys() - self.ends.keys())

    def _below(self, folder: Path, id: str) -> str:
        return str(PurePath(self.paths[id]).relative_to(folder))

    def languages(self) -> dict[str, LanguageFigures]:
        """What the tasks found out, the language with most lines first."""
        by_language: defaultdict[str, list[Facts]] = defaultdict(list)
        for record in self.ends.values():
            if record.result is not None:
                facts = msgspec.convert(decode(record.result, record.content, max_size=_LARGEST), Facts)
                by_language[facts.language].append(facts)
        found = {
            language: LanguageFigures(
                files=len(files),
                lines=sum(facts.lines for facts in files),
                bytes=sum(facts.size for facts in files),
                longest_line=max(facts.longest_line for facts in files),
            )
            for language, files in by_language.items()
        }
        return dict(sorted(found.items(), key=lambda item: (-item[1].lines, item[0])))
