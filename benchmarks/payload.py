"""What a call costs on its way to bytes and back, beside another checkout.

    python -m benchmarks.payload --against ../aioqueue-before

Prints nanoseconds here and there and their ratio, for what most calls hold: nothing for which a serializer has no form.
Each part is timed in short turns, here and there alternately, and the quickest of each counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean
from timeit import Timer
from typing import Any

_CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "()": ((), {}),
    "(1, 2)": ((1, 2), {}),
    "('a@b.org', 'Hello')": (("a@b.org", "Hello"), {}),
    "(7, to='a@b.org')": ((7,), {"to": "a@b.org"}),
    "(a dict of 5)": (({"id": 7, "name": "Ada", "mail": "a@b.org", "paid": True, "sum": 9.5},), {}),
    "(a list of 20)": ((list(range(20)),), {}),
    "(a dict of 20)": (({f"field {n}": f"the value of {n}" for n in range(20)},), {}),
    "(nested)": (({"ids": [1, 2, 3], "user": {"id": 7, "tags": ["x", "y"]}},), {}),
}
_RESULTS: dict[str, Any] = {"None": None, "42": 42, "'done'": "done"} | {
    name: _CALLS[f"({name})"][0][0] for name in ("a dict of 5", "a dict of 20", "a list of 20")
}
_TURNS = 12
_SECONDS = 0.02


def parts() -> dict[str, Callable[[], object]]:
    """What is timed, by name; of whichever aioqueue can be imported."""
    from aioqueue import AioQueue, __version__  # noqa: F401
    from aioqueue.brokers.protocol import Delivery
    from aioqueue.payload.codec import decode, encode
    from aioqueue.worker.admission import admit
    from aioqueue.worker.ends import Ends

    try:
        from aioqueue.outgoing import outgoing
    except ImportError:  # its name was another one before
        from aioqueue.sending import outgoing  # type: ignore[no-redef]

    app = AioQueue("payload", broker="memory://")
    ends = Ends(app, "host")

    @app.task(name="work")
    async def work(first: Any = None, second: Any = None, *, to: str = "") -> None: ...

    parameters, most, now = work.parameters, app.conf.max_payload_size, 1_800_000_000_000
    found: dict[str, Callable[[], object]] = {}
    for name, (args, kwargs) in _CALLS.items():
        data, content = parameters.encode(args, kwargs, max_size=most)

        def there(args: Any = args, kwargs: Any = kwargs) -> object:
            parameters.check(args, kwargs)
            return parameters.encode(args, kwargs, max_size=most)

        def back(data: bytes = data, content: str = content) -> object:
            return parameters.decode(data, content, max_size=most)

        def send(args: Any = args, kwargs: Any = kwargs) -> object:
            return outgoing(app, work, args, kwargs, {}, now)

        message = outgoing(app, work, args, kwargs, {}, now)
        delivery = Delivery(None, message.id, message.data, "default")

        def arrive(delivery: Delivery = delivery) -> object:
            return admit(app, delivery, now, ends)

        found |= {f"encode {name}": there, f"decode {name}": back, f"send {name}": send, f"admit {name}": arrive}
    for name, value in _RESULTS.items():
        data, content = encode(value, max_size=most)
        found[f"result {name}"] = lambda value=value: encode(value, max_size=most)
        found[f"read {name}"] = lambda data=data, content=content: decode(data, content, max_size=most)
    return found


def serve() -> None:
    """Times the part that each line of the input names; answers with nanoseconds."""
    found = parts()
    print(json.dumps(list(found)), flush=True)
    timers = {name: Timer(part) for name, part in found.items()}
    counts: dict[str, int] = {}
    for line in sys.stdin:
        name = json.loads(line)
        timer = timers[name]
        if name not in counts:
            counts[name] = max(1, int(_SECONDS / (timer.timeit(1000) / 1000)))
        print(timer.timeit(counts[name]) / counts[name] * 1e9, flush=True)


class Checkout:
    """A process that times the code of one checkout."""

    def __init__(self, path: Path) -> None:
        places = [str(path), str(Path(__file__).parent)]
        run = f"import sys; sys.path[:0] = {places!r}; import payload; payload.serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
        )
        self.parts: list[str] = json.loads(self._line())

    def time(self, part: str) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(part) + "\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, help="another checkout of aioqueue")
    parser.add_argument("--turns", type=int, default=_TURNS, help="of each part, here and there")
    given = parser.parse_args()
    here, there = Checkout(Path(__file__).resolve().parents[1]), Checkout(given.against.resolve())
    ratios: dict[str, list[float]] = {}
    print(f"{'':32}{'here':>8}{'there':>8}{'ratio':>8}")
    for part in sorted(here.parts, key=lambda name: name.partition(" ")[0]):
        turns = [(here.time(part), there.time(part)) for _ in range(given.turns)]
        ours, theirs = (min(turn[side] for turn in turns) for side in (0, 1))
        ratios.setdefault(part.partition(" ")[0], []).append(ours / theirs)
        print(f"{part:32}{ours:8.0f}{theirs:8.0f}{ours / theirs:8.2f}")
    for kind, found in ratios.items():
        print(f"{kind:32}{'':16}{geometric_mean(found):8.2f}")
    here.close()
    there.close()


if __name__ == "__main__":
    main()
