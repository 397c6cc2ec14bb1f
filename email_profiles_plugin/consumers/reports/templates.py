"""
Templates: Jinja2 in its sandbox, for who may edit a schedule and nothing else.

Jinja computes constants when it compiles, so a template is only ever parsed where it
is checked; it is compiled and filled in a process of its own, with limits.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from .cells import local, shown

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

MOST_TEXT = 20 * 1024 * 1024
"""Characters that a page may have."""

MOST_LINE = 998
"""Characters that a subject, or a file's name, may have."""

NAMES = (
    "name",
    "title",
    "scheduled_at",
    "previous_at",
    "timezone",
    "parameters",
    "columns",
    "numeric",
    "rows",
    "row_count",
    "notes",
)
"""What every template may use."""

PAGE_NAMES = (*NAMES, "chart")
"""What the template of the report itself may use."""

_UNKNOWN_HERE = ("Include", "Import", "FromImport", "Extends")


class TemplateFailed(Exception):
    """A template can't be filled: a sentence, with the line where it is known."""


def environment(zone: ZoneInfo, *, html: bool) -> SandboxedEnvironment:
    """
    Jinja2, in which a template reaches values and nothing behind them.

    What it prints is shown as cells are; *html*: and escaped. `date` is its one filter
    of ours: `{{ scheduled_at|date("%d.%m.%Y") }}`, in *zone*.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def finalize(value: object) -> object:
        known = isinstance(value, float | date) or value is None
        return shown(value, zone) if known or isinstance(value, bool) else value

    made = ImmutableSandboxedEnvironment(
        autoescape=html,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.pop("lipsum")
    made.filters["date"] = lambda value, pattern: _dated(value, pattern, zone)
    return made


def _dated(value: object, pattern: str, zone: ZoneInfo) -> str:
    if not isinstance(value, date):
        raise TypeError("date goes with a date or a datetime")
    if isinstance(value, datetime):
        value = local(value, zone)
    return value.strftime(pattern)


def mistakes(source: str, known: Collection[str]) -> list[str]:
    """
    What is wrong with a template, each with its line; it is not run.

    A name that is neither *known* nor set in the template is a mistake, and so is an
    unknown filter or test.
    """
    from jinja2 import TemplateSyntaxError

    made = environment(ZoneInfo("UTC"), html=False)
    try:
        tree = made.parse(source)
    except TemplateSyntaxError as error:
        return [f"line {error.lineno}: {error.message or 'is not understood'}"]
    except RecursionError:
        return ["is nested too deeply"]
    return list(dict.fromkeys(_unknown(tree, made, known)))


def _unknown(
    tree: nodes.Template, made: SandboxedEnvironment, known: Collection[str]
) -> Iterator[str]:
    from jinja2 import nodes

    there = {*known, *made.globals, "loop", "self", "super", "varargs", "kwargs"}
    there |= {"caller"}
    there |= {one.name for one in tree.find_all(nodes.Name) if one.ctx != "load"}
    there |= {one.name for one in tree.find_all(nodes.Macro)}
    for one in tree.find_all(nodes.Node):
        kind = type(one).__name__
        if isinstance(one, nodes.Name) and one.name not in there:
            near = difflib.get_close_matches(one.name, sorted(there), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield f"line {one.lineno}: there is no {one.name[:40]!r}{hint}"
        elif isinstance(one, nodes.Filter) and one.name not in made.filters:
            yield f"line {one.lineno}: there is no filter {one.name[:40]!r}"
        elif isinstance(one, nodes.Test) and one.name not in made.tests:
            yield f"line {one.lineno}: there is no test {one.name[:40]!r}"
        elif kind in _UNKNOWN_HERE:
            yield f"line {one.lineno}: another template can't be used here"


def fill(
    source: str,
    values: Mapping[str, Any],
    zone: ZoneInfo,
    *,
    html: bool = False,
    most: int = MOST_TEXT,
) -> str:
    """*source* filled; TemplateFailed, also for more than *most* characters."""
    parts: list[str] = []
    size = 0
    try:
        template = environment(zone, html=html).from_string(source)
        for part in template.generate(values):
            size += len(part)
            if size > most:
                raise TemplateFailed(f"makes more than {most} characters")
            parts.append(part)
    except TemplateFailed:
        raise
    except MemoryError:
        raise TemplateFailed("needs more memory than a report may have") from None
    except RecursionError:
        raise TemplateFailed("is nested too deeply") from None
    except Exception as error:  # whatever the template calls may raise
        raise TemplateFailed(_sentence(error)) from error
    return "".join(parts)


def _sentence(error: Exception) -> str:
    line = getattr(error, "lineno", None) or _line(error)
    about = f"line {line}: " if line else ""
    said = str(error).strip().split("\n")[0][:300]
    return about + (said or type(error).__name__)


def _line(error: BaseException) -> int | None:
    """Jinja gives the frames of a template the template's own lines."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def one_line(text: str) -> str:
    """*text* as a header or a file's name has it: on one line, spaces joined."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def file_name(text: str, suffix: str) -> str:
    """*text* as the name of a file on any system, with *suffix*."""
    name = "".join("-" if c in '\\/:*?"<>|' else c for c in one_line(text))
    return f"{name.strip(' .')[:120].strip(' .') or 'report'}.{suffix}"
