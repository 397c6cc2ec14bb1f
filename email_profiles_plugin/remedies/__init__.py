"""What to do about what a server said: the most specific row of a table."""

from __future__ import annotations

import re

from email_profiles_hookspecs import Reply

from .mail import ANY_MAIL, MICROSOFT_MAIL, OTHER_MAIL
from .rows import TOKEN, Row
from .tokens import ANY_TOKEN, GOOGLE_TOKENS, MICROSOFT_TOKENS

__all__ = ["MOST", "ROWS", "TOKEN", "Row", "for_failure", "for_refusal", "for_reply"]

ROWS = (
    *MICROSOFT_MAIL,
    *OTHER_MAIL,
    *ANY_MAIL,
    *MICROSOFT_TOKENS,
    *GOOGLE_TOKENS,
    *ANY_TOKEN,
)
"""The table; where several rows fit, the one that asks for most decides."""

MOST = 2000
"""Characters of what a server said that are looked at."""


def for_reply(stage: str, reply: Reply) -> str:
    """What to do about a mail server's refusal; "" where nothing is known."""
    return _advice(
        _best(stage=stage, code=reply.code, enhanced=reply.enhanced, said=reply.text)
    )


def for_failure(stage: str, message: str) -> str:
    """What to do about a failure at *stage* that is not a reply; "" as above."""
    return _advice(_best(stage=stage, said=message))


def for_refusal(error: str, description: str = "", host: str = "") -> str:
    """
    What to do about an authorization server's refusal; "" as above.

    *error* is its code (RFC 6749, 4.1.2.1 and 5.2), *host* the server's, if known.
    """
    return _advice(_best(stage=TOKEN, code=error, said=description, host=host))


def _advice(row: Row | None) -> str:
    return row.advice if row is not None else ""


def _best(
    *,
    stage: str,
    code: int | str | None = None,
    enhanced: str = "",
    said: str = "",
    host: str = "",
) -> Row | None:
    """The row that asks for most of what is there; of equals the first."""
    text, best = said[:MOST], None
    for row in ROWS:
        if best is not None and row.weight <= best.weight:
            continue
        if _fits(row, stage, code, enhanced, text, host):
            best = row
    return best


def _fits(
    row: Row,
    stage: str,
    code: int | str | None,
    enhanced: str,
    said: str,
    host: str,
) -> bool:
    if row.stages and stage not in row.stages:
        return False
    if row.code is not None and row.code != code:
        return False
    if row.enhanced and row.enhanced != enhanced:
        return False
    if row.host and not f".{host}".endswith(f".{row.host}"):
        return False
    return not row.pattern or bool(re.search(row.pattern, said, re.IGNORECASE))
