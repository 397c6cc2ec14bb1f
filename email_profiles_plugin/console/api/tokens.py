"""Tokens over HTTP: their state, and the actions that a mode offers."""

from __future__ import annotations

import json
import secrets
from http import HTTPStatus
from typing import Any

from attrs import asdict, evolve, frozen
from starlette.responses import Response

from email_profiles_hookspecs import Device, Problem, TokenStatus
from email_profiles_hookspecs.errors import Invalid, SlowDown

from ... import grant_rules
from ...granting import Completed
from ..access import Role
from ..calls import Call
from . import handles
from .operations import Answer, Asked, Body, Operation, answer, object_of
from .trials import QUERY
from .values import Schema

_URI: Schema = {
    "description": "Where the browser is sent back to; registered, https or loopback.",
    "type": "string",
    "minLength": 1,
    "maxLength": 2048,
}


@frozen(kw_only=True)
class GrantBegun:
    """
    Where to send a browser, for ten minutes.

    *handle*: for `complete`, with the query that the browser brings to *redirect_uri*;
    None: the console's own page completes it, in this browser.
    """

    url: str
    redirect_uri: str
    handle: str | None


@frozen(kw_only=True)
class DeviceBegun:
    """
    What a person is shown, who types *user_code* at *verification_uri*.

    *handle* is for polling, every *interval* seconds, for *expires_in* seconds.
    """

    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int
    handle: str


@frozen(kw_only=True)
class Pending:
    """Not granted yet; poll after *interval* seconds, with this *handle*."""

    interval: int
    handle: str


@frozen(kw_only=True)
class RedirectUri:
    """What to register at the authorization server."""

    redirect_uri: str


def status(asked: Asked) -> Response:
    """As the store has it; nobody is asked."""
    return answer(asked.profiles.tokens.status(asked["name"]))


def refresh(asked: Asked) -> Response:
    """A new token, now."""
    tokens, actor = asked.profiles.tokens, asked.call.actor
    return answer(tokens.refresh(asked["name"], actor=actor))


def revoke(asked: Asked) -> Response:
    """No token any more."""
    asked.profiles.tokens.revoke(asked["name"], actor=asked.call.actor)
    return answer(asked.profiles.tokens.status(asked["name"]))


def begin_grant(asked: Asked) -> Response:
    """For this browser's session, or for whoever has the handle."""
    tokens, call, name = asked.profiles.tokens, asked.call, asked["name"]
    given = asked.body.get("redirect_uri")
    if given is None and not _in_browser(call):
        problem = Problem(
            path="$.redirect_uri",
            message="has to be given where no browser is signed in to the console",
            remedy="listen at one that is registered, or use the grant by a device",
        )
        raise Invalid("the body", [problem])
    uri = given or tokens.redirect_uri(name, call.console.base_url)
    session = call.session if given is None else secrets.token_urlsafe(32)
    url = tokens.begin(name, uri, session, actor=call.actor)
    handle = None
    if given is not None:
        handle = handles.give(asked.profiles, "grant", session)
    return answer(GrantBegun(url=url, redirect_uri=uri, handle=handle))


def _in_browser(call: Call) -> bool:
    """Whether the session is one that a browser will bring to the callback, too."""
    _, stored = call.console.sessions.read(call.request)
    return "authorization" not in call.request.headers and bool(
        stored.get("id") == call.session
    )


def complete_grant(asked: Asked) -> Response:
    """What came of it; the same for the same again."""
    session = handles.take(asked.profiles, "grant", asked.body["handle"])
    completed = asked.profiles.tokens.complete(asked.body["query"], session)
    return answer(completed)


def begin_device(asked: Asked) -> Response:
    """A code to type on another device."""
    device = asked.profiles.tokens.device_begin(asked["name"])
    return answer(
        DeviceBegun(
            user_code=device.user_code,
            verification_uri=device.verification_uri,
            verification_uri_complete=device.verification_uri_complete,
            expires_in=device.expires_in,
            interval=device.interval,
            handle=_handle(asked, device),
        )
    )


def poll_device(asked: Asked) -> Response:
    """Whether a person has agreed by now."""
    place = f"device:{asked['name']}"
    kept: dict[str, Any] = json.loads(
        handles.take(asked.profiles, place, asked.body["handle"])
    )
    device = Device(
        user_code=kept["user_code"],
        verification_uri=kept["verification_uri"],
        verification_uri_complete=kept["verification_uri_complete"],
        device_code=kept["device_code"],
        expires_in=kept["expires_in"],
        interval=kept["interval"],
    )
    try:
        found = asked.profiles.tokens.device_poll(
            asked["name"], device, actor=asked.call.actor
        )
    except SlowDown as error:
        found, device = None, evolve(device, interval=error.interval)
    if found is not None:
        return answer(found)
    pending = Pending(interval=device.interval, handle=_handle(asked, device))
    again = {"Retry-After": str(device.interval)}
    return answer(pending, HTTPStatus.ACCEPTED, again)


def _handle(asked: Asked, device: Device) -> str:
    place = f"device:{asked['name']}"
    return handles.give(asked.profiles, place, json.dumps(asdict(device)))


def redirect_uri(asked: Asked) -> Response:
    """Where a grant that is begun in the console ends."""
    tokens, base_url = asked.profiles.tokens, asked.call.console.base_url
    return answer(
        RedirectUri(redirect_uri=tokens.redirect_uri(asked["name"], base_url))
    )


def redirect_uri_of_client(asked: Asked) -> Response:
    """Every profile of the client has the same."""
    stored = asked.profiles.clients.get(asked["name"])
    uri = grant_rules.redirect_uri(asked.call.console.base_url, stored.id)
    return answer(RedirectUri(redirect_uri=uri))


TAG = "Tokens"
_FAILS = (409, 502, 504)
_STATUS = (Answer(description="Its state now.", kind=TokenStatus),)


def _of(
    method: str, path: str, id: str, summary: str, rule: Role, run: Any, **more: Any
) -> Operation:
    return Operation(
        method=method,
        path=f"/profiles/{{name}}/token{path}",
        id=id,
        tag=TAG,
        summary=summary,
        rule=rule,
        run=run,
        errors=_FAILS,
        **more,
    )


OPERATIONS = (
    _of(
        "GET",
        "",
        "get_token",
        "State, expiry, scope, account, and the actions that are offered now",
        Role.VIEWER,
        status,
        answers=_STATUS,
    ),
    _of(
        "GET",
        "/redirect-uri",
        "get_redirect_uri_of_token",
        "The redirect URI to register for grants that are begun in the console",
        Role.VIEWER,
        redirect_uri,
        answers=(Answer(description="What was asked for.", kind=RedirectUri),),
    ),
    _of(
        "POST",
        "/refresh",
        "refresh_token",
        "Ask for a new token now",
        Role.OPERATOR,
        refresh,
        answers=_STATUS,
    ),
    _of(
        "POST",
        "/revoke",
        "revoke_token",
        "Give the token up, at the authorization server too where it can be",
        Role.ADMIN,
        revoke,
        answers=_STATUS,
    ),
    _of(
        "POST",
        "/grant",
        "begin_grant",
        "Begin a grant by a person in a browser",
        Role.ADMIN,
        begin_grant,
        description="In a browser that is signed in to the console, the `url` ends at"
        " the console. Any other client listens at a `redirect_uri` that is registered,"
        " and completes the grant with the query that the browser brings there.",
        body=Body(
            schema={**object_of(redirect_uri=_URI), "required": []},
            required=False,
            example={"redirect_uri": "http://127.0.0.1:8765/back"},
        ),
        answers=(Answer(description="Where to go.", kind=GrantBegun),),
    ),
    _of(
        "POST",
        "/device",
        "begin_device_grant",
        "Begin a grant from another device (RFC 8628)",
        Role.ADMIN,
        begin_device,
        answers=(Answer(description="What to show.", kind=DeviceBegun),),
    ),
    _of(
        "POST",
        "/device/poll",
        "poll_device_grant",
        "Ask once whether access was granted",
        Role.ADMIN,
        poll_device,
        body=Body(
            schema=object_of(handle=handles.SCHEMA), example={"handle": "gAAAA..."}
        ),
        answers=(
            *_STATUS,
            Answer(
                description="Not yet.",
                kind=Pending,
                status=202,
                headers={"Retry-After": "Seconds to wait."},
            ),
        ),
    ),
    Operation(
        method="POST",
        path="/grants/complete",
        id="complete_grant",
        tag=TAG,
        summary="Complete a grant with what the browser brought",
        description="A repeat is told the same, and asks nobody.",
        rule=Role.ADMIN,
        run=complete_grant,
        body=Body(
            schema=object_of(query=QUERY, handle=handles.SCHEMA),
            example={"query": "code=...&state=...", "handle": "gAAAA..."},
        ),
        answers=(Answer(description="Whose token, and its state.", kind=Completed),),
        errors=(404, *_FAILS),
    ),
    Operation(
        method="GET",
        path="/clients/{name}/redirect-uri",
        id="get_redirect_uri_of_oauth2_client",
        tag="OAuth2 clients",
        summary="The redirect URI to register",
        rule=Role.VIEWER,
        run=redirect_uri_of_client,
        answers=(Answer(description="What was asked for.", kind=RedirectUri),),
    ),
)
