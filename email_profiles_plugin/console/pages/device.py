"""Granting from another device: a code to type there, and asking whether it was."""

from __future__ import annotations

from typing import Any

from attrs import asdict, evolve
from starlette.responses import Response

from email_profiles_hookspecs import Device, TokenStatus
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    HttpError,
    SlowDown,
    TokenTimeout,
)

from ...keepsakes import Value
from .. import departures, refusals
from ..access import Role
from ..calls import Call
from ..places import Place
from . import token

SPARE_S = 60.0
"""Seconds beyond a code's own time, in which its page says that it is over."""


def begin(call: Call) -> Response:
    """Get a code; where a person types it is on the page that follows."""
    stored = call.profiles.profiles.by_id(call.params["id"])
    try:
        device = call.profiles.tokens.device_begin(stored.name)
    except EmailProfilesError as error:
        return token.shown(call, stored, error)
    now = call.profiles.now().timestamp()
    interval = max(device.interval, 1)
    kept = {
        "device": asdict(device),
        "interval": interval,
        "next": now + interval,
        "until": now + device.expires_in,
    }
    key = call.profiles.keepsakes.keep(
        _purpose(stored.id), call.session, kept, seconds=device.expires_in + SPARE_S
    )
    return call.to("token_device", id=stored.id, key=key)


def device(call: Call) -> Response:
    """
    The code, till it was typed; each look asks the server, if it is time to.

    The code that is secret stays here, as does when the server may be asked again:
    however often the page is loaded, it is not asked sooner.
    """
    id, key = call.params["id"], call.params["key"]
    keepsakes, now = call.profiles.keepsakes, call.profiles.now().timestamp()

    def claim(value: Value) -> Value:
        if not value["next"] <= now < value["until"]:
            return value
        return {**value, "next": now + value["interval"]}

    found = keepsakes.change(_purpose(id), call.session, key, claim)
    if found is None:
        said = "That code is not known here any more. Begin anew."
        return call.to("token", id=id, said=said)
    before, kept = found
    failed: EmailProfilesError | None = None
    if before["next"] != kept["next"]:
        try:
            if _poll(call, id, kept) is not None:
                keepsakes.drop(_purpose(id), call.session, key)
                said = "Access was granted from another device."
                return call.to("token", id=id, said=said)
        except (SlowDown, HttpError, TokenTimeout) as error:
            kept = _slower(call, id, key, kept, error)
        except EmailProfilesError as error:
            keepsakes.drop(_purpose(id), call.session, key)
            failed = error
    return _page(call, id, kept, failed)


def _poll(call: Call, id: str, kept: Value) -> TokenStatus | None:
    name = call.profiles.profiles.by_id(id).name
    asked = evolve(_device(kept), interval=kept["interval"])
    return call.profiles.tokens.device_poll(name, asked, actor=call.actor)


def _slower(
    call: Call, id: str, key: str, kept: Value, error: EmailProfilesError
) -> Value:
    """Ask less often from now on, as the server says, or as it is out of reach."""
    now = call.profiles.now().timestamp()

    def change(value: Value) -> Value:
        interval = value["interval"] * 2
        if isinstance(error, SlowDown):
            interval = max(error.interval, value["interval"])
        return {**value, "interval": interval, "next": now + interval}

    found = call.profiles.keepsakes.change(_purpose(id), call.session, key, change)
    return found[1] if found else change(kept)


def _page(
    call: Call, id: str, kept: Value, failed: EmailProfilesError | None
) -> Response:
    now = call.profiles.now().timestamp()
    over = now >= kept["until"]
    response = call.page(
        "token_device.html",
        status=200 if failed is None else refusals.status_of(failed),
        profile=call.profiles.profiles.by_id(id),
        device=_device(kept),
        until=kept["until"],
        interval=kept["interval"],
        failed=failed,
        over=over,
        web=("https://", "http://"),
        now=call.profiles.now(),
    )
    if failed is None and not over:
        here = call.url("token_device", id=id, key=call.params["key"])
        departures.again(response, min(kept["next"], kept["until"]) - now, here)
    return response


def _device(kept: Value) -> Device:
    found: dict[str, Any] = kept["device"]
    return Device(
        user_code=found["user_code"],
        verification_uri=found["verification_uri"],
        verification_uri_complete=found["verification_uri_complete"],
        device_code=found["device_code"],
        expires_in=found["expires_in"],
        interval=found["interval"],
    )


def _purpose(id: str) -> str:
    return f"device {id}"


PLACES = (
    Place("POST", "/profiles/{id}/token/device", "token_by_device", Role.ADMIN, begin),
    Place(
        "GET", "/profiles/{id}/token/device/{key}", "token_device", Role.ADMIN, device
    ),
)
