"""Pasting: the address at which a browser ended, typed or piped in by a person."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from email_profiles_hookspecs.errors import StateRefused

from .. import grant_rules
from . import files

R = TypeVar("R")

TRIES = 3
"""How often an address may be pasted, where the first was none, or not whole."""

NONE = "no address was pasted"

SLIPS = ("malformed", "unknown")
"""Reasons for which a pasted answer may be one that was cut off."""


def pasted(say: Callable[[str], None], complete: Callable[[str], R]) -> R:
    """
    What *complete* makes of the query in a pasted address.

    Asked for again after a slip, on a terminal or while there is more input. Raises
    StateRefused, and what *complete* does.
    """
    say("then paste the address at which the browser ends, and press Enter:")
    slip: StateRefused | None = None
    for left in reversed(range(TRIES)):
        line = files.read_line().strip()
        try:
            return complete(_query(line))
        except StateRefused as error:
            if error.reason not in SLIPS:
                raise
            slip = error if line or slip is None else slip
            if not left or not (line or _on_terminal()):
                break
        say(f"{slip.message}; was it pasted whole? Paste it once more:")
    assert slip is not None
    part = "" if slip.message == NONE else "; it may have been pasted in part"
    raise StateRefused(slip.message + part, slip.reason, slip.remedy)


def _query(line: str) -> str:
    if not line:
        raise StateRefused(NONE, "malformed", "run the command again")
    query = grant_rules.query_of(line)
    answer = grant_rules.read(query).query
    if not (answer.get("code") or answer.get("error")):
        raise grant_rules.refused("malformed")
    return query


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
