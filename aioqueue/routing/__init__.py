"""Where a task goes when it is sent: queues and what they are, routes by the task's name, topics."""

from aioqueue.routing.queue import Queue, queue_named, read_queues
from aioqueue.routing.routes import check_routes, route

__all__ = ["Queue", "check_routes", "queue_named", "read_queues", "route"]
