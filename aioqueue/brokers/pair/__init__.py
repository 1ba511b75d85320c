"""A broker of two: a *transport* that hands messages to workers, and a *store* that knows what is true of them.

For message brokers that hold nothing but messages (RabbitMQ, SQS), with a database beside them. No step can be atomic
over both, so the order of steps is the promise:

1. What is sent is written down in the store, and published from there (the outbox). Nothing is sent that the store does
   not know, and what it knows is published again until that is confirmed.
2. What the transport delivers is only a ticket. A worker *claims* it in the store, and is given the task: once, however
   often the transport delivers the ticket. The claim is the fence (promise D2): when the worker's lease ends, the store
   makes a new ticket, and the old claim settles nothing any more.
3. An end is recorded in the store first, with all that it changes, in one step of the store; then what it sends is
   published; the ticket is acknowledged last. Whoever dies between two of these leaves something to be done again, and
   nothing to be done twice.

What either of the two has taken it has to keep over a restart of its own; see `transport` for what that means there.

transport   what a transport has to do
store       what a store has to do
broker      what a client has
consumer    what a worker has
"""

from aioqueue.brokers.pair.broker import Pair
from aioqueue.brokers.pair.store import Claims, Store
from aioqueue.brokers.pair.transport import Parcel, Reader, Ticket, Transport

__all__ = ["Claims", "Pair", "Parcel", "Reader", "Store", "Ticket", "Transport"]
