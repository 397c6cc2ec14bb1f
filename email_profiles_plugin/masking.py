"""What a peer said, quoted without the secrets that it may echo. Pure."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib import parse

HARMLESS = frozenset(
    {
        "accept",
        "audience",
        "client_assertion_type",
        "client_id",
        "content-type",
        "grant_type",
        "redirect_uri",
        "resource",
        "response_type",
        "scope",
        "token_type_hint",
        "user-agent",
    }
)
"""Header and form fields whose values are no secrets, and may be quoted."""

LONGEST = 20_000
"""Characters of a text that are looked at; of which the first words are shown."""

_NAMED = re.compile(
    r"""
    (?P<before>
        (?<![a-z_]) (?!error_) (?:[a-z]+_)*
        (?: token | secret | assertion | password | code | code_verifier )
        (?: ["']\s*:\s*(?P<quote>["']) | = | > )
    )
    (?(quote) (?:[^"'\\]|\\.)* | [^&<>\s"']+ )
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""A secret by its name: in JSON, in a form, in XML; cut off or not."""

_TOKENLIKE = re.compile(r"[A-Za-z0-9._~+/=-]{20,}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\.?")


def spellings(
    fields: Iterable[tuple[str, str]], others: Iterable[Any]
) -> tuple[str, ...]:
    """
    What may not be quoted of a request, as an answer may spell it.

    *fields* are headers and form fields by name; of *others* every text counts, also
    within lists and objects. Up to three characters stand in every other word, and
    hide nothing.
    """
    values = list(_leaves(list(others)))
    for name, value in fields:
        if name.lower() not in HARMLESS:
            values.append(value)
        if name.lower() == "authorization":
            values.append(value.partition(" ")[2])
    spelt = {
        spelling
        for value in values
        for spelling in (
            value,
            parse.quote(value, safe=""),
            parse.quote_plus(value),
            json.dumps(value)[1:-1],
            html.escape(value),
        )
        if len(value) > 3
    }
    return tuple(sorted(spelt))


def mask(text: str, sent: Iterable[str]) -> str:
    """
    *text* without what was *sent*, and without whatever looks like a token.

    Whatever has the name of a secret is one, however it looks.
    """
    named = _NAMED.sub(r"\g<before>***", _without(text, sent))
    return _TOKENLIKE.sub(_hide, named)


def quote(text: str, sent: Iterable[str], limit: int = 200) -> str:
    """The first words of *text*: masked, on one line, printable."""
    return _words(mask(text[:LONGEST], sent), limit)


def show(text: str, secrets: Iterable[str], limit: int = 200) -> str:
    """
    The first words of *text* without these *secrets*, on one line, printable.

    For what is meant to be read, and may look like a token: a subject, a scope.
    """
    return _words(_without(text[:LONGEST], secrets), limit)


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _words(text: str, limit: int) -> str:
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shown if len(shown) <= limit else f"{shown[:limit]}..."


def _hide(found: re.Match[str]) -> str:
    """Words and addresses stay; a token has letters and digits, or is very long."""
    run = found[0]
    if run.startswith("//") or _UUID.fullmatch(run):
        return run
    mixed = any(c.isdigit() for c in run) and any(c.isalpha() for c in run)
    return "***" if mixed or len(run) > 40 else run


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
