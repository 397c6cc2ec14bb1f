"""What follows from an answer or an error: pure rules, no clock, no database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from attrs import frozen

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    NotOffered,
    ProtocolError,
    Refused,
    SaslError,
    SecretError,
    StoreUnavailable,
    SubmissionError,
    TlsFailed,
    TokenError,
)
from email_profiles_hookspecs.values import Lane, OnUnknown, OutcomeState

from . import remedies

Kind = Literal["accepted", "refused", "retry", "profile", "ours", "unknown"]
RecipientState = Literal[
    "waiting", "accepted", "refused", "deferred", "unknown", "expired", "cancelled"
]

TRANSACTION = ("RSET", "MAIL", "RCPT", "DATA", "end of data")
"""Stages at which a 5xx is the message's own; before them it is the profile's."""

_PROFILE_CODES = (530, 534, 535, 538)
_PROFILE_STATUSES = ((550, "5.7.30"), (554, "5.2.0"), (554, "5.4.5"))

FIRST_RETRY_S = 30
LONGEST_RETRY_S = 3600
FIRST_PAUSE_S = 15
LONGEST_PAUSE_S = 900


@frozen
class Verdict:
    """
    What to do with a recipient.

    *profile*: the message is not to blame; it waits while the profile is paused.
    *ours*: neither is to blame, but this worker; somebody tries again.
    """

    kind: Kind
    reason: str = ""
    remedy: str = ""


def judge_reply(stage: str, reply: Reply) -> Verdict:
    """The verdict on a recipient whose last word from the server is *reply*."""
    reason = f"{stage}: {reply}"
    blamed = (reply.code, reply.enhanced) in _PROFILE_STATUSES
    if reply.code >= 400:
        remedy = remedies.for_reply(stage, reply)
        kind: Kind = "refused" if stage in TRANSACTION else "profile"
        if reply.code in _PROFILE_CODES or blamed:
            kind = "profile"
        elif reply.code // 100 == 4:
            kind = "retry"
        return Verdict(kind, reason, remedy)
    if stage == "end of data" and reply.code // 100 == 2:
        return Verdict("accepted", reason)
    return Verdict("retry", f"{reason} was not expected")


def judge_error(error: EmailProfilesError, *, handed_over: bool) -> Verdict:
    """
    The verdict on a message after *error*.

    *handed_over*: its last octet left our hands and no reply answers it, so that it
    may or may not have been accepted.
    """
    if handed_over:
        return Verdict("unknown", str(error))
    if isinstance(error, Refused):
        said = judge_reply(error.stage, error.reply)
        return Verdict(said.kind, said.reason, error.remedy or said.remedy)
    reason, remedy = f"{error}", error.remedy
    if isinstance(error, SubmissionError):
        reason = f"{error.stage}: {error.message}"
        remedy = remedy or remedies.for_failure(error.stage, error.message)
    if isinstance(error, NotOffered) and error.stage in TRANSACTION:
        return Verdict("refused", reason, remedy)
    if isinstance(error, StoreUnavailable):
        return Verdict("ours", reason, remedy)
    profile = NotOffered, TlsFailed, SecretError, TokenError, SaslError
    blamed = isinstance(error, profile) or not isinstance(error, SubmissionError)
    if isinstance(error, ProtocolError) and error.stage not in TRANSACTION:
        blamed = True
    return Verdict("profile" if blamed else "retry", reason, remedy)


def retries(lane: Lane, on_unknown: OnUnknown) -> bool:
    """May a message whose fate is unknown be sent again, with the same Message-ID?"""
    return on_unknown == "retry" or (on_unknown == "auto" and lane == "alarm")


def back_off(tries: int, fraction: float) -> float:
    """Seconds to the next try, after *tries* failed: full jitter by *fraction*."""
    return fraction * min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(tries - 1, 20))


def pause(failures: int) -> float:
    """Seconds for which a profile rests after *failures* in a row."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 20))


def outcome(states: Iterable[RecipientState], *, dry_run: bool) -> OutcomeState:
    """The message's outcome, from its recipients' final states."""
    seen = set(states)
    if dry_run:
        return "dry run"
    if "unknown" in seen:
        return "unknown"
    if seen == {"accepted"}:
        return "accepted"
    if "accepted" in seen:
        return "partly accepted"
    if seen == {"cancelled"}:
        return "cancelled"
    if seen == {"refused"}:
        return "refused"
    return "expired" if "expired" in seen else "cancelled"
