"""What a broker promises.

A broker holds queues of messages, messages that wait for their time, the records of what became of tasks, workflows,
schedules, and the dead letters. It knows nothing of Python functions. Everything that happens at the end of a task
reaches it as one `Settlement`, which it applies whole, at most once, and only while the delivery belongs to the worker
that settles it (promise D2); the rules of what a settlement holds are the worker's.

`tests/brokers/` is the specification: each broker passes it whole.

By subject, a module each; a `Broker` is what a client has of all of them, a `Consumer` what a worker has:

                client          worker
sending         Sending
fetching                        Fetching
settling                        Settling
delays                          Delays
records         Records
workflows       Workflows       Inputs
revocations     Revocations     Revoked
letters         DeadLetters
pausing         Pausing         Paused
schedules       Schedules
leases                          Leases
looking         Looking         Upkeep
asking          Asking          Answering
events          Events

data            messages, deliveries, settlements, notices
capabilities    what not every broker can do
statuses        what can be seen of what a broker holds
broker          the sums of it all
"""

from aioqueue.brokers.protocol.asking import (
    LARGEST_ANSWER,
    LARGEST_QUESTION,
    Answer,
    Answering,
    Asking,
    Question,
)
from aioqueue.brokers.protocol.broker import Broker, Consumer, TestableBroker
from aioqueue.brokers.protocol.capabilities import Capabilities
from aioqueue.brokers.protocol.data import (
    UNKEPT,
    Asked,
    Connected,
    Delivery,
    Due,
    Lengths,
    Notice,
    Outgoing,
    QueuesPaused,
    Settlement,
    StampRevoked,
    TasksRevoked,
    Verdict,
    most_of,
)
from aioqueue.brokers.protocol.delays import Delays
from aioqueue.brokers.protocol.events import Events, StoredEvent
from aioqueue.brokers.protocol.fetching import Fetching, Portion
from aioqueue.brokers.protocol.leases import Leases, Proxy
from aioqueue.brokers.protocol.letters import DeadLetters
from aioqueue.brokers.protocol.looking import UNUSED_FOR, Looking, Upkeep
from aioqueue.brokers.protocol.pausing import Paused, Pausing
from aioqueue.brokers.protocol.records import Records, Watch
from aioqueue.brokers.protocol.revocations import Revocations, Revoked
from aioqueue.brokers.protocol.schedules import (
    ABANDONED_AFTER,
    FROM_CODE,
    MOST_MESSAGES,
    Claim,
    Claimed,
    ClaimVerdict,
    Lead,
    Schedules,
    StoredSchedule,
    unfit,
)
from aioqueue.brokers.protocol.sending import Sending
from aioqueue.brokers.protocol.settling import Settling
from aioqueue.brokers.protocol.statuses import (
    Finding,
    Health,
    Left,
    QueueStatus,
    StoredLetter,
    StoredMessage,
    Whereabouts,
    WorkerStatus,
    WorkflowStatus,
)
from aioqueue.brokers.protocol.workflows import UNBEGUN_FOR, Inputs, Workflows

__all__ = [
    "ABANDONED_AFTER",
    "FROM_CODE",
    "LARGEST_ANSWER",
    "LARGEST_QUESTION",
    "MOST_MESSAGES",
    "UNBEGUN_FOR",
    "UNKEPT",
    "UNUSED_FOR",
    "Answer",
    "Answering",
    "Asked",
    "Asking",
    "Broker",
    "Capabilities",
    "Claim",
    "ClaimVerdict",
    "Claimed",
    "Connected",
    "Consumer",
    "DeadLetters",
    "Delays",
    "Delivery",
    "Due",
    "Events",
    "Fetching",
    "Finding",
    "Health",
    "Inputs",
    "Lead",
    "Leases",
    "Left",
    "Lengths",
    "Looking",
    "Notice",
    "Outgoing",
    "Paused",
    "Pausing",
    "Portion",
    "Proxy",
    "Question",
    "QueueStatus",
    "QueuesPaused",
    "Records",
    "Revocations",
    "Revoked",
    "Schedules",
    "Sending",
    "Settlement",
    "Settling",
    "StampRevoked",
    "StoredEvent",
    "StoredLetter",
    "StoredMessage",
    "StoredSchedule",
    "TasksRevoked",
    "TestableBroker",
    "Upkeep",
    "Verdict",
    "Watch",
    "Whereabouts",
    "WorkerStatus",
    "WorkflowStatus",
    "Workflows",
    "most_of",
    "unfit",
]
