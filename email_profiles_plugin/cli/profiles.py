"""`email-profiles profile`: the email profiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from .. import addresses
from . import documents, output, presets, tokens
from .commands import AS_JSON, DocumentGroup
from .failures import Failure
from .opening import actor, opens

if TYPE_CHECKING:
    from email_profiles_hookspecs import SendRequest

    from ..runtime import EmailProfiles
    from ..store.documents import Stored
    from ..trial import TrialReport


@click.group(cls=DocumentGroup, kind="email_profile")
def profile() -> None:
    """Email profiles: the named settings by which messages are sent."""


@profile.command("list", examples=["{}", "{} --json"])
@AS_JSON
@opens
def list_(facade: EmailProfiles, as_json: bool) -> None:
    """List the email profiles, by name."""
    entries = [_entry(facade, stored) for stored in facade.profiles.list()]
    if as_json:
        output.print_json(entries)
        return
    output.table(
        ("NAME", "STATE", "MODE", "SERVER", "SECURITY", "LAST FAILURE", "DESCRIPTION"),
        [
            (
                one["name"],
                one["state"],
                one["mode"],
                f"{one['hostname']}:{one['port']}",
                one["security"],
                one["last_failure"] if one["failures"] else "",
                one["description"],
            )
            for one in entries
        ],
    )


def _entry(facade: EmailProfiles, stored: Stored) -> dict[str, Any]:
    document = documents.full(facade.profiles, stored)
    smtp = document["smtp"]
    health = facade.health(stored.name)
    mode = document["auth"]["mode"]
    state = "paused" if health.failures else "well"
    held = tokens.token_of(facade, stored.name)
    if held is not None and (
        held.state == "needs grant" or (held.state == "error" and state == "well")
    ):
        state = held.state
    if mode not in facade.plugins.providers:
        state = "no plugin"
    return {
        "id": stored.id,
        "name": stored.name,
        "description": document["description"],
        "enabled": document["enabled"],
        "state": state if document["enabled"] else "disabled",
        "mode": mode,
        "hostname": smtp["hostname"],
        "port": smtp["port"],
        "security": _security(smtp),
        "revision": stored.revision,
        "failures": health.failures,
        "paused_until": output.moment(health.paused_until),
        "last_success_at": output.moment(health.last_success_at),
        "last_failure_at": output.moment(health.last_failure_at),
        "last_failure": health.last_failure,
    }


def _security(smtp: Mapping[str, Any]) -> str:
    if smtp["use_ssl"]:
        return "SSL/TLS"
    return "STARTTLS" if smtp["use_starttls"] else "none"


profile.add_command(documents.show)
profile.add_command(documents.apply)
profile.add_command(documents.set_secret)
profile.add_command(documents.unset_secret)


@profile.command(examples=["{} plant-alerts", "{} plant-alerts --force"])
@documents.NAME
@click.option("--force", is_flag=True, help="Refuse the messages that wait for it.")
@opens
def delete(facade: EmailProfiles, name: str, force: bool) -> None:
    """Delete the email profile NAME; not while something uses it."""
    facade.profiles.delete(name, actor=actor(), force=force)
    output.say(f"{name}: deleted")


profile.add_command(documents.rename)
profile.add_command(documents.export)
profile.add_command(presets.new)


@profile.command(
    examples=[
        "{} plant-alerts --to operator@plant.example",
        "{} plant-alerts --to operator@plant.example --transcript",
    ],
)
@documents.NAME
@click.option("--to", multiple=True, required=True, metavar="ADDR", help="Who gets it.")
@click.option("--from", "from_address", metavar="ADDR", help="Who it is from.")
@click.option("--subject", help="The subject.")
@click.option("--text", help="The body.")
@click.option("--transcript", is_flag=True, help="Print the session, redacted.")
@AS_JSON
@opens
def test(
    facade: EmailProfiles,
    name: str,
    to: tuple[str, ...],
    from_address: str | None,
    subject: str | None,
    text: str | None,
    transcript: bool,
    as_json: bool,
) -> None:
    """
    Send a test message by the email profile NAME, now and outside the outbox.

    Without --from it is from the first address that the profile may send as, else
    from its username if that is an address.
    """
    from email_profiles_hookspecs import SendRequest

    request = SendRequest(
        profile=name,
        from_address=from_address or _usual_sender(facade, name),
        to=to,
        subject=subject or f"Test of the email profile {name}",
        text=text or f"This message was sent to test the email profile {name}.\n",
    )
    report = facade.profiles.test(name, request)
    if as_json:
        output.print_json(_report(report))
    else:
        _print(report, request, transcript)
    if not report.passed:
        remedy = tokens.remedied(facade, name, report.remedy)
        raise Failure(f"the test of {name} failed: {_why(report)}", remedy)


def _usual_sender(facade: EmailProfiles, name: str) -> str:
    found = facade.resolve(name)
    if found is None:
        raise facade.profiles.missing(name)
    address = addresses.usual(found.policy.from_addresses, found.auth.get("username"))
    if not address:
        raise click.UsageError(f"{name} names no address to send from: give --from")
    return address


def _why(report: TrialReport) -> str:
    if report.error:
        said = report.error.removesuffix(f" ({report.remedy})")
        return said.removesuffix(f": {report.remedy}")  # it follows in its own line
    return "; ".join(f"{who}: {reply}" for who, reply in report.refused.items())


def _print(report: TrialReport, request: SendRequest, transcript: bool) -> None:
    output.properties(
        [
            ("profile", report.profile),
            ("from", request.from_address),
            ("message id", report.message_id),
            *(("accepted", who) for who in report.accepted),
            *(("refused", f"{who}: {said}") for who, said in report.refused.items()),
            ("queue id", report.queue_id),
        ]
    )
    output.session(report.transcript if transcript else ())


def _report(report: TrialReport) -> dict[str, object]:
    return {
        "profile": report.profile,
        "passed": report.passed,
        "message_id": report.message_id,
        "accepted": list(report.accepted),
        "refused": output.refusals(report.refused),
        "queue_id": report.queue_id,
        "stage": report.stage,
        "error": report.error,
        "remedy": report.remedy,
        "transcript": list(report.transcript),
    }
