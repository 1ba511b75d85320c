"""What users of Celery type, by subjects; see docs/migrate-from-celery.md. Most of it in memory, where it is fast."""
