"""`email-profiles send`: one message, sent now or queued."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from attrs import field, frozen

from . import files, output
from .commands import AS_JSON, Command
from .failures import Failure
from .opening import opens
from .tokens import named, remedied

if TYPE_CHECKING:
    from email_profiles_hookspecs import Outcome, SendRequest
    from email_profiles_hookspecs.errors import Unknown

    from ..runtime import EmailProfiles

ORIGIN = "cli"
"""Keys of `--key` are unique within it."""

GOOD = ("accepted", "queued", "dry run")


@frozen(kw_only=True)
class Result:
    """What became of the message; `--json` prints *shown*."""

    id: str
    message_id: str
    state: str
    accepted: tuple[str, ...] = ()
    refused: dict[str, dict[str, Any]] = field(factory=dict)
    attempts: int = 0
    duplicate: bool = False
    error: str = ""
    remedy: str = ""

    def shown(self) -> dict[str, object]:
        """All but the remedy, in JSON's terms."""
        return {
            "id": self.id,
            "message_id": self.message_id,
            "state": self.state,
            "accepted": list(self.accepted),
            "refused": self.refused,
            "attempts": self.attempts,
            "duplicate": self.duplicate,
            "error": self.error,
        }


def _time(value: str) -> datetime:
    """An aware time from ISO 8601; without a zone it is this machine's."""
    try:
        return datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is not a time such as 2026-11-23T08:00+01:00"
        ) from None


def _header(value: str) -> tuple[str, str]:
    name, colon, content = value.partition(":")
    if not colon or not name.strip():
        raise click.BadParameter(f"{value!r} is not of the form 'Name: value'")
    return name.strip(), content.strip()


_ADDRESSES: dict[str, Any] = {"multiple": True, "metavar": "ADDR"}


@click.command(
    cls=Command,
    examples=[
        "{} --profile plant-alerts --from gateway@plant.example \\",
        "    --to operator@plant.example --subject 'Tank 4 high' --text 'Level: 92 %'",
        "df -h | {} --profile ops --from host@plant.example --to ops@plant.example \\",
        "    --subject 'Disks' --text -",
    ],
)
@click.option("--profile", required=True, metavar="NAME", help="What to send by.")
@click.option("--from", "from_address", required=True, metavar="ADDR", help="From.")
@click.option("--to", **_ADDRESSES, help="Who it is for; may be given again.")
@click.option("--cc", **_ADDRESSES, help="Who gets a copy.")
@click.option("--bcc", **_ADDRESSES, help="Who gets a copy unseen.")
@click.option("--reply-to", **_ADDRESSES, help="Where answers go.")
@click.option("--sender", metavar="ADDR", help="Who sends it, where not --from.")
@click.option("--subject", default="", help="The subject, in any language.")
@click.option("--text", help="The body; `-` reads it from standard input.")
@click.option("--text-file", type=files.FILE, help="The body, UTF-8.")
@click.option("--html-file", type=files.FILE, help="The body as HTML, UTF-8.")
@click.option("--attach", multiple=True, type=files.FILE, help="Send a file along.")
@click.option(
    "--header",
    multiple=True,
    type=_header,
    metavar="'NAME: VALUE'",
    help="One more header field.",
)
@click.option("--priority", type=click.IntRange(1, 5), default=3, help="1: highest.")
@click.option(
    "--lane",
    type=click.Choice(["alarm", "normal", "bulk"]),
    default="normal",
    help="Which messages go first.",
)
@click.option("--key", help="With the same key again, nothing is sent twice.")
@click.option(
    "--not-after",
    type=_time,
    metavar="TIME",
    help="When it is no longer worth sending.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="What can't be sent in that time is cancelled.",
)
@click.option("--queue", is_flag=True, help="Leave it to a worker.")
@click.option("--dry-run", is_flag=True, help="Check everything, send nothing.")
@AS_JSON
@opens
def send(
    facade: EmailProfiles,
    /,
    queue: bool,
    timeout: float,
    as_json: bool,
    **options: Any,
) -> None:
    """
    Send a message now, and say what became of it; or queue it.

    Exits with 0 if every recipient was accepted (or the message is queued), else
    with 1 and the reason. What can't be sent now, as the profile fails or the time is
    over, is cancelled, and not delivered later; `outbox retry` queues it again. Where
    there is no access token to sign in with, nothing is queued to begin with.
    """
    request = _request(**options)
    result = _queued(facade, request) if queue else _sent(facade, request, timeout)
    if as_json:
        output.print_json(result.shown())
    else:
        _print(result)
    if result.state not in GOOD:
        raise Failure(_why(result), named(result.remedy, request.profile))


def _request(
    *,
    text: str | None,
    text_file: str | None,
    html_file: str | None,
    attach: tuple[str, ...],
    header: tuple[tuple[str, str], ...],
    key: str | None,
    **plain: Any,
) -> SendRequest:
    from email_profiles_hookspecs import SendRequest

    if not (plain["to"] or plain["cc"] or plain["bcc"]):
        raise click.UsageError("give --to, --cc or --bcc at least once")
    if text is not None and text_file is not None:
        raise click.UsageError("give either --text or --text-file")
    if len({name.lower() for name, _ in header}) < len(header):
        raise click.UsageError("a --header is given twice")
    text_file = "-" if text == "-" else text_file
    if [text_file, html_file, *attach].count("-") > 1:
        raise click.UsageError("standard input can be read once only")
    if "-" in attach:
        raise click.UsageError("an attachment needs a file, for its name")
    return SendRequest(
        text=files.read_text(text_file) if text_file else text,
        html=files.read_text(html_file) if html_file else None,
        attachments=files.read_attachments(attach),
        headers=dict(header),
        idempotency_key=key,
        origin=ORIGIN,
        **plain,
    )


def _queued(facade: EmailProfiles, request: SendRequest) -> Result:
    receipt = facade.send(request)
    if receipt is None:
        raise Failure("no plugin took the message")
    return Result(
        id=receipt.id,
        message_id=receipt.message_id,
        state="dry run" if request.dry_run else "queued",
        duplicate=receipt.duplicate,
    )


def _sent(facade: EmailProfiles, request: SendRequest, timeout: float) -> Result:
    from email_profiles_hookspecs.errors import HttpError, TokenError, Unknown

    try:
        sent = facade.outbox.deliver(request, timeout)
    except Unknown as error:
        return _unknown(facade, error)
    except (TokenError, HttpError) as error:
        remedy = remedied(facade, request.profile, error.remedy)
        raise Failure(f"not queued: {error.message}", remedy) from error
    return _told(facade, sent.outcome, sent.receipt.duplicate)


def _told(facade: EmailProfiles, outcome: Outcome, duplicate: bool) -> Result:
    entry = facade.outbox.show(outcome.id)
    trouble = [one for one in entry.history if one.error]
    last = trouble[-1] if trouble else None
    return Result(
        id=outcome.id,
        message_id=outcome.message_id,
        state=outcome.state,
        accepted=outcome.accepted,
        refused=output.refusals(outcome.refused),
        attempts=outcome.attempt,
        duplicate=duplicate,
        error=outcome.error or (last.error if last and not outcome.accepted else ""),
        remedy=last.remedy if last else "",
    )


def _unknown(facade: EmailProfiles, error: Unknown) -> Result:
    from email_profiles_hookspecs.errors import NotFound

    try:
        entry = facade.outbox.show(error.id)
    except NotFound:  # a site plugin has it
        return Result(
            id=error.id,
            message_id="",
            state="unknown",
            error=error.message,
            remedy=error.remedy,
        )
    return Result(
        id=entry.id,
        message_id=entry.message_id,
        state="unknown",
        attempts=entry.attempts,
        error=error.message,
        remedy=f"`email-profiles outbox show {entry.id}` tells when it is known",
    )


def _why(result: Result) -> str:
    refused = [f"{who}: {said['code']} {said['text']}" for who, said in _all(result)]
    reason = result.error or "; ".join(refused)
    return f"{result.state}: {reason}" if reason else result.state


def _all(result: Result) -> list[tuple[str, dict[str, Any]]]:
    return list(result.refused.items())


def _print(result: Result) -> None:
    output.properties(
        [
            ("state", result.state),
            ("id", result.id),
            ("message id", result.message_id),
            *(("accepted", who) for who in result.accepted),
            *(
                ("refused", f"{who}: {said['code']} {said['text']}")
                for who, said in _all(result)
            ),
            ("attempts", result.attempts or None),
            ("duplicate", "yes, by its key" if result.duplicate else None),
        ]
    )
