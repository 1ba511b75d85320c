"""What tasks are called with, what they return and how they fail, as bytes.

Plain data and no I/O: `codec` for values, `signature` for the arguments of a function, `failure` for exceptions.
"""

from __future__ import annotations

from aioqueue.payload.codec import decode, encode
from aioqueue.payload.failure import Failure
from aioqueue.payload.naming import importable_name
from aioqueue.payload.signature import Parameters

__all__ = ["Failure", "Parameters", "decode", "encode", "importable_name"]
