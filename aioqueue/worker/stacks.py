"""Where code is: the frames of a coroutine that waits, or of a thread, as any other thread sees them."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from aioqueue.worker.interruptible import interruptible
from aioqueue.worker.run import Run

Frames = list[tuple[FrameType, int]]
"""Each with its line, the outermost call first."""

_MOST_FRAMES: Final = 50
_NOT_THE_USERS: Final = (str(Path(__file__).parent.parent), str(Path(asyncio.__file__).parent))


def of_thread(thread: int | None) -> Frames:
    """What a thread is doing."""
    frame = None if thread is None else sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage]
    return list(traceback.walk_stack(frame))[::-1] if frame is not None else []


def of_coroutine(waiting: Any) -> Frames:
    """A coroutine that waits, and all that it awaits."""
    return list(_awaited(waiting))


def where(frames: Frames) -> str:
    """These as text, after a sentence; without what is in every task's stack, if there is anything else."""
    own = [(frame, line) for frame, line in frames if not _is_ours(frame)]
    found: Sequence[str] = traceback.StackSummary.extract(iter((own or frames)[-_MOST_FRAMES:])).format()
    return f"It is here (the innermost call last):\n{''.join(found).rstrip()}" if found else "It is in no Python code."


def stack_of(run: Run) -> str:
    """Where a run is that waits, or is in a thread; to be called in its event loop."""
    job: Any = run.job
    if (process := getattr(job, "process", None)) is not None:
        return f"It is in process {process.pid} of the worker's pool, which SIGUSR1 to the worker asks for its stack."
    if job is not None and job.thread is not None:
        return where(of_thread(job.thread))
    return where(of_coroutine(run.coroutine.get_coro())) if run.coroutine is not None else ""


def _awaited(waiting: Any) -> Iterator[tuple[FrameType, int]]:
    for _ in range(1000):
        for frame_name, next_name in (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await")):
            if (frame := getattr(waiting, frame_name, None)) is not None:
                yield frame, frame.f_lineno
                # That one drives a coroutine itself, and awaits nothing.
                driven = frame.f_code is interruptible.__code__
                waiting = frame.f_locals.get("coroutine") if driven else getattr(waiting, next_name, None)
                break
        else:
            return


def _is_ours(frame: FrameType) -> bool:
    """Whether a frame is one of those that are in every task's stack."""
    name = frame.f_code.co_filename
    return name.startswith(_NOT_THE_USERS) or name == threading.__file__
