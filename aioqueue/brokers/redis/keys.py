"""The names of keys in Redis: this module and the Lua scripts are the only places that know them.

Everything of a namespace shares one hash tag, so that a script's keys are always in one slot of a cluster:

    {ns:0}:q:<queue>:<priority>   stream; fields i (task id), m (message), d (deliveries before, when not 0)
    {ns:0}:q:<queue>:front        stream; what was handed back or taken over, read before the others
    {ns:0}:delayed, delayed:data  sorted set of ids by due time; hash of their messages
    {ns:0}:delayed:count          hash: queue -> how many of it are delayed
    {ns:0}:sent:<id>              what is called under an id of the sender's own, until its end; see lua/lib/own_ids.lua
    {ns:0}:r:<id>                 record: '1' (final) or '0', then msgpack
    {ns:0}:revoked                sorted set of revoked ids whose message has not been met yet
    {ns:0}:waiters:<minute>       hash: id -> clients that want to hear of it
    {ns:0}:dead, dead:data        sorted set of ids by time of death; hash of the letters
    {ns:0}:dead:count             how many there have been, by which they are in order
    {ns:0}:leases, fallen         sorted set of workers by the end of their lease; set of those being taken over from
    {ns:0}:workers                hash: worker -> what it says of itself
    {ns:0}:early:<worker>         hash: what it has acknowledged before its end; see lua/lib/early.lua
    {ns:0}:revoked:stamps         sorted set of revoked stamps by when
    {ns:0}:wf:<id>, wf:<id>:s, wf:<id>:v  hashes of a workflow: nodes, states, values; see lua/lib/workflow.lua
    {ns:0}:wf:names, work         hash: ids that senders chose -> <workflow>.<node>; list of work left over
    {ns:0}:wf:at:<id>             where an id that a sender chose was, from the end of its workflow on
    {ns:0}:schedules, schedules:state  hashes: name of a schedule -> its definition; what becomes of it
    {ns:0}:schedules:due          sorted set of all schedules by when they are to be sent; see lua/lib/schedules.lua
    {ns:0}:schedules:revision     the last number that a change of a schedule was given
    {ns:0}:schedulers, schedulers:leader  sorted set of schedulers by the end of their lease; the one that leads
    {ns:0}:scheduler:<id>         set: the names of the schedules for which it stands
    {ns:0}:answer:<client>        the last answer to a client's numbered requests
    {ns:0}:paused                 set of the queues that are paused
    {ns:0}:epoch, queues          the broker's process as last seen; set of queue names
    {ns:0}:queues:idle            hash: names of queues that were never used, and when that was noticed
    {ns:0}:events                 stream of what is told of tasks and workers; an entry has many, packed
    {ns:0}:events:on              '1' or '0': whether they are told, as was said last
    {ns:0}:notices, done:<client>, schedules:changes  channels
    {ns:0}:inspect, control, answers:<question>  channels: what workers are asked and told to do, what they answer
"""

from __future__ import annotations

GROUP = "workers"
FRONT = "front"


def prefix(namespace: str) -> str:
    """What all keys of a namespace begin with; no two namespaces share it, and no key of one begins as another's."""
    # A brace in the name would end the hash tag early, or empty it. It is written as in a URL, and so is what would be
    # taken for that; all other names stand as they are.
    if any(part in namespace for part in ("{", "}", "%25", "%7B", "%7D")):
        namespace = namespace.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return "{" + namespace + ":0}:"


def stream(queue: str, priority: int | str) -> str:
    """A queue's stream of one priority, after the prefix. What follows the last colon is never the queue's."""
    return f"q:{queue}:{priority}"


def streams(queues: list[str]) -> list[str]:
    """The streams of queues in the order in which they are to be read."""
    names = [stream(queue, FRONT) for queue in queues]
    names += [stream(queue, priority) for priority in range(9, -1, -1) for queue in queues]
    return names


def queue_of(stream: str) -> str:
    """The queue that a stream's name belongs to."""
    return stream[2:].rpartition(":")[0]


class Keys:
    """The keys of a namespace, as far as they are named outside of the scripts.

    Attributes:
        prefix: what all of them begin with; scripts make theirs of it.
    """

    def __init__(self, namespace: str) -> None:
        self.prefix = prefix(namespace)
        self.delayed = self.prefix + "delayed"
        self.delayed_data = self.prefix + "delayed:data"
        self.delayed_counts = self.prefix + "delayed:count"
        self.revoked = self.prefix + "revoked"
        self.revoked_stamps = self.prefix + "revoked:stamps"
        self.dead = self.prefix + "dead"
        self.dead_data = self.prefix + "dead:data"
        self.leases = self.prefix + "leases"
        self.fallen = self.prefix + "fallen"
        self.workers = self.prefix + "workers"
        self.names = self.prefix + "wf:names"
        self.work = self.prefix + "work"
        self.queues = self.prefix + "queues"
        self.paused = self.prefix + "paused"
        self.notices = self.prefix + "notices"
        self.inspect = self.prefix + "inspect"
        self.control = self.prefix + "control"
        self.schedules = self.prefix + "schedules"
        self.schedule_states = self.prefix + "schedules:state"
        self.schedule_changes = self.prefix + "schedules:changes"
        self.schedulers = self.prefix + "schedulers"
        self.events = self.prefix + "events"
        self.events_on = self.prefix + "events:on"

    @property
    def all(self) -> str:
        """The pattern of all of them, as access rights have it."""
        return f"{self.prefix}*"

    def stream(self, name: str) -> str:
        """A stream, by its name after the prefix."""
        return self.prefix + name

    def record(self, id: str) -> str:
        """A task's record."""
        return f"{self.prefix}r:{id}"

    def nodes(self, workflow: str) -> str:
        """A workflow's nodes, and what is said of the whole of it."""
        return f"{self.prefix}wf:{workflow}"

    def past_place(self, id: str) -> str:
        """The workflow and the node that a task of the sender's own id was, after the workflow's end."""
        return f"{self.prefix}wf:at:{id}"

    def states(self, workflow: str) -> str:
        """The states of its nodes."""
        return f"{self.prefix}wf:{workflow}:s"

    def values(self, workflow: str) -> str:
        """What its nodes gave."""
        return f"{self.prefix}wf:{workflow}:v"

    def done(self, client: str) -> str:
        """The channel on which a client hears of the ends that it waits for."""
        return f"{self.prefix}done:{client}"

    def answers(self, question: str) -> str:
        """The channel on which who has asked a question hears the answers."""
        return f"{self.prefix}answers:{question}"
