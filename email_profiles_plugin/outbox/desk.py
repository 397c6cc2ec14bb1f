"""The desk: what a person or a program may ask of the outbox, or change in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from attrs import define, field, frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import Outcome, Profile, Receipt, SendRequest
from email_profiles_hookspecs.errors import (
    Conflict,
    EmailProfilesError,
    NotFound,
    Unknown,
)
from email_profiles_hookspecs.services import Clock

from ..settlement import WAITING
from ..store import audit, health, requeuing, settling, views
from ..store.claims import Claimed
from ..store.database import Database
from ..store.views import MessageEntry
from .delivery import Delivery
from .heart import Heart
from .intake import is_text
from .record import Record, Wanted
from .worker import Worker

Decision = Literal["accepted", "not sent", "retry"]

LOOK_S = 0.2
"""Seconds between looks at a row that another process may settle."""


@frozen(kw_only=True)
class Sent:
    """What `deliver` did: the receipt of the message, and its outcome."""

    receipt: Receipt
    outcome: Outcome


@define(kw_only=True, eq=False)
class Outbox:
    """The queued messages, and what became of them."""

    database: Database
    clock: Clock
    worker: Worker
    record: Record
    delivery: Delivery
    heart: Heart
    resolve: Callable[[str], Profile | None]
    send: Callable[[SendRequest], Receipt]
    announce: Callable[[Sequence[str]], None]
    settled: threading.Condition = field(factory=threading.Condition)

    def list(
        self,
        *,
        state: str | None = None,
        profile_id: str | None = None,
        text: str = "",
        after: str | None = None,
        limit: int = 100,
    ) -> list[MessageEntry]:
        """
        The newest messages; those in a *state*, or of one outcome, where asked.

        *text* is the start of an id, or in a recipient's address. To read on, give
        the last one's id as *after*.
        """
        if not is_text(text):
            return []
        with self.database.read() as connection:
            return views.listed(
                connection,
                state=state,
                profile_id=profile_id,
                text=text,
                after=after,
                limit=limit,
            )

    def show(self, id: str) -> MessageEntry:
        """One message with recipients and attempts; by its id, or the start of it."""
        found = None
        if is_text(id):
            with self.database.read() as connection:
                found = views.shown(connection, id)
        if found is None:
            raise NotFound("message", id)
        return found

    def header(self, id: str) -> str:
        """The header of message *id*, as it is sent: no body, no attachment."""
        with self.database.read() as connection:
            return views.header(connection, id)

    def stats(self) -> dict[str, int]:
        """How many messages are in each state, or came to each outcome."""
        with self.database.read() as connection:
            return views.stats(connection)

    def outcome(self, id: str, wait: float = 0) -> Outcome | None:
        """What became of a message; None if after *wait* seconds it is not settled."""
        deadline = self.clock.monotonic() + wait
        id = self.show(id).id
        while True:
            with self.database.read() as connection:
                found = views.outcome(connection, id)
            left = deadline - self.clock.monotonic()
            if found is not None or left <= 0:
                return found
            with self.settled:
                self.settled.wait(min(left, LOOK_S))

    def outcomes(
        self, since: datetime, *, after: str = "", limit: int = 1000
    ) -> Sequence[Outcome]:
        """
        What was settled at or after *since*, oldest first, *limit* at most.

        To read on, give the last one's `settled_at`, and its id as *after*.
        """
        with self.database.read() as connection:
            moment = since.timestamp()
            ids = views.settled_since(connection, moment, after, limit)
            found = [views.outcome(connection, id) for id in ids]
        return [one for one in found if one is not None]

    def deliver(self, request: SendRequest, timeout: float) -> Sent:
        """
        Queue *request*, send it at once, and say what became of it.

        Site plugins have their say, as for every message. What can't be sent within
        *timeout* seconds is cancelled; where it can't be, as somebody is sending it,
        or a site plugin took it, Unknown is raised with its id.
        """
        deadline = self.clock.monotonic() + timeout
        profile = self.resolve(request.profile)
        self.heart.start()
        lapses, owner = self.worker.lapses, self.worker.enlist()
        credential = None
        if profile is not None and profile.enabled:
            credential = self.delivery.submitter.credential(profile, deadline)
        receipt = self.send(request)
        claimed = None
        if profile is not None and not receipt.duplicate:
            claimed = self._claimed(receipt.id, profile, owner)
        while profile is not None and credential is not None and claimed is not None:
            begun = self.delivery.begin(profile, credential, claimed, lapses)
            try:
                settlement = begun.result(max(deadline - self.clock.monotonic(), 0))
                again = settlement is not None and settlement.again
                if settlement is None or settlement.pause or not again:
                    break
                credential = self.delivery.submitter.credential(profile, deadline)
                lapses, owner = self.worker.lapses, self.worker.enlist()
                claimed = self._again(receipt.id, profile, owner, deadline)
            except (TimeoutError, EmailProfilesError):
                break
        left = 0.0
        if claimed is None:
            left = max(deadline - self.clock.monotonic(), 0)
        outcome = self._result(receipt.id, left, mine=not receipt.duplicate)
        return Sent(receipt=receipt, outcome=outcome)

    def retry(self, id: str, actor: str) -> None:
        """Send it once more, now: to all that did not get it. Not while it is sent."""
        entry = self.show(id)
        now = self.clock.now().timestamp()

        def work(connection: Connection) -> None:
            if not requeuing.again(connection, entry.id, now):
                raise Conflict(
                    f"message {entry.id} is {entry.state}: there is nothing to retry"
                )
            health.resume(connection, entry.profile_id)
            self._audit(connection, actor, "retry", entry, now)

        self.database.write(work)
        self.delivery.wake()

    def cancel(self, id: str, actor: str) -> None:
        """Do not send it any more; Conflict if it is being sent, or settled."""
        entry = self.show(id)
        if not self._cancel(entry, actor):
            raise Conflict(
                f"message {entry.id} is {self.show(entry.id).state}: "
                "it can't be cancelled"
            )

    def settle(self, id: str, decision: Decision, actor: str) -> None:
        """Decide on a message whose fate is unknown, after looking at the server."""
        entry = self.show(id)
        if decision == "retry":
            return self.retry(entry.id, actor)
        state = "accepted" if decision == "accepted" else "cancelled"
        now = self.clock.now().timestamp()

        def work(connection: Connection) -> None:
            moved = settling.move_recipients(
                connection, entry.id, ["unknown"], state, now
            )
            if not moved:
                raise Conflict(
                    f"message {entry.id} is {entry.state}: there is nothing to decide"
                )
            if not requeuing.is_on_its_way(connection, entry.id):
                settling.close(connection, entry.id, by="", now=now)
            self._audit(connection, actor, f"settle: {decision}", entry, now)

        self.database.write(work)
        self.announce([entry.id])

    def _again(
        self, id: str, profile: Profile, owner: str, deadline: float
    ) -> Claimed | None:
        """The row once more, when it is due and if that is in time."""
        due_at = self.show(id).due_at
        now = self.clock.now()
        wait = (due_at - now).total_seconds() if due_at is not None else 0
        if self.clock.monotonic() + wait > deadline:
            return None
        threading.Event().wait(max(wait, 0))
        return self._claimed(id, profile, owner)

    def _claimed(self, id: str, profile: Profile, owner: str) -> Claimed | None:
        """The row, if nobody else has it; one whose time is over is settled instead."""
        found = self.record.claim(profile, Wanted(owner=owner, id=id))
        if not found:
            self.record.expire()
        return found[0] if found else None

    def _result(self, id: str, wait: float, *, mine: bool) -> Outcome:
        """The outcome; what is *mine* and still queued at the end is cancelled."""
        try:
            found = self.outcome(id, wait)
        except NotFound as error:
            raise Unknown(
                f"a site plugin took the message, as {id}", id, "ask that plugin"
            ) from error
        if found is None and mine:
            self._cancel(self.show(id), "the caller, at its timeout")
            found = self.outcome(id)
        if found is None:
            raise Unknown(
                f"message {id} is on its way; what becomes of it will be known later",
                id,
                f"ask for the outcome of {id}",
            )
        return found

    def _cancel(self, entry: MessageEntry, actor: str) -> bool:
        now = self.clock.now().timestamp()

        def work(connection: Connection) -> bool:
            if not requeuing.is_queued(connection, entry.id):
                return False
            settling.move_recipients(connection, entry.id, WAITING, "cancelled", now)
            reason = entry.error or "it was cancelled before it was sent"
            settling.close(connection, entry.id, by="", now=now, error=reason)
            self._audit(connection, actor, "cancel", entry, now)
            return True

        if not self.database.write(work):
            return False
        self.announce([entry.id])
        return True

    def _audit(
        self,
        connection: Connection,
        actor: str,
        action: str,
        entry: MessageEntry,
        now: float,
    ) -> None:
        audit.record(
            connection,
            audit.Entry(
                at=now,
                actor=actor,
                action=action,
                kind="message",
                subject_id=entry.id,
                subject=entry.message_id,
                detail={"state": entry.state, "profile": entry.profile},
            ),
        )
