"""The table of options, beside all that is said of them elsewhere: types, defaults, settings, messages, documentation.

Who adds an option is told here what is missing.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from aioqueue import AioQueue, Task
from aioqueue.brokers.protocol import Delivery
from aioqueue.message import Message, decode_message
from aioqueue.options import OF_CALLS, OF_TASKS, OPTIONS, TRAVELLING, SendOptions, TaskOptions
from aioqueue.outgoing import outgoing
from aioqueue.settings import Settings
from aioqueue.worker.run import Run, run_of
from aioqueue.worker.run_settings import run_settings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "tasks.md"
OF_ITS_MAKING = {"name"}
DEFAULTS = {name: getattr(Task, name) for name in OF_TASKS}
WITH_SETTING = [name for name, option in OPTIONS.items() if option.setting]

# Of each option that has a setting: what the setting says, the task, and a call, where it may.
SAID: dict[str, tuple[Any, ...]] = {
    "queue": ("of-conf", "of-task", "of-call"),
    "priority": (3, 0, 5),
    "serializer": ("json", "msgpack", "json"),
    "compression": ("zlib", "zstd", "zlib"),
    "acks_late": (True, False),
    "track_started": (True, False),
    "soft_time_limit": (3.0, 2.0, 1.0),
    "time_limit": (6.0, 5.0, 4.0),
    "max_retries": (5, None, 0),
    "default_retry_delay": (7.0, 0.0),
    "ignore_result": (True, False, True),
    "store_errors_even_if_ignored": (True, False),
    "dead_letters_on_failure": (True, False),
}


def _takes_none(hint: Any) -> bool:
    return hint is Any or type(None) in get_args(hint)


def _documented(kind: type) -> list[str]:
    return re.findall(r"^    (\w+): ", inspect.cleandoc(kind.__doc__ or ""), re.MULTILINE)


# What stands elsewhere


@pytest.mark.parametrize(
    ("kind", "names"), [(TaskOptions, {*OF_TASKS, *OF_ITS_MAKING}), (SendOptions, {*OF_CALLS})], ids=["tasks", "calls"]
)
def test_the_types_and_the_reference_know_all(kind: type, names: set[str]) -> None:
    assert set(get_type_hints(kind)) == names
    assert sorted(_documented(kind)) == sorted(names)
    assert f"::: {kind.__module__}.{kind.__name__}\n" in REFERENCE.read_text()


@pytest.mark.parametrize("name", OF_TASKS)
def test_none_of_a_task_is_what_the_types_say(name: str) -> None:
    takes_none = _takes_none(get_type_hints(TaskOptions)[name])
    try:
        assert OF_TASKS[name].read(None) is None and takes_none
    except (ValueError, TypeError):
        assert not takes_none


@pytest.mark.parametrize("name", OF_CALLS)
def test_none_of_a_call_is_nothing_said(name: str) -> None:
    assert _takes_none(get_type_hints(SendOptions)[name])


@pytest.mark.parametrize("name", OF_TASKS)
def test_the_default_is_an_attribute_that_a_task_may_have(name: str) -> None:
    assert name in Task.__annotations__
    if DEFAULTS[name] != "default":
        assert OF_TASKS[name].read(DEFAULTS[name]) == DEFAULTS[name]
    if OPTIONS[name].setting:
        assert DEFAULTS[name] in (None, "default"), "the setting would never count"


@pytest.mark.parametrize("name", WITH_SETTING)
def test_the_setting_is_there(name: str) -> None:
    default = getattr(Settings(), str(OPTIONS[name].setting))
    assert OF_TASKS[name].read(default) == default


@pytest.mark.parametrize("name", TRAVELLING)
def test_what_travels_has_a_field_that_may_be_empty(name: str) -> None:
    assert name in OF_CALLS
    assert getattr(Message(task="t"), name) is None


# Which word counts


def test_all_that_have_a_setting_are_looked_at() -> None:
    assert list(SAID) == WITH_SETTING
    for name, said in SAID.items():
        assert len(said) == (3 if name in OF_CALLS else 2), name


def _in_force(app: AioQueue, task: Task[..., Any], name: str) -> Any:
    """What an option of a call is for the worker that gets it."""
    message = decode_message(outgoing(app, task, ("x" * 2000,), {}, task.send_options, 0).data)
    serializer, _, compression = message.content.partition("+")
    found = {"queue": message.queue, "priority": message.priority, "serializer": serializer, "compression": compression}
    if name in found:
        return found[name]
    if name in Run.__struct_fields__:
        return getattr(run_of(run_settings(task.app.conf), Delivery(None, "id", b"", "q"), message, task, (), {}), name)
    travelled = getattr(message, name, None)
    return task.in_force(name) if travelled is None else travelled


@pytest.mark.parametrize("name", WITH_SETTING)
def test_a_call_goes_before_its_task_and_that_before_the_setting(name: str) -> None:
    of_conf, of_task, *of_call = SAID[name]
    app = AioQueue("tests", broker="memory://", **{str(OPTIONS[name].setting): of_conf})

    async def function(x: str) -> None: ...

    silent = app.task(name="silent")(function)
    told: Any = app.task(name="told", **{name: of_task})(function)
    base = type("Base", (Task,), {name: of_task})
    derived: Any = app.task(name="derived", base=base)(function)
    assert (silent.in_force(name), told.in_force(name), derived.in_force(name)) == (of_conf, of_task, of_task)
    assert (_in_force(app, silent, name), _in_force(app, told, name)) == (of_conf, of_task)
    for value in of_call:
        assert _in_force(app, told.options(**{name: value}), name) == value
