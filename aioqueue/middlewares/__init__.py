"""Middlewares that come with aioqueue. Each is an ordinary one, in a file of its own, to be used and to be read."""

from aioqueue.middlewares.context_propagation import ContextPropagation
from aioqueue.middlewares.sentry import Sentry
from aioqueue.middlewares.slow_tasks import SlowTasks
from aioqueue.middlewares.structured_logging import StructuredLogging
from aioqueue.task_logger import TaskFields

__all__ = ["ContextPropagation", "Sentry", "SlowTasks", "StructuredLogging", "TaskFields"]
