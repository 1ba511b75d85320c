"""Where a task goes when it is sent: queues and what they are, routes by the task's name, topics."""

from aioqueue.routing.queue import Queue, QueuesGiven, queue_named, read_queues
from aioqueue.routing.routes import Route, Router, Routes, read_routes

__all__ = ["Queue", "QueuesGiven", "Route", "Router", "Routes", "queue_named", "read_queues", "read_routes"]
