"""Intake: a request becomes a durable row, or an error that says why it can't."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from attrs import define, evolve
from sqlalchemy import Row

from email_profiles_hookspecs import Problem, Profile, Receipt, SendRequest
from email_profiles_hookspecs.errors import (
    Disabled,
    FromNotAllowed,
    Invalid,
    NotFound,
    OutboxUnavailable,
    StoreUnavailable,
)
from email_profiles_hookspecs.services import Clock

from ..addresses import matches, parse
from ..clock import SystemChance
from ..documents import document_from_request
from ..message import message_id_for, render
from ..settlement import LANES
from ..store import audit, queue
from ..store.database import Database
from ..store.queue import Draft

MOST_OCTETS = 150 * 1024 * 1024
"""A message may have so many octets; the biggest servers take no more."""

MOST_RECIPIENTS = 10_000
LONGEST_NAME = 200


@define(kw_only=True)
class Intake:
    """Takes messages into the outbox."""

    database: Database
    clock: Clock
    chance: SystemChance
    resolve: Callable[[str], Profile | None]

    def queue(self, request: SendRequest) -> Receipt:
        """
        Queue *request*; returns when that is durable.

        Raises Invalid, NotFound, Disabled, FromNotAllowed and IdempotencyConflict for
        a request that can never be sent, OutboxUnavailable when none can be queued.
        """
        problems = list(check(request))
        if problems:
            raise Invalid("send request", problems)
        hashed = content_hash(request)
        try:
            before = self._before(request, hashed)
            if before is not None:
                return _repeated(before)
            draft = self._draft(request, self._profile(request.profile), hashed)
            before = self.database.write(lambda c: queue.queue(c, draft))
        except StoreUnavailable as error:
            raise OutboxUnavailable(error.message, error.remedy) from error
        if before is not None:
            return _repeated(before)
        return _receipt(draft.id, draft.message_id, draft.queued_at)

    def _before(self, request: SendRequest, hashed: str) -> Row[Any] | None:
        """The message that the key stands for: a repeat is always answered."""
        if request.idempotency_key is None or request.dry_run:
            return None
        with self.database.read() as connection:
            return queue.queued_before(
                connection, request.origin, request.idempotency_key, hashed
            )

    def _profile(self, name: str) -> Profile:
        profile = self.resolve(name)
        if profile is None:
            with self.database.read() as connection:
                remedy = audit.called_now(connection, "email_profile", name)
            raise NotFound("email profile", name, remedy)
        if not profile.enabled:
            raise Disabled(f"the email profile {profile.name!r} is disabled")
        return profile

    def _draft(self, request: SendRequest, profile: Profile, hashed: str) -> Draft:
        now = self.clock.now()
        id = self.chance.unique()
        rendered = render(
            request, date=now, message_id=message_id_for(request.from_address, id)
        )
        may_send_as(profile, (request.from_address, request.sender))
        if len(rendered.octets) > MOST_OCTETS:
            what = f"the message has {len(rendered.octets)} octets, of {MOST_OCTETS}"
            raise Invalid("send request", [Problem(path="$", message=what)])
        expires = now.timestamp() + profile.policy.max_age_s
        if request.not_after is not None:
            expires = min(expires, request.not_after.timestamp())
        return Draft(
            id=id,
            message_id=rendered.message_id,
            profile_id=profile.id,
            profile_name=profile.name,
            origin=request.origin,
            idempotency_key=request.idempotency_key,
            request_hash=hashed,
            request=json.dumps(
                document_from_request(request, with_data=False), ensure_ascii=False
            ),
            mail_from=rendered.envelope.mail_from,
            recipients=rendered.envelope.recipients,
            octets=rendered.octets,
            smtputf8=rendered.smtputf8,
            lane=LANES.index(request.lane),
            max_attempts=request.max_attempts or profile.policy.max_attempts,
            queued_at=now.timestamp(),
            expires_at=expires,
            dry_run=request.dry_run,
        )


def _repeated(before: Row[Any]) -> Receipt:
    receipt = _receipt(before.id, before.message_id, before.queued_at)
    return evolve(receipt, duplicate=True)


def _receipt(id: str, message_id: str, queued_at: float) -> Receipt:
    moment = datetime.fromtimestamp(queued_at, UTC)
    return Receipt(id=id, message_id=message_id, queued_at=moment)


def check(request: SendRequest) -> Iterable[Problem]:
    """What a request breaks, beside what only shows when it is rendered."""
    if not isinstance(request, SendRequest):
        raise TypeError(f"expected a SendRequest, got a {type(request).__name__}")
    if request.lane not in LANES:
        known = ", ".join(LANES)
        yield Problem(path="$.lane", message=f"has to be one of {known}")
    if not _is_whole(request.priority, 5):
        yield Problem(path="$.priority", message="has to be 1 (highest) to 5")
    if request.max_attempts is not None and not _is_whole(request.max_attempts, 1000):
        yield Problem(path="$.max_attempts", message="has to be 1 to 1000")
    for name in ("profile", "origin", "idempotency_key"):
        value = getattr(request, name)
        if value is None and name == "idempotency_key":
            continue
        if not isinstance(value, str) or not is_text(value):
            yield Problem(path=f"$.{name}", message="has to be text")
        elif len(value) > LONGEST_NAME:
            message = f"has more than {LONGEST_NAME} characters"
            yield Problem(path=f"$.{name}", message=message)
    count = len(request.to) + len(request.cc) + len(request.bcc)
    if count > MOST_RECIPIENTS:
        message = f"{count} recipients are more than {MOST_RECIPIENTS}"
        yield Problem(path="$.to", message=message, remedy="send several messages")


def _is_whole(value: object, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def is_text(value: str) -> bool:
    """It can be written down: no lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def may_send_as(profile: Profile, addresses: Iterable[str | None]) -> None:
    """FromNotAllowed where the profile's policy does not list an address."""
    allowed = profile.policy.from_addresses
    for text in addresses if allowed else ():
        if text is None:
            continue
        address = parse(text)
        if not any(matches(address, one) for one in allowed):
            raise FromNotAllowed(
                f"the email profile {profile.name!r} may not send as {address.spec}",
                f"it may send as {', '.join(allowed)}",
            )


def content_hash(request: SendRequest) -> str:
    """
    Equal for requests that ask for the same; as 64 hexadecimal digits.

    Until when it may be sent does not count: hosts compute that anew.
    """
    document = document_from_request(request, with_data=False)
    del document["not_after"], document["dry_run"]
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for attachment in request.attachments:
        digest.update(hashlib.sha256(attachment.data).digest())
    return digest.hexdigest()
