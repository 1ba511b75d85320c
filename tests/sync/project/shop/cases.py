"""Tests as users of Django write them; `tests/sync/test_django.py` runs them."""

from __future__ import annotations

import asyncio

from django.test import TestCase, override_settings

from aioqueue.exceptions import ConfigurationError
from shop.models import Order
from shop.tasks import app, confirm, confirm_all, confirm_all_now, confirm_now, eager


class Testing(TestCase):
    """With `app.testing()`."""

    def setUp(self) -> None:
        self.assertEqual(Order.objects.count(), 0, "what a task has written is rolled back as well")
        self.order = Order.objects.create(item="tea")

    def test_a_view(self) -> None:
        with app.testing() as t:
            with self.captureOnCommitCallbacks(execute=True):
                self.client.post(f"/orders/{self.order.id}/confirm")
            t.assert_sent(confirm, self.order.id)
            t.drain()
        self.order.refresh_from_db()
        self.assertTrue(self.order.confirmed)

    def test_a_task(self) -> None:
        Order.objects.create(item="milk")
        with app.testing() as t:
            self.assertEqual(t.run(confirm, self.order.id), 2)
            self.assertEqual(t.run(confirm_all), [1, 1])
        self.assertEqual(Order.objects.filter(confirmed=True).count(), 2)

    def test_apply(self) -> None:
        self.assertEqual(confirm.sync.apply((self.order.id,)).get(), 1)
        self.order.refresh_from_db()
        self.assertTrue(self.order.confirmed)


class Eager(TestCase):
    """With `task_always_eager`."""

    def setUp(self) -> None:
        self.assertEqual(Order.objects.count(), 0)
        self.order = Order.objects.create(item="tea")

    def test_a_view(self) -> None:
        answer = self.client.post(f"/orders/{self.order.id}/confirm-now")
        self.assertEqual(answer.json(), {"open": 1})
        self.order.refresh_from_db()
        self.assertTrue(self.order.confirmed)

    def test_tasks_that_wait_for_tasks(self) -> None:
        Order.objects.create(item="milk")
        self.assertEqual(len(confirm_all_now.sync.delay().get()), 2)
        self.assertEqual(Order.objects.filter(confirmed=True).count(), 2)
        result = confirm_now.sync.delay(self.order.id)
        self.assertEqual(eager.sync.result(result.id).result, 0)


class Overridden(TestCase):
    """With Django's settings changed for a while."""

    def setUp(self) -> None:
        self.order = Order.objects.create(item="tea")

    def tearDown(self) -> None:
        self.assertFalse(app.conf.task_always_eager)
        self.assertEqual(app.conf.task_time_limit, 60)

    @override_settings(CELERY_TASK_ALWAYS_EAGER=True, CELERY_TASK_EAGER_PROPAGATES=True)
    def test_tasks_run_where_they_are_sent(self) -> None:
        self.assertEqual(confirm.sync.delay(self.order.id).get(), 1)
        with self.assertRaises(Order.DoesNotExist):
            confirm.sync.delay(-1)

    def test_one_in_another(self) -> None:
        with override_settings(CELERY_TASK_ALWAYS_EAGER=True, CELERY_TASK_TIME_LIMIT=5):
            with self.settings(CELERY_TASK_ALWAYS_EAGER=False, OTHER=1):
                self.assertFalse(app.conf.task_always_eager)
                self.assertEqual(app.conf.task_time_limit, 5)
            self.assertTrue(app.conf.task_always_eager)
            self.assertEqual(confirm.sync.delay(self.order.id).get(), 1)

    def test_a_wrong_value(self) -> None:
        with self.settings(CELERY_TASK_ALWAYS_EAGER=True):
            with self.assertRaises(ConfigurationError), self.settings(CELERY_TASK_TIME_LIMIT="soon"):
                self.fail("it was taken")
            self.assertTrue(app.conf.task_always_eager)
            self.assertEqual(app.conf.task_time_limit, 60)


class Found(TestCase):
    """The tasks of installed apps."""

    def test_autodiscover(self) -> None:
        app.autodiscover_tasks(force=True)
        self.assertIn("confirm", app.tasks)

    async def test_in_a_coroutine(self) -> None:
        async with app.testing() as t:
            await asyncio.to_thread(confirm.sync.delay, 7)
            t.assert_sent(confirm, 7)
