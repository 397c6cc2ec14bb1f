"""Send requests to JSON and back."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from email_profiles_hookspecs import Attachment, SendRequest

from .composition import request_schema
from .shapes import with_defaults


def request_from_document(document: Mapping[str, Any]) -> SendRequest:
    """The send request that *document*, which has to be valid, describes."""
    full = with_defaults(document, request_schema())
    moment = full["not_after"]
    return SendRequest(
        profile=full["profile"],
        from_address=full["from_address"],
        sender=full["sender"],
        to=full["to"],
        cc=full["cc"],
        bcc=full["bcc"],
        reply_to=full["reply_to"],
        subject=full["subject"],
        text=full["text"],
        html=full["html"],
        attachments=[_attachment(one) for one in full["attachments"]],
        headers=full["headers"],
        priority=full["priority"],
        lane=full["lane"],
        not_after=None if moment is None else datetime.fromisoformat(moment),
        max_attempts=full["max_attempts"],
        idempotency_key=full["idempotency_key"],
        origin=full["origin"],
        dry_run=full["dry_run"],
    )


def _attachment(document: Mapping[str, Any]) -> Attachment:
    return Attachment(
        name=document["name"],
        data=b64decode(document["data"]),
        content_type=document["content_type"],
        content_id=document["content_id"],
    )


def document_from_request(
    request: SendRequest, *, with_data: bool = True
) -> dict[str, Any]:
    """
    *request* in its JSON form, every property given.

    Not *with_data*: the attachments' bytes are left out, their `data` empty.
    """
    moment = request.not_after
    return {
        "profile": request.profile,
        "from_address": request.from_address,
        "sender": request.sender,
        "to": list(request.to),
        "cc": list(request.cc),
        "bcc": list(request.bcc),
        "reply_to": list(request.reply_to),
        "subject": request.subject,
        "text": request.text,
        "html": request.html,
        "attachments": [
            {
                "name": one.name,
                "data": b64encode(one.data).decode() if with_data else "",
                "content_type": one.content_type,
                "content_id": one.content_id,
            }
            for one in request.attachments
        ],
        "headers": dict(request.headers),
        "priority": request.priority,
        "lane": request.lane,
        "not_after": None if moment is None else moment.isoformat(),
        "max_attempts": request.max_attempts,
        "idempotency_key": request.idempotency_key,
        "origin": request.origin,
        "dry_run": request.dry_run,
    }
