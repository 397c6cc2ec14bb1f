"""What goes to standard output: tables, properties, JSON; one look for all commands."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from email_profiles_hookspecs import Reply

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What a terminal obeys instead of showing, and what is no text."""


def clean(text: object) -> str:
    """*text* on one line, with nothing in it that a terminal would obey."""
    return _UNSAFE.sub(_escaped, str(text))


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode()


def say(line: str) -> None:
    """One line for whoever runs the command."""
    click.echo(clean(line))


def session(parts: Iterable[str]) -> None:
    """What was said to a server, line by line, indented."""
    for part in parts:
        for line in part.splitlines():
            say(f"  {line}")


def warn(line: str) -> None:
    """One line on standard error: nothing failed, but it should be known."""
    click.echo(f"warning: {clean(line)}", err=True)


def note(line: str) -> None:
    """One line on standard error that goes with what is printed."""
    click.echo(f"note: {clean(line)}", err=True)


def print_json(value: object) -> None:
    """*value* as JSON, for programs; in ASCII where that is all the output takes."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, indent=2, ensure_ascii=not utf8)
    click.echo(re.sub(_UNSAFE, _in_json, text))


def _in_json(match: re.Match[str]) -> str:
    return match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}"


def on_terminal() -> bool:
    """Whether a person reads along; else lines are for programs."""
    return sys.stdout.isatty()


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """
    *rows* under *headings*.

    A drawn table on a terminal; in a pipe aligned columns with two spaces or more
    between, `-` where there is nothing, and nothing cut or wrapped.
    """
    cells = [[clean(_text(cell)) for cell in row] for row in rows]
    if on_terminal():
        _draw(headings, cells)
        return
    lines = [list(headings), *([cell or "-" for cell in row] for row in cells)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _draw(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    Console(file=sys.stdout, highlight=False).print(drawn)


def properties(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one pair a line; a pair without a value is left out."""
    shown = [(name, text) for name, value in pairs if (text := _text(value))]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        click.echo(f"{name.ljust(width)}  {clean(text)}".rstrip())


def flat(document: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """Nested objects as pairs: `smtp.hostname` and its value."""
    pairs: list[tuple[str, object]] = []
    for name, value in document.items():
        if isinstance(value, Mapping):
            pairs += flat(value, f"{prefix}{name}.")
        else:
            pairs.append((f"{prefix}{name}", value))
    return pairs


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def moment(value: datetime | None) -> str | None:
    """A time as JSON has it: ISO 8601, UTC."""
    return None if value is None else value.astimezone(UTC).isoformat()


def refusals(refused: Mapping[str, Reply]) -> dict[str, dict[str, object]]:
    """Replies by recipient as JSON has them; *text* begins with the status code."""
    return {
        recipient: {
            "code": reply.code,
            "text": f"{reply.enhanced} {reply.text}".strip(),
        }
        for recipient, reply in refused.items()
    }
