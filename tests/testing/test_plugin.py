"""The pytest plugin, in projects of its users."""

from __future__ import annotations

import pytest

SHOP = """
    from aioqueue import AioQueue
    app = AioQueue("shop", broker="redis://nobody.invalid")

    @app.task
    async def add(x: int, y: int) -> int:
        return x + y
"""

TESTS = """
    import pytest
    from shop import add, app

    @pytest.mark.asyncio
    async def test_fixtures(aioqueue_app, aioqueue_testing):
        assert aioqueue_app is app
        assert aioqueue_testing.app is app
        result = await add.send(2, 3)
        aioqueue_testing.assert_sent(add, 2, 3)
        await aioqueue_testing.drain()
        assert await result == 5

    @pytest.mark.asyncio
    async def test_worker(aioqueue_worker):
        assert await add.call(2, 3, timeout=10) == 5

    @pytest.mark.asyncio(loop_scope="session")
    async def test_worker_in_another_loop(aioqueue_testing, aioqueue_worker):
        assert await add.call(2, 3, timeout=10) == 5
        assert len(aioqueue_testing.sent(add)) == 1

    @pytest.mark.asyncio
    async def test_nested(aioqueue_app):
        async with app.testing() as t:
            assert await t.run(add, 2, 3) == 5

    def test_nothing_is_used_by_itself():
        assert app.observers == []

    def test_without_a_loop(aioqueue_app, aioqueue_testing):
        assert aioqueue_app is app
        result = add.sync.send(2, 3)
        aioqueue_testing.assert_sent(add, 2, 3)
        assert aioqueue_testing.drain() is None
        assert result.get() == 5

    def test_without_a_loop_with_a_worker(aioqueue_worker):
        assert add.sync.call(2, 3, timeout=10) == 5
"""


def run(pytester: pytest.Pytester, ini: str, *arguments: str) -> pytest.RunResult:
    pytester.makeini(f"[pytest]\npythonpath = .\nfilterwarnings = error\n{ini}")
    # Half of the time of a run that is this short would be hypothesis', which is not used.
    quick = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    return pytester.runpytest_subprocess(*quick, *arguments, timeout=100)


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_with_pytest_asyncio(pytester: pytest.Pytester, mode: str) -> None:
    pytester.makepyfile(shop=SHOP, test_shop=TESTS)
    ini = f"aioqueue_app = shop:app\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function"
    run(pytester, ini).assert_outcomes(passed=7)


def test_with_session_wide_loops(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(shop=SHOP, test_shop=TESTS)
    ini = "aioqueue_app = shop:app\nasyncio_default_fixture_loop_scope = session\n"
    run(pytester, ini + "asyncio_default_test_loop_scope = session").assert_outcomes(passed=7)


def test_on_the_embedded_server(pytester: pytest.Pytester, own_server: None) -> None:
    pytester.makepyfile(shop=SHOP, test_shop=TESTS)
    ini = "aioqueue_app = shop\naioqueue_broker = embedded\nasyncio_default_fixture_loop_scope = function"
    run(pytester, ini).assert_outcomes(passed=7)


@pytest.mark.parametrize("arguments", [[], ["-p", "no:asyncio"]])
def test_with_anyio(pytester: pytest.Pytester, arguments: list[str]) -> None:
    pytester.makepyfile(
        shop=SHOP,
        test_shop="""
            import pytest
            from shop import add

            pytestmark = pytest.mark.anyio

            @pytest.fixture
            def anyio_backend():
                return "asyncio"

            async def test_fixtures(aioqueue_testing):
                assert await aioqueue_testing.run(add, 2, 3) == 5

            async def test_worker(aioqueue_app, aioqueue_worker):
                assert await add.call(2, 3, timeout=10) == 5
        """,
    )
    ini = "aioqueue_app = shop:app\n" + ("" if arguments else "asyncio_default_fixture_loop_scope = function")
    run(pytester, ini, *arguments).assert_outcomes(passed=2)


def test_the_app_can_be_overridden(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        shop=SHOP,
        test_shop="""
            import pytest
            import shop

            @pytest.fixture
            def aioqueue_app():
                return shop.app

            async def test_fixtures(aioqueue_testing, aioqueue_worker):
                assert await shop.add.call(2, 3, timeout=10) == 5
        """,
    )
    run(pytester, "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function").assert_outcomes(passed=1)


def test_without_an_app_there_is_a_new_one(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        async def test_app(aioqueue_app, aioqueue_testing):
            assert aioqueue_app.name == "test"

            @aioqueue_app.task
            async def add(x, y):
                return x + y

            assert await aioqueue_testing.run(add, 2, 3) == 5
        """
    )
    run(pytester, "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere:app", "*aioqueue_app = 'nowhere:app' names no app: No module named 'nowhere'*"),
        ("shop:nothing", "*aioqueue_app = 'shop:nothing' names no app*"),
        ("shop:add", "*aioqueue_app = 'shop:add' is a Task, and no AioQueue*"),
    ],
)
def test_an_app_that_is_not_there(pytester: pytest.Pytester, place: str, message: str) -> None:
    pytester.makepyfile(shop=SHOP, test_shop="async def test_app(aioqueue_app): ...")
    result = run(
        pytester, f"aioqueue_app = {place}\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function"
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_without_a_plugin_for_async_tests(pytester: pytest.Pytester) -> None:
    """Plain ones need none."""
    pytester.makepyfile(
        shop=SHOP,
        test_shop="""
            from shop import add

            async def test_app(aioqueue_app): ...

            def test_plain(aioqueue_testing):
                assert aioqueue_testing.run(add, 2, 3) == 5
        """,
    )
    result = run(pytester, "aioqueue_app = shop:app", "-p", "no:asyncio")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*needs an event loop: install pytest-asyncio*"])
