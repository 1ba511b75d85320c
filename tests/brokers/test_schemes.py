"""Brokers that others add: an installed package says which scheme of URLs is its own."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from aioqueue import AioQueue
from aioqueue.exceptions import ConfigurationError
from aioqueue.url import scheme_of

BROKER = """
    from aioqueue.brokers.memory import MemoryBroker
    from aioqueue.brokers.protocol import Capabilities

    made, ended = [], []


    class Rabbit(MemoryBroker):
        is_open = False
        description = "a rabbit"
        capabilities = Capabilities(bounded=False)

        async def open(self):
            self.is_open = True

        async def close(self):
            self.is_open = False


    class Wild(Rabbit):
        erase = None


    async def make(address, stack):
        stack.callback(ended.append, address.url)
        made.append((address, Rabbit()))
        return made[-1][1]


    async def make_wild(address, stack):
        made.append((address, Wild()))
        return made[-1][1]


    no_function = 7
    """


class Site:
    """A folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "rabbits.py").write_text(dedent(BROKER))

    def install(self, name: str, **schemes: str) -> None:
        """Install a package that adds schemes."""
        info = self._folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        points = "\n".join(f"{scheme.replace('_', '+')} = {what}" for scheme, what in schemes.items())
        (info / "entry_points.txt").write_text(f"[aioqueue.brokers]\n{points}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "rabbits", raising=False)
    return Site(tmp_path)


async def test_a_scheme_of_another_package(site: Site) -> None:
    site.install("rabbits", amqp="rabbits:make", amqp_tls="rabbits:make")
    app = AioQueue("shop", broker="AMQP://guest:secret@there/x", namespace="ours", send_timeout=3)
    task = app.task(_double)
    async with app:
        import rabbits  # type: ignore[import-not-found]

        [(address, broker)] = rabbits.made
        assert (address.url, address.app, address.namespace) == (app.conf.broker, "shop", "ours")
        assert address.timeout == 3
        assert broker.is_open
        async with app.worker():
            assert await task.call(2, timeout=10) == 4
        assert rabbits.ended == []
    assert not broker.is_open
    assert rabbits.ended == [app.conf.broker], "after it was closed"
    async with AioQueue("shop", broker="amqp+tls://there"):
        assert len(rabbits.made) == 2


async def _double(x: int) -> int:
    return 2 * x


async def test_an_unknown_scheme_is_told_with_those_that_there_are(site: Site) -> None:
    site.install("rabbits", amqp="rabbits:make")
    app = AioQueue("shop", broker="amqq://guest:secret@there")
    with pytest.raises(
        ConfigurationError, match=r"'amqq'.*Did you mean 'amqp'.*redis://.*embedded://, amqp://"
    ) as told:
        await app.open()
    assert "secret" not in str(told.value)


async def test_what_is_built_in_stays_so(site: Site) -> None:
    site.install("rabbits", memory="rabbits:make")
    async with AioQueue("shop", broker="memory://") as app:
        assert (await app.broker()).description.startswith("memory")


async def test_two_packages_of_one_scheme(site: Site) -> None:
    site.install("rabbits", amqp="rabbits:make")
    site.install("hares", amqp="hares:make")
    with pytest.raises(ConfigurationError, match=r"several.*'\w+:make' of (rabbits|hares) and .*Uninstall all but one"):
        await AioQueue("shop", broker="amqp://there").open()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("nowhere:make", "'nowhere:make' of rabbits, which cannot be loaded .*nowhere"),
        ("rabbits:missing", "'rabbits:missing' of rabbits, which cannot be loaded .*missing"),
        ("rabbits:no_function", "'rabbits:no_function' of rabbits, which is no function"),
    ],
)
async def test_a_package_that_is_broken(site: Site, what: str, told: str) -> None:
    site.install("rabbits", amqp=what)
    with pytest.raises(ConfigurationError, match=told):
        await AioQueue("shop", broker="amqp://there").open()


async def test_a_setting_that_the_broker_cannot_keep(site: Site) -> None:
    site.install("rabbits", amqp="rabbits:make")
    app = AioQueue("shop", broker="amqp://there", queue_max_length=10)
    with pytest.raises(ConfigurationError, match=r"queue_max_length=10: a rabbit cannot bound its queues"):
        await app.open()
    import rabbits  # type: ignore[import-not-found]

    assert not rabbits.made[0][1].is_open


# Under test


@pytest.mark.parametrize("url", ["amqp://guest:secret@there", "amqp"])
async def test_an_app_is_tested_on_it(site: Site, url: str) -> None:
    site.install("rabbits", amqp="rabbits:make")
    app = AioQueue("shop", broker="memory://", namespace="ours")
    task = app.task(_double)
    async with app.testing(broker=url) as t:
        import rabbits  # type: ignore[import-not-found]

        [(address, broker)] = rabbits.made
        assert (scheme_of(address.url), address.app) == ("amqp", "shop")
        assert address.namespace.startswith("ours-test-")
        assert (await app.broker()).description == "a rabbit"
        later = await task.options(countdown=3600).send(2)
        await t.clock.advance(hours=1)
        assert await later == 4
        await task.send(3)
    assert not broker.is_open
    assert await broker.queues() == []
    assert rabbits.ended == [address.url]


async def test_one_in_which_tests_have_no_hand(site: Site) -> None:
    site.install("rabbits", amqp="rabbits:make_wild")
    app = AioQueue("shop", broker="amqp://there")
    with pytest.raises(
        ConfigurationError, match=r"amqp://g:\*\*\*@there.*: a rabbit is no TestableBroker.*'memory'"
    ) as told:
        await app.testing(broker="amqp://g:secret@there").__aenter__()
    assert "secret" not in str(told.value)
    import rabbits  # type: ignore[import-not-found]

    assert not rabbits.made[0][1].is_open


async def test_what_it_cannot_is_refused_under_test_as_well(site: Site) -> None:
    site.install("rabbits", amqp="rabbits:make")
    app = AioQueue("shop", broker="memory://", queue_max_length=10)
    with pytest.raises(ConfigurationError, match="queue_max_length=10: a rabbit cannot"):
        await app.testing(broker="amqp").__aenter__()


async def test_an_unknown_one_is_told_with_those_that_there_are(site: Site) -> None:
    site.install("rabbits", amqp="rabbits:make")
    with pytest.raises(
        ConfigurationError, match=r"testing\(broker='amqq'\).*Did you mean 'amqp'.*embedded://, amqp://"
    ):
        await AioQueue("shop").testing(broker="amqq").__aenter__()
