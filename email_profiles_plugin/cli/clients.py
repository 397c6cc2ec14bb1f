"""`email-profiles client`: the OAuth2 clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from . import documents, output
from .commands import AS_JSON, Group
from .failures import Failure
from .opening import actor, opens

if TYPE_CHECKING:
    from ..client_trial import ClientReport
    from ..oauth.claims import Claims
    from ..oauth.grants import Granted
    from ..runtime import EmailProfiles
    from ..store.documents import Stored


@click.group(cls=Group)
def client() -> None:
    """OAuth2 clients: registrations that profiles share."""


@client.command("list", examples=["{}", "{} --json"])
@AS_JSON
@opens
def list_(facade: EmailProfiles, as_json: bool) -> None:
    """List the OAuth2 clients, by name."""
    entries = [_entry(facade, stored) for stored in facade.clients.list()]
    if as_json:
        output.print_json(entries)
        return
    output.table(
        ("NAME", "CLIENT ID", "AUTHORIZATION SERVER", "REVISION", "DESCRIPTION"),
        [
            (
                one["name"],
                one["client_id"],
                one["issuer"] or one["token_endpoint"],
                one["revision"],
                one["description"],
            )
            for one in entries
        ],
    )


def _entry(facade: EmailProfiles, stored: Stored) -> dict[str, Any]:
    document = documents.full(facade.clients, stored)
    return {
        "id": stored.id,
        "name": stored.name,
        "description": document["description"],
        "client_id": document["client_id"],
        "issuer": document["issuer"],
        "token_endpoint": document["token_endpoint"],
        "token_endpoint_auth_method": document["token_endpoint_auth_method"],
        "revision": stored.revision,
    }


client.add_command(documents.show)
client.add_command(documents.apply)
client.add_command(documents.set_secret)


@client.command(examples=["{} google"])
@documents.NAME
@opens
def delete(facade: EmailProfiles, name: str) -> None:
    """Delete the OAuth2 client NAME; not while a profile uses it."""
    facade.clients.delete(name, actor=actor())
    output.say(f"{name}: deleted")


client.add_command(documents.rename)
client.add_command(documents.export)


def _parameter(value: str) -> tuple[str, str]:
    """KEY and VALUE; what was typed may be secret, and is not repeated."""
    name, equals, content = value.partition("=")
    if not equals or not name:
        raise click.BadParameter("is not of the form KEY=VALUE")
    return name, content


@client.command(
    examples=[
        "{} google",
        "{} entra --scope https://outlook.office365.com/.default",
        "{} plant-login --scope mail.send --param audience=mail --json",
    ],
)
@documents.NAME
@click.option(
    "--scope", multiple=True, metavar="SCOPE", help="Ask for it; may be given again."
)
@click.option(
    "--param",
    "params",
    multiple=True,
    type=_parameter,
    metavar="KEY=VALUE",
    help="Another parameter of the request; may be given again.",
)
@AS_JSON
@opens
def test(
    facade: EmailProfiles,
    name: str,
    scope: tuple[str, ...],
    params: tuple[tuple[str, str], ...],
    as_json: bool,
) -> None:
    """
    Get a token by the OAuth2 client NAME, and print what it is good for.

    One request with the client's own credentials, as a profile that uses the client
    makes it. The token is neither shown nor kept. Of a token that is a JWT the claims
    are printed as they stand in it, not verified.
    """
    if len(dict(params)) < len(params):
        raise click.UsageError("a --param is given twice")
    report = facade.clients.test(name, scope=" ".join(scope), params=dict(params))
    if as_json:
        output.print_json(_report(report))
    else:
        _print(report)
    if not report.passed:
        raise Failure(f"the test of {name} failed: {report.error}", report.remedy)


def _print(report: ClientReport) -> None:
    pairs: list[tuple[str, object]] = [
        ("client", report.client),
        ("grant", report.grant),
        ("HTTP status", report.status),
        ("error code", report.code),
    ]
    if (granted := report.granted) is not None:
        seconds = granted.expires_in
        pairs += [
            ("token type", granted.token_type),
            ("expires in", "not told" if seconds is None else f"{seconds} s"),
            ("expires at", granted.expires_at),
            ("scopes", granted.scopes),
            ("refresh token", granted.has_refresh_token),
            ("access token", "a JWT, not verified" if granted.claims else "opaque"),
        ]
        said = _claims(granted.claims)
        pairs += [(f"  {name.replace('_', ' ')}", value) for name, value in said]
    output.properties(pairs)


def _report(report: ClientReport) -> dict[str, object]:
    return {
        "client": report.client,
        "grant": report.grant,
        "passed": report.passed,
        "status": report.status,
        **_granted(report.granted),
        "code": report.code,
        "error": report.error,
        "remedy": report.remedy,
    }


def _granted(granted: Granted | None) -> dict[str, object]:
    """Each is null where nothing was granted; so are the claims of an opaque token."""
    claims = None
    if granted is not None and granted.claims is not None:
        claims = dict(_claims(granted.claims))
        claims["expires_at"] = output.moment(granted.claims.expires_at)
    return {
        "token_type": granted and granted.token_type,
        "expires_in": granted and granted.expires_in,
        "expires_at": granted and output.moment(granted.expires_at),
        "scopes": granted and granted.scopes,
        "has_refresh_token": granted and granted.has_refresh_token,
        "claims": claims,
    }


def _claims(claims: Claims | None) -> list[tuple[str, object]]:
    if claims is None:
        return []
    return [
        ("audience", claims.audience),
        ("issuer", claims.issuer),
        ("subject", claims.subject),
        ("roles", claims.roles),
        ("scopes", claims.scopes),
        ("expires_at", claims.expires_at),
    ]
