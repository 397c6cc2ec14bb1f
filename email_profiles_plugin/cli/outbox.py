"""`email-profiles outbox`: the messages, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..settlement import STATES
from . import output
from .commands import AS_JSON, Group
from .opening import actor, opens

if TYPE_CHECKING:
    from ..outbox.desk import Decision
    from ..runtime import EmailProfiles
    from ..store.views import AttemptEntry, MessageEntry

SHORT = 12
"""Digits of an id that are shown on a terminal; any unique start of one will do."""


def _state(value: str) -> str:
    """A state, written with a space or a hyphen."""
    state = value.replace("-", " ")
    if state not in STATES:
        raise click.BadParameter(f"{value!r} is none of {', '.join(STATES)}")
    return state


@click.group(cls=Group)
def outbox() -> None:
    """The outbox: every message, and what became of it."""


ID = click.argument("id", metavar="ID")


@outbox.command("list", examples=["{}", "{} --state unknown", "{} --json --limit 1000"])
@click.option("--state", type=_state, metavar="STATE", help="Only these.")
@click.option("--profile", metavar="NAME", help="Only what goes by this profile.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=100,
    help="So many at most.",
    show_default=True,
)
@AS_JSON
@opens
def list_(
    facade: EmailProfiles,
    state: str | None,
    profile: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the messages, newest first."""
    profile_id = _profile_id(facade, profile) if profile is not None else None
    found = facade.outbox.list(state=state, profile_id=profile_id, limit=limit)
    if as_json:
        output.print_json([_summary(one) for one in found])
        return
    size = SHORT if output.on_terminal() else None
    output.table(
        ("ID", "STATE", "PROFILE", "LANE", "QUEUED", "ATTEMPTS", "SUBJECT", "ERROR"),
        [
            (
                one.id[:size],
                one.state,
                one.profile,
                one.lane,
                one.queued_at,
                one.attempts,
                one.subject,
                one.error,
            )
            for one in found
        ],
    )


def _profile_id(facade: EmailProfiles, name: str) -> str:
    found = facade.resolve(name)
    if found is None:
        raise facade.profiles.missing(name)
    return found.id


def _summary(entry: MessageEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "message_id": entry.message_id,
        "state": entry.state,
        "profile": entry.profile,
        "origin": entry.origin,
        "idempotency_key": entry.idempotency_key,
        "lane": entry.lane,
        "subject": entry.subject,
        "size": entry.size,
        "attempts": entry.attempts,
        "queued_at": output.moment(entry.queued_at),
        "due_at": output.moment(entry.due_at),
        "expires_at": output.moment(entry.expires_at),
        "settled_at": output.moment(entry.settled_at),
        "queue_id": entry.queue_id,
        "error": entry.error,
    }


@outbox.command(examples=["{} 3f6c", "{} 3f6c --transcript"])
@ID
@click.option("--transcript", is_flag=True, help="And each session, redacted.")
@AS_JSON
@opens
def show(facade: EmailProfiles, id: str, transcript: bool, as_json: bool) -> None:
    """Print one message with its recipients and attempts; the start of ID will do."""
    entry = facade.outbox.show(id)
    if as_json:
        output.print_json(_whole(entry, transcript))
        return
    output.properties(_properties(entry))
    for one in entry.history:
        click.echo()
        output.properties(_attempt(one))
        output.session([one.transcript] if transcript else ())


def _properties(entry: MessageEntry) -> list[tuple[str, object]]:
    return [
        ("id", entry.id),
        ("message id", entry.message_id),
        ("state", entry.state),
        ("error", entry.error),
        ("profile", entry.profile),
        ("origin", entry.origin),
        ("key", entry.idempotency_key),
        ("lane", entry.lane),
        ("from", entry.request.get("from_address")),
        ("subject", entry.subject),
        ("size", f"{entry.size} octets"),
        ("queued", entry.queued_at),
        ("due", entry.due_at if entry.settled_at is None else None),
        ("expires", entry.expires_at if entry.settled_at is None else None),
        ("settled", entry.settled_at),
        ("queue id", entry.queue_id),
        *(
            (one.state, f"{one.address}{f': {one.reply}' if one.reply else ''}")
            for one in entry.recipients
        ),
    ]


def _attempt(one: AttemptEntry) -> list[tuple[str, object]]:
    return [
        ("attempt", f"{one.number}{', reported late' if one.late else ''}"),
        ("started", one.started_at),
        ("ended", one.ended_at),
        ("worker", one.worker),
        ("verdict", one.verdict),
        ("stage", one.stage),
        ("error", one.error),
        ("remedy", one.remedy),
    ]


def _whole(entry: MessageEntry, transcript: bool) -> dict[str, Any]:
    return {
        **_summary(entry),
        "recipients": [
            {
                "address": one.address,
                "state": one.state,
                "stage": one.stage,
                "reply": str(one.reply) if one.reply else None,
            }
            for one in entry.recipients
        ],
        "history": [
            {
                "number": one.number,
                "late": one.late,
                "worker": one.worker,
                "profile_revision": one.profile_revision,
                "started_at": output.moment(one.started_at),
                "handed_at": output.moment(one.handed_at),
                "ended_at": output.moment(one.ended_at),
                "verdict": one.verdict,
                "stage": one.stage,
                "error": one.error,
                "remedy": one.remedy,
                "queue_id": one.queue_id,
                **({"transcript": one.transcript} if transcript else {}),
            }
            for one in entry.history
        ],
    }


@outbox.command(examples=["{} 3f6c"])
@ID
@opens
def retry(facade: EmailProfiles, id: str) -> None:
    """Queue the message ID once more, for all that did not get it."""
    entry = facade.outbox.show(id)
    facade.outbox.retry(entry.id, actor())
    output.say(f"{entry.id}: queued again")


@outbox.command(examples=["{} 3f6c"])
@ID
@opens
def cancel(facade: EmailProfiles, id: str) -> None:
    """Do not send the message ID any more."""
    entry = facade.outbox.show(id)
    facade.outbox.cancel(entry.id, actor())
    output.say(f"{entry.id}: cancelled")


@outbox.command(examples=["{} 3f6c --accepted", "{} 3f6c --retry"])
@ID
@click.option("--accepted", is_flag=True, help="The server has it.")
@click.option("--not-sent", is_flag=True, help="It has not; leave it at that.")
@click.option("--retry", is_flag=True, help="Send it once more.")
@opens
def settle(
    facade: EmailProfiles, id: str, accepted: bool, not_sent: bool, retry: bool
) -> None:
    """Decide on the message ID, whose fate is unknown: look at the server first."""
    choices: dict[Decision, bool] = {
        "accepted": accepted,
        "not sent": not_sent,
        "retry": retry,
    }
    chosen: list[Decision] = [
        decision for decision, wanted in choices.items() if wanted
    ]
    if len(chosen) != 1:
        raise click.UsageError("give one of --accepted, --not-sent and --retry")
    entry = facade.outbox.show(id)
    facade.outbox.settle(entry.id, chosen[0], actor())
    output.say(f"{entry.id}: settled as {chosen[0]}")


@outbox.command(examples=["{}", "{} --json"])
@AS_JSON
@opens
def stats(facade: EmailProfiles, as_json: bool) -> None:
    """Count the messages by state."""
    counts = facade.outbox.stats()
    known = [(state, counts[state]) for state in STATES if state in counts]
    if as_json:
        output.print_json([{"state": one, "count": count} for one, count in known])
        return
    output.table(("STATE", "COUNT"), known)
