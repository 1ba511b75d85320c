"""What the tests of models have in common: a state machine on each broker, and how long it runs."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from aioqueue.brokers.memory import MemoryBroker
from aioqueue.brokers.redis import RedisBroker
from aioqueue.ids import short_id

M = TypeVar("M", bound=RuleBasedStateMachine)


def of_broker(request: pytest.FixtureRequest, machine: type[M]) -> type[M]:
    """The machine, with a `make_broker` for the kind of broker that the fixture is given: "memory" or "redis"."""
    if request.param == "memory":

        def make_broker(self: Any) -> Any:
            return MemoryBroker()
    else:
        url = request.getfixturevalue("redis_url")

        def make_broker(self: Any) -> Any:
            return RedisBroker(url, short_id())

    return type(f"{machine.__name__}Of{request.param.title()}", (machine,), {"make_broker": make_broker})


def run_machine(machine: type[RuleBasedStateMachine], *, examples: int, steps: int) -> None:
    """Run a machine so many times, so many steps each."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
