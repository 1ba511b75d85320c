"""What is done with orders, by two apps: one sends, the other runs its tasks where they are sent."""

from __future__ import annotations

from collections.abc import Iterator

from aioqueue import AioQueue, Depends
from shop.models import Order

app = AioQueue("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
eager = AioQueue("eager", task_always_eager=True)


def orders() -> Iterator[list[Order]]:
    """What is open, as it is seen when the task begins."""
    yield list(Order.objects.filter(confirmed=False))


def _confirm(order_id: int, known: list[Order] = Depends(orders)) -> int:
    order = Order.objects.get(id=order_id)
    order.confirmed = True
    order.save()
    return len(known)


def _confirm_all(sender: object) -> list[int]:
    waiting = [sender.sync.delay(order.id) for order in Order.objects.all()]  # type: ignore[attr-defined]
    return [one.get() for one in waiting]


confirm = app.task(name="confirm")(_confirm)
confirm_now = eager.task(name="confirm")(_confirm)


@app.task
def confirm_all() -> list[int]:
    """One task that waits for others."""
    return _confirm_all(confirm)


@eager.task
def confirm_all_now() -> list[int]:
    """The same in place."""
    return _confirm_all(confirm_now)
