"""The broker that lives in a process's memory: every promise of `aioqueue.brokers.protocol`, no server, for tests.

timeline    what happens at a moment: a heap from which entries can be taken out again
queues      messages that wait, by queue and priority, and the consumers that wait for them
inbox       from any thread into an event loop
records     what became of tasks, with its expiry and those who watch it
shelf       workflows, for the rules in `aioqueue.workflows`
leases      which workers are alive
store       all of it together, and what changes it atomically
consumer    what a worker has
broker      what a client has
"""

from aioqueue.brokers.memory.broker import MemoryBroker

__all__ = ["MemoryBroker"]
