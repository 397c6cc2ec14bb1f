"""Dispatch: a claimed mail becomes a message in the outbox, once whatever happens."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from email_profiles_hookspecs import Receipt
from email_profiles_hookspecs.errors import (
    Disabled,
    EmailProfilesError,
    IdempotencyConflict,
    NotFound,
    SecretError,
    StoreUnavailable,
)

from ...store import alarm_mails
from ...store.alarm_claims import Mail
from ...store.alarm_mails import Told
from . import links
from .desk import Desk
from .events import AlarmEvent
from .mail import Digest, Recipient, compose, idempotency_key, origin
from .notification import Notification
from .planning import DISABLED

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ...runtime import EmailProfiles

log = logging.getLogger(__name__)

RETRY_S = 30
"""Seconds till a mail is tried again whose profile can't be used just now."""

GIVE_UP_S = 86_400
"""Seconds after which that is given up."""

GONE = "the alarm notification was deleted"
OVER = "nothing is left that it would tell of"

PASSING = (Disabled, NotFound, SecretError, StoreUnavailable)
"""What somebody may put right meanwhile."""


@frozen(kw_only=True)
class Made:
    """What became of a mail: *receipt*, or the *error*, for good or till *again*."""

    mail: Mail
    message_id: str | None = None
    receipt: Receipt | None = None
    error: Exception | None = None
    again: bool = False


@define(eq=False)
class Dispatch:
    """
    Makes mails.

    What a mail tells of is settled when it is claimed. So whoever makes it again, after
    a crash, finds by its key that it is in the outbox already.
    """

    profiles: EmailProfiles
    desk: Desk
    _before: tuple[object, Digest | None] = field(default=(None, None), init=False)

    def make(self, mails: Sequence[Mail]) -> list[Made]:
        """Put each into the outbox, and note what became of it."""
        made = [self._make(mail) for mail in mails]
        if made:
            self.profiles.database.write(lambda connection: _settle(connection, made))
        for one in made:
            if one.error is not None:
                log.warning("a mail to %s: %s", one.mail.who, one.error)
        return made

    def _make(self, mail: Mail) -> Made:
        try:
            return self._sent(mail)
        except PASSING as error:
            return Made(mail=mail, error=error, again=self._may_wait(mail))
        except EmailProfilesError as error:
            return Made(mail=mail, error=error)
        except Exception as error:
            log.exception("a mail to %s: an unexpected error; going on", mail.who)
            return Made(mail=mail, error=error, again=self._may_wait(mail))

    def _may_wait(self, mail: Mail) -> bool:
        age = self.profiles.clock.now().timestamp() - mail.created_at
        return age < GIVE_UP_S

    def _sent(self, mail: Mail) -> Made:
        with self.profiles.database.read() as connection:
            notification = self.desk.by_id(connection, mail.document_id)
            ids = alarm_mails.events_of(connection, mail.id)
        if notification is None:
            return Made(mail=mail, error=NotFound("alarm notification", GONE))
        if reason := OVER if not ids else "" if notification.enabled else DISABLED:
            return Made(mail=mail, error=Disabled(reason))
        key = idempotency_key(mail.id)
        with self.profiles.database.read() as connection:
            before = alarm_mails.queued_as(connection, origin(notification.id), key)
        if before is not None:
            return Made(mail=mail, message_id=before)
        profile = self.desk.profile(notification)
        digest = self._digest(mail, ids, notification.consolidated_most)
        request = compose(
            notification,
            digest,
            Recipient(
                who=mail.who,
                addresses=mail.addresses,
                link=self._link(notification, digest, mail),
            ),
            profile=profile.name,
            key=key,
            made_at=datetime.fromtimestamp(mail.created_at, UTC),
        )
        try:
            receipt = self.profiles.send(request)
        except IdempotencyConflict:  # somebody else was sooner, in other words
            with self.profiles.database.read() as connection:
                before = alarm_mails.queued_as(connection, request.origin, key)
            return Made(mail=mail, message_id=before)
        return Made(mail=mail, message_id=receipt.id, receipt=receipt)

    def _digest(self, mail: Mail, ids: Sequence[str], most: int) -> Digest:
        """What *mail* tells of; most often, what the mail before it told others."""
        same, before = self._before
        if before is not None and same == (most, ids):
            return before
        with self.profiles.database.read() as connection:
            told = alarm_mails.told(connection, mail.id, most)
        if told is None:
            raise NotFound("alarm notification", GONE)
        digest = digest_of(told)
        self._before = ((most, ids), digest)
        return digest

    def _link(self, notification: Notification, digest: Digest, mail: Mail) -> str:
        """Where there is something to acknowledge; else ""."""
        known = all(event.acked for event in digest.events)
        if notification.link is None or (known and digest.count == len(digest.events)):
            return ""
        key = self.profiles.keyring.derived(links.PURPOSE)[0]
        expires_at = int(mail.created_at) + notification.link.valid_s
        return links.link(notification.link.url, links.sign(key, mail.id, expires_at))


def digest_of(told: Told) -> Digest:
    """What the store knows of a mail, as its templates need it."""
    return Digest(
        count=sum(told.by_transition.values()),
        events=tuple(AlarmEvent.from_document(json.loads(one)) for one in told.bodies),
        by_transition=told.by_transition,
        rank=told.rank,
        first=datetime.fromtimestamp(told.first, UTC),
        last=datetime.fromtimestamp(told.last, UTC),
    )


def _settle(connection: Connection, made: Sequence[Made]) -> None:
    for one in made:
        reason = "" if one.error is None else str(one.error)
        if one.again:
            until = one.mail.claimed_until + RETRY_S
            alarm_mails.put_off(connection, one.mail.id, until, reason)
        else:
            alarm_mails.settle(
                connection, one.mail.id, message_id=one.message_id, error=reason
            )
