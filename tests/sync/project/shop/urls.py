"""A view that sends after the commit, and one that sends in place."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from shop.tasks import confirm, confirm_now


def confirm_order(request: HttpRequest, order_id: int) -> JsonResponse:
    """It sends when the order is committed."""
    transaction.on_commit(lambda: confirm.sync.delay(order_id))
    return JsonResponse({}, status=202)


def confirm_order_now(request: HttpRequest, order_id: int) -> JsonResponse:
    """It sends at once."""
    return JsonResponse({"open": confirm_now.sync.delay(order_id).get()}, status=202)


urlpatterns = [
    path("orders/<int:order_id>/confirm", confirm_order),
    path("orders/<int:order_id>/confirm-now", confirm_order_now),
]
