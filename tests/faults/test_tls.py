"""TLS: certificates that are right, wrong and asked for, and connections that are lost over it.

The embedded server has no TLS, so the proxy ends it, as a load balancer or stunnel does.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from aioqueue.brokers.redis import RedisBroker
from aioqueue.exceptions import BrokerUnavailable, ConfigurationError

from .arena import PATIENCE, Arena, proxy_to, until
from .proxy import Loss
from .tasks import make_app


class Authority:
    """Who makes certificates, for the server and for clients.

    Attributes:
        file: its own certificate, for `ssl_ca_certs`.
    """

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def server(self, name: str = "127.0.0.1", *, asks: bool = False) -> ssl.SSLContext:
        """The server's side; it may ask clients for a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.configure(context, name)
        if asks:
            self._ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def configure(self, context: ssl.SSLContext, name: str) -> None:
        """Give the server a new certificate."""
        self._ca.issue_cert(name).configure_cert(context)

    def client(self) -> Path:
        """A client's key and certificate, in one file."""
        file = self._folder / "client.pem"
        self._ca.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(file)
        return file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_life_over_tls(arena: Arena, authority: Authority, protocol: int) -> None:
    """Sending, running, news of ends, renewing a lease from another thread: all of it over TLS."""
    async with proxy_to(arena.server, authority.server()) as proxy:
        url = f"{proxy.url}?ssl_ca_certs={authority.file}&protocol={protocol}"
        await arena.worker(url=url)
        async with make_app(url) as app:
            results = await app.send_many([app.tasks["work"].s() for _ in range(500)])
            for result in results:
                await result.get(timeout=PATIENCE)
            # Larger than a record of TLS, both ways.
            large = await app.tasks["echo"].send("x" * 300_000)
            assert await large.get(timeout=PATIENCE) == "x" * 300_000
            await until(lambda: proxy.seen.count("renew") >= 2, what="a lease to be renewed")
    await arena.at_rest()


async def test_a_user_and_a_certificate_of_the_clients_own(arena: Arena, authority: Authority) -> None:
    arena.server.client.execute_command("ACL", "SETUSER", "shop", "on", ">S3CR3T", "~*", "&*", "+@all")
    async with proxy_to(arena.server, authority.server(asks=True)) as proxy:
        url = proxy.url.replace("rediss://", "rediss://shop:S3CR3T@") + f"?ssl_ca_certs={authority.file}"
        mine = authority.client()
        await arena.worker(url=f"{url}&ssl_certfile={mine}&ssl_keyfile={mine}")
        async with make_app(f"{url}&ssl_certfile={mine}&ssl_keyfile={mine}") as app:
            await (await app.tasks["work"].send()).get(timeout=PATIENCE)
        with pytest.raises(BrokerUnavailable) as error:  # none is shown
            async with make_app(url, send_timeout=1) as app:
                await app.tasks["work"].send()
        assert "S3CR3T" not in str(error.value)


@pytest.mark.parametrize("name", ["unknown authority", "other host"])
async def test_a_certificate_that_is_not_right_is_refused(
    arena: Arena, authority: Authority, tmp_path: Path, name: str
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    trusted = Authority(other) if name == "unknown authority" else authority
    host = "127.0.0.1" if name == "unknown authority" else "redis.example"
    async with proxy_to(arena.server, authority.server(host)) as proxy:
        with pytest.raises(BrokerUnavailable, match=r"certificate is not accepted .*ssl_ca_certs="):
            async with make_app(f"{proxy.url}?ssl_ca_certs={trusted.file}", send_timeout=PATIENCE) as app:
                await app.tasks["work"].send()
    assert arena.waiting() == (0, 0)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"ssl_ca_certs=/no/such/ca.pem .* no file"):
        RedisBroker("rediss://shop:S3CR3T@127.0.0.1?ssl_ca_certs=/no/such/ca.pem", "tests")


async def test_a_certificate_that_is_changed_later(arena: Arena, authority: Authority, tmp_path: Path) -> None:
    """A sender is told at once; it and a worker go on when the right one is back."""
    context = authority.server()
    async with proxy_to(arena.server, context) as proxy:
        url = f"{proxy.url}?ssl_ca_certs={authority.file}"
        await arena.worker(url=url)
        async with make_app(url, send_timeout=PATIENCE) as app:
            await (await app.tasks["work"].send()).get(timeout=PATIENCE)
            authority.configure(context, "redis.example")
            proxy.drop_all()
            with pytest.raises(BrokerUnavailable, match="certificate is not accepted"):
                await app.tasks["work"].send()
            authority.configure(context, "127.0.0.1")
            await (await app.tasks["work"].send()).get(timeout=PATIENCE)


async def test_a_server_without_tls(arena: Arena) -> None:
    with pytest.raises(BrokerUnavailable):
        async with make_app(arena.server.url.replace("redis://", "rediss://"), send_timeout=1) as app:
            await app.tasks["work"].send()


@pytest.mark.parametrize("loss", [Loss.REPLY, Loss.REQUEST, Loss.SILENCE])
async def test_connections_are_lost(arena: Arena, authority: Authority, loss: Loss) -> None:
    """What is cut off within TLS is repeated, and nothing is lost or done twice."""
    async with proxy_to(arena.server, authority.server()) as proxy:
        url = f"{proxy.url}?ssl_ca_certs={authority.file}"
        async with make_app(url, send_timeout=4) as app:
            sent = proxy.lose(loss, "send", "send_one")
            results = [await app.tasks["work"].send()]
            assert sent.done == 1
            await arena.worker(
                url=url,
                constants={"aioqueue.brokers.redis.link.ANSWER_WITHIN": 1.0},
            )
            settled = proxy.lose(loss, "settle", "settle_one")
            results += await app.send_many([app.tasks["work"].s() for _ in range(50)])
            await arena.ended(results)
            assert settled.done == 1
    assert len(arena.score.select("start")) == len(results)
