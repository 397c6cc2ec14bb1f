"""`email-profiles client test`: a token of each grant, told without the token."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from . import files, output
from .commands import AS_JSON, Command
from .documents import NAME
from .failures import Failure
from .opening import opens

if TYPE_CHECKING:
    from ..client_trial import ClientReport
    from ..oauth.claims import Claims
    from ..oauth.grants import Granted
    from ..runtime import EmailProfiles
    from .client_walk import Walk

REFRESH_TOKEN = "EMAIL_PROFILES_REFRESH_TOKEN"
"""The environment variable that a refresh token may be in."""

GRANTS = ("client_credentials", "authorization_code", "refresh_token")


def _parameter(value: str) -> tuple[str, str]:
    """KEY and VALUE; what was typed may be secret, and is not repeated."""
    name, equals, content = value.partition("=")
    if not equals or not name:
        raise click.BadParameter("is not of the form KEY=VALUE")
    return name, content


@click.command(
    cls=Command,
    examples=[
        "{} google",
        "{} entra --scope https://outlook.office365.com/.default",
        "{} plant-login --scope mail.send --param audience=mail --json",
        "{} google --grant authorization_code --grant refresh_token \\\n"
        "      --scope https://mail.google.com/ \\\n"
        "      --authorization-param access_type=offline",
    ],
)
@NAME
@click.option(
    "--grant",
    "kinds",
    multiple=True,
    type=click.Choice(GRANTS),
    help="What to show for the token, client_credentials unless told; may be given "
    "again: a refresh token is then the one that the grant before it brought.",
)
@click.option(
    "--scope", multiple=True, metavar="SCOPE", help="Ask for it; may be given again."
)
@click.option(
    "--param",
    "params",
    multiple=True,
    type=_parameter,
    metavar="KEY=VALUE",
    help="Another parameter of the token request; may be given again.",
)
@click.option(
    "--authorization-param",
    "authorization_params",
    multiple=True,
    type=_parameter,
    metavar="KEY=VALUE",
    help="Another parameter of the authorization request; may be given again.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Listen at this port, where the registered redirect URI has one.",
)
@click.option(
    "--redirect-uri",
    metavar="URI",
    help="The redirect URI that is registered, where it is another one.",
)
@click.option("--open", "opening", is_flag=True, help="Open the browser, on a desktop.")
@click.option("--paste", is_flag=True, help="The browser is on another machine.")
@AS_JSON
@opens
def test(
    facade: EmailProfiles,
    name: str,
    kinds: tuple[str, ...],
    scope: tuple[str, ...],
    params: tuple[tuple[str, str], ...],
    authorization_params: tuple[tuple[str, str], ...],
    port: int | None,
    redirect_uri: str | None,
    opening: bool,
    paste: bool,
    as_json: bool,
) -> None:
    """
    Get a token by the OAuth2 client NAME, and print what it is good for.

    One token request for each --grant, as a profile that uses the client makes it. For
    authorization_code a person grants access in a browser; a refresh_token is asked
    for, or taken from the environment (EMAIL_PROFILES_REFRESH_TOKEN). No token is shown
    or kept. Of a token that is a JWT the claims are printed as they stand in it, not
    verified.
    """
    from .client_walk import Walk
    from .granting import check_options

    wanted = kinds or GRANTS[:1]
    browsing = bool(port or redirect_uri or opening or paste or authorization_params)
    if browsing and "authorization_code" not in wanted:
        raise click.UsageError("a browser is for --grant authorization_code")
    check_options(
        port=port or 0,
        redirect_uri=redirect_uri or "",
        opening=opening,
        paste=paste,
        device=False,
    )
    walk = Walk(
        facade=facade,
        name=name,
        scope=" ".join(scope),
        params=_once(params, "--param"),
        authorization_params=_once(authorization_params, "--authorization-param"),
        say=lambda line: click.echo(output.clean(line), err=as_json),
        redirect_uri=redirect_uri or "",
        port=port or 0,
        opening=opening,
    )
    _show(name, _reports(walk, wanted, paste=paste), len(wanted), as_json=as_json)


def _once(given: Sequence[tuple[str, str]], option: str) -> dict[str, str]:
    if len(dict(given)) < len(given):
        raise click.UsageError(f"a {option} is given twice")
    return dict(given)


def _reports(
    walk: Walk, wanted: Sequence[str], *, paste: bool
) -> Iterator[ClientReport]:
    """One for each grant; a refresh token goes from one to the next in memory."""
    token: str | None = None
    clients, name, scope, params = (
        walk.facade.clients,
        walk.name,
        walk.scope,
        walk.params,
    )
    clients.get(name)
    for at, kind in enumerate(wanted):
        if kind == "client_credentials":
            report = clients.test(name, scope=scope, params=params)
        elif kind == "authorization_code":
            report = walk.by_pasting() if paste else walk.by_browser()
        else:
            token = token or _refresh_token(wanted[:at], wanted[at + 1 :])
            report = clients.test(name, scope=scope, params=params, refresh_token=token)
        token = report.refresh_token or token
        yield report


def _refresh_token(before: Sequence[str], after: Sequence[str]) -> str:
    """From wherever one can be had, with these grants before it, and after."""
    if "authorization_code" in before:
        raise Failure(
            "the grant brought no refresh token",
            "ask for one: --scope offline_access, or --authorization-param with "
            "access_type=offline or prompt=consent",
        )
    token = os.environ.get(REFRESH_TOKEN, "").strip()
    if not token and (before or "authorization_code" in after):
        brought = "the client's own credentials bring none" if before else ""
        raise Failure(
            "there is no refresh token yet" + (f": {brought}" if brought else ""),
            "put --grant authorization_code before --grant refresh_token, or set "
            f"{REFRESH_TOKEN}",
        )
    if not token and sys.stdin is not None and sys.stdin.isatty():
        token = click.prompt("refresh token", hide_input=True, err=True)
    if not (token := token or files.read_line()):
        raise Failure("no refresh token was given", f"see {REFRESH_TOKEN}")
    return token


def _show(
    name: str, reports: Iterator[ClientReport], count: int, *, as_json: bool
) -> None:
    """Each as it comes; as JSON one, or an array of what was asked for."""
    shown: list[dict[str, object]] = []
    failure: Failure | None = None
    try:
        for report in reports:
            if shown and not as_json:
                output.say("")
            shown.append(_report(report))
            if not as_json:
                _print(report)
            if not report.passed:
                said = f"the test of {name} failed: {report.error}"
                failure = Failure(said, report.remedy)
                break
    finally:  # a later grant that can't be tried takes nothing from the earlier ones
        if as_json and shown:
            output.print_json(shown if count > 1 else shown[0])
    if failure is not None:
        raise failure


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
