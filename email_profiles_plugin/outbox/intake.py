"""Intake: a request becomes a durable row, or an error that says why it can't."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from attrs import define, evolve

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
from ..store import queue
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
        profile = self.resolve(request.profile)
        if profile is None:
            raise NotFound("email profile", request.profile)
        if not profile.enabled:
            raise Disabled(f"the email profile {profile.name!r} is disabled")
        draft = self._draft(request, profile)
        may_send_as(profile, (request.from_address, request.sender))
        try:
            before = self.database.write(lambda c: queue.queue(c, draft))
        except StoreUnavailable as error:
            raise OutboxUnavailable(error.message, error.remedy) from error
        if before is not None:
            again = _receipt(before.id, before.message_id, before.queued_at)
            return evolve(again, duplicate=True)
        return _receipt(draft.id, draft.message_id, draft.queued_at)

    def _draft(self, request: SendRequest, profile: Profile) -> Draft:
        now = self.clock.now()
        id = self.chance.unique()
        rendered = render(
            request, date=now, message_id=message_id_for(request.from_address, id)
        )
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
            request_hash=content_hash(request),
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
    if request.priority not in range(1, 6):
        yield Problem(path="$.priority", message="has to be 1 (highest) to 5")
    if request.max_attempts is not None and request.max_attempts < 1:
        yield Problem(path="$.max_attempts", message="has to be 1 at least")
    for name in ("origin", "idempotency_key"):
        if len(getattr(request, name) or "") > LONGEST_NAME:
            message = f"has more than {LONGEST_NAME} characters"
            yield Problem(path=f"$.{name}", message=message)
    count = len(request.to) + len(request.cc) + len(request.bcc)
    if count > MOST_RECIPIENTS:
        message = f"{count} recipients are more than {MOST_RECIPIENTS}"
        yield Problem(path="$.to", message=message, remedy="send several messages")


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
    """Equal for requests that ask for the same; as 64 hexadecimal digits."""
    document = document_from_request(request, with_data=False)
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for attachment in request.attachments:
        digest.update(hashlib.sha256(attachment.data).digest())
    return digest.hexdigest()
