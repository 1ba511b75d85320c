"""Each page is a program of its own."""

from __future__ import annotations

from support.isolation import no_other_apps, plain_environment  # noqa: F401
