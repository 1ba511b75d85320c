"""Running what was admitted: `put` → `start_ready` → `Execution.execute` → `_end` → committer.

What holds a worker's runs together: `slots`, their lives (`execution`), `limits`, acknowledgements (`acks`).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from functools import partial
from logging import INFO
from typing import TYPE_CHECKING

from aioqueue.around.sent import tell_sent
from aioqueue.brokers.protocol import Consumer, Delivery, Settlement, Verdict
from aioqueue.dispatch import Posting
from aioqueue.logs import logger
from aioqueue.worker.acks import Acknowledgements
from aioqueue.worker.afterwards import After, Afterwards
from aioqueue.worker.beside import Beside
from aioqueue.worker.committer import Committer, Settled
from aioqueue.worker.execution import Execution, tasks_of
from aioqueue.worker.grafting import drop_additions
from aioqueue.worker.limits import Limits
from aioqueue.worker.outcome import SUCCESS, Outcome
from aioqueue.worker.process import Process
from aioqueue.worker.revocations import Revocations
from aioqueue.worker.rules import Rules
from aioqueue.worker.run import GIVEN_UP, OVER, RUNNING, VOID, Run
from aioqueue.worker.runtime import Hands
from aioqueue.worker.slots import Slots
from aioqueue.worker.standstill import Standstill
from aioqueue.worker.telling import Telling
from aioqueue.worker.withdrawal import Withdrawal

if TYPE_CHECKING:
    from aioqueue.core import Core

_APPLIED = Verdict.APPLIED  # to look up a member of an enum takes longer


class Runner(Slots):
    """The tasks in a worker's hands.

    Attributes:
        revocations: what was revoked of them.
        standstill: hears which of the tasks wait for others.
        limits, execution, telling, afterwards, beside, withdrawal: see there.
    """

    def __init__(
        self,
        app: Core,
        rules: Rules,
        committer: Committer,
        consumer: Consumer,
        *,
        concurrency: int,
        hostname: str,
        is_eager: bool,
        now: Callable[[], int],
        process: Process,
    ) -> None:
        super().__init__(concurrency, self._begin)
        self._app = app
        self._committer = committer
        self._rules = rules
        self._now = now
        loop = asyncio.get_running_loop()
        self._new_task = tasks_of(loop)
        self._context = contextvars.copy_context()
        self._acks = Acknowledgements(committer, rules)
        self.beside = Beside(concurrency, app.signals.under_way, self.changed)
        self.afterwards = Afterwards(app, hostname, self.beside)
        self.standstill = Standstill(self.running, self.ready, consumer, concurrency=concurrency, hostname=hostname)
        self.limits = Limits(self._give_up)
        self.revocations = Revocations(self, self.limits)
        self._revoked = self.revocations.stamps
        self.withdrawal = Withdrawal(self, self.held, consumer, hostname)
        self.telling = Telling(now)
        self.execution = Execution(
            app,
            rules,
            consumer,
            Hands(app, self._acks, self.standstill, loop, process),
            self.limits,
            self.beside,
            self._end,
            self._leave,
            hostname=hostname,
            is_eager=is_eager,
            now=now,
            state=process.state,
        )

    # In

    def turn_away(self, outcome: Outcome) -> None:
        """It is not run at all."""
        self.unsettled += 1
        self._tell_and_settle(outcome)

    def _begin(self, run: Run) -> None:
        """It has a slot: run it, if nothing has happened since it was admitted."""
        message = run.message
        try:
            may_be_over = run.delivery.revoked or message.stamps or message.expires is not None
            if may_be_over and (outcome := self._rules.over_already(run, self._revoked, self._now())) is not None:
                self._end(run, outcome)
                return
            run.phase = RUNNING
            self.running.add(run)
            self.started_count += 1
            # Not in the context of the run that has just made room. With a name, for to make one up takes longer.
            life, context = self.execution.execute(run), self._context.copy()
            coroutine = self._new_task(life, name=run.task.name, context=context)
            if run.phase < OVER:  # started eagerly, it may have ended
                run.coroutine = coroutine
        except Exception as error:  # no slot is lost, nor the run
            logger.exception("Task %s[%s] cannot be started", run.task.name, run.delivery.id)
            self._end(run, self._rules.last_resort(run, error, self._now()))

    def held(self) -> list[Delivery]:
        """The deliveries that have started, those that were given up, and those whose end is not settled yet."""
        # In the order in which a run goes through them, so that a thread that looks misses none.
        starting = self.starting
        runs = [*(() if starting is None else (starting,)), *tuple(self.running), *tuple(self.stuck)]
        return [*[run.delivery for run in runs], *self._committer.deliveries()]

    # Out

    def _end(self, run: Run, outcome: Outcome) -> None:
        """The run is over, and this is what it means."""
        if run.phase >= VOID:
            return
        run.phase = OVER
        try:
            self._tell_and_settle(outcome, run)
        finally:
            self._free(run)

    def _leave(self, run: Run) -> None:
        """Nothing of it goes on, and it has come to no end that counts, or to one that was told of without it."""
        if run.phase is GIVEN_UP:
            run.context = run.coroutine = run.job = None
            self.forget(run)
        elif run in self.running:
            run.phase = OVER
            self.unsettled -= 1
            self._free(run)

    def _free(self, run: Run) -> None:
        """Its slot is free, if it has one. Its end may be on its way."""
        # The context knows the run: without this the two would wait for the garbage collector.
        run.context = run.coroutine = None
        run.job = None
        try:
            self.running.remove(run)
        except KeyError:
            return
        self.ended_count += 1
        if self.waiting:
            self.start_ready()
        if not self.waiting:  # else another has its slot, and there is no more room than before
            self.changed.set()

    def _tell_and_settle(self, outcome: Outcome, run: Run | None = None, ran: Run | None = None) -> None:
        """The one way out of all ends: told to the log, settled, and told to those who listen. `ran` had another end,
        in place of which this one is settled."""
        settlement = outcome.settlement
        if outcome.state is not SUCCESS or logger.isEnabledFor(INFO):
            try:
                self.telling.tell(outcome, run)
            except Exception:  # it is settled all the same
                logger.exception("The end of task %s could not be told", settlement.delivery.id)
        if run is not None and run.additions and (settlement.step is None or not settlement.step.additions):
            place = self.beside.expect(settlement.delivery.id)
            self.beside.add(place, partial(drop_additions, self._app, run.additions))
        settled = self._settled
        if run is None or run.task.surroundings is not None:
            after = self.afterwards.of(outcome, run or ran, self._now())
            settled = settled if after is None else partial(settled, after=after)
        if run is not None and run.begins:
            settled = partial(self._settled_and_begun, settled, run.begins, contextvars.copy_context())
        if run is None or run.ack is None:
            self._committer.add(settlement, settled)
        else:
            self._acks.end(run, settlement, settled)

    def _settled(self, settlement: Settlement, verdict: Verdict, after: After | None = None) -> None:
        if verdict is not _APPLIED:
            if verdict is Verdict.REFUSED and (outcome := self._refused(settlement)) is not None:
                if after is not None:
                    self.beside.drop(after.place)
                self._tell_and_settle(outcome, ran=after.run if after is not None else None)
                return
            self.telling.void(settlement, verdict)
        if after is not None:
            over = self.afterwards.settled(after, verdict)
            if self.beside.is_far_behind:  # nothing else is fetched in its place until it is over
                over.add_done_callback(self._is_through)
                return
        self.unsettled -= 1
        self.changed.set()

    def _settled_and_begun(
        self,
        settled: Settled,
        begins: Sequence[Posting],
        context: contextvars.Context,
        settlement: Settlement,
        verdict: Verdict,
    ) -> None:
        """The same; with the end begins what its task has put in its place or into its group, unless it has failed."""
        settled(settlement, verdict)
        step = settlement.step
        if verdict is _APPLIED and step is not None and (step.graft or step.additions):
            place = self.beside.expect(settlement.delivery.id)
            self.beside.add(place, partial(tell_sent, self._app, begins), context)

    def _is_through(self, _: object) -> None:
        """One that was settled before has been told of, too."""
        self.unsettled -= 1
        self.changed.set()

    def _refused(self, settlement: Settlement) -> Outcome | None:
        try:
            return self._rules.refused(settlement, self._now())
        except Exception:  # of our own; its slot is free all the same, and the message comes again when the lease ends
            logger.exception("The end of task %s was refused, and no other can be made", settlement.delivery.id)
            return None

    def close(self) -> None:
        """Nothing is run any more."""
        self.standstill.close()
        self.limits.close()
        self.beside.close()
        self.execution.calls.close()

    def _give_up(self, run: Run) -> None:
        """It ignores its cancellation: its end is recorded without it, and it is left to itself."""
        outcome = None if run.phase is VOID else self.execution.cut(run)
        self.give_up(run)
        if outcome is None:
            self.unsettled -= 1
        else:
            self._tell_and_settle(outcome, run)
        self.start_ready()
        self.changed.set()
