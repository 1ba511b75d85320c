"""The rules of workflows, in Python: the reference of what brokers do with the ends of their tasks.

A store that offers the small `interface` keeps workflows by these rules: the memory broker does. The Redis broker has
them once more, in `brokers/redis/lua/lib/workflow.lua`, so that they run where the data is; the same tests hold both.

interface   what the rules need of a store
flow        one workflow, and what can be read of it
lookup      what is known of workflows, and of tasks by their ids
rules       what the end of one node means for the others
resuming    what runs again
engine      all that happens to workflows from outside
"""

from aioqueue.workflows.engine import Engine
from aioqueue.workflows.flow import BadEnd, Flow, Revocation, decode_flow, encode_flow
from aioqueue.workflows.interface import Shelf, Tasks

__all__ = ["BadEnd", "Engine", "Flow", "Revocation", "Shelf", "Tasks", "decode_flow", "encode_flow"]
