"""The operations on messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from email_profiles_hookspecs import Outcome, Receipt

from ...settlement import STATES
from ..access import Role
from . import messages
from .messages import Message, WholeMessage
from .operations import (
    AFTER,
    LIMIT,
    Answer,
    Asked,
    Body,
    Operation,
    PageOf,
    Parameter,
    object_of,
)
from .values import COMPONENTS, Schema

TAG = "Messages"
MOST = 40 * 1024 * 1024
"""Octets of a message with its attachments, as JSON has them."""

IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    header=True,
    description="As `idempotency_key` in the body: asked twice, it is queued once.",
    schema={"type": "string", "minLength": 1, "maxLength": 255},
)
_WHOLE = (Answer(description="The message now.", kind=WholeMessage),)


def _text(most: int) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": most}


FILTERS = (
    Parameter(
        name="state",
        description="Only those in this state, or of this outcome.",
        schema={"type": "string", "enum": list(STATES)},
    ),
    Parameter(
        name="profile",
        description="Only what goes by this email profile.",
        schema=_text(64),
    ),
    Parameter(
        name="text",
        description="The start of an id, or in the address of a recipient.",
        schema=_text(200),
    ),
)


def _change(
    path: str, id: str, summary: str, run: Callable[[Asked], Response], **more: Any
) -> Operation:
    return Operation(
        method="POST",
        path=f"/outbox/{{id}}/{path}",
        id=id,
        tag=TAG,
        summary=summary,
        rule=Role.OPERATOR,
        run=run,
        answers=_WHOLE,
        errors=(409,),
        **more,
    )


OPERATIONS = (
    Operation(
        method="POST",
        path="/send",
        id="send",
        tag=TAG,
        summary="Queue a message, durably",
        description="It does not wait for delivery. `origin`, where it is left out, is"
        " who asks.",
        rule=Role.OPERATOR,
        run=messages.send,
        parameters=(IDEMPOTENCY_KEY,),
        body=Body(
            schema={"$ref": COMPONENTS + "SendRequest"},
            example={
                "profile": "plant-alerts",
                "from_address": "gateway@plant.example",
                "to": ["operator@plant.example"],
                "subject": "Tank 4 high",
                "text": "Level is 92 %.",
                "lane": "alarm",
            },
        ),
        answers=(
            Answer(
                description="It is on disk.",
                kind=Receipt,
                status=202,
                headers={"Location": "Where to look what becomes of it."},
            ),
        ),
        errors=(404, 409),
        most=MOST,
    ),
    Operation(
        method="GET",
        path="/outbox",
        id="list_messages",
        tag=TAG,
        summary="List the messages, the newest first",
        rule=Role.VIEWER,
        run=messages.listed,
        parameters=(*FILTERS, LIMIT, AFTER),
        answers=(Answer(description="One page.", kind=PageOf(Message)),),
        errors=(404,),
    ),
    Operation(
        method="GET",
        path="/outbox/{id}",
        id="get_message",
        tag=TAG,
        summary="Read one message with its recipients and attempts",
        rule=Role.VIEWER,
        run=messages.shown,
        answers=_WHOLE,
    ),
    _change(
        "retry",
        "retry_message",
        "Send it once more, to all that did not get it",
        messages.retry,
    ),
    _change("cancel", "cancel_message", "Do not send it any more", messages.cancel),
    _change(
        "settle",
        "settle_message",
        "Decide on a message whose fate is unknown",
        messages.settle,
        description="Look at the mail server first.",
        body=Body(
            schema=object_of(
                decision={"type": "string", "enum": ["accepted", "not sent", "retry"]}
            ),
            example={"decision": "accepted"},
        ),
    ),
    Operation(
        method="GET",
        path="/stats",
        id="count_messages",
        tag=TAG,
        summary="Count the messages by state",
        rule=Role.VIEWER,
        run=messages.stats,
        answers=(
            Answer(
                description="One count for each state.",
                kind=object_of(**{one: {"type": "integer"} for one in STATES}),
            ),
        ),
    ),
    Operation(
        method="GET",
        path="/outcomes",
        id="list_outcomes",
        tag=TAG,
        summary="What became of messages, the oldest first",
        description="`next` is there on the last page too: ask again later with it.",
        rule=Role.VIEWER,
        run=messages.outcomes,
        parameters=(
            Parameter(
                name="since",
                description="Settled then or later.",
                schema={"type": "string", "format": "date-time"},
                required=True,
            ),
            LIMIT,
            AFTER,
        ),
        answers=(Answer(description="One page.", kind=PageOf(Outcome)),),
    ),
)
