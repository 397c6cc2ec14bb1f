"""The device authorization grant (RFC 8628): what its answers say. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from email_profiles_hookspecs import Device
from email_profiles_hookspecs.errors import HttpError

GRANT = "urn:ietf:params:oauth:grant-type:device_code"

STEP_S = 5
"""Seconds by which the interval grows for each slow_down (RFC 8628, 3.5)."""

LONGEST_S = 86_400
"""Seconds; what is longer is taken for this."""


def read(answer: Mapping[str, Any]) -> Device:
    """The grant that *answer* begins (RFC 8628, 3.2); HttpError where it does not."""
    # Google calls it verification_url.
    uri = _text(answer, "verification_uri") or _text(answer, "verification_url")
    device_code, user_code = _text(answer, "device_code"), _text(answer, "user_code")
    expires_in = _seconds(answer.get("expires_in"))
    if not (device_code and user_code and expires_in and _is_web(uri)):
        raise HttpError(
            "the authorization server's answer begins no grant from another device",
            "look at the client's device authorization endpoint",
        )
    whole = _text(answer, "verification_uri_complete")
    return Device(
        user_code=user_code,
        verification_uri=uri,
        verification_uri_complete=whole if _is_web(whole) else "",
        device_code=device_code,
        expires_in=expires_in,
        interval=_seconds(answer.get("interval")) or STEP_S,
    )


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    return value if isinstance(value, str) and value.isprintable() else ""


def _is_web(uri: str) -> bool:
    return uri.startswith(("https://", "http://"))


def _seconds(value: object) -> int | None:
    """Whole seconds, one at least, also from text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    if math.isnan(seconds) or seconds <= 0:
        return None
    return int(min(max(seconds, 1), LONGEST_S))
