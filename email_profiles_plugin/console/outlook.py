"""Outlook: what a token's status means for mail, in sentences. Pure."""

from __future__ import annotations

import re

from email_profiles_hookspecs import TokenStatus

from .. import remedies

GOOD = ("valid", "expiring")
"""States in which mail goes out."""

_REFUSED = re.compile(r"refused: (\w+)(?: \(([^)]*)\))?")


def next_step(status: TokenStatus, *, fetching: bool) -> str:
    """What happens next with the token, and to mail; by its actions alone."""
    renewed = "refresh" in status.actions
    granted = "grant" in status.actions or "device" in status.actions
    if fetching:
        return "A new token is being fetched just now."
    if status.state in GOOD:
        return _while_it_lasts(status, renewed, granted)
    if status.state != "needs grant" and renewed:
        if status.state == "error":
            return (
                "It is tried again by itself, with growing pauses; mail waits "
                "meanwhile. Refresh Token tries it now."
            )
        return "The next message fetches a new token; nothing has to be done."
    if granted:
        return "Mail waits until a person grants access."
    if renewed:
        return "Mail waits. Look at what went wrong, then refresh the token."
    return "Mail waits until the profile's settings are corrected."


def _while_it_lasts(status: TokenStatus, renewed: bool, granted: bool) -> str:
    if status.expires_at is None:
        return "Mail goes out by it; it does not expire."
    if renewed:
        when = "about now" if status.state == "expiring" else "by itself"
        return f"Mail goes out by it. A new one is fetched {when}, before it expires."
    if granted:
        return (
            "Mail goes out by it until it expires. It can't be refreshed: then a "
            "person has to grant access anew, or mail waits."
        )
    return "Mail goes out by it until it expires; then mail waits."


def told(error: str) -> tuple[str, str]:
    """An error that was kept as one text, as what happened and what to do."""
    advice = remedies.for_failure(remedies.TOKEN, error)
    if refused := _REFUSED.search(error):
        advice = remedies.for_refusal(refused[1], refused[2] or "") or advice
    before, found, after = error.partition(advice) if advice else (error, "", "")
    if not found:
        return error, advice
    return f"{before.rstrip(': ')}{after}", advice
