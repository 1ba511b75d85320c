"""Topics: which queues a routing key finds."""

from __future__ import annotations

from collections.abc import Iterable

from aioqueue.routing.queue import Queue


def fits(topic: str, key: str) -> bool:
    """Whether a routing key fits a topic: `*` stands for one word, `#` for any number of words, none included."""
    wanted, words = topic.split("."), key.split(".")
    at = word = 0
    # Where the last `#` stands, and the first word that is not among its own; it takes one more when the rest fails.
    after, taken = -1, 0
    while word < len(words):
        if at < len(wanted) and wanted[at] == "#":
            at, after, taken = at + 1, at, word
        elif at < len(wanted) and wanted[at] in ("*", words[word]):
            at, word = at + 1, word + 1
        elif after >= 0:
            taken += 1
            at, word = after + 1, taken
        else:
            return False
    return all(one == "#" for one in wanted[at:])


def queues_for(queues: Iterable[Queue], key: str) -> tuple[str, ...]:
    """The names of all queues with a topic that a key fits, in their order."""
    return tuple([queue.name for queue in queues if any(fits(topic, key) for topic in queue.topics)])
