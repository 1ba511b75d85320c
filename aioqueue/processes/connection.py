"""A child's side of what it and its worker say to each other."""

from __future__ import annotations

import os
import socket
import threading

from aioqueue.processes.frames import HEAD, Frame, ToChild, decode_for_child, length, packed
from aioqueue.processes.softening import Softening


class Connection:
    """A socket whose other end is the worker's.

    Args:
        descriptor: of the socket.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)  # else what a task starts would hold it open
        self._socket = socket.socket(fileno=descriptor)
        self._lock = threading.Lock()

    def read(self) -> ToChild | None:
        """What the worker says next; None: it is gone."""
        head = self._exactly(HEAD)
        data = None if head is None else self._exactly(length(head))
        return None if data is None else decode_for_child(data)

    def say(self, frame: Frame, softening: Softening | None = None) -> None:
        """Say something; from any thread. It is said whole, whatever falls due meanwhile."""
        data = packed(frame)
        if softening is None:
            self._send(data)
            return
        with softening.shield():
            self._send(data)

    def _send(self, data: bytes) -> None:
        try:
            with self._lock:
                self._socket.sendall(data)
        except OSError:  # the worker is gone, which whoever reads sees as well
            pass

    def _exactly(self, size: int) -> bytes | None:
        data = bytearray(size)
        view, got = memoryview(data), 0
        while got < size:
            try:
                count = self._socket.recv_into(view[got:])
            except OSError:
                return None
            if not count:
                return None
            got += count
        return bytes(data)
