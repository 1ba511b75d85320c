"""What docs/migrate-from-celery.md says that Celery does, asked of the Celery that is installed.

A program of its own: `python beside.py` prints a JSON object, true or false for each of the names below. In it there
is a worker with threads, and a broker and results in memory; nothing of aioqueue.
"""

from __future__ import annotations

import datetime
import json
import threading
import time
import uuid
from collections import Counter
from decimal import Decimal

import celery
from celery import _state, chain, chord, exceptions, group
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Reject

app = celery.Celery("beside", broker="memory://", backend="cache+memory://")
app.conf.update(worker_hijack_root_logger=False, task_track_started=True, broker_connection_retry_on_startup=True)
app.conf.broker_transport_options = {"polling_interval": 0.01}  # its broker in memory is looked into once a second
FACTS = {}
PATIENCE = 10
SOON = 0.01  # Celery asks for a result twice a second
told = []
hooked = Counter()
gate = threading.Event()


def fact(function):
    """Run it; true if it returns something true, and the error if there is one."""
    try:
        FACTS[function.__name__] = bool(function())
    except BaseException as error:
        FACTS[function.__name__] = f"{type(error).__name__}: {error}"
    told.clear()
    gate.clear()
    return function


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Telling(celery.Task):
    abstract = True

    def tell(self, *what):
        hooked[self.name, what[0]] += 1
        told.append(what)

    def on_success(self, retval, task_id, args, kwargs):
        self.tell("success", retval)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        self.tell("failure", einfo.exception, einfo.traceback)

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.tell("retry", einfo.exception)

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        self.tell("after", status, einfo)


@app.task(base=Telling)
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task(base=Telling)
def fail(*args):
    raise ValueError("as asked", *args)


@app.task(base=Telling)
def reject():
    raise Reject("no", requeue=False)


@app.task(bind=True, base=Telling, max_retries=1, default_retry_delay=0)
def retried(self, *args):
    if self.request.retries:
        return list(args)
    raise self.retry(args=("again",), countdown=0)


@app.task(bind=True)
def about(self, *args):
    request = self.request
    return {
        "custom": [request.get("custom_header"), getattr(request, "custom_header", None)],
        "stamps": request.stamps,
        "queue": request.delivery_info["routing_key"],
        "root": request.root_id == request.id,
    }


@app.task
def kinds(*values):
    return [type(value).__name__ for value in values]


@app.task
def waits():
    gate.wait(PATIENCE)
    return "done"


@app.task
def sends():
    add.delay(1, 1)
    return "sent"


@app.task
def returns_what_it_sent():
    return group(add.s(1, 1)).apply_async()


@app.task
def joins():
    return add.delay(1, 1).get(timeout=1)


@app.task(bind=True)
def becomes(self, x):
    return self.replace(add.s(x, 1))


@app.task
def noted(*args):
    told.append(("noted", *args))


@app.task(bind=True, autoretry_for=(KeyError,), retry_kwargs={"max_retries": 2, "countdown": 0})
def unlucky(self):
    told.append(("try", self.request.retries))
    raise KeyError("x")


@app.task
def handler(request, exc, traceback, *args):
    told.append((request.task, exc, traceback, args))


def raised(result):
    try:
        result.get(interval=SOON, timeout=PATIENCE)
    except Exception as error:
        return error
    return None


with start_worker(app, pool="threads", concurrency=4, perform_ping_check=False, shutdown_timeout=30):

    @fact
    def a_task_after_a_failed_one_is_failure_with_its_exception():
        result = chain(fail.s(), add.s(1), add.s(2)).apply_async()
        raised(result)
        return until(lambda: result.state == "FAILURE") and isinstance(result.result, ValueError)

    @fact
    def except_catches_around_a_chain():
        return isinstance(raised(chain(fail.s(), add.s(1)).apply_async()), ValueError)

    @fact
    def a_chord_raises_a_chord_error_or_what_its_header_raised():
        result = chord([fail.s(), add.s(1, 1)])(total.s())
        alone = raised(app.AsyncResult(result.id))
        return isinstance(alone, exceptions.ChordError) and isinstance(raised(result), ValueError)

    @fact
    def compositions_are_sent_by_calling_them():
        sent = [chain(add.s(1, 1), add.s(2))(), group(add.s(1, 1))(), chord([add.s(1, 1)])(total.s())]
        return [one.get(interval=SOON, timeout=PATIENCE) for one in sent] == [4, [2], 2]

    @fact
    def a_single_signature_that_is_called_runs_here():
        return add.s(2, 2)() == 4

    @fact
    def revoke_without_terminate_lets_a_running_task_be():
        result = waits.delay()
        until(lambda: result.state == "STARTED")
        result.revoke()
        time.sleep(0.3)
        gate.set()
        return result.get(interval=SOON, timeout=PATIENCE) == "done" and result.state == "SUCCESS"

    @fact
    def handlers_are_called_with_request_exc_traceback():
        fail.s(1).on_error(handler.s("a")).apply_async()
        until(lambda: any(one[0] == fail.name for one in told))
        _, error, traceback, args = next(one for one in told if one[0] == fail.name)
        return isinstance(error, ValueError) and isinstance(traceback, str) and args == ("a",)

    @fact
    def a_rejected_task_calls_no_hook():
        result = reject.delay()
        until(lambda: result.state == "FAILURE")
        time.sleep(0.3)
        return fail.name in {name for name, _ in hooked} and reject.name not in {name for name, _ in hooked}

    @fact
    def after_return_comes_once_and_not_after_a_retry():
        retried.delay().get(interval=SOON, timeout=PATIENCE)
        until(lambda: hooked[retried.name, "after"])
        return (hooked[retried.name, "retry"], hooked[retried.name, "after"]) == (1, 1)

    @fact
    def einfo_is_none_after_a_success():
        add.delay(1, 1).get(interval=SOON, timeout=PATIENCE)
        return until(lambda: ("after", "SUCCESS", None) in told)

    @fact
    def einfo_has_an_exception_and_a_traceback():
        raised(fail.delay())
        until(lambda: any(one[0] == "failure" for one in told))
        _, error, traceback = next(one for one in told if one[0] == "failure")
        return isinstance(getattr(error, "exc", error), ValueError) and "as asked" in traceback

    @fact
    def a_retry_takes_other_arguments():
        return retried.delay("first").get(interval=SOON, timeout=PATIENCE) == ["again"]

    @fact
    def dates_uuids_and_decimals_arrive_as_what_they_were():
        values = [datetime.date(2026, 5, 1), datetime.datetime(2026, 5, 1), uuid.uuid4(), Decimal("1.5")]
        return kinds.delay(*values).get(interval=SOON, timeout=PATIENCE) == ["date", "datetime", "UUID", "Decimal"]

    @fact
    def tuples_arrive_as_lists():
        return kinds.delay((1, 2)).get(interval=SOON, timeout=PATIENCE) == ["list"]

    @fact
    def headers_are_found_in_the_request():
        found = about.apply_async(headers={"custom_header": "x"}).get(interval=SOON, timeout=PATIENCE)
        return found["custom"] == ["x", "x"] and found["queue"] == "celery" and found["root"]

    @fact
    def stamps_are_read_as_what_they_were():
        sig = about.s()
        sig.stamp(tenant="a")
        return sig.apply_async().get(interval=SOON, timeout=PATIENCE)["stamps"] == {"tenant": "a"}

    @fact
    def stamps_have_no_names_by_position():
        try:
            about.s().stamp("priority", "high").apply_async()
        except Exception:
            return True
        return False

    @fact
    def propagate_false_returns_the_exception():
        return isinstance(fail.delay().get(interval=SOON, timeout=PATIENCE, propagate=False), ValueError)

    @fact
    def children_of_a_group_are_its_members():
        result = group(add.s(1, 1), add.s(2, 2)).apply_async()
        return result.children == result.results and len(result.children) == 2

    @fact
    def children_of_a_task_are_what_it_has_sent():
        result = sends.delay()
        result.get(interval=SOON, timeout=PATIENCE)
        return len(result.children) == 1

    @fact
    def a_result_that_is_returned_is_a_list_of_ids():
        found = returns_what_it_sent.delay().get(interval=SOON, timeout=PATIENCE)
        return isinstance(found, list) and isinstance(found[0][0], str)

    @fact
    def get_inside_a_task_is_refused():
        _state._set_task_join_will_block(True)  # as a child of the prefork pool begins
        try:
            return isinstance(raised(joins.delay()), RuntimeError)
        finally:
            _state._set_task_join_will_block(False)

    @fact
    def replace_raises_by_itself():
        return becomes.delay(1).get(interval=SOON, timeout=PATIENCE) == 2

    @fact
    def a_link_of_a_group_is_called_after_its_first_member_without_results():
        linked = group(add.s(1, 1), add.s(2, 2))
        linked.link(noted.s())
        linked.apply_async().get(interval=SOON, timeout=PATIENCE)
        until(lambda: ("noted",) in told)
        return [one for one in told if one[0] == "noted"] == [("noted",)]

    @fact
    def retry_kwargs_count_for_exceptions():
        unlucky.delay()
        until(lambda: ("try", 2) in told)
        return [one for one in told if one[0] == "try"] == [("try", 0), ("try", 1), ("try", 2)]


@fact
def defaults_of_retries():
    task = add
    return (task.max_retries, task.default_retry_delay) == (3, 180)


@fact
def acks_are_early_unless_said():
    return not app.conf.task_acks_late and not app.conf.task_reject_on_worker_lost


@fact
def a_worker_fetches_four_times_as_many():
    return app.conf.worker_prefetch_multiplier == 4


@fact
def names_of_exceptions():
    names = ("MaxRetriesExceededError", "TaskRevokedError", "WorkerLostError", "OperationalError", "ChordError")
    same = ("SoftTimeLimitExceeded", "TimeLimitExceeded", "TimeoutError", "Reject", "Retry", "Ignore")
    return all(hasattr(exceptions, name) for name in names + same) and not hasattr(exceptions, "ChainError")


@fact
def nobody_who_answers_a_ping_is_exit_code_69():
    from click.testing import CliRunner

    from celery.bin.celery import celery as command

    return CliRunner().invoke(command, ["-b", "memory://", "inspect", "-t", "0.1", "ping"]).exit_code == 69


print(json.dumps(FACTS, indent=1))
