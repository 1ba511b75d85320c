"""Running tasks: fetcher → runner → committer, and what keeps them alive."""

from aioqueue.worker.worker import Worker

__all__ = ["Worker"]
