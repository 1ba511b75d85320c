"""The page for those who come from Celery, held against the Celery that is installed beside."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

PAGE = (Path(__file__).parent.parent.parent / "docs" / "migrate-from-celery.md").read_text(encoding="utf-8")

# What beside.py finds: what the page says of it, where it does, in these words. All of it is true of Celery 5.7.
CLAIMS: dict[str, str] = {
    "a_task_after_a_failed_one_is_failure_with_its_exception": "ends as `FAILURE`, with that one's exception",
    "except_catches_around_a_chain": "`except ValueError` around the `get()` of a chain",
    "a_chord_raises_a_chord_error_or_what_its_header_raised": "`except ChordError`, `except ValueError` around",
    "compositions_are_sent_by_calling_them": "| `chord(header)(body)` | `await chord(header)(body)`",
    "a_single_signature_that_is_called_runs_here": "runs the function here and now, in both",
    "revoke_without_terminate_lets_a_running_task_be": "in Celery it is let be, and ends as `SUCCESS`",
    "handlers_are_called_with_request_exc_traceback": "whose first parameters are `request, exc, traceback`",
    "a_rejected_task_calls_no_hook": "calls `after_return`; in Celery no hook is called",
    "after_return_comes_once_and_not_after_a_retry": "`after_return` comes once, at the end, and not after a retry",
    "einfo_is_none_after_a_success": "after a success it is empty, not `None`",
    "einfo_has_an_exception_and_a_traceback": "with `einfo.exception` and `einfo.traceback`",
    "a_retry_takes_other_arguments": "`raise self.retry(exc=…, countdown=…, args=…, kwargs=…)`",
    "dates_uuids_and_decimals_arrive_as_what_they_were": "dates, UUIDs, `Decimal`s, tuples, sets and bytes arrive",
    "tuples_arrive_as_lists": "in Celery tuples arrive as lists",
    "headers_are_found_in_the_request": '`self.request.get("custom_header")`',
    "stamps_are_read_as_what_they_were": "| read as `ctx.stamps`",
    "stamps_have_no_names_by_position": '`sig.stamp("key", value)`',
    "propagate_false_returns_the_exception": "| `.get(propagate=False)` | the same, awaited | returns the exception |",
    "children_of_a_group_are_its_members": "of a group its members; of a task what it has sent",
    "children_of_a_task_are_what_it_has_sent": "of a group its members; of a task what it has sent",
    "a_result_that_is_returned_is_a_list_of_ids": "in Celery, with JSON, lists of ids",
    "get_inside_a_task_is_refused": "| `.get()` inside a task, `allow_join_result` | allowed |",
    "replace_raises_by_itself": "| `return self.replace(sig)` | `raise ctx.replace(sig)` |",
    "a_link_of_a_group_is_called_after_its_first_member_without_results": "when the first member has ended, with none",
    "retry_kwargs_count_for_exceptions": '| `retry_kwargs={"max_retries": 5, "countdown": 10}` | the same |',
    "defaults_of_retries": "the same, with the same defaults",
    "acks_are_early_unless_said": "`acks_late=False` is Celery's default: at most once",
    "a_worker_fetches_four_times_as_many": "`worker_prefetch_multiplier`",
    "names_of_exceptions": "MaxRetriesExceededError, TaskRevokedError, WorkerLostError, OperationalError",
    "nobody_who_answers_a_ping_is_exit_code_69": "The exit code is 69 if none answers",
}


def test_the_page_says_so() -> None:
    assert [words for words in CLAIMS.values() if words not in PAGE] == []


@pytest.mark.slow
def test_celery_does_so(tmp_path: Path) -> None:
    try:
        celery = version("celery")
    except PackageNotFoundError:
        pytest.skip("Celery is not installed here: pip install celery, and what the page says of it is tried")
    script = Path(__file__).parent / "beside.py"
    # `-P`: a folder of tests beside the script is no package of the program's.
    done = subprocess.run(
        [sys.executable, "-P", str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == CLAIMS.keys()
    assert {name: how for name, how in found.items() if how is not True} == {}, f"Celery {celery}"
