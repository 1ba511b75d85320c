"""`app.control`: changing how workers work, while they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioqueue import kinds
from aioqueue.awaiting import Spoken, awaited
from aioqueue.exceptions import ConfigurationError
from aioqueue.inquiry import ask
from aioqueue.kinds import Seconds
from aioqueue.questions import Destination, NewLimits, Replies

if TYPE_CHECKING:
    from aioqueue.core import Core


class Control:
    """`app.control`. Each method tells the workers, and waits until all of them have answered, for `timeout` seconds at
    most. What they do is done by those that are alive now: workers that start later don't know of it.

    `destination` is the name of a worker, several of them, or globs over whole names, such as `["worker1@*"]`; by
    default all are told. Who has not answered in time is named in the `silent` of what is returned, and who refuses in
    its `errors`; an error is raised if all that have answered refuse.
    """

    def __init__(self, app: Core) -> None:
        self._app = app

    @awaited
    async def ping(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[str]:
        """Whether workers answer: "pong"; the same as `app.inspect.ping`."""
        return await ask(self._app, "ping", str, destination=destination, timeout=timeout)

    @awaited
    async def shutdown(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[str]:
        """Stop in good order, as with SIGTERM: what runs may end, what has not started goes back to its queue. A worker
        in a program stops, and the program goes on; one of several processes of a command is replaced by a new one."""
        return await ask(self._app, "shutdown", str, steers=True, destination=destination, timeout=timeout)

    @awaited
    async def time_limit(
        self,
        task: str,
        *,
        soft: Seconds | None = None,
        hard: Seconds | None = None,
        destination: Destination | None = None,
        timeout: Seconds = 1.0,
    ) -> Replies[str]:
        """Give a task other limits, for runs that begin in these workers from now on; those of a call come before them.

        Args:
            task: its name.
            soft, hard: the soft limit and the hard one; what is left out stays as it is.
            destination, timeout: as above.

        Raises:
            ConfigurationError: neither is given, or one is no time.
            AioQueueError: no worker knows the task.
        """
        if soft is None and hard is None:
            raise ConfigurationError("time_limit takes soft=, hard= or both, in seconds. Nothing was changed.")
        limits = [
            None
            if value is None
            else kinds.seconds(kinds.LIMIT.of(f"The {name} limit", value, " Nothing was changed."))
            for name, value in (("soft", soft), ("hard", hard))
        ]
        said = NewLimits(task=kinds.TEXT.of("The name of a task", task), soft=limits[0], hard=limits[1])
        return await ask(self._app, "time_limit", str, said, steers=True, destination=destination, timeout=timeout)

    @awaited
    async def enable_events(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[str]:
        """Let it be told what happens to tasks and workers, for `app.events()`: "on". This lasts: workers and programs
        that start later know of it, and those that only send within a minute. With `destination` it is for those
        workers alone, and until they end.

        Raises:
            ConfigurationError: the broker keeps no events.
        """
        return await self._events(True, destination, timeout)

    @awaited
    async def disable_events(self, *, destination: Destination | None = None, timeout: Seconds = 1.0) -> Replies[str]:
        """Let it be told no more: "off"; as `enable_events`. It comes before the setting `events`, until it is enabled
        again."""
        return await self._events(False, destination, timeout)

    async def _events(self, on: bool, destination: Destination | None, timeout: Seconds) -> Replies[str]:
        broker = await self._app.broker()
        if not broker.capabilities.events:
            raise ConfigurationError(f"{broker.description} keeps no events. Nothing was changed.")
        if destination is None:
            await broker.want_events(on)
            self._app.publisher.switch(on)
            if not broker.capabilities.asked:
                return Replies()
        return await ask(self._app, "events", str, on, steers=True, destination=destination, timeout=timeout)

    def _spoken(self) -> Spoken:
        return Spoken(f"app {self._app.name!r}", "app.control", "app.sync.control")
