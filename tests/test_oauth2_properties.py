"""Each property of Ignition's OAuth2 SMTP profile: what would be missed without it."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import define, field

import email_profiles_schemas
from email_profiles_hookspecs import Outcome, SendRequest
from email_profiles_hookspecs.errors import EmailProfilesError, NotFound
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.http import HttpClient
from email_profiles_plugin.testing import (
    AuthorizationServer,
    CertificateAuthority,
    SmtpServer,
)
from email_profiles_plugin.testing.scripted_server import Line, ScriptedServer

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "oauth2-properties.md"
USER = "gateway@plant.example"
SECRET = "canary-secret"
REDIRECT = "http://127.0.0.1:1/callback"


@define
class Ahead:
    """The machine's clock, set forward by `seconds`."""

    seconds: float = 0

    def now(self) -> datetime:
        return SystemClock().now() + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@define(eq=False)
class Bench:
    """A home with the client `login`; one mail server, one authorization server."""

    profiles: EmailProfiles
    issuer: AuthorizationServer
    start: Callable[..., SmtpServer]
    document: Callable[..., dict[str, Any]]
    clock: Ahead
    smtp: SmtpServer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.smtp = self.start(tls="starttls", accept_token=self.issuer.accepts)
        for name in ("login", "other"):
            self.issuer.register(f"id-of-{name}", SECRET)
            self.profiles.clients.apply(
                {
                    "name": name,
                    "client_id": f"id-of-{name}",
                    "client_secret": SECRET,
                    "issuer": self.issuer.issuer,
                    "ca_file": str(self.issuer.ca_file),
                },
                actor="test",
            )

    def apply(
        self,
        smtp: dict[str, Any] | None = None,
        server: SmtpServer | None = None,
        name: str = "plant",
        description: str = "",
        **auth: Any,
    ) -> None:
        """Store the profile; what is left out is by default, or as *server* is."""
        block = {"mode": "oauth2", "username": USER, "client": "login", **auth}
        made = self.document(server or self.smtp, name, auth=block, smtp=smtp or {})
        made["description"] = description
        self.profiles.profiles.apply(made, actor="test")

    def send(self, profile: str = "plant") -> Outcome:
        return self.profiles.deliver(
            SendRequest(
                profile=profile,
                from_address=USER,
                to=["operator@plant.example"],
                text="Level is 92 %.",
            )
        )

    def failure(self) -> str:
        """Why a send does not go out; the message is not kept."""
        try:
            outcome = self.send()
        except EmailProfilesError as error:
            return f"{type(error).__name__}: {error}"
        assert "cancelled" == outcome.state
        return outcome.error

    def grant(self) -> None:
        """A person grants access, in a browser."""
        url = self.profiles.tokens.begin("plant", REDIRECT, "session")
        reply = HttpClient(SystemClock()).request(
            "GET",
            url,
            ca_file=str(self.issuer.ca_file),
            deadline=SystemClock().monotonic() + 60,
        )
        query = urlsplit(reply.headers["location"]).query
        self.profiles.tokens.complete(query, "session")

    def status(self) -> Any:
        return self.profiles.tokens.status("plant")

    def asked_with(self, parameter: str) -> list[str]:
        """The kinds of requests that had *parameter*; all kinds are made before."""
        self.grant()
        self.profiles.tokens.refresh("plant")
        exported = self.profiles.profiles.export("plant")["auth"]
        self.apply(**{**exported, "interactive": False})
        self.profiles.tokens.refresh("plant")
        assert [
            "authorize",
            "authorization_code",
            "refresh_token",
            "client_credentials",
        ] == [kind(one) for one in self.issuer.requests if kind(one)]
        found = [one for one in self.issuer.requests if parameter in one.form]
        return [kind(one) or one.path for one in found]


def kind(request: Any) -> str | None:
    """What a recorded request asks for; None: metadata."""
    return "authorize" if request.path == "/authorize" else request.grant_type


@pytest.fixture
def bench(
    open_profiles: Callable[..., EmailProfiles],
    authorization_server: AuthorizationServer,
    smtp_server_factory: Callable[..., SmtpServer],
    profile_document: Callable[..., dict[str, Any]],
) -> Bench:
    clock = Ahead()
    profiles = open_profiles(deliver=False, clock=clock)
    return Bench(
        profiles, authorization_server, smtp_server_factory, profile_document, clock
    )


# Main


def test_property_name(bench: Bench) -> None:
    """A host sends by this name, and by no other."""
    bench.apply(name="boiler")

    assert "accepted" == bench.send("boiler").state
    with pytest.raises(NotFound):
        bench.send("plant")


def test_property_description(bench: Bench) -> None:
    """It is kept, and is there for whoever looks."""
    bench.apply(description="Alarms of the boiler house")

    found = bench.profiles.resolve("plant")
    assert found is not None
    assert "Alarms of the boiler house" == found.description


# SMTP Server Settings


def test_property_hostname(bench: Bench) -> None:
    """The server is looked for under this name."""
    bench.apply(smtp={"hostname": "mail.plant.invalid"})

    assert "mail.plant.invalid" in bench.failure()
    assert 0 == bench.smtp.sessions


def test_property_port(bench: Bench) -> None:
    """Of two servers on a machine, the one at this port has the mail."""
    other = bench.start(tls="starttls", accept_token=bench.issuer.accepts)
    bench.apply(smtp={"port": other.port})

    bench.send()

    assert (0, 1) == (len(bench.smtp.messages), len(other.messages))


def test_property_use_ssl(bench: Bench) -> None:
    """TLS comes first, before any greeting; without it no session begins."""
    secured = bench.start(tls="implicit", accept_token=bench.issuer.accepts)
    bench.apply(server=secured, smtp={"use_ssl": True})
    assert "accepted" == bench.send().state
    assert secured.messages[-1].tls

    bench.apply(server=secured, smtp={"use_ssl": False, "timeout_ms": 200})
    bench.failure()
    assert 1 == len(secured.messages)


def test_property_use_starttls(bench: Bench) -> None:
    """The session becomes TLS; off, it stays as it is."""
    for secured in (True, False):
        bench.smtp.auth_before_tls = not secured
        bench.apply(smtp={"use_starttls": secured})
        assert "accepted" == bench.send().state
        assert secured == bench.smtp.messages[-1].tls


# OAuth2 Settings


def test_property_username(bench: Bench) -> None:
    """It and the access token make up the credential."""
    bench.apply()
    bench.send()
    assert USER == bench.smtp.messages[-1].identity

    bench.apply(username="somebody.else@plant.example")
    assert "535" in bench.failure()


def test_property_client(bench: Bench) -> None:
    """By this client, and no other, the tokens are got."""
    bench.apply(client="other")
    bench.send()

    (asked,) = (one for one in bench.issuer.requests if one.path == "/token")
    assert "id-of-other" == asked.client_id


def test_property_interactive(bench: Bench) -> None:
    """On, only a person can help; off, the client helps itself."""
    bench.apply(interactive=True, access_token_timeout_s=0)
    assert "nobody has granted access" in bench.failure()
    assert 0 == bench.issuer.token_requests
    assert "grant" in bench.status().actions

    bench.grant()
    assert "accepted" == bench.send().state

    bench.apply(interactive=False)
    assert "accepted" == bench.send().state
    assert "grant" not in bench.status().actions
    kinds = [one.grant_type for one in bench.issuer.requests if one.path == "/token"]
    assert ["authorization_code", "client_credentials"] == kinds


def test_property_scope(bench: Bench) -> None:
    """It is asked for wherever a scope can be asked for, and shown when granted."""
    bench.apply(interactive=True, scope="mail.send extra")

    asked = bench.asked_with("scope")

    assert ["authorize", "refresh_token", "client_credentials"] == asked
    found = {one.form.get("scope") for one in bench.issuer.requests}
    assert {"mail.send extra", None} == found
    assert "mail.send extra" == bench.status().scope


# Advanced


def test_property_timeout_ms(bench: Bench) -> None:
    """A server that takes longer is given up; one with more patience gets its mail."""
    over = threading.Event()

    def late(line: Line) -> None:
        over.wait(3)  # less than the default
        line.greet("AUTH XOAUTH2")
        line.hear()
        line.say("454 4.7.0 but I answered")

    with ScriptedServer(late) as server:
        smtp = {"port": server.port, "use_starttls": False, "timeout_ms": 100}
        bench.apply(smtp=smtp)
        assert "did not answer in time" in bench.failure()
        over.set()
        bench.apply(smtp={**smtp, "timeout_ms": 60_000})
        assert "but I answered" in bench.failure()


def test_property_debug(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    """The session is printed, without the token; off, nothing is."""
    bench.apply(smtp={"debug": False})
    bench.send()
    assert "EHLO" not in capfd.readouterr().err

    bench.apply(smtp={"debug": True})
    bench.send()
    printed = capfd.readouterr().err
    assert "EHLO" in printed
    assert "AUTH XOAUTH2" in printed
    assert SECRET not in printed


def test_property_ssl_protocols(
    bench: Bench, certificate_authority: CertificateAuthority
) -> None:
    """A version that is not listed is not spoken."""
    context = certificate_authority.server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    newer = bench.start(
        tls="implicit", ssl_context=context, accept_token=bench.issuer.accepts
    )
    bench.apply(server=newer, smtp={"ssl_protocols": ["TLSv1.2"]})
    assert "TLS" in bench.failure()
    assert [] == newer.messages

    bench.apply(server=newer, smtp={"ssl_protocols": ["TLSv1.3"]})
    assert "accepted" == bench.send().state


# Advanced OAuth2 Settings


def test_property_access_token_timeout_s(bench: Bench) -> None:
    """0 or less: without a token at hand a send fails at once. Else it waits."""
    bench.issuer.hold.close()  # nobody gets an answer
    for timeout in (0, -1):
        bench.apply(access_token_timeout_s=timeout)
        assert "none is waited for" in bench.failure()
    bench.apply(access_token_timeout_s=1)
    assert "came in time" in bench.failure()

    bench.issuer.hold.open()
    bench.apply(access_token_timeout_s=120)
    assert "accepted" == bench.send().state


def test_property_default_access_token_expiration_s(bench: Bench) -> None:
    """For tokens whose end the server does not tell; 0 or less: they have none."""
    bench.issuer.rules.omit.add("expires_in")
    for seconds in (0, -1):
        bench.apply(default_access_token_expiration_s=seconds)
        bench.profiles.tokens.refresh("plant")
        assert bench.status().expires_at is None

    bench.apply(default_access_token_expiration_s=600)
    bench.profiles.tokens.refresh("plant")
    for seconds, state in ((599, "expiring"), (600, "expired")):
        bench.clock.seconds = seconds
        assert state == bench.status().state

    bench.clock.seconds = 0
    bench.issuer.rules.omit.clear()
    bench.profiles.tokens.refresh("plant")  # it tells now: an hour
    bench.clock.seconds = 3000
    assert "valid" == bench.status().state


@pytest.mark.parametrize(
    ("before", "due"), [(300, 3300), (1000, 2600), (0, 3600), (-1, 3600)]
)
def test_property_refresh_before_expiration_s(
    bench: Bench, before: int, due: int
) -> None:
    """So long before its end a token is due; 0 or less: exactly at its end."""
    bench.apply(refresh_before_expiration_s=before)
    bench.profiles.tokens.refresh("plant")

    bench.clock.seconds = due - 60
    assert "valid" == bench.status().state
    bench.clock.seconds = due + 1
    assert ("expired" if due == 3600 else "expiring") == bench.status().state
    bench.send()
    bench.profiles.close()  # what a send has begun is over
    assert 2 == bench.issuer.token_requests


def test_property_authorization_params(bench: Bench) -> None:
    """They are on the authorization request, and on no other."""
    bench.apply(interactive=True, authorization_params={"plant": "7"})

    assert ["authorize"] == bench.asked_with("plant")


def test_property_authorization_code_token_params(bench: Bench) -> None:
    """They are on the token request for a code, and on no other."""
    bench.apply(interactive=True, authorization_code_token_params={"plant": "7"})

    assert ["authorization_code"] == bench.asked_with("plant")


def test_property_client_credentials_token_params(bench: Bench) -> None:
    """They are on the token request by client credentials, and on no other."""
    bench.apply(interactive=True, client_credentials_token_params={"plant": "7"})

    assert ["client_credentials"] == bench.asked_with("plant")


def test_property_refresh_token_params(bench: Bench) -> None:
    """They are on the token request with a refresh token, and on no other."""
    bench.apply(interactive=True, refresh_token_params={"plant": "7"})

    assert ["refresh_token"] == bench.asked_with("plant")


# The table of this


def rows() -> Iterator[tuple[str, str, str]]:
    """Ignition's name, ours, and the test, of each row of the page's table."""
    pattern = r"^\| ([^|]+) \| `([a-z0-9_.]+)` \| [^|]+ \| `(\w+)` \|$"
    for found in re.finditer(pattern, PAGE.read_text("utf-8"), re.MULTILINE):
        yield found[1], found[2], found[3]


def test_the_table_is_whole() -> None:
    """A row for each property of the seed's three tables, a test for each row."""
    tests = {name for name in globals() if name.startswith("test_property_")}
    listed = list(rows())

    assert 20 == len(listed)
    assert tests == {test for _, _, test in listed}
    for _, ours, test in listed:
        assert f"test_property_{ours.rpartition('.')[2]}" == test


def test_the_table_names_properties() -> None:
    """Each is in the schema, under Ignition's own title."""
    profile = email_profiles_schemas.load("email_profile")["properties"]
    auth = email_profiles_schemas.load("auth_oauth2")["properties"]
    titles = {"$": profile, "smtp": profile["smtp"]["properties"], "auth": auth}
    ours = {path.rpartition(".")[0]: set[str]() for _, path, _ in rows()}
    for name, path, _ in rows():
        block, _, member = path.rpartition(".")
        found = titles[block or "$"][member]["title"]
        assert name in (found, f"{found} Enabled", found.replace("SSL ", "SSL/TLS "))
        ours[block].add(member)

    assert {"mechanism"} == auth.keys() - ours["auth"]  # beyond Ignition
