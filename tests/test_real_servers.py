"""The product against Postfix and Dovecot, through the facade."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any

import pytest
from attrs import define, field

from email_profiles_hookspecs import Attachment, Outcome, SendRequest
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.message import render
from email_profiles_plugin.testing import MailSystem
from email_profiles_plugin.testing.scripted_server import Line, ScriptedServer

Open = Callable[..., EmailProfiles]

PASSWORD_MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256")
TOKEN_MECHANISMS = ("XOAUTH2", "OAUTHBEARER")
TLS = ("starttls", "implicit")
NUMBERS = count(1)


@define(eq=False)
class Site:
    """A home with profiles for one mail system, and users that no other test has."""

    system: MailSystem
    open: Open
    number: int = field(factory=lambda: next(NUMBERS))
    profiles: EmailProfiles = field(init=False)
    began: int = field(init=False)
    """How long Postfix's log was at first."""

    def __attrs_post_init__(self) -> None:
        self.began = len(self.system.postfix.log)
        self.profiles = self.open()

    @property
    def user(self) -> str:
        return f"user-{self.number}@plant.example"

    def reopen(self, **options: Any) -> None:
        """Another process, as it were: no connection is kept."""
        self.profiles.close()
        self.profiles = self.open(**options)

    def apply(
        self, port: str = "starttls", *, smtp: Mapping[str, Any] = {}, **auth: Any
    ) -> None:
        """A profile `plant` for one of the ports."""
        implicit = port.startswith("implicit")
        block = {
            "hostname": "localhost",
            "port": self.system.ports[port],
            "use_ssl": implicit,
            "use_starttls": not implicit,
            "ca_file": str(self.system.certificate_authority.ca_file),
            "ssl_protocols": ["TLSv1.2", "TLSv1.3"],
            **smtp,
        }
        document = {"name": "plant", "smtp": block, "auth": auth}
        self.profiles.profiles.apply(document, actor="test")

    def apply_password(
        self, port: str = "starttls", password: str = "s3cret", **more: Any
    ) -> None:
        """A profile with a password, which Dovecot knows too."""
        self.system.dovecot.add_user(self.user, password)
        auth = {"mode": "basic", "username": self.user, "password": password}
        self.apply(port, **{**auth, **more})

    def apply_token(self, port: str = "starttls", **more: Any) -> None:
        """A profile with OAuth 2.0, and the client that gets its tokens."""
        server = self.system.authorization_server
        client = server.register(f"client-{self.number}", "s3cret", user=self.user)
        document = {
            "name": "cloud",
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "token_endpoint": server.token_endpoint,
            "ca_file": str(server.ca_file),
        }
        self.profiles.clients.apply(document, actor="test")
        self.apply(port, mode="oauth2", username=self.user, client="cloud", **more)

    def deliver(self, **more: Any) -> Outcome:
        return self.profiles.deliver(request(**more), timeout=30)

    def token_requests(self) -> int:
        """How often the authorization server was asked for a token of ours."""
        asked = self.system.authorization_server.requests
        ours = f"client-{self.number}"
        return sum((ours, "/token") == (one.client_id, one.path) for one in asked)

    def logged(self, pattern: str) -> list[str]:
        """Postfix's lines on this test, once there is one with *pattern* in it."""
        return self.system.postfix.wait_logged(pattern, self.began)


@pytest.fixture
def site(mail_system: MailSystem, open_profiles: Open) -> Site:
    return Site(mail_system, open_profiles)


def request(**more: Any) -> SendRequest:
    given: dict[str, Any] = {
        "profile": "plant",
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
        "subject": "Tank 4 high",
        "text": "Level is 92 %.",
        **more,
    }
    return SendRequest(**given)


# Every mechanism


@pytest.mark.parametrize("port", TLS)
@pytest.mark.parametrize("mechanism", PASSWORD_MECHANISMS + TOKEN_MECHANISMS)
def test_every_mechanism(site: Site, mechanism: str, port: str) -> None:
    """The mechanism that the profile names signs in, and the mail arrives."""
    apply = site.apply_token if mechanism in TOKEN_MECHANISMS else site.apply_password
    apply(port, mechanism=mechanism)
    outcome = site.deliver()
    delivered = site.system.read(outcome.message_id)
    assert ("accepted", site.user, True) == (
        outcome.state,
        delivered.identity,
        delivered.tls,
    )
    assert outcome.queue_id
    (line,) = site.logged(f"sasl_username={re.escape(site.user)}")
    assert f"sasl_method={mechanism}," in line
    assert f"postfix/{port}/smtpd" in line


@pytest.mark.parametrize(
    ("mode", "mechanism"), [("password", "SCRAM-SHA-256"), ("token", "XOAUTH2")]
)
def test_automatic_choice(site: Site, mode: str, mechanism: str) -> None:
    """Without a choice of the profile's, the best of what Dovecot offers."""
    apply = site.apply_token if mode == "token" else site.apply_password
    apply()
    assert "accepted" == site.deliver().state
    site.logged(f"sasl_method={mechanism}, sasl_username={re.escape(site.user)}")


@pytest.mark.parametrize("mechanism", PASSWORD_MECHANISMS)
def test_non_ascii_password(site: Site, mechanism: str) -> None:
    """Credentials are UTF-8, in every mechanism."""
    site.apply_password(password="geheim: ßé€ 密码", mechanism=mechanism)
    assert "accepted" == site.deliver().state
    site.logged(f"sasl_method={mechanism}, sasl_username={re.escape(site.user)}")


def test_scram_that_fails_has_a_second_chance(site: Site) -> None:
    """Dovecot's SCRAM does not prepare passwords (RFC 5802, 5.1): PLAIN comes next."""
    site.apply_password(password="a\u00a0b")  # prepared: a space
    assert "accepted" == site.deliver().state
    site.profiles.close()
    site.logged("sasl_method=PLAIN")
    site.logged("disconnect from .* auth=1/2 ")


@pytest.mark.parametrize("mechanism", PASSWORD_MECHANISMS)
def test_wrong_password(site: Site, mechanism: str) -> None:
    """535 is the profile's fault: it rests, the message waits, and goes out later."""
    site.apply_password(mechanism=mechanism)
    site.profiles.profiles.set_secret("plant", "password", "mistyped", actor="test")
    receipt = site.profiles.send(request())
    site.logged("authentication failed")
    site.reopen(deliver=False)
    health = site.profiles.health("plant")
    assert health.reason.startswith("AUTH: 535 5.7.8"), health
    assert health.paused_until is not None
    assert {"queued": 1} == site.profiles.outbox.stats()

    site.profiles.profiles.set_secret("plant", "password", "s3cret", actor="test")
    site.profiles.start()
    outcome = site.profiles.outcome(receipt.id, wait=30)
    assert outcome is not None
    assert "accepted" == outcome.state


# Tokens


@pytest.mark.parametrize("port", TLS)
@pytest.mark.parametrize("mechanism", TOKEN_MECHANISMS)
def test_long_token(
    site: Site, monkeypatch: pytest.MonkeyPatch, mechanism: str, port: str
) -> None:
    """3 KB in one line is more than Postfix takes; behind the 334 it isn't."""
    rules = site.system.authorization_server.rules
    monkeypatch.setattr(rules, "token_length", 3000)
    site.apply_token(port, mechanism=mechanism)
    assert "accepted" == site.deliver().state


@pytest.mark.parametrize("mechanism", TOKEN_MECHANISMS)
@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_stale_token_is_renewed_once(
    site: Site, monkeypatch: pytest.MonkeyPatch, how: str, mechanism: str
) -> None:
    """A token that only the server knows to be stale: 535, one renewal, accepted."""
    server = site.system.authorization_server
    site.apply_token(mechanism=mechanism)
    assert "accepted" == site.deliver().state
    site.reopen()
    assert "accepted" == site.deliver().state
    assert 1 == site.token_requests()

    site.reopen()
    if how == "expired":
        monkeypatch.setattr(server.rules, "clock", lambda: time.time() + 7200)
    else:
        server.revoke_tokens()
    outcome = site.deliver()
    assert ("accepted", 2) == (outcome.state, site.token_requests())
    assert site.user == site.system.read(outcome.message_id).identity
    site.profiles.close()
    site.logged("disconnect from .* auth=1/2 ")  # on one connection


@pytest.mark.parametrize(
    ("status", "answer"), [(200, {"active": False}), (500, {"error": "no"})]
)
def test_token_is_renewed_no_second_time(
    site: Site, status: int, answer: Mapping[str, Any]
) -> None:
    """The new token refused as well: the profile rests, and nothing is asked again."""
    server = site.system.authorization_server
    site.apply_token()
    server.answer_next(status, answer, path="/introspect", count=2)
    report = site.profiles.profiles.test("plant", request())
    assert (False, "AUTH", 2) == (report.passed, report.stage, site.token_requests())
    assert report.error.startswith("AUTH: 535"), report
    assert "accepted" == site.deliver().state  # and with the token that it has now
    assert 2 == site.token_requests()


# TLS


@pytest.mark.parametrize("port", TLS)
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("wrong host", "the certificate is not for localhost"),
        ("expired", "the server's certificate has expired"),
        ("unknown issuer", "the certificate's issuer is not trusted"),
    ],
)
@pytest.mark.parametrize("mode", ["password", "token"])
def test_bad_certificate(
    site: Site, mode: str, kind: str, said: str, port: str
) -> None:
    """Refused by name, before any credential leaves."""
    apply = site.apply_token if mode == "token" else site.apply_password
    apply(f"{port} {kind}")
    report = site.profiles.profiles.test("plant", request())
    assert "TLS" == report.stage
    assert report.error.startswith(f"TLS: {said}"), report.error
    name = f"postfix/{port}-{kind.replace(' ', '-')}/smtpd"
    for line in site.logged(f"{name}.*disconnect from"):
        assert "auth=" not in line
        assert "mail=" not in line


@pytest.mark.parametrize("port", TLS)
@pytest.mark.parametrize(
    ("theirs", "ours"), [("TLSv1.3", "TLSv1.2"), ("TLSv1.2", "TLSv1.3")]
)
def test_no_version_in_common(site: Site, theirs: str, ours: str, port: str) -> None:
    """Named, with the profile's own versions; with one in common it works."""
    name = f"{port} {theirs}"
    site.apply_password(name, smtp={"ssl_protocols": [ours]})
    report = site.profiles.profiles.test("plant", request())
    assert "TLS" == report.stage
    assert f"no TLS version in common; the profile allows {ours}" in report.error
    assert "SSL Protocols" in report.remedy
    for line in site.logged(f"postfix/{name.replace(' ', '-')}/.*disconnect from"):
        assert "auth=" not in line
    site.apply_password(name, smtp={"ssl_protocols": [theirs]})
    assert "accepted" == site.deliver().state


def strip_starttls(port: int) -> Callable[[Line], None]:
    """A script that stands between, and takes STARTTLS out of what the server says."""

    def reply(server: Any) -> list[bytes]:
        lines = [server.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(server.readline())
        return [line for line in lines if b"STARTTLS" not in line]

    def script(line: Line) -> None:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
            connection.makefile("rb") as server,
        ):
            line.say(b"".join(reply(server)))
            while True:
                connection.sendall(line.hear() + b"\r\n")
                line.say(b"".join(reply(server)))

    return script


@pytest.mark.parametrize("mode", ["password", "token"])
def test_starttls_stripped(site: Site, mode: str) -> None:
    """Somebody between who takes STARTTLS away is told no credential and no mail."""
    apply = site.apply_token if mode == "token" else site.apply_password
    with ScriptedServer(strip_starttls(site.system.ports["starttls"])) as between:
        apply(smtp={"port": between.port})
        report = site.profiles.profiles.test("plant", request())
    assert ("STARTTLS", False) == (report.stage, report.passed)
    verbs = [line.split()[0].upper() for heard in between.heard for line in heard]
    assert {b"EHLO"} == {*verbs} - {b"QUIT"}


# Messages

CONTENTS: dict[str, dict[str, Any]] = {
    "dots": {"text": ".\n..\n.a\n\n.\n"},
    "long lines": {"text": "x" * 5000 + "\n." + "y" * 998 + "\n." + "z" * 997},
    "no line end": {"text": "Level is 92 %"},
    "nothing": {"subject": "", "text": ""},
    "From and spaces": {"text": "From here\n >From \n \n\t\nends in a space \n"},
    "non-ASCII": {"subject": "Füllstand " * 20, "text": "Füllstand: 92\u202f%\n" * 50},
    "html": {"html": "<p>.</p>\n.\n" * 3},
    "attachment": {
        "attachments": [Attachment(name="ü.bin", data=bytes(range(256)) * 300)]
    },
}


@pytest.mark.parametrize("content", CONTENTS)
def test_exact_octets(site: Site, content: str) -> None:
    """Postfix hands on what was rendered, to the octet."""
    site.apply_password()
    asked = request(**CONTENTS[content])
    outcome = site.profiles.deliver(asked)
    delivered = site.system.read(outcome.message_id)
    date = parsedate_to_datetime(delivered.message["Date"])
    rendered = render(asked, date=date, message_id=outcome.message_id)
    assert rendered.octets == delivered.octets
    assert rendered.envelope.mail_from == delivered.mail_from
    assert rendered.envelope.recipients == delivered.recipients


def test_some_recipients_refused(site: Site) -> None:
    """Postfix's word on each recipient is theirs; the others get the mail."""
    site.apply_password()
    people = ["a@one.example", "refused@two.example", "b@three.example"]
    outcome = site.deliver(to=people)
    assert "partly accepted" == outcome.state
    assert {"a@one.example", "b@three.example"} == {*outcome.accepted}
    ((address, reply),) = outcome.refused.items()
    assert ("refused@two.example", 550, "5.1.1") == (
        address,
        reply.code,
        reply.enhanced,
    )
    delivered = site.system.read(outcome.message_id)
    assert {*outcome.accepted} == {*delivered.recipients}


REFUSALS: dict[str, tuple[dict[str, Any], int, str]] = {
    "MAIL": ({"from_address": "refused@plant.example"}, 550, "5.1.7"),
    "DATA": ({"from_address": "no-data@plant.example"}, 550, "5.7.1"),
    "content": ({"subject": "please refuse this content"}, 550, "5.7.1"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refused_message(site: Site, what: str) -> None:
    """A 5xx at MAIL, DATA or the end refuses this message; the next one goes out."""
    site.apply_password()
    more, code, enhanced = REFUSALS[what]
    outcome = site.deliver(**more)
    assert "refused" == outcome.state
    (reply,) = outcome.refused.values()
    assert (code, enhanced) == (reply.code, reply.enhanced)
    assert "accepted" == site.deliver().state
    assert 0 == site.profiles.health("plant").failures
