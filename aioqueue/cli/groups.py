"""Commands and groups of them: found by name when they are called, with suggestions for misspelled ones."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from aioqueue.cli.finding import is_here
from aioqueue.cli.target import Target, about_this
from aioqueue.cli.terminal import is_fancy
from aioqueue.exceptions import suggest

if TYPE_CHECKING:
    from click import Command as Command
    from click import Group as _Group
    from click.shell_completion import CompletionItem
elif is_fancy(sys.stdout):
    # Boxes and colours are for terminals; elsewhere help is plain text, and rich isn't imported.
    from rich_click import RichCommand as Command
    from rich_click import RichGroup as _Group
else:
    from click import Command
    from click import Group as _Group


class Group(_Group):
    """A group whose commands lie in modules that are imported when they are needed.

    Args:
        sections: for the help, titles with the commands' names, each with its `module:attribute`.
        hidden: commands that are not in the help, each with its `module:attribute`.
        elsewhere: words that are no commands, and what is to be said to those who try them.
        default: the command that is meant where none is named.
    """

    command_class = Command

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Mapping[str, str]] | None = None,
        hidden: Mapping[str, str] | None = None,
        elsewhere: Mapping[str, str] | None = None,
        default: str | None = None,
        **more: Any,
    ) -> None:
        if default is not None:
            more.setdefault("subcommand_metavar", "[COMMAND] [MODULE:APP] [ARGS]...")
            name = more.get("name")
            example = f"aioqueue {name} shop.tasks:app --json is aioqueue {name} {default} shop.tasks:app --json"
            more.setdefault("epilog", f"A command that is left out is {default}: {example}.")
        super().__init__(*args, **more)
        self.sections = dict(sections or {})
        self.default = default
        self._listed = {name: home for commands in self.sections.values() for name, home in commands.items()}
        self._homes = {**self._listed, **(hidden or {})}
        self._elsewhere = elsewhere or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._listed, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        home = self._homes.get(cmd_name)
        if home is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = home.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if self.default is not None and not ctx.resilient_parsing and not {*args} & {*self.commands, "-h", "--help"}:
            # `queues -A shop` is `queues list -A shop`. A word that is no command is the app, or a mistake.
            first = next((word for word in args if not word.startswith("-")), "")
            if is_here(first) or args[:1] != [first] or not suggest(first, self.commands):
                args = [self.default, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        command = self.get_command(ctx, self.default) if self.default is not None else None
        for param in command.params if command is not None else ():
            if isinstance(param, click.Argument):
                found += param.shell_complete(ctx, incomplete)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            if name in self._elsewhere:
                about = ctx.ensure_object(Target)
                about.place = about.place or _app_in(args)
                raise click.UsageError(f"No such command {name!r} here. {about_this(self._elsewhere[name])}", ctx)
            known = self.list_commands(ctx)
            raise click.UsageError(
                f"No such command {name!r}.{suggest(name, [*known, *self._homes])} There are: {', '.join(known)}.", ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The plain help's list of commands, by section."""
        sections = {title: list(names) for title, names in self.sections.items()} or {
            "Commands": self.list_commands(ctx)
        }
        width = max(len(name) for name in self.list_commands(ctx))
        for title, names in sections.items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            rows = [
                (name.ljust(width), command.get_short_help_str(80)) for name, command in found if command is not None
            ]
            with formatter.section(title):
                formatter.write_dl(rows)


def _app_in(words: list[str]) -> str | None:
    """The app that `-A` names after a command that there is not."""
    for option, value in pairwise(words):
        if option in ("-A", "--app"):
            return value
    return next((word.partition("=")[2] for word in words if word.startswith("--app=")), None)
