"""Which app a command is about, and the options that say so."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aioqueue.cli.completing import complete_apps
from aioqueue.cli.finding import find_app, looks_like_app

if TYPE_CHECKING:
    from aioqueue.app import AioQueue

_F = TypeVar("_F", bound=Callable[..., Any])
_NO_APP = (
    "Which app? Name it as module:attribute, such as shop.tasks:app, after the command, with -A, or in $AIOQUEUE_APP."
)


@dataclass
class Target:
    """What the options before and after the command's name say; the later ones win."""

    place: str | None = None
    broker: str | None = None
    namespace: str | None = None
    debug: bool = False

    def take(self, words: tuple[str, ...], *, first: bool = False) -> tuple[str, ...]:
        """Take the app from the first of a command's words, if it is there; returns the others.

        Args:
            words: the command's arguments.
            first: the first of them is the app, unless -A has named it; else it must look like one.
        """
        if words and self.place is None and (first or looks_like_app(words[0])):
            self.place = words[0]
            return words[1:]
        return words

    def take_names(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The names or ids among a command's words, each of them once; the app is taken from the first of several, if
        it is there or nothing else says which it is.

        Args:
            words: the command's arguments; one alone is no app.
        """
        names = self.take(words, first=not self.is_said) if len(words) > 1 else words
        return tuple(dict.fromkeys(names))

    @property
    def is_said(self) -> bool:
        """Whether something before the command's words says which app it is, or where to look."""
        return bool(self.app_place or self.namespace or os.environ.get("AIOQUEUE_NAMESPACE"))

    @property
    def app_place(self) -> str | None:
        """Where the app is, if anything says so."""
        return self.place or os.environ.get("AIOQUEUE_APP") or None

    def words(self) -> list[str]:
        """The same, as options of a command."""
        given = {"--app": self.app_place, "--broker": self.broker, "--namespace": self.namespace}
        words = [word for option, value in given.items() if value for word in (option, value)]
        return [*words, "--debug"] if self.debug else words

    def shown(self) -> tuple[str, ...]:
        """The same for advice: without the broker's password."""
        from aioqueue.advice import without_password

        broker = self.broker and without_password(self.broker)
        given = {"-A": self.app_place, "-b": broker, "--namespace": self.namespace}
        return tuple(word for option, value in given.items() if value for word in (option, value))

    def app(self) -> AioQueue:
        """The app, with its tasks.

        Raises:
            UsageError: nothing names it, or it is not there.
        """
        place = self.app_place
        if place is None:
            raise click.UsageError(_NO_APP)
        app = find_app(place)
        changes = {"broker": self.broker, "namespace": self.namespace}
        app.conf.update({name: value for name, value in changes.items() if value})
        app.reached_by = self.shown()
        return app

    def connection(self) -> AioQueue:
        """The app, or where none is named, one without tasks that only knows where to look.

        Raises:
            UsageError: neither an app nor a namespace is named.
        """
        if self.app_place is not None:
            return self.app()
        from aioqueue.app import AioQueue
        from aioqueue.settings import Settings

        namespace = self.namespace or Settings.load({}).namespace
        if not namespace:
            raise click.UsageError(
                f"{_NO_APP} Without its code: --namespace NAME (the app's name, if its settings don't say otherwise), "
                "and --broker URL or $AIOQUEUE_BROKER."
            )
        app = AioQueue(namespace, broker=self.broker, namespace=namespace)
        app.reached_by = self.shown()
        return app


def target_options(function: _F) -> _F:
    """`-A`, `--broker` and `--namespace`; a command asks `target()` for what they say."""
    function = _option(
        "namespace", "--namespace", metavar="NAME", help="The prefix of the app's keys; by default its name."
    )(function)
    function = _option("broker", "-b", "--broker", metavar="URL", help="In place of the app's own.")(function)
    return _option(
        "place", "-A", "--app", metavar="MODULE:APP", help="The app. Also $AIOQUEUE_APP.", shell_complete=complete_apps
    )(function)


def _option(attribute: str, *names: str, **settings: Any) -> Callable[[_F], _F]:
    def keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            setattr(ctx.ensure_object(Target), attribute, value)

    return click.option(*names, f"_{attribute}", expose_value=False, callback=keep, **settings)


def target() -> Target:
    """The target of the command that is being run."""
    return click.get_current_context().ensure_object(Target)


def command(*words: str) -> str:
    """Another command about the same app, for advice: it can be pasted as it stands."""
    from aioqueue.advice import command_line

    return command_line(target().shown(), words)


def about_this(text: str) -> str:
    """A text in which each command in backticks is about the same app."""
    return text.replace("`aioqueue ", f"`{command()} ")


json_option = click.option("-j", "--json", "as_json", is_flag=True, help="Write JSON, for programs.")
