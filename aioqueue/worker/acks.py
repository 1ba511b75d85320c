"""Acknowledging: at the end, together with all that it means, or before it, by the task's option or its own word."""

from __future__ import annotations

import asyncio
from typing import Any

from aioqueue.brokers.protocol import Settlement, Verdict
from aioqueue.exceptions import AioQueueError, LeaseLost, TaskRevoked
from aioqueue.worker.committer import Committer, Settled
from aioqueue.worker.rules import Rules
from aioqueue.worker.run import VOID, Run


class Acknowledgements:
    """What is said to the broker of a run, in its order."""

    def __init__(self, committer: Committer, rules: Rules) -> None:
        self._committer = committer
        self._rules = rules

    async def early(self, run: Run) -> Verdict:
        """Acknowledge it before its end."""
        # One for all who ask; and a limit that ends the asking does not take it back.
        if run.ack is None:
            run.ack = asyncio.get_running_loop().create_task(self._acknowledge(run))
        verdict = await asyncio.shield(run.ack)
        if verdict is Verdict.REFUSED:
            raise AioQueueError(
                f"Task {run.task.name}[{run.delivery.id}] could not be acknowledged: the broker refuses it."
            )
        return verdict

    async def _acknowledge(self, run: Run) -> Verdict:
        verdict = await self._committer.settle(self._rules.early(run))
        run.delivery.acknowledged = verdict is Verdict.APPLIED
        return verdict

    async def by_hand(self, run: Run) -> None:
        """`ctx.ack()`.

        Raises:
            LeaseLost: another worker has the task.
            TaskRevoked: it was revoked.
        """
        verdict = await self.early(run)
        if verdict is Verdict.REVOKED:
            run.phase = VOID
            raise TaskRevoked(f"Task {run.delivery.id} was revoked; this run counts for nothing.")
        if verdict is Verdict.FENCED:
            run.phase = VOID
            raise LeaseLost(f"Task {run.delivery.id} belongs to another worker by now; this run counts for nothing.")

    def end(self, run: Run, settlement: Settlement, settled: Settled) -> None:
        """Settle its end: after the early acknowledgement, and as that went. `settled` is called with what the broker
        made of it."""
        if run.ack is not None:
            if not run.ack.done():
                run.ack.add_done_callback(lambda _: self.end(run, settlement, settled))
                return
            verdict = Verdict.FENCED if run.ack.cancelled() else run.ack.result()
            if verdict in (Verdict.FENCED, Verdict.REVOKED):
                settled(settlement, verdict)  # another has it, or it was revoked
                return
            settlement.early = verdict is Verdict.APPLIED
        self._committer.add(settlement, settled)

    async def report(self, run: Run, state: str, meta: Any) -> None:
        """`ctx.update_state()`."""
        if run.phase < VOID:
            await self._committer.settle(self._rules.news(run, state, meta))

    def mention(self, run: Run, state: str) -> None:
        """Report a state, without waiting for the broker."""
        self._committer.add(self._rules.news(run, state, None), lambda settlement, verdict: None)
