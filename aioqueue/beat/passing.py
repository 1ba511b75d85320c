"""What is due goes through the middlewares before it is claimed; each schedule by itself, so that one whose task is
refused keeps no other back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from aioqueue.around.sending import Call, pass_all, passage
from aioqueue.brokers.protocol import Claimed, ClaimVerdict
from aioqueue.dispatch import Posting
from aioqueue.exceptions import AioQueueError, ConfigurationError
from aioqueue.outgoing import outgoing
from aioqueue.result import AsyncResult

if TYPE_CHECKING:
    from aioqueue.core import Core


class Refused(Exception):
    """A middleware has refused what is due; the error says why."""


class Passing:
    """The messages of one claim on their way through the middlewares.

    Args:
        app: sends them.
        postings: the messages, as they would be without any.
        now: ms since the epoch, by the broker's clock.
        claim: claims the due time with these messages, of which some may be missing.
    """

    def __init__(
        self,
        app: Core,
        postings: Sequence[Posting],
        now: Callable[[], int],
        claim: Callable[[tuple[Posting, ...]], Awaitable[Claimed]],
    ) -> None:
        self._app = app
        self._now = now
        self._claim = claim
        self._calls = [Call(one.target, one.args, one.kwargs, one.options) for one in postings]
        self._batch = [passage(app, call) for call in self._calls]
        self._claimed: Claimed | None = None
        self._error: Exception | None = None

    async def go(self) -> Claimed:
        """Let them pass, and claim.

        Raises:
            Refused: one of them was refused, and nothing was claimed.
            AioQueueError: the claim could not be made.
        """
        try:
            await pass_all(self._batch, self._leave, within=self._app.conf.send_timeout)
        except Exception as error:
            if self._error is not None:
                raise self._error from None
            if self._claimed is None:
                raise Refused(f"{type(error).__name__}: {error}") from error
        # Middlewares may have answered for all of them; then the due time is over without a message.
        return self._claimed or await self._claim(())

    async def _leave(self, going: Sequence[int], given: list[Any]) -> None:
        postings = tuple([self._posting(number) for number in going])
        try:
            self._claimed = await self._claim(postings)
        except Exception as error:
            self._error = error
            raise
        if self._claimed.verdict is not ClaimVerdict.SENT:
            raise AioQueueError("It was not sent now: another scheduler was first, or the broker does not take it yet.")
        for posting in postings:
            result: AsyncResult[Any] = AsyncResult(self._app, posting.message.id)
            given.append(result)

    def _posting(self, number: int) -> Posting:
        call = self._calls[number]
        changed = call.changed(self._app, self._batch[number].message)
        if changed.options.get("task_id") != call.options.get("task_id"):
            raise ConfigurationError(
                "An around_send has changed the task_id, which is made of the schedule and its due time, so that it is "
                "sent once. Nothing was sent."
            )
        return Posting(*changed, outgoing(self._app, *changed, self._now(), again=True))
