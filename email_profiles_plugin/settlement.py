"""From verdicts to states: what a row of the outbox becomes. Pure rules, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from attrs import field, frozen

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.values import Lane, OnUnknown, OutcomeState

from .verdict import TRANSACTION, RecipientState, Verdict, outcome, retries

LANES: tuple[Lane, ...] = ("alarm", "normal", "bulk")
"""In the order in which they are looked at; a row holds the index."""

STATES: tuple[str, ...] = ("queued", "sending", *get_args(OutcomeState))
"""Of a message: before it is settled, and the outcomes that it may come to."""

WAITING: tuple[RecipientState, ...] = ("waiting", "deferred")
"""States of a recipient that is still to be served."""


@frozen(kw_only=True)
class Finding:
    """One recipient's verdict, with the stage and reply that it rests on."""

    verdict: Verdict
    stage: str = ""
    reply: Reply | None = None


@frozen(kw_only=True)
class Terms:
    """What a message was queued with, as far as it decides on another try."""

    lane: Lane
    tries: int
    max_attempts: int
    on_unknown: OnUnknown


@frozen(kw_only=True)
class Settlement:
    """
    What an attempt comes to.

    *states* by recipient; *again*: the message goes back to the queue, *tried*: and
    one of its tries is spent; *pause*: the profile rests, for *finding*'s reason.
    """

    states: Mapping[str, RecipientState] = field(factory=dict)
    again: bool
    tried: bool
    pause: bool
    finding: Finding


def settle(terms: Terms, findings: Mapping[str, Finding]) -> Settlement:
    """
    Decide on the recipients of one attempt, and so on the message.

    A verdict on the profile, or on us, costs no try. Others are bounded: a recipient
    that may be tried again, and has no try left, expires.
    """
    last = terms.tries + 1 >= terms.max_attempts
    states: dict[str, RecipientState] = {}
    for recipient, finding in findings.items():
        kind = finding.verdict.kind
        if kind == "profile" or kind == "ours":
            states[recipient] = "waiting"
        elif kind == "retry":
            states[recipient] = "expired" if last else "deferred"
        elif kind == "unknown":
            again = retries(terms.lane, terms.on_unknown) and not last
            states[recipient] = "deferred" if again else "unknown"
        else:
            states[recipient] = kind
    worst = min(findings.values(), key=_gravity)
    kinds = {finding.verdict.kind for finding in findings.values()}
    early = worst.verdict.kind == "retry" and worst.stage not in TRANSACTION
    return Settlement(
        states=states,
        again=any(state in WAITING for state in states.values()),
        tried=not kinds <= {"profile", "ours", "accepted"},
        pause=worst.verdict.kind == "profile" or early,
        finding=worst,
    )


def final(states: Mapping[str, RecipientState]) -> OutcomeState | None:
    """The outcome of a message with these recipients; None while some still wait."""
    if any(state in WAITING for state in states.values()):
        return None
    return outcome(states.values(), dry_run=False)


_ORDER = ("profile", "unknown", "refused", "retry", "ours", "accepted")


def _gravity(finding: Finding) -> int:
    return _ORDER.index(finding.verdict.kind)
