"""Booking: what an attempt at a message came to, judged and written down."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import define, field, frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import Profile, Reply

from ..settlement import LANES, Finding, Settlement, Terms, settle
from ..smtp.dialogue import Answer
from ..smtp.mail import Submission
from ..store import attempts, health, settling
from ..store.claims import Claimed, Ending
from ..verdict import Verdict, back_off, judge_error, judge_reply

LONGEST_QUEUE_ID = 200

_QUEUED_AS = re.compile(
    r"queued (?:as|for delivery as) <?([\w.@+-]+)>?|^OK id=([\w-]+)|\[InternalId=(\d+)",
    re.IGNORECASE,
)


def queue_id(reply: Reply | None) -> str:
    """The server's own name for the message, where its reply has one."""
    match = _QUEUED_AS.search(reply.text) if reply is not None else None
    found = next((group for group in match.groups() if group), "") if match else ""
    return found[:LONGEST_QUEUE_ID]


def findings(claimed: Claimed, submission: Submission) -> dict[str, Finding]:
    """A verdict on each recipient, from its answer or else from what ended it all."""
    found: dict[str, Finding] = {}
    doubtful = submission.doubtful
    for recipient in claimed.recipients:
        answer = submission.answers.get(recipient)
        if answer is not None:
            found[recipient] = _answered(answer)
        elif submission.error is not None:
            handed_over = recipient in doubtful
            found[recipient] = Finding(
                verdict=judge_error(submission.error, handed_over=handed_over),
                stage=submission.error.stage,
                reply=getattr(submission.error, "reply", None),
            )
        elif recipient in doubtful:
            verdict = Verdict("unknown", "the session ended before the reply")
            found[recipient] = Finding(verdict=verdict)
        else:
            verdict = Verdict("ours", "the worker was held up and left it to others")
            found[recipient] = Finding(verdict=verdict)
    return found


def _answered(answer: Answer) -> Finding:
    verdict = judge_reply(answer.stage, answer.reply)
    return Finding(verdict=verdict, stage=answer.stage, reply=answer.reply)


@define(kw_only=True, eq=False)
class Attempt:
    """A claimed row on its way: the submission, and what was said in its session."""

    claimed: Claimed
    submission: Submission
    session: list[str] = field(factory=list, repr=False)


@frozen(kw_only=True)
class Judged:
    """An attempt that ended, and what is to be written of it."""

    claimed: Claimed
    found: Mapping[str, Finding]
    settlement: Settlement
    ending: Ending
    due_at: float


def judge(profile: Profile, one: Attempt, now: float, fraction: float) -> Judged:
    """What an attempt came to; *fraction* of the back-off is waited, if it waits."""
    claimed, found = one.claimed, findings(one.claimed, one.submission)
    terms = Terms(
        lane=LANES[claimed.lane],
        tries=claimed.tries,
        max_attempts=claimed.max_attempts,
        on_unknown=profile.policy.on_unknown,
    )
    settlement = settle(terms, found)
    wait = back_off(claimed.tries + 1, fraction) if settlement.tried else 0
    return Judged(
        claimed=claimed,
        found=found,
        settlement=settlement,
        ending=_ending(settlement, found, "\n".join(one.session)),
        due_at=now + wait,
    )


def hand(connection: Connection, one: Attempt, now: float) -> bool:
    """Book what the server has decided already; false if the row is not ours."""
    answers = one.submission.answers
    found = {address: _answered(answer) for address, answer in answers.items()}
    states = {
        address: finding.verdict.kind
        if finding.verdict.kind in ("accepted", "refused")
        else "deferred"
        for address, finding in found.items()
    }
    if states:
        attempts.book(connection, one.claimed, states, found, now)
    awaiting = one.submission.awaiting
    return attempts.mark_handed(connection, one.claimed, awaiting, now)


def book_end(
    connection: Connection,
    profile: Profile,
    one: Judged,
    now: float,
    *,
    observed: bool,
    rests: bool,
) -> bool:
    """
    Settle the message, or queue it again; *rests*: and so does the profile.

    False, with the result kept beside the attempt, where the row was taken from us.
    """
    claimed, settlement, ending = one.claimed, one.settlement, one.ending
    if not attempts.book(connection, claimed, settlement.states, one.found, now):
        attempts.keep_late(connection, claimed, ending, now)
        return False
    attempts.end_attempt(connection, claimed, ending, now)
    if rests or not settlement.pause:
        _note_health(connection, profile, settlement, one.found, now)
    if settlement.again:
        attempts.requeue(
            connection, claimed, ending, due_at=one.due_at, tried=settlement.tried
        )
    else:
        settling.close_with_result(connection, claimed, ending, now, observed=observed)
    return True


def _ending(
    settlement: Settlement, found: Mapping[str, Finding], session: str
) -> Ending:
    """The attempt in one line: its gravest finding, and the reply that decided."""
    finding = settlement.finding
    accepted = [one for one in found.values() if one.verdict.kind == "accepted"]
    reply = accepted[0].reply if accepted else finding.reply
    good = finding.verdict.kind == "accepted"
    return Ending(
        verdict=finding.verdict.kind,
        stage=finding.stage,
        error="" if good else finding.verdict.reason,
        remedy=finding.verdict.remedy,
        reply=reply,
        queue_id=queue_id(reply) if accepted else "",
        transcript=session,
    )


def _note_health(
    connection: Connection,
    profile: Profile,
    settlement: Settlement,
    found: Mapping[str, Finding],
    now: float,
) -> None:
    """What the attempt says of the profile, rather than of the message."""
    verdict = settlement.finding.verdict
    if settlement.pause:
        health.failed(
            connection,
            profile.id,
            revision=profile.revision,
            reason=verdict.reason,
            remedy=verdict.remedy,
            now=now,
        )
    elif any(one.verdict.kind == "accepted" for one in found.values()):
        health.succeeded(connection, profile.id, profile.revision, now)
    else:
        health.refused(connection, profile.id, verdict.reason, now)
