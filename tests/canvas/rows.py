"""Compositions, and what each must give. Names in brackets are those of Celery's own integration suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from aioqueue import chain, chord, chunks, group, signature
from aioqueue.exceptions import ChordError, ConfigurationError, UpstreamFailed

from .stage import Expected, Stage


class Fails(NamedTuple):
    """It ends with such an error, that came of such another one."""

    kind: type[Exception]
    cause: type[Exception] | None = None


class Row(NamedTuple):
    """A composition.

    Attributes:
        name: of the test.
        canvas: makes it.
        gives: its result, or `Fails`.
        heard: what callbacks, handlers and steps had to say, in any order;
        ordered: or in that order.
        args, kwargs: given when it is sent.
    """

    name: str
    canvas: Callable[[Stage], Any]
    gives: Any
    heard: Sequence[Any] = ()
    ordered: bool = False
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})


FAILED = Fails(Expected)
BROKEN = Fails(UpstreamFailed, Expected)
NO_BODY = Fails(ChordError, Expected)
TOLD = ("fail", "Expected")


def _eta(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _linked(canvas: Any, *links: Any) -> Any:
    for link in links:
        canvas.link(link)
    return canvas


def _with(s: Stage, member: Any, many: int) -> Any:
    """So many members that do well, and so many of these."""
    return group(*(s.same.si(42) for _ in range(8)), *(member() for _ in range(many)))


_TWO_HEADERS: list[tuple[str, Callable[[Stage], Any], int]] = [
    ("one", lambda s: [s.fail.si()], 1),
    ("three", lambda s: [s.fail.si(), s.fail.si(), s.fail.si()], 3),
    ("one of two", lambda s: [s.fail.si(), s.same.si(42)], 1),
    ("two of three", lambda s: [s.fail.si(), s.same.si(42), s.fail.si()], 2),
    ("three of five", lambda s: [s.fail.si(), s.same.si(42), s.fail.si(), s.same.si(1), s.fail.si()], 3),
]

CHAINS = [
    Row("simple_chain", lambda s: s.add.s(4, 4) | s.add.s(8) | s.add.s(16), 32),
    Row("single_chain", lambda s: chain(s.add.s(3, 4)), 7),
    Row(
        "complex_chain",
        lambda s: (
            s.add.s(2, 2)
            | (s.add.s(4) | s.replaced.s(8) | s.add.s(16) | s.add.s(32))
            | group(s.add.s(i) for i in range(4))
        ),
        [64, 65, 66, 67],
    ),
    Row("group_results_in_chain", lambda s: group(s.add.s(1, 2) | group(s.add.s(1), s.add.s(2))), [[4, 5]]),
    Row("chain_of_chain_with_a_single_task", lambda s: chain([chain(s.same.s(42))]), 42),
    Row("chain_on_error", lambda s: chain(s.add.s(1, 2), s.fail.s(), s.add.s(3, 4)), BROKEN),
    Row(
        "chain_inside_group_receives_arguments",
        lambda s: s.add.s(5, 6) | group(s.add.s(1) | s.add.s(2), s.add.s(3)),
        [14, 14],
    ),
    Row(
        "group_chord_group_chain",
        lambda s: (
            group(s.echo.si("before") for _ in range(3))
            | s.echo.si("connect")
            | group(s.echo.si("after") for _ in range(2))
        ),
        ["after", "after"],
        ["before", "before", "before", "connect", "after", "after"],
        ordered=True,
    ),
    Row(
        "group_result_not_has_cache",
        lambda s: group(s.same.si(1), s.same.si(2), chain(s.same.si(5), group(s.same.si(3), s.same.si(4)))),
        [1, 2, [3, 4]],
    ),
    Row(
        "second_order_replace",
        lambda s: s.matryoshka.si("A", "BC"),
        "out A",
        ["in A", "in B", "in C", "out C", "out B", "out A"],
        ordered=True,
    ),
    Row(
        "chord_soft_timeout_recuperation",
        lambda s: chord([s.add.s(1, 2), s.slow_sum.s([100]).set(soft_time_limit=0.05)], s.tsum.s()),
        3,
    ),
    Row(
        "chain_error_handler_with_eta",
        lambda s: chain(group(s.add.s(1, 2), s.add.s(3, 4)), s.tsum.s()).on_error(s.told.s()).set(eta=_eta(0.05)),
        10,
    ),
    Row("groupresult_serialization (sent and awaited in a task)", lambda s: s.sends_inside.s(), 15),
    Row(
        "chain_of_task_a_group_and_a_chord",
        lambda s: s.add.si(1, 0) | group(s.add.s(1), s.add.s(1)) | group(s.tsum.s(), s.tsum.s()) | s.tsum.s(),
        8,
    ),
    Row(
        "chain_of_chords_as_groups_chained_to_a_task_with_two_tasks",
        lambda s: (
            s.add.si(1, 0)
            | group(s.add.s(1), s.add.s(1))
            | s.tsum.s()
            | s.add.s(1)
            | group(s.add.s(1), s.add.s(1))
            | s.tsum.s()
        ),
        12,
    ),
    Row(
        "chain_of_chords_with_two_tasks",
        lambda s: (
            s.add.si(1, 0)
            | group(s.add.s(1), s.add.s(1))
            | s.tsum.s()
            | s.add.s(1)
            | chord(group(s.add.s(1), s.add.s(1)), s.tsum.s())
        ),
        12,
    ),
    Row(
        "chain_of_explicit_chords",
        lambda s: (
            chain(
                chord(group(s.add.si(1, 0), s.add.si(1, 0)), s.tsum.s()),
                chord(group(s.add.s(1), s.add.s(1)), s.tsum.s()),
                chord(group(s.add.s(0), s.add.s(0)), s.tsum.s()),
            )
            | chain(
                chord(group(s.add.s(10), s.add.s(10)), s.tsum.s()),
                chord(group(s.add.s(0), s.add.s(0)), s.tsum.s()),
                chord(group(s.add.s(1), s.add.s(1)), s.tsum.s()),
            )
        ),
        178,
    ),
    Row(
        "chain_of_nine_chords",
        lambda s: chain(
            chord(group(s.add.si(1, 0) for _ in range(3)), s.tsum.s()),
            *(chord(group([s.add.s(1)] * 3), s.tsum.s()) for _ in range(7)),
            chord(group([s.add.s(0)] * 3), s.tsum.s()),
        ),
        29520,
    ),
    Row(
        "chain_of_a_chord_and_a_group_with_two_tasks",
        lambda s: (
            s.add.si(1, 0) | group(s.add.s(1), s.add.s(1)) | s.tsum.s() | s.add.s(1) | group(s.add.s(1), s.add.s(1))
        ),
        [6, 6],
    ),
    Row(
        "chain_of_a_chord_and_a_task_and_a_group",
        lambda s: group(s.add.s(1, 1), s.add.s(1, 1)) | s.tsum.s() | s.add.s(1) | group(s.add.s(1), s.add.s(1)),
        [6, 6],
    ),
    Row(
        "chain_of_a_chord_and_two_tasks_and_a_group",
        lambda s: (
            group(s.add.s(1, 1), s.add.s(1, 1)) | s.tsum.s() | s.add.s(1) | s.add.s(1) | group(s.add.s(1), s.add.s(1))
        ),
        [7, 7],
    ),
    Row(
        "chain_of_a_chord_and_three_tasks_and_a_group",
        lambda s: (
            group(s.add.s(1, 1), s.add.s(1, 1))
            | s.tsum.s()
            | chain(s.add.s(1), s.add.s(1), s.add.s(1))
            | group(s.add.s(1), s.add.s(1))
        ),
        [8, 8],
    ),
    Row("nested_chain_group_lone", lambda s: chain(group(s.same.s(42), s.same.s(42))), [42, 42]),
    Row("nested_chain_group_mid", lambda s: chain(s.same.s(42), group(s.same.s(), s.same.s()), s.same.s()), [42, 42]),
    Row("nested_chain_group_last", lambda s: chain(s.same.s(42), group(s.same.s(), s.same.s())), [42, 42]),
    Row(
        "chaining_upgraded_chords_pure_groups",
        lambda s: chain(
            group(s.echo.si("1") for _ in range(3)),
            group(s.echo.si("2") for _ in range(3)),
            group(s.echo.si("3")),
            group(s.echo.si("4")),
            s.echo.si("5"),
        ),
        "5",
        ["1", "1", "1", "2", "2", "2", "3", "4", "5"],
        ordered=True,
    ),
    Row(
        "chaining_upgraded_chords_starting_with_chord",
        lambda s: chain(
            chord(group([s.echo.si("1")] * 3), group([s.echo.si("2")] * 3)),
            group(s.echo.si("3")),
            group(s.echo.si("4")),
            s.echo.si("5"),
        ),
        "5",
        ["1", "1", "1", "2", "2", "2", "3", "4", "5"],
        ordered=True,
    ),
    Row(
        "chaining_upgraded_chords_mixed_canvas",
        lambda s: chain(
            chord(group([s.echo.si("1")] * 3), group([s.echo.si("2")] * 3)),
            s.echo.si("3"),
            group(s.echo.si("4")),
            s.echo.si("5"),
        ),
        "5",
        ["1", "1", "1", "2", "2", "2", "3", "4", "5"],
        ordered=True,
    ),
    Row(
        "chaining_upgraded_chords_mixed_canvas_protocol_2 (a group at its end)",
        lambda s: chain(
            group([s.echo.si("1")] * 2), group([s.echo.si("2")] * 3), group([s.echo.si("3")] * 4), group(s.echo.si("4"))
        ),
        ["4"],
        ["1", "1", "2", "2", "2", "3", "3", "3", "3", "4"],
        ordered=True,
    ),
    Row(
        "group_in_center_of_chain",
        lambda s: chord(
            [s.add.s(0, 1)],
            chord(
                [s.tsum.s(), s.tsum.s()],
                chain(s.tsum.s(), group(s.add.s(8), s.add.s(16)), s.tsum.s() | s.add.s(32)),
            ),
        ),
        60,
    ),
    Row(
        "upgrade_to_chord_inside_chains",
        lambda s: chain(group([s.echo.si("a")] * 2) | group([s.echo.si("a")] * 2), s.echo.si("a") | s.echo.si("b")),
        "b",
        ["a", "a", "a", "a", "a", "b"],
        ordered=True,
    ),
    Row("chain_in_chain_with_args", lambda s: chain(chain(s.same.s(), s.same.s())), 1, args=(1,)),
    Row(
        "chord_in_chain_with_args",
        lambda s: chain(chord([s.same.s(), s.same.s()], s.same.s()), s.same.s()),
        [1, 1],
        args=(1,),
    ),
    Row("keyword arguments at send", lambda s: s.add.s(1) | s.add.s(5), 109, args=(2,), kwargs={"z": 101}),
    Row("immutable steps take nothing", lambda s: chain(s.add.si(1, 1), s.add.si(2, 2)), 4, args=(99,)),
    Row(
        "a chain that joins chains from both sides",
        lambda s: (s.add.s(1, 1) | s.add.s(1)) | (s.add.s(1) | s.mul.s(2)),
        8,
    ),
    Row("a chain of threads", lambda s: chain(s.threaded.s(1), s.add.s(1), s.threaded.s()), 2),
    Row("none passes on", lambda s: chain(s.same.s(None), s.same.s()), None),
    Row(
        "falsy values pass on", lambda s: chain(group(s.same.s(0), s.same.s(""), s.same.s([])), s.same.s()), [0, "", []]
    ),
    Row("a retry in the middle", lambda s: chain(s.same.s(5), s.again.s(times=2), s.add.s(1)), 6),
    Row("a countdown is that of the first tasks", lambda s: chain(s.add.s(1, 1), s.add.s(1)).set(countdown=0.05), 3),
    Row("priority", lambda s: chain(s.about.si().set(priority=3)), ["default", 3, {}]),
    Row("priority_chain", lambda s: s.about.si().set(priority=3) | s.about.si().set(priority=5), ["default", 5, {}]),
    Row(
        "options of a composite reach its tasks, whose own count for more",
        lambda s: chain(s.same.s(1), group(s.about.s().set(priority=9), s.about.s())).set(
            priority=2, headers={"tenant": "a"}
        ),
        [["default", 9, {"tenant": "a"}], ["default", 2, {"tenant": "a"}]],
    ),
    Row(
        "options of an inner composite count for more",
        lambda s: chain(chain(s.about.si(), s.same.s()).set(priority=7), s.same.s()).set(priority=1),
        ["default", 7, {}],
    ),
    Row("from a dict", lambda s: signature(chain(s.add.s(1, 2), group(s.add.s(1))).to_dict(), app=s.app), [4]),
    Row("by name", lambda s: chain(signature("add", (1, 2), app=s.app), signature("add", (3,), app=s.app)), 6),
]

GROUPS = [
    Row("ready_with_exception", lambda s: group(s.add.s(1, 2), s.fail.s()), FAILED),
    Row("empty_group_result", lambda s: group([]), []),
    Row(
        "nested_group",
        lambda s: group(s.add.si(1, 10), group(s.add.si(1, 100), group(s.add.si(1, 1000), s.add.si(1, 2000)))),
        [11, 101, 1001, 2001],
    ),
    Row("large_group", lambda s: group(s.same.s(i) for i in range(1000)), list(range(1000))),
    Row("group_lone", lambda s: group(s.same.s(42), s.same.s(42)), [42, 42]),
    Row("nested_group_group", lambda s: group(group(s.same.s(42), s.same.s(42))), [42, 42]),
    Row("nested_group_chord_counting_simple", lambda s: group(chord((s.same.si(42),), s.same.s())), [[42]]),
    Row(
        "nested_group_chord_counting_chain",
        lambda s: group(chord((chain((s.same.si(1337),) * 42),), s.same.s())),
        [[1337]],
    ),
    Row(
        "nested_group_chord_counting_group",
        lambda s: group(chord((group((s.same.si(1337),) * 42),), s.same.s())),
        [[1337] * 42],
    ),
    Row(
        "nested_group_chord_counting_chord",
        lambda s: group(chord((chord((s.same.si(1337),) * 42, s.same.si(31337)),), s.same.s())),
        [[31337]],
    ),
    Row(
        "nested_group_chord_counting_mixed",
        lambda s: group(
            chord(
                (
                    s.same.si(42),
                    chain((s.same.si(42),) * 42),
                    group((s.same.si(42),) * 42),
                    chord((s.same.si(42),) * 42, s.same.si(1337)),
                ),
                s.same.s(),
            )
        ),
        [[42, 42, *((42,) * 42), 1337]],
    ),
    Row("nested_group_chord_body_chain", lambda s: group(chord(s.same.si(42), chain((s.same.s(),)))), [[42]]),
    Row(
        "group_chain",
        lambda s: s.add.s(2, 2) | group(s.add.s(i) for i in range(4)) | s.add_to_each.s(8),
        [12, 13, 14, 15],
    ),
    Row(
        "group_kwargs",
        lambda s: s.add.s(2, 2) | group(s.add.s(i) for i in range(4)) | s.add_to_each.s(8),
        [13, 14, 15, 16],
        kwargs={"z": 1},
    ),
    Row(
        "group_args_and_kwargs",
        lambda s: group(s.add.s(i) for i in range(4)) | s.add_to_each.s(8),
        [13, 14, 15, 16],
        args=(4,),
        kwargs={"z": 1},
    ),
    Row(
        "nested_group_chain",
        lambda s: chain(
            s.add.si(1, 0),
            group(s.add.si(1, 100), chain(s.add.si(1, 200), group(s.add.si(1, 1000), s.add.si(1, 2000)))),
            s.add.si(1, 10),
        ),
        11,
    ),
    Row(
        "arguments reach all members, nested ones too",
        lambda s: group(s.add.s(1), group(s.add.s(2), chain(s.add.s(3)))),
        [11, 12, 13],
        args=(10,),
    ),
    Row("groups in groups that have nothing in them", lambda s: group(group(), s.same.s(1), group(group())), [1]),
    Row("an empty group in a chain", lambda s: chain(s.same.s(1), group(), s.same.s()), []),
    Row("an empty group at the beginning", lambda s: chain(group(), s.same.s()), []),
    Row("an empty group at the end", lambda s: chain(s.same.s(1), group()), []),
    Row("empty groups one after the other", lambda s: chain(group(), group(), s.same.s()), []),
    Row(
        "a chain in a group prevents unrolling",
        lambda s: group(chain(s.same.si(0), group(s.same.si(1), s.same.si(2)))),
        [[1, 2]],
    ),
    Row(
        "an empty group behind a task is a member", lambda s: group(chain(s.same.si(0), group()), s.same.si(1)), [[], 1]
    ),
    Row(
        "the order is that of the members, not of the ends", lambda s: group(s.again.s(1, times=3), s.same.s(2)), [1, 2]
    ),
    Row("the first failure in time", lambda s: group(s.fail.s(1), chain(s.same.s(1), s.same.s())), FAILED),
]

CHORDS = [
    Row("simple_chord", lambda s: chord(header=[s.add.si(1, 1), s.add.si(1, 1)], body=s.tsum.s()), 4),
    Row("chord_order", lambda s: chord((s.same.si(i) for i in range(10)), s.same.s()), list(range(10))),
    Row("chord(header)(body)", lambda s: chord(s.same.si(i) for i in range(3))(s.tsum.s()), 3),
    Row(
        "replaced_nested_chord",
        lambda s: chord(
            [
                chord([s.add.s(1, 2), s.replaced.s(3, 4)], s.becomes_group.s(5)) | s.tsum.s(),
                chord([s.replaced.s(6, 7), s.add.s(0, 0)], s.becomes_group.s(8)) | s.tsum.s(),
            ],
            s.becomes_group.s(9),
        ),
        [29, 38],
    ),
    Row("add_to_chord", lambda s: group([s.grow.s([1, 2, 3], 4)]) | s.same.s(), [0, 5, 6, 7]),
    Row("add_chord_to_chord", lambda s: group([s.grow_by_chord.s([1, 2, 3], 4)]) | s.same.s(), [0, 18]),
    Row(
        "added members come last, whoever added them",
        lambda s: group(s.grow.s([1], 1), s.same.s(9)) | s.same.s(),
        [0, 9, 2],
    ),
    Row("single_task_header", lambda s: chord([s.add.s(2, 5)], body=s.add_to_each.s(9)), [16]),
    Row("single_task_header (upgraded)", lambda s: group([s.add.s(2, 5)]) | s.add_to_each.s(9), [16]),
    Row("empty_header_chord", lambda s: chord([], body=s.add_to_each.s(9)), []),
    Row("empty_header_chord (upgraded)", lambda s: group([]) | s.add_to_each.s(9), []),
    Row(
        "nested_chord",
        lambda s: chord(
            [chord([s.add.s(1, 2), s.add.s(3, 4)], s.add.s([5])), chord([s.add.s(6, 7)], s.add.s([10]))],
            s.add.s(["A"]),
        ),
        [[3, 7, 5], [13, 10], "A"],
    ),
    Row(
        "nested_chord (upgraded)",
        lambda s: (
            group([group([s.add.s(1, 2), s.add.s(3, 4)]) | s.add.s([5]), group([s.add.s(6, 7)]) | s.add.s([10])])
            | s.add_to_each.s(["A"])
        ),
        [[3, 7, 5, "A"], [13, 10, "A"]],
    ),
    Row(
        "nested_chord (deeper)",
        lambda s: (
            group([group([group([group([s.add.s(1, 2)]) | s.add.s([3])]) | s.add.s([4])]) | s.add.s([5])])
            | s.add.s([6])
        ),
        [[[[3, 3], 4], 5], 6],
    ),
    Row(
        "parallel_chords",
        lambda s: group(chord(group(s.add.s(1, 2), s.add.s(3, 4)), s.tsum.s()) for _ in range(2)),
        [10, 10],
    ),
    Row(
        "chord_in_chords_with_chains",
        lambda s: chord(
            group(
                chain(s.add.si(1, 2), chord(group([s.add.si(1, 2), s.add.si(1, 2)]), s.add.si(1, 2))) for _ in range(2)
            ),
            s.add.si(2, 2),
        ),
        4,
    ),
    Row(
        "chain_chord_chain_chord",
        lambda s: chain(
            s.same.si(1),
            chord([s.same.si(2), chain(s.same.si(3), chord([s.same.si(4), s.same.si(5)], s.same.si(6)))], s.same.si(7)),
        ),
        7,
    ),
    Row("large_header", lambda s: group(s.same.si(i) for i in range(1000)) | s.tsum.s(), 499500),
    Row(
        "chain_to_a_chord_with_large_header",
        lambda s: s.same.si(1) | group(s.same.s() for _ in range(1000)) | s.tsum.s(),
        1000,
    ),
    Row("nested_chord_group", lambda s: chord((group(s.same.s(42), s.same.s(42)),), s.same.s()), [42, 42]),
    Row(
        "nested_chord_group_chain_group_tail",
        lambda s: chord(group(chain(s.same.s(42), group(s.same.s(), s.same.s()))), s.same.s()),
        [[42, 42]],
    ),
    Row("a group as body", lambda s: chord([s.same.s(1), s.same.s(2)], group(s.tsum.s(), s.same.s())), [3, [1, 2]]),
    Row("a chain as body", lambda s: chord([s.same.s(1), s.same.s(2)], chain(s.tsum.s(), s.add.s(1))), 4),
    Row("a chord as body", lambda s: chord([s.same.s(1), s.same.s(2)], chord([s.tsum.s(), s.tsum.s()], s.tsum.s())), 6),
    Row("an empty group as body", lambda s: chord([s.same.s(1)], group()), []),
    Row("an empty group in an empty header", lambda s: chord([group()], s.same.s()), []),
    Row("a body that takes nothing", lambda s: chord([s.same.s(1)], s.add.si(1, 1)), 2),
    Row(
        "arguments reach the header, not the body",
        lambda s: chord([s.add.s(1), s.add.s(2)], s.tsum.s()),
        23,
        args=(10,),
    ),
    Row("chunks", lambda s: chunks(s.add, zip(range(5), range(5), strict=True), 2), [[0, 2], [4, 6], [8]]),
    Row("task.chunks", lambda s: s.add.chunks([(1, 1), (2, 2)], 10), [[2, 4]]),
    Row("chunks.group", lambda s: s.add.chunks([(1, 1), (2, 2)], 1).group(), [[2], [4]]),
    Row("chunks in a chain", lambda s: s.add.chunks([(1, 1), (2, 2), (3, 3)], 2) | s.xsum.s(), 12),
    Row("chunks in the middle", lambda s: chain(s.same.s(1), s.add.chunks([(1, 1)], 1), s.xsum.s()), 2),
    Row("chunks as header", lambda s: chord(s.add.chunks([(1, 1), (2, 2)], 1), s.xsum.s()), 6),
    Row(
        "chunks in a group are unrolled",
        lambda s: group(s.add.chunks([(1, 1), (2, 2)], 1), s.same.si(3)),
        [[2], [4], 3],
    ),
    Row(
        "chunks alone in a chain are unrolled as well",
        lambda s: group(chain(s.add.chunks([(1, 1), (2, 2)], 1)), s.same.si(3)),
        [[2], [4], 3],
    ),
    Row("no chunks", lambda s: s.add.chunks([], 3), []),
    Row("map", lambda s: s.same.map([1, 2, 3]), [1, 2, 3]),
    Row("map of nothing", lambda s: s.same.map([]), []),
    Row("starmap", lambda s: s.add.starmap([(2, 2), (4, 4)]), [4, 8]),
    Row("map in a chain", lambda s: s.add.starmap([(2, 2), (4, 4)]) | s.tsum.s(), 12),
    Row("map of what came before", lambda s: group(s.same.s(1), s.same.s(2)) | s.same.map(), [1, 2]),
    Row("starmap of what came before", lambda s: chain(s.same.s([[1, 2], [3, 4]]), s.add.starmap()), [3, 7]),
    Row("map in threads", lambda s: s.threaded.map([1, 2]), [1, 2]),
    Row(
        "stamping_example_canvas",
        lambda s: chain(
            group(s.same.s(i) for i in range(1, 4)) | s.xsum.s(),
            chord(group(s.mul.s(10) for _ in range(1, 4)), s.xsum.s()),
        ),
        180,
    ),
    Row("generator", lambda s: chord((s.same.s(i) for i in range(9)), s.tsum.s()), 36),
]

FAILURES = [
    Row("error_propagates_from_chord", lambda s: s.add.s(1, 1) | s.fail.s() | group(s.add.s(1), s.add.s(1)), BROKEN),
    Row("error_propagates_from_chord2", lambda s: s.add.s(1, 1) | s.add.s(1) | group(s.add.s(1), s.fail.s()), FAILED),
    Row("error_propagates_to_chord_from_simple (header)", lambda s: chord((s.fail.s(),), s.same.s()), NO_BODY),
    Row("error_propagates_to_chord_from_simple (body)", lambda s: chord((s.same.si(42),), s.fail.s()), FAILED),
    Row(
        "error_propagates_to_chord_from_chain (header)",
        lambda s: chord((chain(s.same.si(42), s.fail.s(), s.same.si(42)),), s.same.s()),
        NO_BODY,
    ),
    Row(
        "error_propagates_to_chord_from_chain (body)",
        lambda s: chord((s.same.si(42),), chain(s.same.si(42), s.fail.s(), s.same.si(42))),
        BROKEN,
    ),
    Row(
        "error_propagates_to_chord_from_chain_tail (header)",
        lambda s: chord((chain(s.same.si(42), s.fail.s()),), s.same.s()),
        NO_BODY,
    ),
    Row(
        "error_propagates_to_chord_from_chain_tail (body)",
        lambda s: chord((s.same.si(42),), chain(s.same.si(42), s.fail.s())),
        FAILED,
    ),
    Row(
        "error_propagates_to_chord_from_group (header)",
        lambda s: chord((group(s.same.si(42), s.fail.s()),), s.same.s()),
        NO_BODY,
    ),
    Row(
        "error_propagates_to_chord_from_group (body)",
        lambda s: chord((s.same.si(42),), group(s.same.si(42), s.fail.s())),
        FAILED,
    ),
    *(
        Row(
            f"chord_error_propagation_with_different_body_types ({name})",
            lambda s, body=body: chain(group([s.add.si(15, 7), s.fail.si()]), body(s)),
            gives,
        )
        for name, body, gives in (
            ("a task", lambda s: s.add.si(9, 7), NO_BODY),
            ("a chain", lambda s: chain(s.add.si(9, 7), s.add.si(5, 7)), BROKEN),
            ("a group", lambda s: group([s.add.si(9, 7), s.add.si(5, 7)]), NO_BODY),
            ("a chord", lambda s: chord(group([s.add.si(1, 1), s.add.si(2, 2)]), s.add.si(10, 10)), NO_BODY),
        )
    ),
    Row(
        "chord_error_in_nested_chain_does_not_crash",
        lambda s: chain(chain(group(s.add.si(1, 1), s.fail.si()), s.same.s()), s.same.s()),
        BROKEN,
    ),
    Row(
        "chord_unlock_with_failed_task_in_nested_chain_member",
        lambda s: chain(
            group(s.same.si(1), chain(s.fail.si(), group(s.same.si(2), s.same.si(3)), s.same.si(4))), s.same.s()
        ),
        NO_BODY,
    ),
    Row("a failure in an inner chord", lambda s: chord([chord([s.fail.s()], s.same.s())], s.same.s()), NO_BODY),
    Row("an empty group after a failure", lambda s: chain(s.fail.s(), group(), s.same.s()), NO_BODY),
    Row(
        "retries used up", lambda s: chain(s.again.s(1, times=9).set(max_retries=2), s.same.s()), Fails(UpstreamFailed)
    ),
    Row(
        "allow_failures",
        lambda s: chord([s.same.s(1), s.fail.s(), s.same.s(3)], s.kinds.s(), allow_failures=True),
        [1, "Expected", 3],
    ),
    Row("allow_failures, and none", lambda s: chord([s.same.s(1)], s.kinds.s(), allow_failures=True), [1]),
    Row("allow_failures, and no header", lambda s: chord([], s.kinds.s(), allow_failures=True), []),
    Row(
        "allow_failures in a chain's middle",
        lambda s: chord([chain(s.fail.s(), s.same.s()), s.same.s(1)], s.kinds.s(), allow_failures=True),
        ["UpstreamFailed", 1],
    ),
    Row(
        "allow_failures of an inner chord",
        lambda s: chord([chord([s.fail.s()], s.same.s()), s.same.s(1)], s.kinds.s(), allow_failures=True),
        ["ChordError", 1],
    ),
    Row(
        "allow_failures of the inner chord only",
        lambda s: chord([chord([s.fail.s()], s.kinds.s(), allow_failures=True), s.same.s(1)], s.same.s()),
        [["Expected"], 1],
    ),
    Row(
        "allow_failures and a failing body",
        lambda s: chord([s.fail.s()], s.fail.s(), allow_failures=True),
        FAILED,
    ),
    Row("map with a failure", lambda s: s.fail.map([1, 2]) | s.same.s(), BROKEN),
    Row("chunks with a failure", lambda s: s.fail.chunks([(1,), (2,)], 1) | s.same.s(), NO_BODY),
]

CALLBACKS = [
    Row("link", lambda s: _linked(s.add.s(1, 1), s.echo.s()), 2, [2]),
    Row(
        "links of a link",
        lambda s: _linked(s.add.s(1, 1), _linked(s.echo.s(), _linked(s.echo.si("b"), s.echo.s()))),
        2,
        [2, "b", "b"],
        ordered=True,
    ),
    Row("several links", lambda s: _linked(s.add.s(1, 1), s.echo.s(), s.echo.si("b")), 2, [2, "b"]),
    Row("a link is no part of the chain", lambda s: chain(_linked(s.add.s(1, 1), s.echo.s()), s.add.s(5)), 7, [2]),
    Row("a link that is a chain", lambda s: _linked(s.add.s(1, 1), chain(s.add.s(1), s.echo.s())), 2, [3]),
    Row("a link that is a group", lambda s: _linked(s.add.s(1, 1), group(s.echo.s(), s.echo.s())), 2, [2, 2]),
    Row(
        "a link that is a chord",
        lambda s: _linked(s.add.s(1, 1), chord([s.add.s(1), s.add.s(2)], s.echo.s())),
        2,
        [[3, 4]],
    ),
    Row("a link that fails disturbs nobody", lambda s: chain(_linked(s.add.s(1, 1), s.fail.s()), s.add.s(1)), 3),
    Row("no link of what failed", lambda s: _linked(s.fail.s(), s.echo.s()), FAILED),
    Row("link by option", lambda s: s.add.signature((1, 1), link=s.echo.s()), 2, [2]),
    Row("several links by option", lambda s: s.add.signature((1, 1), link=[s.echo.s(), s.echo.si("b")]), 2, [2, "b"]),
    Row(
        "chain_children_with_callbacks",
        lambda s: chain(_linked(s.same.si(1337), s.echo.si("x")) for _ in range(42)),
        1337,
        ["x"] * 42,
    ),
    Row(
        "chain_flattening_keep_links_of_inner_chain",
        lambda s: chain(_linked(chain(s.same.s("a"), s.add.s("b")), s.echo.s()).on_error(s.told.s()), s.add.s("c")),
        "abc",
        ["ab"],
    ),
    Row(
        "callback_called_by_group",
        lambda s: _linked(group(s.same.si(42), s.same.si(1337)), s.echo.s()),
        [42, 1337],
        [[42, 1337]],
    ),
    Row(
        "a link of a group in a group",
        lambda s: group(_linked(group(s.same.si(1), s.same.si(2)), s.echo.s()), s.same.si(3)),
        [1, 2, 3],
        [[1, 2]],
    ),
    Row("a link of an empty group", lambda s: _linked(group(), s.echo.s()), [], [[]]),
    Row("a link of a chord is its body's", lambda s: _linked(chord([s.same.si(1)], s.tsum.s()), s.echo.s()), 1, [1]),
    Row("a link of the header", lambda s: chord(_linked(group(s.same.si(1)), s.echo.s()), s.tsum.s()), 1, [[1]]),
    Row("a link of chunks", lambda s: _linked(s.add.chunks([(1, 1), (2, 2)], 1), s.echo.s()), [[2], [4]], [[[2], [4]]]),
    Row(
        "group_children_with_callbacks",
        lambda s: group(_linked(s.same.si(1337), s.echo.si("x")) for _ in range(42)),
        [1337] * 42,
        ["x"] * 42,
    ),
    Row(
        "stamp_canvas_with_dictionary_link (round trip)",
        lambda s: signature(_linked(s.same.si(42), s.echo.s()).to_dict(), app=s.app),
        42,
        [42],
    ),
]

HANDLERS = [
    Row("link_error", lambda s: s.fail.s().on_error(s.told.s()), FAILED, [TOLD]),
    Row("link_error by option", lambda s: s.fail.signature(link_error=s.told.s("x")), FAILED, [("x", *TOLD)]),
    Row("link_error_callback_retries", lambda s: s.fail.s().on_error(s.again.si("x")), FAILED),
    Row(
        "link_error_using_signature",
        lambda s: signature("fail", ("test",), app=s.app).on_error(signature("told", app=s.app)),
        FAILED,
        [TOLD],
    ),
    Row("an immutable handler", lambda s: s.fail.s().on_error(s.echo.si("handler")), FAILED, ["handler"]),
    Row("no handler without a failure", lambda s: s.same.s(1).on_error(s.told.s()), 1),
    Row(
        "a failing handler",
        lambda s: chain(s.fail.s().on_error(s.failing_handler.s()), s.same.s()),
        BROKEN,
        ["failing handler"],
    ),
    Row(
        "a failing handler among others",
        lambda s: s.fail.s().on_error(s.failing_handler.s()).on_error(s.told.s()),
        FAILED,
        ["failing handler", TOLD],
    ),
    Row(
        "the same handler is added once", lambda s: s.fail.s().on_error(s.told.s()).on_error(s.told.s()), FAILED, [TOLD]
    ),
    Row(
        "on_error of a chain", lambda s: chain(s.same.s(1), s.fail.s(), s.same.s()).on_error(s.told.s()), BROKEN, [TOLD]
    ),
    Row(
        "a handler of a step that is not reached", lambda s: chain(s.fail.s(), s.same.s().on_error(s.told.s())), BROKEN
    ),
    Row(
        "handlers of the inner and the outer chain",
        lambda s: chain(chain(s.fail.s()).on_error(s.told.s("in")), s.same.s()).on_error(s.told.s("out")),
        BROKEN,
        [("in", *TOLD), ("out", *TOLD)],
    ),
    Row(
        "chain_children_with_errbacks",
        lambda s: chain(s.fail.si().on_error(s.echo.si("x")) for _ in range(42)),
        BROKEN,
        ["x"],
    ),
    Row(
        "errback_called_by_group_fail_first",
        lambda s: group(s.fail.s(), s.same.si(42)).on_error(s.echo.si("x")),
        FAILED,
        ["x"],
    ),
    Row(
        "errback_called_by_group_fail_last",
        lambda s: group(s.same.si(42), s.fail.s()).on_error(s.echo.si("x")),
        FAILED,
        ["x"],
    ),
    Row(
        "mutable_errback_called_by_group",
        lambda s: group(s.fail.s(), s.same.si(42)).on_error(s.told.s()),
        FAILED,
        [TOLD],
    ),
    Row(
        "errback_called_by_group_fail_multiple",
        lambda s: _with(s, s.fail.s, 42).on_error(s.echo.si("x")),
        FAILED,
        ["x"] * 42,
    ),
    Row(
        "group_children_with_errbacks",
        lambda s: group(s.fail.si().on_error(s.echo.si("x")) for _ in range(42)),
        FAILED,
        ["x"] * 42,
    ),
    *(
        Row(f"{kind}_errback_called_by_chord_from_{name}", lambda s, at=at, to=to: at(s).on_error(to(s)), gives, heard)
        for kind, to, word in (
            ("immutable", lambda s: s.echo.si("x"), "x"),
            ("mutable", lambda s: s.told.s(), TOLD),
        )
        for name, at, gives, heard in (
            ("simple (header)", lambda s: chord((s.fail.s(),), s.same.s()), NO_BODY, [word]),
            ("simple (body)", lambda s: chord((s.same.si(42),), s.fail.s()), FAILED, [word]),
            (
                "chain (header)",
                lambda s: chord((chain(s.same.si(1), s.fail.s(), s.same.si(1)),), s.same.s()),
                NO_BODY,
                [word],
            ),
            (
                "chain (body)",
                lambda s: chord((s.same.si(1),), chain(s.same.si(1), s.fail.s(), s.same.si(1))),
                BROKEN,
                [word],
            ),
            ("chain_tail (header)", lambda s: chord((chain(s.same.si(1), s.fail.s()),), s.same.s()), NO_BODY, [word]),
            ("chain_tail (body)", lambda s: chord((s.same.si(1),), chain(s.same.si(1), s.fail.s())), FAILED, [word]),
            ("group (header)", lambda s: chord((group(s.same.si(1), s.fail.s()),), s.same.s()), NO_BODY, [word]),
            ("group (body)", lambda s: chord((s.same.si(1),), group(s.same.si(1), s.fail.s())), FAILED, [word]),
            (
                "group_fail_multiple (header)",
                lambda s: chord((_with(s, s.fail.s, 42),), s.same.s()),
                NO_BODY,
                [word] * 42,
            ),
            (
                "group_fail_multiple (body)",
                lambda s: chord((s.same.si(1),), _with(s, s.fail.s, 42)),
                FAILED,
                [word] * 42,
            ),
        )
    ),
    Row(
        "nested_chord_header_link_error",
        lambda s: chord(
            group([s.same.si("t3"), chord([s.same.si("t1"), s.fail.si()], s.same.si("t2"))]), s.echo.si("body")
        ).on_error(s.told.s()),
        NO_BODY,
        [TOLD],
    ),
    *(
        Row(
            f"enabling_flag_allow_error_cb_on_chord_header ({name})",
            lambda s, header=header: chord(
                [member.on_error(s.echo.si("header")) for member in header(s) if True],
                s.echo.si("the body ran").on_error(s.told.s("body")),
            ),
            NO_BODY,
            [*["header"] * many, ("body", "echo", "ChordError")],
        )
        for name, header, many in _TWO_HEADERS
    ),
    *(
        Row(
            f"disabling_flag_allow_error_cb_on_chord_header ({name})",
            lambda s, header=header: chord(header(s), s.echo.si("the body ran")).on_error(s.echo.si("x")),
            NO_BODY,
            ["x"] * many,  # once for every failed task, always
        )
        for name, header, many in _TWO_HEADERS
    ),
    *(
        Row(
            f"flag_allow_error_cb_on_chord_header_on_upgraded_chord ({name})",
            lambda s, header=header: chain(group(header(s)), s.echo.si("the body ran")).on_error(s.echo.si("x")),
            NO_BODY,
            ["x"] * many,
        )
        for name, header, many in _TWO_HEADERS
    ),
    Row(
        "upgraded_chord_link_error_with_header_errback_enabled",
        lambda s: chain(s.same.si(42), group(s.fail.si(), s.fail.si()), s.echo.si("body")).on_error(s.told.s()),
        NO_BODY,
        [TOLD, TOLD],
    ),
    Row(
        "chord_on_error",
        lambda s: chord([s.add.s(1, 2), s.fail.s()], s.echo.si("body").on_error(s.told.s())),
        NO_BODY,
        [("echo", "ChordError")],
    ),
    Row(
        "handlers under allow_failures",
        lambda s: chord([s.fail.s(), s.same.s(1)], s.kinds.s(), allow_failures=True).on_error(s.told.s()),
        ["Expected", 1],
        [TOLD],
    ),
]

REPLACEMENTS = [
    Row(
        "chain_replaced_with_a_chain_and_a_callback",
        lambda s: chain(s.same.s("Hello "), s.becomes_chain.s(link="called"), s.add.s("world")),
        "Hello world",
        ["called"],
    ),
    Row(
        "chain_replaced_with_a_chain_and_an_error_callback",
        lambda s: chain(s.same.s("Hello "), s.becomes_chain.s(link="called", fails=True), s.add.s(" never")),
        BROKEN,
        ["called"],
    ),
    Row(
        "chain_with_cb_replaced_with_chain_with_cb",
        lambda s: _linked(chain(s.same.s("Hello "), s.becomes_chain.s(link="called"), s.add.s("world")), s.echo.s()),
        "Hello world",
        ["called", "Hello world"],
        ordered=True,
    ),
    Row(
        "chain_with_eb_replaced_with_chain_with_eb",
        lambda s: chain(s.same.s("Hello "), s.becomes_chain.s(link="inner", fails=True), s.add.s("world")).on_error(
            s.echo.si("outer")
        ),
        BROKEN,
        ["inner", "outer"],
    ),
    Row(
        "replace_chain_with_empty_chain", lambda s: chain(s.same.s(1), s.becomes_nothing.s()), Fails(ConfigurationError)
    ),
    Row("replaced by an empty group", lambda s: s.becomes_nothing.s(what="group"), Fails(ConfigurationError)),
    Row("replaced by nested nothing", lambda s: s.becomes_nothing.s(what="nested"), Fails(ConfigurationError)),
    Row(
        "chain_with_callback_child_replaced",
        lambda s: _linked(chain(s.replaced.si(42, 1337), s.same.s()), s.echo.si("x")),
        1379,
        ["x"],
    ),
    Row(
        "chain_with_errback_child_replaced",
        lambda s: chain(s.replaced.si(42, 1337), s.fail.s()).on_error(s.echo.si("x")),
        FAILED,
        ["x"],
    ),
    Row(
        "chain_child_with_callback_replaced",
        lambda s: chain(_linked(s.replaced.si(42, 1337), s.echo.s()), s.same.s()),
        1379,
        [1379],
    ),
    Row(
        "chain_child_with_errback_replaced",
        lambda s: chain(s.becomes_failure.si().on_error(s.told.s()), s.same.si(42)),
        BROKEN,
        [TOLD],
    ),
    Row("task_replaced_with_chain", lambda s: s.becomes_chain.si(42), 42),
    Row("chain_child_replaced_with_chain_first", lambda s: chain(s.becomes_chain.si(42), s.same.s()), 42),
    Row("chain_child_replaced_with_chain_middle", lambda s: chain(s.same.s(42), s.becomes_chain.s(), s.same.s()), 42),
    Row("chain_child_replaced_with_chain_last", lambda s: chain(s.same.s(42), s.becomes_chain.s()), 42),
    Row(
        "group_with_callback_child_replaced",
        lambda s: _linked(group(s.replaced.si(42, 1337), s.same.si(31337)), s.echo.si("x")),
        [1379, 31337],
        ["x"],
    ),
    Row(
        "group_with_errback_child_replaced",
        lambda s: group(s.replaced.si(42, 1337), s.fail.s()).on_error(s.echo.si("x")),
        FAILED,
        ["x"],
    ),
    Row(
        "group_child_with_callback_replaced",
        lambda s: group(_linked(s.replaced.si(42, 1337), s.echo.s()), s.same.si(31337)),
        [1379, 31337],
        [1379],
    ),
    Row(
        "group_child_with_errback_replaced",
        lambda s: group(s.becomes_failure.si().on_error(s.told.s()), s.same.si(42)),
        FAILED,
        [TOLD],
    ),
    Row("group_child_replaced_with_chain_first", lambda s: group(s.becomes_chain.si(42), s.same.s(1337)), [42, 1337]),
    Row(
        "group_child_replaced_with_chain_middle",
        lambda s: group(s.same.s(42), s.becomes_chain.s(1337), s.same.s(31337)),
        [42, 1337, 31337],
    ),
    Row("group_child_replaced_with_chain_last", lambda s: group(s.same.s(42), s.becomes_chain.s(1337)), [42, 1337]),
    Row(
        "task_replace_with_group_preserves_group_order",
        lambda s: group([s.becomes_group.s([2, 1], 1), s.becomes_group.s([4, 3], 1)] * 10),
        [[3, 2], [5, 4]] * 10,
    ),
    Row("chord_header_task_replaced_with_chain", lambda s: chord(s.becomes_chain.si(42), s.same.s()), [42]),
    Row(
        "chord_header_child_replaced_with_chain_first",
        lambda s: chord((s.becomes_chain.si(42), s.same.s(1337)), s.same.s()),
        [42, 1337],
    ),
    Row(
        "chord_header_child_replaced_with_chain_middle",
        lambda s: chord((s.same.s(42), s.becomes_chain.s(1337), s.same.s(31337)), s.same.s()),
        [42, 1337, 31337],
    ),
    Row(
        "chord_header_child_replaced_with_chain_last",
        lambda s: chord((s.same.s(42), s.becomes_chain.s(1337)), s.same.s()),
        [42, 1337],
    ),
    Row("chord_body_task_replaced_with_chain", lambda s: chord(s.same.s(42), s.becomes_chain.s()), [42]),
    Row(
        "chord_body_chain_child_replaced_with_chain_first",
        lambda s: chord(s.same.s(42), chain(s.becomes_chain.s(), s.same.s())),
        [42],
    ),
    Row(
        "chord_body_chain_child_replaced_with_chain_middle",
        lambda s: chord(s.same.s(42), chain(s.same.s(), s.becomes_chain.s(), s.same.s())),
        [42],
    ),
    Row(
        "chord_body_chain_child_replaced_with_chain_last",
        lambda s: chord(s.same.s(42), chain(s.same.s(), s.becomes_chain.s())),
        [42],
    ),
    Row("replaced again and again", lambda s: chain(s.count_down.s(7, 12), s.add.s(1)), 8),
    Row("a callback that is replaced", lambda s: _linked(s.same.s(1), s.replaced.s(1)), 1),
    Row(
        "a callback of what a replacement gives",
        lambda s: _linked(s.count_down.s(7, 2), s.echo.s(), chain(s.add.s(1), s.echo.s())),
        7,
        [7, 8],
    ),
    Row("replaced by a chord", lambda s: chain(s.becomes_chord.s([1, 2], 1), s.add.s(1)), 6),
    Row("replaced by a group, in a chain", lambda s: chain(s.becomes_group.s([1, 2], 1), s.tsum.s()), 5),
    Row(
        "replaced by a failure, in a header", lambda s: chord([s.becomes_failure.s(), s.same.s(1)], s.same.s()), NO_BODY
    ),
    Row(
        "replaced by a failure, under allow_failures",
        lambda s: chord([s.becomes_failure.s(), s.same.s(1)], s.kinds.s(), allow_failures=True),
        ["Expected", 1],
    ),
    Row(
        "handlers hear of it once, from any depth",
        lambda s: chain(s.same.s(1), s.becomes_failure.s()).on_error(s.told.s()),
        FAILED,
        [TOLD],
    ),
    Row(
        "members are added by a task that is replaced",
        lambda s: group(s.grow_and_become.s(), s.same.s(1)) | s.same.s(),
        ["became", 1, "added"],
    ),
    Row(
        "a failure adds nothing",
        lambda s: chord([s.grow_then_fail.s()], s.kinds.s(), allow_failures=True),
        ["Expected"],
    ),
    Row(
        "an added member in an inner group",
        lambda s: group(chain(s.same.si(0), group(s.grow.si([1], 1))), s.same.si(2)),
        [[0, 2], 2],
    ),
]

ROWS = [*CHAINS, *GROUPS, *CHORDS, *FAILURES, *CALLBACKS, *HANDLERS, *REPLACEMENTS]
