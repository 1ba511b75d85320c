"""Celery's settings, read as settings of this package.

`meanings` says what each of them is here, `names` knows their spellings, `broker` makes one URL of all that concerns
the broker, and `reading` puts the three together. It is imported where a name is met that is no setting.
"""
