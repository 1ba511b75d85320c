"""For tests of programs that use aioqueue: `async with app.testing() as t:`, and a pytest plugin.

testing      what `t` is
sent         what was sent
matching     whether what was sent is what the test asks for
running      running what waits, when the test says so
clock        the time, which the test moves
beating      schedules, fired as the clock comes to them
waiting      results that nobody is going to give
failures     failures to order
lifespan     the app's lifespan, once for a test
stage        the broker of a test
plugin       pytest's way in
fixtures     the pytest fixtures
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aioqueue.testing.testing import Testing

__all__ = ["Testing"]


def __getattr__(name: str) -> object:
    # Pytest imports the plugin, and so this package, in every run: the rest is imported when it is asked for.
    if name not in __all__:
        raise AttributeError(f"module 'aioqueue.testing' has no attribute {name!r}")
    from aioqueue.testing.testing import Testing

    return Testing
