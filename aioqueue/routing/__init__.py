"""Where a task goes when it is sent: queues and what they are, routes by the task's name, topics."""

from aioqueue.routing.queue import Queue, queue_named, read_queues
from aioqueue.routing.routes import Route, Router, read_routes

__all__ = ["Queue", "Route", "Router", "queue_named", "read_queues", "read_routes"]
