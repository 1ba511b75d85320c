"""The names of keys in Redis: this module and the Lua scripts are the only places that know them.

Everything of a namespace shares one hash tag, so that a script's keys are always in one slot of a cluster:

    {ns:0}:q:<queue>:<priority>   stream; fields i (task id), m (message), d (deliveries before, when not 0)
    {ns:0}:q:<queue>:front        stream; what was handed back or taken over, read before the others
    {ns:0}:delayed, delayed:data  sorted set of ids by due time; hash of their messages
    {ns:0}:sent:<id>              for a minute after an id of the sender's own was sent
    {ns:0}:r:<id>                 record: '1' (final) or '0', then msgpack
    {ns:0}:revoked                sorted set of revoked ids whose message has not been met yet
    {ns:0}:waiters:<minute>       hash: id -> clients that want to hear of it
    {ns:0}:dead, dead:data        sorted set of ids by time of death; hash of the letters
    {ns:0}:leases, fallen         sorted set of workers by the end of their lease; set of those being taken over from
    {ns:0}:workers                hash: worker -> what it says of itself
    {ns:0}:revoked:stamps         sorted set of revoked stamps by when
    {ns:0}:wf:<id>, wf:<id>:s, wf:<id>:v  hashes of a workflow: nodes, states, values; see lua/lib/workflow.lua
    {ns:0}:wf:names, work         hash: ids that senders chose -> <workflow>.<node>; list of work left over
    {ns:0}:answer:<client>        the last answer to a client's numbered requests
    {ns:0}:epoch, queues          the broker's process as last seen; set of queue names
    {ns:0}:notices, done:<client> channels
"""

from __future__ import annotations

GROUP = "workers"
FRONT = "front"


def prefix(namespace: str) -> str:
    """What all keys of a namespace begin with."""
    # A brace in the name would end the hash tag early, or empty it.
    return "{" + namespace.replace("{", "(").replace("}", ")") + ":0}:"


def stream(queue: str, priority: int | str) -> str:
    """A queue's stream of one priority, after the prefix."""
    return f"q:{queue}:{priority}"


def streams(queues: list[str]) -> list[str]:
    """The streams of queues in the order in which they are to be read."""
    names = [stream(queue, FRONT) for queue in queues]
    names += [stream(queue, priority) for priority in range(9, -1, -1) for queue in queues]
    return names


def queue_of(stream: str) -> str:
    """The queue that a stream's name belongs to."""
    return stream[2:].rpartition(":")[0]
