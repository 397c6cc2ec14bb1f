"""`email-profiles report`: making reports, and what became of them."""

from __future__ import annotations

import signal
import sys
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import click

from . import output
from .commands import AS_JSON, Command
from .failures import Failure
from .opening import actor, opens

if TYPE_CHECKING:
    from ..runtime import EmailProfiles
    from ..store.report_runs import Run

GOOD = ("queued", "empty")
FORMATS = ("pdf", "xlsx", "csv", "html")


@click.command(cls=Command, examples=["{} {name}", "{} {name} --queue --json"])
@click.argument("name")
@click.option("--queue", is_flag=True, help="Leave the mail to a worker.")
@click.option(
    "--timeout",
    type=click.IntRange(0, 86_400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the mail server, a day at most.",
)
@AS_JSON
@opens
def run(
    facade: EmailProfiles, name: str, queue: bool, timeout: int, as_json: bool
) -> None:
    """
    Make the report NAME now, and send it, whether it is due or not.

    Mail that is not sent within the timeout stays in the outbox. A source that the
    host registered is known to the host alone: here it has to be a query, or installed
    as an entry point.
    """
    from ..consumers.reports import Reports

    done = Reports(facade).run_now(name, actor=actor())
    if done.message_id is not None and not queue:
        facade.start()
        facade.outcome(done.message_id, wait=timeout)
    shown = _shown(facade, done)
    if as_json:
        output.print_json(shown)
    else:
        output.properties([*shown.items()])
    if done.state not in GOOD:
        raise Failure(f"{name}: {done.state}: {done.error}", done.remedy)
    if shown["mail"] not in (None, "accepted", "queued", "sending"):
        raise Failure(
            f"{name}: the mail is {shown['mail']}",
            f"`email-profiles outbox show {done.message_id}` tells more",
        )


@click.command(cls=Command, examples=["{}", "{} {name} --limit 10", "{} --json"])
@click.argument("name", required=False)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=100,
    help="So many at most.",
    show_default=True,
)
@AS_JSON
@opens
def runs(facade: EmailProfiles, name: str | None, limit: int, as_json: bool) -> None:
    """List what was made, the newest first; of the report NAME alone where given."""
    from ..consumers.reports import Reports

    found = [_shown(facade, one) for one in Reports(facade).runs(name, limit)]
    if as_json:
        output.print_json(found)
        return
    output.table(
        ("REPORT", "OF", "STATE", "ROWS", "MAIL", "ASKED BY", "ERROR"),
        [
            (
                one["report"],
                one["of"],
                one["state"],
                one["rows"],
                one["mail"],
                one["asked_by"],
                one["error"],
            )
            for one in found
        ],
    )


def _shown(facade: EmailProfiles, done: Run) -> dict[str, Any]:
    """A run, and what became of its mail."""
    return {
        "report": done.schedule_name,
        "of": output.moment(done.scheduled_at),
        "state": done.state,
        "rows": done.row_count,
        "recipients": done.recipients or None,
        "mail": _mail(facade, done.message_id),
        "message_id": done.message_id,
        "asked_by": done.asked_by or None,
        "missed": done.missed or None,
        "tries": done.tries,
        "started_at": output.moment(done.started_at),
        "ended_at": output.moment(done.ended_at),
        "notes": list(done.notes),
        "stage": done.stage,
        "error": done.error,
        "remedy": done.remedy,
        "id": done.id,
    }


def _mail(facade: EmailProfiles, id: str | None) -> str | None:
    from email_profiles_hookspecs.errors import NotFound

    if id is None:
        return None
    try:
        return facade.outbox.show(id).state
    except NotFound:
        return "no longer known"


@click.command(
    cls=Command, examples=["{} {name} -o report.pdf", "{} {name} --format csv -o -"]
)
@click.argument("name")
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(dir_okay=False, allow_dash=True),
    required=True,
    metavar="FILE",
    help="Where it is written; `-` is standard output.",
)
@click.option(
    "--format",
    "format",
    type=click.Choice(FORMATS),
    help="What is made; else as the file's name ends.",
)
@opens
def preview(facade: EmailProfiles, name: str, path: str, format: str | None) -> None:
    """Make the report NAME as a file, and send nothing."""
    from ..consumers.reports import Reports

    format = format or Path(path).suffix[1:].lower()
    if format not in FORMATS:
        raise click.UsageError(f"give --format, one of {', '.join(FORMATS)}")
    _, made = Reports(facade).preview(name, format)
    if path == "-":
        sys.stdout.buffer.write(made)
        return
    try:
        Path(path).write_bytes(made)
    except OSError as error:
        said = f"{path} can't be written: {error.strerror or error}"
        raise Failure(said, "name a file in a folder that you may write to") from error
    output.say(f"{name}: {len(made)} octets in {path}")


@click.command("next", cls=Command, examples=["{} {name}", "{} {name} --count 20"])
@click.argument("name")
@click.option(
    "--count",
    type=click.IntRange(1, 1000),
    default=5,
    help="So many.",
    show_default=True,
)
@AS_JSON
@opens
def next_(facade: EmailProfiles, name: str, count: int, as_json: bool) -> None:
    """Say when the report NAME is due next, in its time zone."""
    from ..consumers.reports.workshop import schedule_of, timetable_of

    schedule = schedule_of(facade.report_schedules.get(name))
    timetable = timetable_of(schedule)
    if timetable is None:
        raise Failure(f"{name} has no cron: it is made only when it is asked for")
    found: list[datetime] = []
    moment = timetable.after(facade.clock.now())
    while moment is not None and len(found) < count:
        found.append(moment)
        moment = timetable.after(moment)
    if as_json:
        output.print_json([one.isoformat() for one in found])
        return
    for one in found:
        output.say(f"{one:%a %Y-%m-%d %H:%M:%S %z}")
    if not schedule.enabled:
        output.warn(f"{name} is disabled")


@click.command(cls=Command, examples=["{}"])
@opens
def serve(facade: EmailProfiles) -> None:
    """
    Make every report when it is due, and deliver mail, until it is ended.

    For installations without a host that does; any number may run.
    """
    from ..consumers.reports import ReportScheduler

    # An Event's lock may be held by whom the signal interrupts; a SimpleQueue has none.
    ended = SimpleQueue[int]()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: ended.put(number))
    facade.start()
    with ReportScheduler(facade):
        output.say("making reports when they are due; Ctrl+C ends it")
        ended.get()
