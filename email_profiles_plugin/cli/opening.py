"""Opening: the facade that a command works on, as the group's options say."""

from __future__ import annotations

import functools
import getpass
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from .commands import DocumentGroup
from .output import clean

if TYPE_CHECKING:
    from ..profiles import Documents
    from ..runtime import EmailProfiles

P = ParamSpec("P")
R = TypeVar("R")


def open_facade(
    home: str | None, database: str | None, only: tuple[str, ...] | None
) -> EmailProfiles:
    """The facade; delivery is left to other processes."""
    from ..runtime import EmailProfiles

    return EmailProfiles.open(home, database=database, only=only, deliver=False)


@contextmanager
def opened(context: click.Context) -> Iterator[EmailProfiles]:
    """
    The facade while a command runs.

    Whoever calls `main` with an *obj* of its own has that open it.
    """
    root = context.find_root()
    opener = root.obj or open_facade
    only = () if root.params["no_plugins"] else None
    with (
        _told(debug=root.params["debug"]),
        opener(root.params["home"], root.params["database"], only) as profiles,
    ):
        yield profiles


def opens(command: Callable[Concatenate[EmailProfiles, P], R]) -> Callable[P, R]:
    """Give *command* the facade, as its first argument."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with opened(click.get_current_context()) as profiles:
            return command(profiles, *args, **kwargs)

    return run


def opens_documents(command: Callable[Concatenate[Documents, P], R]) -> Callable[P, R]:
    """Give *command* the documents of the group in which it stands."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        context = click.get_current_context()
        group = context.parent.command if context.parent else None
        assert isinstance(group, DocumentGroup)
        with opened(context) as profiles:
            return command(profiles.documents[group.kind], *args, **kwargs)

    return run


def actor() -> str:
    """Who runs the command, for the audit trail."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError, ImportError):
        return "cli:unknown"


class _Lines(logging.Handler):
    """Log records as lines on standard error; a traceback only with --debug."""

    def __init__(self, *, debug: bool) -> None:
        super().__init__(logging.WARNING)
        self.debug = debug

    def emit(self, record: logging.LogRecord) -> None:
        """One line, with its level in small letters."""
        line = f"{record.levelname.lower()}: {clean(record.getMessage())}"
        if self.debug and record.exc_info:
            line += "\n" + logging.Formatter().formatException(record.exc_info)
        click.echo(line, err=True)


@contextmanager
def _told(*, debug: bool) -> Iterator[None]:
    """What the library logs meanwhile is told on standard error."""
    logger = logging.getLogger("email_profiles_plugin")
    handler = _Lines(debug=debug)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
