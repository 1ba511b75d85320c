"""`aioqueue demo`: lies in `aioqueue.demo`, which is imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from aioqueue.cli.groups import Command


@click.command(
    cls=Command,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def demo(ctx: click.Context) -> None:
    """See it work: many tasks, a killed worker, nothing lost."""
    try:
        command: click.Command = import_module("aioqueue.demo.cli").demo
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("aioqueue.demo"):
            raise click.ClickException(f"The demo needs the module {error.name!r}, which is not installed.") from error
        raise click.ClickException("This installation of aioqueue comes without the demo.") from error
    with command.make_context("demo", list(ctx.args), parent=ctx.parent) as inner:
        inner.command.invoke(inner)
