"""`aioqueue schedule` and `aioqueue beat`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.waiting import eventually

from .conftest import Shell

JOBS = """
from aioqueue import AioQueue, crontab, every

app = AioQueue("jobs")


@app.periodic(crontab("30 9 * * *", tz="Asia/Kolkata"), name="report")
@app.task(name="report")
async def report() -> str:
    return "sales are up"


@app.task(name="poll")
async def poll(region: str, count: int = 0) -> str:
    return f"{region} {count}"


@app.task(name="fail")
async def fail() -> None:
    raise ValueError
"""


@pytest.fixture
def jobs(aioqueue: Shell) -> Shell:
    aioqueue.write("jobs.py", JOBS)
    return aioqueue


def listed(shell: Shell, *words: str) -> dict[str, dict[str, Any]]:
    run = shell("schedule", "list", *(words or ["jobs"]), "--json")
    assert run.code == 0, run.err
    return {one["name"]: one for one in run.json}


def cells(lines: str) -> Iterator[list[str]]:
    """The cells of a table's lines."""
    for line in lines.splitlines():
        yield re.split(r" {2,}", line.strip())


def test_before_any_scheduler_has_run(jobs: Shell) -> None:
    run = jobs("schedule", "list", "jobs")
    assert (run.code, run.out) == (0, "")
    assert "There are no schedules in 'jobs'" in run.err
    assert "In the code, but not taken up by any scheduler yet: report." in run.err
    assert "No scheduler is alive" in run.err
    assert jobs("schedule", "jobs").err == run.err, "it is what the command does without another word"
    for command in ("show", "next"):
        run = jobs("schedule", command, "jobs:app", "report")
        assert (run.code, run.out) == (1, "")
        assert "'report' is in the code, but not taken up by any scheduler yet" in run.err


def test_from_adding_to_removing(jobs: Shell) -> None:
    run = jobs("schedule", "add", "jobs:app", "eu", "0 9 * * mon-fri", "poll", "eu", "count=3", "--tz", "Europe/Berlin")
    assert run.code == 0, run.err
    assert run.out.startswith("eu  crontab('0 9 * * mon-fri', tz='Europe/Berlin'), next ")
    words = ["--misfire", "skip", "--misfire-grace", "5m", "--max-running", "2", "--max-runs", "9", "-Q", "low"]
    words += ["--priority", "7", "--expires", "1h", "--start-at", "2090-01-01T00:00", "--end-at", "2090-02-01T00:00Z"]
    added = jobs(
        "schedule", "add", "jobs:app", "us", "3600", "poll", "us", *words, "--json", AIOQUEUE_TIMEZONE="Asia/Tokyo"
    )
    assert added.code == 0, added.err
    assert added.json == listed(jobs)["us"]
    found = listed(jobs)
    assert found.keys() == {"eu", "us"}
    assert (found["eu"]["task"], found["eu"]["args"], found["eu"]["kwargs"]) == ("poll", ["eu"], {"count": 3})
    about = {
        "schedule": "every(hours=1)",
        "source": "api",
        "paused": False,
        "options": {"queue": "low", "priority": 7, "expires": 3600},
        "misfire": "skip",
        "misfire_grace": 300,
        "max_running": 2,
        "max_runs": 9,
        "start_at": "2089-12-31T15:00:00Z",  # of a moment without a zone the setting `timezone` says the zone
        "end_at": "2090-02-01T00:00:00Z",
        "next_run_at": "2089-12-31T15:00:00Z",
        "last_due_at": None,
        "last_state": None,
        "runs": 0,
        "misfires": 0,
        "problem": None,
    }
    assert {key: found["us"][key] for key in about} == about

    shown = jobs("schedule", "show", "jobs:app", "us")
    facts = dict(row for row in cells(shown.out) if len(row) == 2)
    assert facts["schedule"] == "every(hours=1)"
    assert (facts["args"], facts["at once"], facts["runs at most"]) == ("'us'", "2 at most", "9")
    assert facts["misfire"] == "skip, within 5 min"
    assert "No scheduler is alive" in shown.err
    assert jobs("schedule", "show", "jobs:app", "us", "--json").json == found["us"]

    paused = jobs("schedule", "pause", "jobs:app", "us", "eu")
    assert (paused.code, paused.out) == (0, "us  paused\neu  paused\n")
    assert all(one["paused"] and one["next_run_at"] is None for one in listed(jobs).values())
    resumed = jobs("schedule", "resume", "jobs:app", "us", "--json")
    assert resumed.json == [{"name": "us", "resumed": True, "problem": None}]
    again = listed(jobs)
    assert again["us"] == found["us"]
    (title, eu, _) = cells(jobs("schedule", "list", "jobs").out)
    assert title == ["name", "next", "last", "runs", "missed", "source", "task", "schedule"]
    assert eu[:2] == ["eu", "paused"]

    removed = jobs("schedule", "remove", "jobs:app", "us", "eu")
    assert (removed.code, removed.out) == (0, "us  removed\neu  removed\n")
    assert listed(jobs) == {}


def test_next(jobs: Shell) -> None:
    daily = ("daily", 'crontab("30 9 * * *", tz="Asia/Kolkata")', "poll", "x", "--start-at", "2090-01-01")
    assert jobs("schedule", "add", "jobs:app", *daily).code == 0
    run = jobs("schedule", "next", "jobs:app", "daily", "3", TZ="America/New_York")
    assert run.code == 0, run.err
    title, *rows = cells(run.out)
    assert title == ["local", "in its zone"]
    assert len(rows) == 3
    due = [datetime.fromisoformat(text) for text in jobs("schedule", "next", "jobs:app", "daily", "3", "--json").json]
    assert due == [datetime(2090, 1, day, 4, 0, tzinfo=UTC) for day in (1, 2, 3)]
    for row, one in zip(rows, due, strict=True):
        assert row[0] == f"{one.astimezone(ZoneInfo('America/New_York')):%a %Y-%m-%d %H:%M:%S}"
        assert row[1] == f"{one.astimezone(ZoneInfo('Asia/Kolkata')):%a %Y-%m-%d} 09:30:00 IST"
    assert len(jobs("schedule", "next", "jobs:app", "daily", "--json").json) == 10
    # A name that is a number is one.
    assert jobs("schedule", "add", "jobs:app", "7", "one_off('2090-01-01T00:00:00.250Z')", "poll", "x").code == 0
    assert jobs("schedule", "next", "jobs:app", "7", "--json").json == ["2090-01-01T00:00:00.250000Z"]
    assert jobs("schedule", "next", "-A", "jobs", "7", "1").out.endswith("00:00:00.250 UTC\n")


def test_what_became_of_the_last_run(jobs: Shell) -> None:
    beat = jobs.start("beat", "jobs:app")
    beat.wait_for("leads")
    assert re.search(r"INFO +Beat of the app jobs starts on .*redis.*, with 1 schedule$", beat.err, re.MULTILINE)
    run = jobs("schedule", "list", "jobs")
    assert "No scheduler is alive" not in run.err and "not taken up" not in run.err
    ((*_, source, task, schedule),) = list(cells(run.out))[1:]
    assert (source, task, schedule) == ("code", "report", "crontab('30 9 * * *', tz='Asia/Kolkata')")
    for name, task, *args in (("good", "poll", "x"), ("bad", "fail")):
        assert jobs("schedule", "add", "jobs:app", name, "0.3", task, *args, "--max-runs", "1").code == 0
    eventually(lambda: all(listed(jobs)[name]["runs"] for name in ("good", "bad")), "both are sent")
    assert listed(jobs)["good"]["last_state"] is None
    assert jobs("worker", "jobs", "--burst", "-l", "critical").code == 0
    found = listed(jobs)
    assert [found[name]["last_state"] for name in ("good", "bad")] == ["SUCCESS", "FAILURE"]
    assert 0 <= found["good"]["last_seconds"] < 60
    assert found["good"]["last_task_id"].startswith("good:")
    rows = {row[0]: row for row in cells(jobs("schedule", "list", "jobs").out)}
    assert rows["good"][1] == "never again"
    assert re.fullmatch(r"\S+ \S+ ago SUCCESS in \S+ \S+", rows["good"][2])
    assert re.fullmatch(r"\S+ \S+ ago FAILURE in \S+ \S+", rows["bad"][2])
    assert rows["good"][3:6] == ["1", "0", "api"]
    shown = jobs("schedule", "show", "jobs:app", "good")
    assert re.search(r"^last task +good:\S+  SUCCESS in ", shown.out, re.MULTILINE)
    assert "No scheduler is alive" not in shown.err
    assert jobs("schedule", "next", "jobs:app", "good").err == "good is never due any more.\n"
    triggered = jobs("schedule", "trigger", "jobs:app", "good")
    assert triggered.code == 0
    assert jobs("worker", "jobs", "--burst", "-l", "critical").code == 0
    assert jobs("result", "jobs:app", triggered.out.strip(), "--json").json["result"] == "x 0"
    assert jobs("schedule", "trigger", "jobs:app", "report", "--json").json.keys() == {"name", "id"}
    assert listed(jobs)["good"]["runs"] == 1


def test_a_worker_with_beat(jobs: Shell) -> None:
    assert jobs("schedule", "add", "jobs:app", "often", "0.3", "poll", "x").code == 0
    worker = jobs.start("worker", "jobs:app", "-B")
    worker.wait_for("is ready")
    assert re.search(r"^beat +2 schedules$", worker.err, re.MULTILINE)
    eventually(lambda: listed(jobs)["often"]["last_state"] == "SUCCESS", "it has fired, and run")
    worker.end()


def test_a_worker_without_beat_says_once_that_nothing_fires(jobs: Shell) -> None:
    worker = jobs.start("worker", "jobs:app", "-n", "alone")
    worker.wait_for("nobody serves the schedules of the app jobs")
    assert not re.search(r"^beat ", worker.err, re.MULTILINE)
    assert re.search(
        r"WARNING  Worker alone: nobody serves .* Run `aioqueue -A \S+ beat`, or a worker with", worker.err
    )
    assert worker.err.count("nobody serves") == 1


def test_a_schedule_that_cannot_fire_is_told(jobs: Shell) -> None:
    jobs.write(
        "jobs.py", JOBS + "\napp.conf.beat_schedule = {'odd': {'task': 'poll', 'schedule': 60, 'args': (1, 2, 3)}}\n"
    )
    run = jobs("schedule", "list", "jobs")
    assert run.code == 0
    assert "Error: the schedule odd: The schedule 'odd' cannot fire: the call doesn't fit poll" in run.err
    assert "not taken up by any scheduler yet: report." in run.err
    assert "doesn't fit" in listed(jobs)["odd"]["problem"]


ADD = ("add", "jobs:app")


WRONG: list[tuple[tuple[str, ...], str]] = [
    ((*ADD, "x", "0 9 * *", "poll", "eu"), "five fields"),
    ((*ADD, "x", "@hourli", "poll", "eu"), "Did you mean '@hourly'"),
    ((*ADD, "x", "0", "poll", "eu"), "at least 0.1 seconds, not 0"),
    ((*ADD, "x", "evry(minutes=5)", "poll", "eu"), "Did you mean 'every'"),
    ((*ADD, "x", "0 9 * * *", "poll", "eu", "--tz", "Europe/Berln"), "--tz is .* Did you mean 'Europe/Berlin'"),
    ((*ADD, "x", "60", "poll", "eu", "--tz", "Mars/Base"), "--tz is a name of the IANA data base"),
    ((*ADD, "x", 'crontab("0 9 * * *", tz="Mars/Base")', "poll", "eu"), "not 'Mars/Base'"),
    ((*ADD, "x", "60", "pol", "eu"), "no task 'pol'. Did you mean 'poll'"),
    ((*ADD, "x", "60", "poll"), "missing a required argument: 'region'; nothing was added"),
    ((*ADD, "x", "60", "poll", "eu", "coun=3", "4"), "no parameter 'coun'.* Did you mean 'count'"),
    ((*ADD, " x", "60", "poll", "eu"), "The name of a schedule is a text of 1 to 200 .* not ' x'"),
    ((*ADD, "x", "60", "poll", "eu", "--start-at", "tomorrow"), "'--start-at': 'tomorrow' is no date and time"),
    ((*ADD, "x", "60", "poll", "eu", "--misfire", "twice"), "'--misfire': 'twice' is not one of"),
    ((*ADD, "x", "60"), "Give a name, a schedule and a task"),
    (("next", "jobs:app", "x", "0"), "N is a whole number from 1 to 10,000, not '0'"),
    (("next", "jobs:app", "x", "many"), "N is a whole number from 1 to 10,000, not 'many'"),
    (("next", "jobs:app", "x", "1", "2"), "One argument too many: 2"),
    (("list", "jobs", "more"), "One argument too many: more"),
    (("show", "jobs:app", "x", "y"), "It takes one name, not 2: x y"),
    (("show", "x"), "Which app?"),
    (("puase", "jobs:app", "x"), "Did you mean 'pause'"),
]


def test_command_lines_that_are_wrong(jobs: Shell) -> None:
    # All of them in one process: a wrong line gets no further than this machine.
    program = (
        "import contextlib, io, json, sys\nfrom aioqueue.cli import main\nfound = []\n"
        "for words in json.load(sys.stdin):\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:\n"
        "        code = main(words)\n"
        "    found.append((code, out.getvalue(), err.getvalue()))\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=jobs.folder,
        env=jobs.environment,
        input=json.dumps([["schedule", *words] for words, _ in WRONG]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for (words, told), (code, out, err) in zip(WRONG, json.loads(done.stdout), strict=True):
        assert (code, out) == (2, ""), words
        assert re.search(told, err), (words, err)
        assert "Traceback" not in err and "was sent" not in err, (words, err)


def test_what_is_not_there_and_what_is_there_already(jobs: Shell) -> None:
    assert jobs("schedule", "add", "jobs:app", "poll", "3600", "poll", "eu").code == 0
    before = listed(jobs)
    wrong = {
        ("add", "jobs:app", "poll", "90", "poll", "us"): "There is a schedule 'poll' already in 'jobs'. Nothing was "
        "changed: take another name, or --replace.",
        ("add", "jobs:app", "x", 'one_off("2020-01-01T00:00:00Z")', "poll", "eu"): "'x' would never fire",
        ("add", "jobs:app", "x", "60", "poll", "eu", "--end-at", "2020-01-01"): "'x' would never fire",
        ("show", "jobs:app", "pol"): "There is no schedule 'pol' in 'jobs'. Did you mean 'poll'?",
        ("next", "jobs:app", "pol"): "There is no schedule 'pol' in 'jobs'. Did you mean 'poll'?\n",
        ("trigger", "jobs:app", "pol"): "There is no schedule 'pol' in 'jobs'. Did you mean 'poll'?",
    }
    for words, told in wrong.items():
        run = jobs("schedule", *words)
        assert (run.code, run.out) == (1, ""), words
        assert told in run.err and run.err.count("\n") == 1, run.err
        assert "replace=True" not in run.err
    for command, done in (("pause", "paused"), ("resume", "resumed"), ("remove", "removed")):
        run = jobs("schedule", command, "jobs:app", "pol", "poll")
        assert (run.code, run.out) == (1, f"poll  {done}\n"), "the others are done all the same"
        assert "There is no schedule 'pol' in 'jobs'." in run.err
        if command == "resume":
            assert listed(jobs) == before
    (gone,) = jobs("schedule", "remove", "jobs:app", "poll", "--json").json
    assert (gone["name"], gone["removed"]) == ("poll", False)
    assert "no schedule 'poll'" in gone["problem"]


def test_taking_the_place_of_another(jobs: Shell) -> None:
    assert jobs("schedule", "add", "jobs:app", "poll", "60", "poll", "eu").code == 0
    assert jobs("schedule", "pause", "jobs:app", "poll").code == 0
    run = jobs("schedule", "add", "jobs:app", "poll", "90", "poll", "us", "--replace", "--json")
    assert (run.json["schedule"], run.json["args"], run.json["paused"]) == ("every(90)", ["us"], True)


def test_without_the_code(jobs: Shell) -> None:
    there = ("--namespace", "jobs")
    run = jobs("schedule", "add", *there, "x", "-5", "elsewhere")
    assert run.code == 2 and "at least 0.1 seconds" in run.err
    assert jobs("schedule", "add", *there, "x", "60", "elsewhere", "-1", "y=2").code == 0
    found = listed(jobs, *there)["x"]
    assert (found["task"], found["args"], found["kwargs"]) == ("elsewhere", [-1], {"y": 2})
    assert len(jobs("schedule", "next", *there, "x", "2", "--json").json) == 2
    assert jobs("schedule", "remove", *there, "x").out == "x  removed\n"
    run = jobs("schedule", *there)
    assert "no schedules in 'jobs'" in run.err and "In the code" not in run.err
    assert jobs("schedule", "list", AIOQUEUE_APP="").code == 2
