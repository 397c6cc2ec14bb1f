"""The record: each step of a delivery, written down before or right after it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence

from attrs import define
from sqlalchemy import Connection

from email_profiles_hookspecs import Profile, Reply
from email_profiles_hookspecs.errors import FromNotAllowed
from email_profiles_hookspecs.services import Clock

from ..clock import SystemChance
from ..settlement import LANES, WAITING, Finding, Settlement, Terms, settle
from ..smtp.dialogue import Answer
from ..store import attempts, claims, health, queue, settling
from ..store.claims import Claimed, Ending
from ..store.database import Database
from ..submission import Submission
from ..verdict import Verdict, back_off, judge_error, judge_reply

_QUEUED_AS = re.compile(
    r"queued (?:as|for delivery as) <?([\w.@+-]+)>?|^OK id=([\w-]+)|\[InternalId=(\d+)",
    re.IGNORECASE,
)


def queue_id(reply: Reply | None) -> str:
    """The server's own name for the message, where its reply has one."""
    match = _QUEUED_AS.search(reply.text) if reply is not None else None
    return next((group for group in match.groups() if group), "") if match else ""


def findings(claimed: Claimed, submission: Submission) -> dict[str, Finding]:
    """A verdict on each recipient, from its answer or else from what ended it all."""
    found: dict[str, Finding] = {}
    for recipient in claimed.recipients:
        answer = submission.answers.get(recipient)
        if answer is not None:
            found[recipient] = _answered(answer)
        elif submission.error is not None:
            handed_over = recipient in submission.awaiting
            found[recipient] = Finding(
                verdict=judge_error(submission.error, handed_over=handed_over),
                stage=submission.error.stage,
                reply=getattr(submission.error, "reply", None),
            )
        else:
            verdict = Verdict("ours", "the worker was held up and left it to others")
            found[recipient] = Finding(verdict=verdict)
    return found


def _answered(answer: Answer) -> Finding:
    verdict = judge_reply(answer.stage, answer.reply)
    return Finding(verdict=verdict, stage=answer.stage, reply=answer.reply)


@define(kw_only=True)
class Record:
    """
    What happens to rows while they are delivered.

    Every step is conditional on the row still being the claimer's (fencing).
    *announce* is called with the ids of messages that were settled, after the commit;
    *observed* tells whether anybody listens.
    """

    database: Database
    clock: Clock
    chance: SystemChance
    announce: Callable[[Sequence[str]], None]
    observed: Callable[[], bool]

    def claim(
        self,
        profile: Profile,
        owner: str,
        *,
        limit: int = 1,
        id: str | None = None,
        below_lane: int = len(LANES),
    ) -> list[Claimed]:
        """Rows of *profile* to send now, within what its limits leave."""
        now = self._now()

        def work(connection: Connection) -> list[Claimed]:
            messages, recipients = left(connection, profile, now)
            if min(limit, messages) <= 0:
                return []
            return claims.claim(
                connection,
                owner=owner,
                now=now,
                limit=min(limit, messages),
                revision=profile.revision,
                profile_id=profile.id,
                id=id,
                below_lane=below_lane,
                most_recipients=recipients,
            )

        return self.database.write(work)

    def handed(
        self,
        claimed: Claimed,
        answers: Mapping[str, Answer],
        awaiting: Sequence[str],
    ) -> bool:
        """
        The last octet is about to go: from now on those *awaiting* may be unknown.

        Books what the server has decided already; false if the row is not ours.
        """
        found = {address: _answered(answer) for address, answer in answers.items()}
        states = {
            address: finding.verdict.kind
            if finding.verdict.kind in ("accepted", "refused")
            else "deferred"
            for address, finding in found.items()
        }
        now = self._now()

        def work(connection: Connection) -> bool:
            attempts.book(connection, claimed, states, found, now)
            return attempts.mark_handed(connection, claimed, awaiting, now)

        return self.database.write(work)

    def ended(
        self, claimed: Claimed, profile: Profile, submission: Submission, session: str
    ) -> Settlement | None:
        """
        An attempt ended: book its results, and settle the message or queue it again.

        None, with the result kept beside the attempt, where the row was taken from us.
        """
        found = findings(claimed, submission)
        terms = Terms(
            lane=LANES[claimed.lane],
            tries=claimed.tries,
            max_attempts=claimed.max_attempts,
            on_unknown=profile.policy.on_unknown,
        )
        settlement = settle(terms, found)
        ending = _ending(settlement, found, session)
        now = self._now()
        due_at, observed = now, self.observed()
        if settlement.tried:
            due_at += back_off(claimed.tries + 1, self.chance.fraction())

        def work(connection: Connection) -> bool:
            if not attempts.book(connection, claimed, settlement.states, found, now):
                attempts.keep_late(connection, claimed, ending, now)
                return False
            attempts.end_attempt(connection, claimed, ending, now)
            _note_health(connection, profile, settlement, found, now)
            if settlement.again:
                attempts.requeue(
                    connection, claimed, ending, due_at=due_at, tried=settlement.tried
                )
            else:
                settling.close_with_result(
                    connection, claimed, ending, now, observed=observed
                )
            return True

        if not self.database.write(work):
            return None
        if not settlement.again:
            self.announce([claimed.id])
        return settlement

    def refuse(self, claimed: Claimed, profile: Profile, error: FromNotAllowed) -> None:
        """The profile may not send this message any more: it is refused."""
        finding = Finding(verdict=Verdict("refused", error.message, error.remedy))
        ending = Ending(verdict="refused", error=error.message, remedy=error.remedy)
        states = dict.fromkeys(claimed.recipients, "refused")
        found = dict.fromkeys(claimed.recipients, finding)
        now, observed = self._now(), self.observed()

        def work(connection: Connection) -> None:
            if attempts.book(connection, claimed, states, found, now):
                attempts.end_attempt(connection, claimed, ending, now)
                settling.close_with_result(
                    connection, claimed, ending, now, observed=observed
                )

        self.database.write(work)
        self.announce([claimed.id])

    def pause(self, profile: Profile, reason: str, remedy: str) -> None:
        """The profile can't be used now: it rests, longer each time."""
        now = self._now()
        self.database.write(
            lambda c: health.failed(
                c,
                profile.id,
                revision=profile.revision,
                reason=reason,
                remedy=remedy,
                now=now,
            )
        )

    def expire(self) -> None:
        """Settle what was not sent in time."""
        now = self._now()
        with self.database.read() as connection:
            if not queue.expired(connection, now):
                return
        self.database.write(lambda c: queue.date(c, now))

        def work(connection: Connection) -> list[str]:
            rows = queue.expired(connection, now)
            for id, error in rows:
                settling.move_recipients(connection, id, WAITING, "expired", now)
                reason = error or "it could not be sent in time"
                settling.close(connection, id, by="", now=now, error=reason)
            return [id for id, _ in rows]

        self.announce(self.database.write(work))

    def _now(self) -> float:
        return self.clock.now().timestamp()


def left(
    connection: Connection, profile: Profile, now: float
) -> tuple[int, int | None]:
    """
    How many messages the profile's limits allow now, and for how many recipients.

    A message that is over the day's limit by itself goes when nothing else has gone.
    """
    messages, limits = sys.maxsize, profile.limits
    if limits.messages_per_minute is None and limits.recipients_per_day is None:
        return messages, None
    minute, day = queue.used(connection, profile.id, now)
    if limits.messages_per_minute is not None:
        messages = limits.messages_per_minute - minute
    if limits.recipients_per_day is None or not day:
        return messages, None
    return messages, max(limits.recipients_per_day - day, 0)


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
