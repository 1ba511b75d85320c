"""A service that is down for a while: retries with a growing delay, "come back later", and the dead letters.

$ python examples/retries.py
"""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import urlopen

from aioqueue import AioQueue, TaskContext

app = AioQueue("retries")
down_for = {"/flaky": 2, "/busy": 1, "/broken": 100}  # so many requests


class Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        down_for[self.path] -= 1
        down = down_for[self.path] >= 0
        self.send_response(503 if down else 200)
        self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(b"" if down else b"fine")

    def log_message(self, format: str, *args: object) -> None: ...


# Tried again after 0.1, 0.2, 0.4 s, each drawn between 0 and that; after three retries it goes to the dead letters.
@app.task(autoretry_for=(HTTPError,), retry_backoff=0.1, max_retries=3)
def fetch(url: str) -> str:
    body: bytes = urlopen(url, timeout=5).read()  # a plain function: it runs in a thread
    return body.decode()


# Tried again when the service says.
@app.task(bind=True, max_retries=5)
def fetch_politely(ctx: TaskContext, url: str) -> str:
    try:
        body: bytes = urlopen(url, timeout=5).read()
    except HTTPError as error:
        raise ctx.retry(exc=error, countdown=float(error.headers["Retry-After"])) from error
    return body.decode()


async def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    async with app.worker():
        for result in [await fetch.send(f"{base}/flaky"), await fetch_politely.send(f"{base}/busy")]:
            value, info = await result, await result.info()
            print(f"{info.name}: {value!r}, retries: {info.retries}")

        result = await fetch.send(f"{base}/broken")
        try:
            await result
        except HTTPError as error:
            dead = await app.dead_letters.get(result.id)
            print(f"{result.name}: {error}; {dead.reason if dead else 'no dead letter'}")
        down_for["/broken"] = 0  # somebody repairs it
        await app.dead_letters.requeue(result.id)
        print(f"{result.name}: {await result!r} when sent again")
    server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
