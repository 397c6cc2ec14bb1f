"""A plant's email settings, for pages to be looked at: something of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from attrs import define, field
from console_client import ConsoleServer

from email_profiles_hookspecs import SendRequest
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.roles import Role
from email_profiles_plugin.testing import (
    AuthorizationServer,
    CertificateAuthority,
    SmtpServer,
)

SECRET = "c4n4ry-secret"
GATEWAY, OPERATOR = "gateway@plant.example", "operator@plant.example"


@define(eq=False)
class Sample:
    """The console on it; *ids* of profiles, clients and messages by their names."""

    profiles: EmailProfiles
    console: ConsoleServer
    smtp: SmtpServer
    server: AuthorizationServer
    ids: dict[str, str] = field(factory=dict)

    def fill(self) -> None:
        self._clients()
        self._profiles()
        self._grant()
        self._messages()
        self.profiles.access.make("scada-gateway", Role.OPERATOR, actor="pat")
        self.profiles.access.make("dashboard", Role.VIEWER, actor="pat")

    def _clients(self) -> None:
        self.server.register("gateway", SECRET)
        for name, told in (
            ("plant-login", "Mailbox of the gateway"),
            ("historian-robot", "Nightly exports"),
        ):
            document = {
                "name": name,
                "description": told,
                "client_id": "gateway",
                "client_secret": SECRET,
                "issuer": self.server.issuer,
                "ca_file": str(self.server.ca_file),
            }
            done = self.profiles.clients.apply(document, actor="pat")
            self.ids[name] = done.stored.id

    def _profiles(self) -> None:
        cloud = {"mode": "oauth2", "username": GATEWAY}
        login = {**cloud, "client": "plant-login", "interactive": True}
        robot = {**cloud, "client": "historian-robot"}
        for name, told, auth in (
            ("plant-alerts", "Alarms of the tank farm", {"mode": "basic"}),
            ("shift-reports", "At 6, 14 and 22 h", login),
            ("lab-results", "Waits for its mailbox", login),
            ("historian-export", "Once a night, unattended", robot),
            ("old-relay", "To be switched off in March", {"mode": "basic"}),
        ):
            smtp: dict[str, Any] = {"hostname": "localhost", "port": self.smtp.port}
            if name == "old-relay":
                smtp = {"hostname": "127.0.0.1", "port": 1}
            document = {"name": name, "description": told, "smtp": smtp, "auth": auth}
            done = self.profiles.profiles.apply(document, actor="pat")
            self.ids[name] = done.stored.id

    def _grant(self) -> None:
        """`shift-reports` gets its token, as by a person who agrees."""
        tokens = self.profiles.tokens
        uri = tokens.redirect_uri("shift-reports", self.console.url)
        url = tokens.begin("shift-reports", uri, "cookie", actor="pat")
        answer = requests.get(
            url, verify=str(self.server.ca_file), allow_redirects=False, timeout=30
        )
        query = urlsplit(answer.headers["Location"]).query
        tokens.complete(query, "cookie", redirect_uri=uri)

    def _messages(self) -> None:
        for profile, subject in (
            ("plant-alerts", "Tank 4 high"),
            ("plant-alerts", "Tank 4 normal"),
            ("old-relay", "Compressor 2 stopped"),
        ):
            request = self.request(profile, subject)
            self.ids[subject] = self.profiles.deliver(request, timeout=20).id
        self.smtp.before_reply = lambda verb, reply: None if verb == "." else reply
        lost = self.profiles.deliver(
            self.request("plant-alerts", "Batch 118 is done"), timeout=20
        )
        self.ids["Batch 118 is done"] = lost.id
        self.smtp.before_reply = None
        self.ids["Daily figures"] = self.profiles.send(
            self.request("plant-alerts", "Daily figures")
        ).id
        gone = self.profiles.send(self.request("plant-alerts", "Test, please ignore"))
        self.profiles.outbox.cancel(gone.id, "pat")

    def request(self, profile: str, subject: str) -> SendRequest:
        return SendRequest(
            profile=profile,
            from_address=GATEWAY,
            to=[OPERATOR],
            subject=subject,
            text="Level is 92 %.",
        )

    def paths(self) -> dict[str, str]:
        """What stands in the path of a place, by the place's name."""
        profile, client = self.ids["shift-reports"], self.ids["plant-login"]
        found = {
            "profile_new": "/profiles/new/oauth2",
            "message": f"/outbox/{self.ids['Tank 4 high']}",
            "message_settle": f"/outbox/{self.ids['Batch 118 is done']}/settle",
            "callback": "/oauth2/callback/nobody?code=c0de&state=strange",
            "callback_refused": "/oauth2/refused/signed-out",
            "token": f"/profiles/{profile}/token",
            "token_revoke": f"/profiles/{profile}/token/revoke",
            "trial": f"/profiles/{self.ids['plant-alerts']}/test",
            "client": f"/clients/{client}",
            "client_trial": f"/clients/{client}/test",
            "profile": f"/profiles/{profile}",
            "profile_copy": f"/profiles/{profile}/duplicate",
        }
        for verb in ("rename", "delete"):
            found[f"client_{verb}"] = f"/clients/{client}/{verb}"
            found[f"profile_{verb}"] = f"/profiles/{self.ids['old-relay']}/{verb}"
        return found


@contextmanager
def sample(folder: Path) -> Iterator[Sample]:
    """The whole plant, its home in *folder*, while it is entered."""
    authority = CertificateAuthority(folder)
    with (
        SmtpServer() as smtp,
        AuthorizationServer(authority) as server,
        EmailProfiles.open(home=folder / "home", only=(), deliver=False) as profiles,
        ConsoleServer(profiles) as console,
    ):
        found = Sample(profiles, console, smtp, server)
        found.fill()
        yield found
