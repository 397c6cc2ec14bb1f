"""Messages over HTTP: queue one, look into the outbox, decide."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from attrs import frozen
from starlette.responses import Response

from email_profiles_hookspecs import Outcome, Problem, Reply
from email_profiles_hookspecs.errors import Invalid, NotFound

from ...documents import request_from_document, validate_request_document
from ...settlement import STATES
from ...store.views import MessageEntry, RecipientEntry
from ..problems import ProblemDetails
from .operations import Asked, answer
from .values import as_json


@frozen(kw_only=True)
class Message:
    """A message in the outbox; *state* is the outcome once it is settled."""

    id: str
    message_id: str
    state: str
    profile: str
    origin: str
    idempotency_key: str | None
    lane: str
    from_address: str
    subject: str
    size: int
    attempts: int
    queued_at: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    settled_at: datetime | None
    queue_id: str
    error: str


@frozen(kw_only=True)
class Attempt:
    """One submission; *transcript* is the session, redacted."""

    number: int
    late: bool
    worker: str
    profile_revision: int
    started_at: datetime | None
    handed_at: datetime | None
    ended_at: datetime | None
    verdict: str
    stage: str
    error: str
    remedy: str
    queue_id: str
    transcript: str


@frozen(kw_only=True)
class WholeMessage(Message):
    """A message with its header as it is sent, its recipients and attempts."""

    header: str
    reply: Reply | None
    recipients: tuple[RecipientEntry, ...]
    history: tuple[Attempt, ...]


def send(asked: Asked) -> Response:
    """Durably queued, or refused; a repeat by its key gets the same receipt."""
    call, document = asked.call, dict(asked.body)
    if (key := _key(call.request.headers.getlist("idempotency-key"))) is not None:
        if document.get("idempotency_key") not in (None, key):
            message = "is another one than the header Idempotency-Key says"
            problem = Problem(path="$.idempotency_key", message=message)
            raise Invalid("send request", [problem])
        document["idempotency_key"] = key
    if problems := validate_request_document(document):
        raise Invalid("send request", problems)
    document.setdefault("origin", call.actor)
    receipt = asked.profiles.send(request_from_document(document))
    url = call.url("api/outbox/id", id=receipt.id)
    return answer(receipt, HTTPStatus.ACCEPTED, {"Location": quote(url)})


def _key(headers: list[str]) -> str | None:
    """The key in the header: as it stands, or a string of structured fields."""
    if not headers:
        return None
    key = headers[0].strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if len(headers) > 1 or not key or not key.isascii() or not key.isprintable():
        raise ProblemDetails(
            HTTPStatus.BAD_REQUEST,
            "malformed-header",
            "Idempotency-Key has to be one key, of ASCII that can be printed",
        )
    return key


def listed(asked: Asked) -> Response:
    """One page, the newest first."""
    query = asked.query
    profile_id = None
    if query["profile"] is not None:
        found = asked.profiles.resolve(query["profile"])
        if found is None:
            raise asked.profiles.profiles.missing(query["profile"])
        profile_id = found.id
    entries = asked.profiles.outbox.list(
        state=query["state"],
        profile_id=profile_id,
        text=query["text"] or "",
        after=query["after"],
        limit=query["limit"],
    )
    more = entries[-1].id if len(entries) == query["limit"] else None
    items = [Message(**_summary(one)) for one in entries]
    return answer({"items": as_json(items), "next": more})


def shown(asked: Asked) -> Response:
    """One, with recipients and attempts."""
    return answer(_whole(asked))


def stats(asked: Asked) -> Response:
    """Counts by state."""
    counts = asked.profiles.outbox.stats()
    return answer({state: counts.get(state, 0) for state in STATES})


def outcomes(asked: Asked) -> Response:
    """What was settled since, the oldest first."""
    query = asked.query
    since, after = query["since"], ""
    if query["after"] is not None:
        since, after = _position(query["after"])
    found = asked.profiles.outbox.outcomes(since, after=after, limit=query["limit"])
    last = found[-1] if found else None
    told = {"items": as_json(found), "next": _cursor(last) if last else query["after"]}
    return answer(told)


def retry(asked: Asked) -> Response:
    """Once more."""
    id = _found(asked).id
    asked.profiles.outbox.retry(id, asked.call.actor)
    return answer(_whole(asked))


def cancel(asked: Asked) -> Response:
    """Not any more."""
    id = _found(asked).id
    asked.profiles.outbox.cancel(id, asked.call.actor)
    return answer(_whole(asked))


def settle(asked: Asked) -> Response:
    """A person has decided."""
    id = _found(asked).id
    asked.profiles.outbox.settle(id, asked.body["decision"], asked.call.actor)
    return answer(_whole(asked))


def _found(asked: Asked) -> MessageEntry:
    """By its whole id: a program has no use for the start of one."""
    entry = asked.profiles.outbox.show(asked["id"])
    if entry.id != asked["id"]:
        raise NotFound("message", asked["id"])
    return entry


def _summary(entry: MessageEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "message_id": entry.message_id,
        "state": entry.state,
        "profile": entry.profile,
        "origin": entry.origin,
        "idempotency_key": entry.idempotency_key,
        "lane": entry.lane,
        "from_address": entry.request.get("from_address", ""),
        "subject": entry.subject,
        "size": entry.size,
        "attempts": entry.attempts,
        "queued_at": entry.queued_at,
        "due_at": entry.due_at,
        "expires_at": entry.expires_at,
        "settled_at": entry.settled_at,
        "queue_id": entry.queue_id,
        "error": entry.error,
    }


def _whole(asked: Asked) -> WholeMessage:
    entry = _found(asked)
    history = tuple(
        Attempt(
            number=one.number,
            late=one.late,
            worker=one.worker,
            profile_revision=one.profile_revision,
            started_at=one.started_at,
            handed_at=one.handed_at,
            ended_at=one.ended_at,
            verdict=one.verdict,
            stage=one.stage,
            error=one.error,
            remedy=one.remedy,
            queue_id=one.queue_id,
            transcript=one.transcript,
        )
        for one in entry.history
    )
    return WholeMessage(
        **_summary(entry),
        header=asked.profiles.outbox.header(entry.id),
        reply=entry.reply,
        recipients=entry.recipients,
        history=history,
    )


def _cursor(last: Outcome) -> str:
    text = json.dumps([last.settled_at.isoformat(), last.id])
    return urlsafe_b64encode(text.encode()).decode()


def _position(cursor: str) -> tuple[datetime, str]:
    try:
        since, after = json.loads(urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(since)
        if not isinstance(after, str) or moment.utcoffset() is None:
            raise ValueError
    except (ValueError, TypeError):
        raise ProblemDetails(
            HTTPStatus.BAD_REQUEST,
            "invalid-parameter",
            "the query has mistakes",
            problems=[Problem(path="after", message="is no `next` of a page")],
        ) from None
    return moment, after
