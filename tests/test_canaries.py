"""Canaries: secrets that are sought wherever something might sing."""

from __future__ import annotations

import io
import json
import logging
import traceback
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from email_profiles_hookspecs import SendRequest
from email_profiles_hookspecs.errors import EmailProfilesError
from email_profiles_plugin import EmailProfiles

PASSWORD = "c4n4ry-passw0rd-ü"
CLIENT_SECRET = "c4n4ry-cl1ent-secret"


def spellings(secret: str) -> list[str]:
    """The secret as it might be written: plain, escaped, in Base64, in a URL."""
    from urllib.parse import quote, quote_plus

    octets = secret.encode()
    return [
        secret,
        json.dumps(secret)[1:-1],
        ascii(secret)[1:-1],
        b64encode(octets).decode().rstrip("="),
        b64encode(b"\0gateway\0" + octets).decode().rstrip("="),
        octets.hex(),
        quote(secret),
        quote_plus(secret),
    ]


ALL = [form for secret in (PASSWORD, CLIENT_SECRET) for form in spellings(secret)]


def sings(text: str) -> list[str]:
    return [form for form in ALL if form in text]


def request(**changes: Any) -> SendRequest:
    given: dict[str, Any] = {
        "profile": "plant",
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
        **changes,
    }
    return SendRequest(**given)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"])
@pytest.mark.parametrize("right", [True, False])
def test_nothing_secret_shows_anywhere(
    open_profiles: Callable[..., EmailProfiles],
    smtp_server_factory: Any,
    profile_document: Any,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    mechanism: str,
    right: bool,
) -> None:
    """Logs at DEBUG, reprs, tracebacks, transcripts, exports, errors, the store."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # the server's own
    known = PASSWORD if right else "another one"
    server = smtp_server_factory(
        tls="starttls", users={"gateway": known}, mechanisms=(mechanism,)
    )
    seen = io.StringIO()
    profiles = open_profiles()
    document = profile_document(server, smtp={"debug": True})
    document["auth"]["password"] = PASSWORD
    client = {
        "name": "entra",
        "client_id": "4711",
        "client_secret": CLIENT_SECRET,
        "token_endpoint": "https://127.0.0.1:1/token",
    }
    print(profiles.clients.apply(client, actor="test"), file=seen)
    print(profiles.profiles.apply(document, actor="test"), file=seen)
    print(profiles.profiles.test("plant", request()), file=seen)
    print(profiles.profiles.test(document, request()), file=seen)
    print(profiles.deliver(request(), timeout=10), file=seen)
    cloud = {
        "name": "cloud",
        "smtp": document["smtp"],
        "auth": {"mode": "oauth2", "username": "gateway", "client": "entra"},
    }
    profiles.profiles.apply(cloud, actor="test")
    for wrong in (
        lambda: profiles.deliver(request(profile="cloud"), timeout=5),
        lambda: profiles.profiles.apply({**document, "auth": [PASSWORD]}, actor="x"),
        lambda: profiles.profiles.apply(
            {**document, "auth": {"mode": "basic", "pasword": PASSWORD}}, actor="x"
        ),
        lambda: profiles.profiles.apply({**document, "smtp": PASSWORD}, actor="x"),
        lambda: profiles.clients.apply(
            {**client, "client_secret": [CLIENT_SECRET]}, actor="x"
        ),
        lambda: profiles.clients.apply(
            {**client, "client_secret": {"sealed": CLIENT_SECRET}}, actor="x"
        ),
        lambda: (
            profiles.profiles.set_secret("plant", PASSWORD, PASSWORD, actor="x")
            if False
            else profiles.profiles.set_secret("plant", "nothing", PASSWORD, actor="x")
        ),
    ):
        try:
            print(wrong(), file=seen)
        except EmailProfilesError as error:
            print(repr(error), error, error.args, file=seen)
            traceback.print_exception(error, file=seen)
    print(profiles, profiles.resolve("plant"), profiles.trail(), file=seen)
    print(profiles.profiles.export("plant"), profiles.profiles.list(), file=seen)
    print(profiles.clients.export("entra"), profiles.clients.list(), file=seen)
    for entry in profiles.outbox.list():
        shown = profiles.outbox.show(entry.id)
        print(shown, [one.transcript for one in shown.history], file=seen)
        assert "AUTH" in shown.history[0].transcript
    profiles.close()

    out, err = capfd.readouterr()
    assert "AUTH" in err, "debug mode shows the session"
    assert [] == sings(seen.getvalue())
    assert [] == sings(caplog.text)
    assert [] == sings(out + err)
    for path in (tmp_path / "home").rglob("*"):
        assert [] == [one for one in ALL if one.encode() in path.read_bytes()]


def test_the_canaries_would_be_heard() -> None:
    """The search itself is not deaf."""
    for form in ALL:
        assert sings(f"xx{form}yy")
