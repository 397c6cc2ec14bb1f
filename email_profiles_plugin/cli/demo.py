"""`email-profiles demo`: the whole job, against servers of its own on loopback."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from attrs import define, field, frozen

from . import output
from .commands import Command
from .failures import Failure
from .opening import actor
from .received import print_message

if TYPE_CHECKING:
    import pluggy

    from email_profiles_hookspecs import Outcome, SendRequest

    from ..runtime import EmailProfiles
    from ..testing import (
        AuthorizationServer,
        CertificateAuthority,
        Delivered,
        SmtpServer,
    )

WAIT_S = 10
USER = "gateway"
MAILBOX = "gateway@plant.example"

READINGS = "time;tank;level\n08:14:02;4;92,4 %\n08:14:03;4;92,9 %\n"


@frozen(kw_only=True)
class Exhibit:
    """One kind of profile, with the documents that it takes."""

    title: str
    profile: Mapping[str, Any] = field(repr=False)
    client: Mapping[str, Any] | None = field(default=None, repr=False)


@define
class Observer:
    """The host's plugin: told, through its hook, what became of each message."""

    told: SimpleQueue[Outcome] = field(factory=SimpleQueue)

    def outcome(self) -> Outcome:
        """The next one; Failure if there is none in time."""
        try:
            return self.told.get(timeout=WAIT_S)
        except Empty:
            raise Failure(f"nothing was announced in {WAIT_S} s") from None


@frozen(kw_only=True)
class Stage:
    """The servers, and the host with its own plugin manager."""

    server: SmtpServer
    facade: EmailProfiles
    manager: pluggy.PluginManager
    observer: Observer


@click.command(cls=Command, examples=["{}", "{} --session"])
@click.option("--session", is_flag=True, help="And what was said, redacted.")
def demo(session: bool) -> None:
    """
    Send messages by email profiles, from a host to a mail server.

    One profile has a password, the other gets OAuth 2.0 tokens. Host, profiles and
    servers exist for the moment only: the servers are on loopback, with TLS; the home
    is a temporary folder. Yours is not touched.
    """
    _require_servers()
    with TemporaryDirectory(prefix="email-profiles-demo-") as folder:
        for exhibit, stage in _stages(Path(folder)):
            _perform(exhibit, stage, session)


def _require_servers() -> None:
    try:
        import aiosmtpd  # noqa: F401
        import trustme  # noqa: F401
    except ImportError as error:
        raise Failure(
            f"the demo needs {error.name}", "pip install 'email-profiles-plugin[demo]'"
        ) from error


def _stages(folder: Path) -> Iterator[tuple[Exhibit, Stage]]:
    """Each exhibit, with everything that it needs running."""
    from ..testing import AuthorizationServer, CertificateAuthority, SmtpServer

    authority = CertificateAuthority(folder)
    password = secrets.token_urlsafe(16)
    with (
        AuthorizationServer(authority) as authorization,
        SmtpServer(
            tls="starttls",
            ssl_context=authority.server_context(),
            users={USER: password},
            accept_token=authorization.accepts,
        ) as server,
        _host(folder / "home", server) as stage,
    ):
        yield _basic(server, authority, password), stage
        yield _oauth2(server, authority, authorization), stage


@contextmanager
def _host(home: Path, server: SmtpServer) -> Iterator[Stage]:
    """A host: its plugin manager, an observer in it, and the email profiles."""
    import pluggy

    from email_profiles_hookspecs import hookimpl

    from ..runtime import EmailProfiles

    observer = Observer()

    class Host:
        @hookimpl
        def email_profiles_settled(self, outcome: Outcome) -> None:
            observer.told.put(outcome)

    manager = pluggy.PluginManager("email_profiles")
    manager.register(Host(), "demo host")
    with EmailProfiles.open(
        home,
        database=f"sqlite:///{home / 'email_profiles.db'}",
        plugin_manager=manager,
        only=(),
    ) as facade:
        yield Stage(server=server, facade=facade, manager=manager, observer=observer)


def _smtp(server: SmtpServer, authority: CertificateAuthority) -> dict[str, Any]:
    return {
        "hostname": server.host,
        "port": server.port,
        "use_starttls": True,
        "ssl_protocols": ["TLSv1.2", "TLSv1.3"],
        "ca_file": str(authority.ca_file),
    }


def _basic(
    server: SmtpServer, authority: CertificateAuthority, password: str
) -> Exhibit:
    return Exhibit(
        title="a profile with a password",
        profile={
            "name": "plant-alerts",
            "description": "Alarms of the tank farm",
            "smtp": _smtp(server, authority),
            "auth": {"mode": "basic", "username": USER, "password": password},
            "policy": {"from_addresses": ["plant.example"]},
        },
    )


def _oauth2(
    server: SmtpServer,
    authority: CertificateAuthority,
    authorization: AuthorizationServer,
) -> Exhibit:
    client_secret = secrets.token_urlsafe(16)
    authorization.register("gateway-of-the-plant", client_secret, user=MAILBOX)
    return Exhibit(
        title="a profile with OAuth 2.0, by the gateway's own credentials",
        client={
            "name": "plant-login",
            "client_id": "gateway-of-the-plant",
            "client_secret": client_secret,
            "issuer": authorization.issuer,
            "ca_file": str(authorization.ca_file),
        },
        profile={
            "name": "plant-cloud",
            "description": "The same, by a provider that has retired passwords",
            "smtp": _smtp(server, authority),
            "auth": {"mode": "oauth2", "username": MAILBOX, "client": "plant-login"},
            "policy": {"from_addresses": ["plant.example"]},
        },
    )


def _request(profile: str) -> SendRequest:
    from email_profiles_hookspecs import Attachment, SendRequest

    return SendRequest(
        profile=profile,
        from_address="Gateway <gateway@plant.example>",
        to=["Schichtführer <operator@plant.example>"],
        subject="Behälter 4: Füllstand hoch (92 %)",
        text="Tank 4 is at 92 %, the limit is 90 %.\nThe readings are attached.\n",
        attachments=[Attachment(name="Füllstände.csv", data=READINGS.encode())],
        priority=1,
        lane="alarm",
        origin="demo",
    )


def _perform(exhibit: Exhibit, stage: Stage, session: bool) -> None:
    """The main job, as any host does it; then what was received, and its outcome."""
    _heading(f"Apply {exhibit.title}")
    if exhibit.client is not None:
        stage.facade.clients.apply(exhibit.client, actor=actor())
    applied = stage.facade.profiles.apply(exhibit.profile, actor=actor())
    output.say(f"{applied.stored.name}: {applied.change}")

    _heading("The host resolves the profile, and sends by it")
    hook = stage.manager.hook
    profile = hook.email_profiles_resolve(name=applied.stored.name)
    output.say(f"resolved: {profile.name}, mode {profile.mode}")
    receipt = hook.email_profiles_send(request=_request(profile.name))
    output.say(f"queued: {receipt.message_id}")
    outcome = stage.observer.outcome()

    if outcome.state == "accepted":
        _heading("The server received")
        _print_received(stage.server.messages[-1])
    _heading("The host is told what became of it")
    _print_outcome(outcome)
    if session:
        _heading("The session, redacted")
        for attempt in stage.facade.outbox.show(receipt.id).history:
            output.session([attempt.transcript])
    if outcome.state != "accepted":
        raise Failure(f"the message was not accepted: {outcome.state}", outcome.error)


def _heading(text: str) -> None:
    click.echo(f"\n{text}\n{'-' * len(text)}")


def _print_received(delivered: Delivered) -> None:
    print_message(delivered.message)
    how = "over TLS" if delivered.tls else "in clear"
    who = delivered.identity or "nobody"
    output.properties([("Received", f"{how}; signed in: {who}")])


def _print_outcome(outcome: Outcome) -> None:
    output.properties(
        [
            ("state", outcome.state),
            *(("accepted", who) for who in outcome.accepted),
            *(("refused", f"{who}: {said}") for who, said in outcome.refused.items()),
            ("reply", outcome.reply),
            ("queue id", outcome.queue_id),
            ("attempt", outcome.attempt),
            ("error", outcome.error),
        ]
    )
