"""What `python -m MODULE` does, without the time that imports take: processes forked from one that has them done.

`python -m support.fork_server FD MODULES…` imports these modules and follows the orders that come over the socket FD.
Each is one byte, with five descriptors: a file with the order as JSON, a pipe, and the process's stdin, stdout and
stderr. Into the pipe goes `pid <pid>` when the process has begun, and `end <exit code>` when it has ended, however it
did. When the orders end, so do all the processes.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
import types
from pathlib import Path
from typing import TypedDict

FILES = 5


class Order(TypedDict):
    """A process to be made."""

    module: str
    words: list[str]
    folder: str
    environment: dict[str, str]


def main() -> None:
    """Import, and follow orders until they end; in each process that was made, run its module."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        importlib.import_module(name)
    # The collector writes into what it looks at: what all of them share would be copied for each.
    gc.collect()
    gc.freeze()
    files = _serve(orders)
    if files:
        _become(*files)


def _serve(orders: socket.socket) -> list[int]:
    """Fork for each order; returns its descriptors in the process that is made, and none when the orders end."""
    wakes, wake = os.pipe()
    os.set_blocking(wakes, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    pipes: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_READ)
        selector.register(wakes, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if wakes in ready:
                os.read(wakes, 4096)
            while pipes and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pipe = pipes.pop(ended[0])
                _say(pipe, f"end {os.waitstatus_to_exitcode(ended[1])}")
                os.close(pipe)
            if orders.fileno() in ready:
                _, files, _, _ = socket.recv_fds(orders, 1, FILES)
                if not files:
                    break
                if not (pid := os.fork()):
                    break
                pipes[pid] = files[1]
                for file in (files[0], *files[2:]):
                    os.close(file)
    if files:  # here begins a process of its own
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
        for file in (wakes, wake, *pipes.values()):
            os.close(file)
        orders.close()
        return files
    for pid in pipes:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return []


def _become(order: int, pipe: int, *streams: int) -> None:
    """Be the process that is asked for; its end is that of this one."""
    os.setsid()
    with os.fdopen(order, "rb") as file:
        about: Order = json.load(file)
    for number, (name, stream) in enumerate(zip(("stdin", "stdout", "stderr"), streams, strict=True)):
        os.dup2(stream, number)
        os.close(stream)
        text = _text(getattr(sys, name), number)
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    _say(pipe, f"pid {os.getpid()}")
    os.close(pipe)
    os.chdir(about["folder"])
    os.environ.clear()
    os.environ.update(about["environment"])
    time.tzset()
    sys.path[0] = str(Path.cwd())
    sys.argv[1:] = about["words"]
    sys.orig_argv[1:] = ["-m", about["module"], *about["words"]]
    sys.modules["__main__"] = types.ModuleType("__main__")
    runpy._run_module_as_main(about["module"])  # type: ignore[attr-defined]


def _text(like: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
    """A stream such as the interpreter has made, for another file: what it can do was asked of the first."""
    unbuffered = isinstance(like.buffer, io.RawIOBase)
    binary = os.fdopen(number, like.mode + "b", buffering=0 if unbuffered else -1, closefd=False)
    return io.TextIOWrapper(
        binary,
        encoding=like.encoding,
        errors=like.errors,
        line_buffering=like.line_buffering,
        write_through=like.write_through,
    )


def _say(pipe: int, text: str) -> None:
    try:
        os.write(pipe, text.encode() + b"\n")
    except BrokenPipeError:  # nobody wants to know
        pass


if __name__ == "__main__":
    main()
