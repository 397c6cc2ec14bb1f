"""What `email-profiles alarm` has beside its documents: notify, due and the trail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from . import files, output
from .commands import AS_JSON, Command
from .documents import NAME
from .failures import Failure
from .opening import opens

if TYPE_CHECKING:
    from ..consumers.alarms import AlarmEvent, NoticeEntry
    from ..runtime import EmailProfiles


@click.command(cls=Command, examples=["{} {name} events.json"])
@NAME
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=files.FILE)
@opens
def notify(facade: EmailProfiles, name: str, paths: tuple[str, ...]) -> None:
    """
    Have the people of NAME told of the alarm events in FILE.

    A FILE holds one event or an array of them, as JSON; `-` is standard input. What is
    queued is sent by whoever delivers; `trail` says what became of each event.
    """
    from ..consumers.alarms import AlarmNotifier

    events = list(_events(paths))
    receipts = AlarmNotifier(profiles=facade).notify(events, name)
    new = sum(not receipt.duplicate for receipt in receipts)
    output.say(f"{name}: {len(events)} events, {new} messages queued now")


def _events(paths: tuple[str, ...]) -> Iterator[AlarmEvent]:
    from ..consumers.alarms import AlarmEvent

    for given in files.read_documents(paths):
        try:
            yield AlarmEvent.from_document(given.document)
        except (TypeError, ValueError) as error:
            raise Failure(f"{given.source}: {error}") from error


@click.command(cls=Command, examples=["{}"])
@opens
def due(facade: EmailProfiles) -> None:
    """Queue what waited for other events, or for its turn, and is due by now."""
    from ..consumers.alarms import AlarmNotifier

    output.say(f"{AlarmNotifier(profiles=facade).due()} messages queued")


@click.command(
    cls=Command,
    examples=[
        "{} {name}",
        "{} {name} --left-out",
        "{} {name} --alarm 4711 --json",
    ],
)
@NAME
@click.option("--alarm", "alarm_id", metavar="ID", help="Only of this alarm.")
@click.option("--who", metavar="NAME", help="Only of this recipient.")
@click.option("--left-out", is_flag=True, help="Only those who were not told.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="So many at most.",
)
@AS_JSON
@opens
def trail(
    facade: EmailProfiles,
    name: str,
    alarm_id: str | None,
    who: str | None,
    left_out: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Who was told of which alarm by NAME, who was not and why; the newest first."""
    from ..consumers.alarms import AlarmNotifier

    found = AlarmNotifier(profiles=facade).trail(
        name, alarm_id=alarm_id, who=who, left_out=left_out, limit=limit
    )
    if as_json:
        output.print_json([_entry(one) for one in found])
        return
    output.table(
        (
            "TIME",
            "ALARM",
            "EVENT",
            "PRIORITY",
            "RECIPIENT",
            "STATE",
            "REASON OR OUTCOME",
        ),
        [
            (
                one.event_time,
                one.name or one.source or one.alarm_id,
                one.transition,
                one.priority,
                one.who or "(everyone)",
                one.state,
                _detail(one),
            )
            for one in found
        ],
    )


def _detail(one: NoticeEntry) -> str:
    words = [one.reason or one.outcome or ""]
    if one.acknowledged_by:
        words.append(f"acknowledged by {one.acknowledged_by}")
    return "; ".join(filter(None, words))


def _entry(one: NoticeEntry) -> dict[str, Any]:
    from attrs import asdict

    found = asdict(one)
    for name in ("event_time", "received_at", "due_at", "acknowledged_at"):
        found[name] = output.moment(found[name])
    return found
