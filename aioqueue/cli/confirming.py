"""A question before something is lost."""

from __future__ import annotations

import sys

import click


def confirm(question: str, *, yes: bool) -> None:
    """Go on if the user says so.

    Raises:
        UsageError: there is nobody to ask, and no --yes.
        Exit: they said no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Say so with --yes: there is no terminal to ask.")
    if not click.confirm(question, err=True):
        click.get_current_context().exit(1)
