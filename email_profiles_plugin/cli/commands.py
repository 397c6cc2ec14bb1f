"""Commands and groups as all of ours are: with examples, and errors as sentences."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import click


class Command(click.Command):
    """
    A command with *examples* in its help.

    In an example `{}` stands for the command itself, `{name}` for a document's name.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, unwrapped."""
        if not self.examples:
            return
        above = ctx.parent.command if ctx.parent is not None else None
        name = getattr(above, "example", "plant-alerts")
        with formatter.section("Examples"):
            for example in self.examples:
                line = example.replace("{}", ctx.command_path).replace("{name}", name)
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class Group(click.Group):
    """A group that lists its commands in the order in which they are used."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of definition."""
        return list(self.commands)


class DocumentGroup(Group):
    """
    Commands on documents of one *kind*, as the store calls it.

    *example* is a name that one of them might have.
    """

    def __init__(
        self, *args: Any, kind: str = "", example: str = "plant-alerts", **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.kind = kind
        self.example = example


class Root(Group):
    """The outermost group, and the one place where errors become sentences."""

    group_class = Group

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that it raises ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            self._end(error, debug=bool(ctx.params.get("debug")))

    def _end(self, error: Exception, *, debug: bool) -> None:
        from email_profiles_hookspecs.errors import EmailProfilesError

        from .failures import failure_of, surprise

        if isinstance(error, EmailProfilesError):
            raise failure_of(error) from error
        if debug or (isinstance(error, OSError) and error.errno == errno.EPIPE):
            raise error
        raise surprise(error) from error


AS_JSON = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
