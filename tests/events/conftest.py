"""Each test of this folder that takes `app` runs against each broker."""

from __future__ import annotations

from support.brokers import app, broker_url, make_app  # noqa: F401
from support.isolation import no_other_apps, no_shared_tasks, plain_environment  # noqa: F401
