"""Links to acknowledge by: signed, for one mail to one recipient, and expiring."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Sequence
from typing import Literal

from attrs import frozen

PURPOSE = "links to acknowledge alarms"
"""What the installation's key is derived for."""

PAGE, PARAMETER = "acknowledge", "alarm"

_ID, _TIME = 16, 8


@frozen
class Opened:
    """What a link's token says: *mail_id*, unless the link is `forged` or `expired`."""

    state: Literal["good", "expired", "forged"]
    mail_id: str = ""


def link(url: str, token: str) -> str:
    """The address that stands in the mail; *url* is where the pages are mounted."""
    return f"{url}/{PAGE}?{PARAMETER}={token}"


def sign(key: bytes, mail_id: str, expires_at: int) -> str:
    """The token of a mail, with *mail_id* in 32 hexadecimal digits."""
    said = bytes.fromhex(mail_id) + expires_at.to_bytes(_TIME, "big")
    signed = said + hmac.digest(key, said, hashlib.sha256)
    return urlsafe_b64encode(signed).rstrip(b"=").decode()


def read(keys: Sequence[bytes], token: str, now: float) -> Opened:
    """What *token* says, if one of *keys* signed it and it did not expire."""
    try:
        octets = urlsafe_b64decode(f"{token}{'=' * (-len(token) % 4)}".encode("ascii"))
    except (Error, ValueError):
        return Opened("forged")
    said, signature = octets[: _ID + _TIME], octets[_ID + _TIME :]
    canonical = urlsafe_b64encode(octets).rstrip(b"=").decode() == token
    known = [hmac.digest(key, said, hashlib.sha256) for key in keys]
    if not canonical or not any(hmac.compare_digest(signature, one) for one in known):
        return Opened("forged")
    expires_at = int.from_bytes(said[_ID:], "big")
    return Opened("good" if now < expires_at else "expired", said[:_ID].hex())
