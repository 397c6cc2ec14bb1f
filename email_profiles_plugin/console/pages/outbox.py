"""The outbox: the messages, what became of each, and what a person decides."""

from __future__ import annotations

from starlette.responses import Response

from email_profiles_hookspecs.errors import Conflict

from ...outbox.desk import Decision
from ...settlement import STATES
from ...store.views import MessageEntry
from .. import refusals
from ..access import Role
from ..calls import Call
from ..places import Place

PAGE = 50
"""Messages on a page."""

DECISIONS: tuple[tuple[Decision, str, str], ...] = (
    ("accepted", "The server has it", "Those recipients count as served."),
    ("not sent", "It was not sent", "They count as cancelled; it is left at that."),
    ("retry", "Send it again", "Whoever has it already gets it a second time."),
)
"""What may be decided of an unknown message, each with its label and its meaning."""

TRAIL = 50
"""Changes that a message's page shows."""


def outbox(call: Call) -> Response:
    """The newest messages: by state, profile, and a word of id or recipient."""
    state, profile = call.asked("state"), call.asked("profile")
    text, after = call.asked("text"), call.asked("after")
    found = call.profiles.outbox.list(
        state=state or None,
        profile_id=profile or None,
        text=text,
        after=after or None,
        limit=PAGE + 1,
    )
    counts = call.profiles.outbox.stats()
    return call.page(
        "outbox.html",
        messages=found[:PAGE],
        after=found[PAGE - 1].id if len(found) > PAGE else "",
        counts=[(one, counts[one]) for one in STATES if one in counts],
        states=STATES,
        documents=call.profiles.profiles.list(),
        wanted={"state": state, "profile": profile, "text": text},
        paged=bool(after),
        now=call.profiles.now(),
    )


def message(call: Call) -> Response:
    """One message: request, recipients, attempts, header, and who changed it."""
    return _page(call, _found(call))


def retry(call: Call) -> Response:
    """Send it once more, now, to all that did not get it."""
    entry = _found(call)
    try:
        if _unknown(entry):
            raise Conflict("its fate is unknown", "decide on it first")
        call.profiles.outbox.retry(entry.id, call.actor)
    except Conflict as error:
        return _page(call, _found(call), error)
    return call.to("message", id=entry.id, said="The message is queued again.")


def cancel(call: Call) -> Response:
    """Do not send it any more."""
    entry = _found(call)
    try:
        call.profiles.outbox.cancel(entry.id, call.actor)
    except Conflict as error:
        return _page(call, _found(call), error)
    return call.to("message", id=entry.id, said="The message is cancelled.")


def decide(call: Call) -> Response:
    """What *unknown* means, and what may be decided, before it is."""
    entry = _found(call)
    if not _unknown(entry):
        return call.to("message", id=entry.id, said="There is nothing to decide.")
    return call.page("message_settle.html", entry=entry, decisions=DECISIONS)


def settle(call: Call) -> Response:
    """Decide on a message whose fate is unknown."""
    entry = _found(call)
    wanted = call.form.get("decision", "")
    chosen = next((one for one in DECISIONS if one[0] == wanted), None)
    if chosen is None:
        return call.page(
            "message_settle.html",
            status=422,
            entry=entry,
            decisions=DECISIONS,
            mistake="Choose one of the three.",
        )
    try:
        call.profiles.outbox.settle(entry.id, chosen[0], call.actor)
    except Conflict as error:
        return _page(call, _found(call), error)
    said = f"Decided: {chosen[1].lower()}."
    return call.to("message", id=entry.id, said=said)


def _found(call: Call) -> MessageEntry:
    return call.profiles.outbox.show(call.params["id"])


def _unknown(entry: MessageEntry) -> bool:
    return any(one.state == "unknown" for one in entry.recipients)


def _page(call: Call, entry: MessageEntry, error: Conflict | None = None) -> Response:
    reached = {one.state for one in entry.recipients} == {"accepted"}
    known = any(one.id == entry.profile_id for one in call.profiles.profiles.list())
    return call.page(
        "message.html",
        status=200 if error is None else refusals.status_of(error),
        entry=entry,
        error=error,
        header=call.profiles.outbox.header(entry.id),
        trail=call.profiles.trail(subject_id=entry.id, limit=TRAIL),
        unknown=_unknown(entry),
        can_retry=not (
            reached or entry.state in ("sending", "dry run") or _unknown(entry)
        ),
        can_cancel=entry.state == "queued",
        may_act=call.may(Role.OPERATOR),
        may_read=call.may(Role.ADMIN),
        profile_known=known,
        now=call.profiles.now(),
    )


PLACES = (
    Place("GET", "/outbox", "outbox", Role.VIEWER, outbox),
    Place("GET", "/outbox/{id}", "message", Role.VIEWER, message),
    Place("POST", "/outbox/{id}/retry", "message_retry", Role.OPERATOR, retry),
    Place("POST", "/outbox/{id}/cancel", "message_cancel", Role.OPERATOR, cancel),
    Place("GET", "/outbox/{id}/settle", "message_settle", Role.OPERATOR, decide),
    Place("POST", "/outbox/{id}/settle", "message_settle", Role.OPERATOR, settle),
)
