"""The settings of a small project of Django's."""

from __future__ import annotations

import os

SECRET_KEY = "tests"
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
if folder := os.environ.get("POSTGRESQL"):  # where its server has its socket
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": folder,
    }
CELERY_BROKER_URL = "redis://nobody.invalid"
CELERY_TASK_TIME_LIMIT = 60
