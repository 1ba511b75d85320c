"""Tests as users of Django write them; `tests/sync/test_django.py` runs them."""

from __future__ import annotations

import asyncio

from django.test import TestCase

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


class Found(TestCase):
    """The tasks of installed apps."""

    def test_autodiscover(self) -> None:
        app.autodiscover_tasks(force=True)
        self.assertIn("confirm", app.tasks)

    async def test_in_a_coroutine(self) -> None:
        async with app.testing() as t:
            await asyncio.to_thread(confirm.sync.delay, 7)
            t.assert_sent(confirm, 7)
