"""Failures: every error as a sentence for a person, with its remedy."""

from __future__ import annotations

from typing import IO, Any

import click

from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    Invalid,
    NotFound,
    SubmissionError,
)

from .output import clean

_LOOK = {
    "email profile": "see `email-profiles profile list`",
    "OAuth2 client": "see `email-profiles client list`",
    "API token": "see `email-profiles console token list`",
    "report schedule": "see `email-profiles report list`",
    "message": "see `email-profiles outbox list`; the start of an id has to be unique",
}

LONGEST = 300
"""Characters of a foreign error's text that are shown."""


class Failure(click.ClickException):
    """The command did not do what it was asked; exit code 1."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def show(self, file: IO[Any] | None = None) -> None:
        """The sentence and the remedy, on standard error."""
        click.echo(f"error: {clean(self.message)}", err=True)
        if self.remedy:
            click.echo(f"remedy: {clean(self.remedy)}", err=True)


class Mistakes(click.ClickException):
    """A document or a request is not valid: a line for each mistake."""

    exit_code = 1

    def __init__(self, error: Invalid, label: str = "") -> None:
        super().__init__(error.what)
        self.lines = [f"{label}{problem}" for problem in error.problems]

    def show(self, file: IO[Any] | None = None) -> None:
        """The mistakes, on standard error."""
        for line in self.lines:
            click.echo(clean(line), err=True)


def failure_of(error: EmailProfilesError) -> click.ClickException:
    """*error*, of the contract, as what a command ends with."""
    if isinstance(error, Invalid):
        return Mistakes(error)
    said = str(getattr(error, "message", "") or error)
    if isinstance(error, SubmissionError):
        said = f"{error.stage}: {said}"
    remedy = error.remedy
    if isinstance(error, NotFound):
        remedy = remedy or _LOOK.get(error.kind, "")
    return Failure(said, remedy)


def surprise(error: Exception) -> Failure:
    """*error*, which nobody expected: its first line, which holds no values of ours."""
    first = (str(error).splitlines() or [""])[0][:LONGEST]
    said = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return Failure(
        f"unexpected {said}",
        "`email-profiles --debug ...` shows where; please report it",
    )
