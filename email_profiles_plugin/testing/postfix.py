"""
Postfix on loopback ports of its own, each with the TLS that a test asks for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from attrs import define, field, frozen

from .certificates import CertificateAuthority
from .daemons import Daemon, StartFailed, choose_ports, find_program, make_folder
from .postfix_configuration import write_main, write_master

Certificate = Literal["good", "expired", "wrong host", "unknown issuer"]

SECURITIES: tuple[Literal["starttls", "implicit"], ...] = ("starttls", "implicit")
BAD_CERTIFICATES: tuple[Certificate, ...] = (
    "expired",
    "wrong host",
    "unknown issuer",
)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
QUEUES = "active bounce corrupt defer deferred flush hold incoming private saved trace"
ATTEMPTS = 3
"""A port may be taken between the choice and the start; Postfix can't say so then."""


@frozen(kw_only=True)
class Listener:
    """
    What one port is like.

    `protocols` is a range in Postfix's words, such as `>=TLSv1.3`; `options` are
    more parameters of smtpd(8), for this port. Without TLS there is no AUTH, and
    mail is taken from anybody; with it, AUTH is needed, and not offered in clear.
    """

    tls: Literal["none", "starttls", "implicit"] = "starttls"
    certificate: Certificate = "good"
    protocols: str = ">=TLSv1.2"
    options: Mapping[str, str] = field(factory=dict)

    def parameters(self, folder: Path) -> dict[str, str]:
        """smtpd(8)'s, for this port."""
        certificate = folder / f"{self.certificate.replace(' ', '-')}.pem"
        if self.tls == "none":
            own = {"smtpd_tls_security_level": "none"}
        else:
            own = {
                "smtpd_tls_security_level": "encrypt",
                "smtpd_tls_wrappermode": "yes" if self.tls == "implicit" else "no",
                "smtpd_tls_chain_files": str(certificate),
                "smtpd_tls_mandatory_protocols": self.protocols,
                "smtpd_sasl_auth_enable": "yes",
                "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
            }
        return {**own, **self.options}


def every_listener() -> dict[str, Listener]:
    """
    A port for each thing that can be wrong with TLS, by STARTTLS and implicit.

    `plain`; `starttls` and `implicit`, which are in order; then `starttls expired`,
    `starttls TLSv1.3` and so on.
    """
    listeners = {"plain": Listener(tls="none")}
    for tls in SECURITIES:
        listeners[tls] = Listener(tls=tls)
        for certificate in BAD_CERTIFICATES:
            listeners[f"{tls} {certificate}"] = Listener(
                tls=tls, certificate=certificate
            )
        for version in ("TLSv1.2", "TLSv1.3"):  # no other
            protocols = f">={version}, <={version}"
            listeners[f"{tls} {version}"] = Listener(tls=tls, protocols=protocols)
    return listeners


@define(kw_only=True, eq=False)
class Postfix:
    """
    Postfix from `start` to `stop`; a context manager.

    It takes mail for every domain and hands it on to an SMTP server at
    `next_hop_port`. Who may send is asked at `auth_socket`, Dovecot's; None: AUTH is
    not offered. `listeners` by name are the ports that it opens; once it has started
    they are in `ports`. Nothing of the machine's own Postfix is read or changed.

    `refused@` any domain is refused with 550 and `deferred@` with 450, as sender and
    as recipient; `no-data@` as sender makes DATA, and BDAT, 550; a subject with
    `refuse this content` is 550 at the end.

    `start` raises ServiceMissing where Postfix is not installed, or this is not root.
    """

    certificate_authority: CertificateAuthority
    next_hop_port: int
    auth_socket: Path | None = None
    listeners: Mapping[str, Listener] = field(factory=every_listener)
    ports: Mapping[str, int] = field(factory=dict, init=False)
    folder: Path = field(init=False)
    _daemon: Daemon = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Run it; it takes connections when this returns."""
        postconf = find_program("postconf")
        for attempt in range(1, ATTEMPTS + 1):
            self.folder = make_folder("postfix")
            try:
                self._configure(postconf)
                self._daemon.start(self._is_up)
                return
            except StartFailed:
                shutil.rmtree(self.folder)
                if attempt == ATTEMPTS:
                    raise
            except BaseException:
                shutil.rmtree(self.folder)
                raise

    def stop(self) -> None:
        """End it, and remove its folder with what is still queued."""
        self._daemon.stop()
        shutil.rmtree(self.folder)

    @property
    def log(self) -> str:
        """What it has logged; each port logs as `postfix/` and its name."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def wait_logged(self, pattern: str, since: int = 0) -> list[str]:
        """
        All lines in which *pattern*, a regular expression, is found, once there is one.

        What was logged when `log` had *since* characters doesn't count. TimeoutError
        if there is none in ten seconds.
        """
        expression = re.compile(f".*{pattern}.*")
        self._daemon.wait_until(lambda: bool(expression.search(self.log, since)))
        return expression.findall(self.log, since)

    def _configure(self, postconf: str) -> None:
        def default(name: str) -> str:
            done = subprocess.run(
                [postconf, "-dh", name], capture_output=True, text=True, check=True
            )
            return done.stdout.strip()

        self._make_queue(default("mail_owner"), default("setgid_group"))
        self._write_certificates()
        ports = choose_ports(len(self.listeners))
        self.ports = dict(zip(self.listeners, ports, strict=True))
        write_main(self.folder, self.next_hop_port, self.auth_socket)
        services = [
            (name.replace(" ", "-"), self.ports[name], listener.parameters(self.folder))
            for name, listener in self.listeners.items()
        ]
        write_master(self.folder, services)
        master = f"{default('daemon_directory')}/master"
        self._daemon = Daemon(
            command=[master, "-c", str(self.folder), "-s"],
            output=self.folder / "output",
        )

    def _make_queue(self, owner: str, group: str) -> None:
        """As post-install does, in a hundredth of its time."""

        def make(name: str, mode: int) -> None:
            path = self.folder / name
            path.mkdir()
            path.chmod(mode)  # whatever the umask
            if mode != 0o755:
                shutil.chown(path, owner, group if mode & 0o070 else None)

        for name in ("queue", "queue/pid"):
            make(name, 0o755)
        for name in QUEUES.split():
            make(f"queue/{name}", 0o700)
        make("queue/maildrop", 0o730)
        make("queue/public", 0o710)
        make("data", 0o700)
        log = self.folder / "log"  # postlogd could not make it
        log.touch()
        shutil.chown(log, owner)

    def _write_certificates(self) -> None:
        ours = self.certificate_authority
        (self.folder / "stranger").mkdir(mode=0o700)
        stranger = CertificateAuthority(self.folder / "stranger")
        ours.write_certificate(self.folder / "good.pem")
        ours.write_certificate(self.folder / "expired.pem", not_after=PAST)
        ours.write_certificate(self.folder / "wrong-host.pem", "elsewhere.test")
        stranger.write_certificate(self.folder / "unknown-issuer.pem")

    def _is_up(self) -> bool:
        """The last service of master.cf has its socket, so all others have theirs."""
        return (self.folder / "queue" / "private" / "last").exists()


@frozen(kw_only=True)
class Trace:
    """
    What Postfix says on top of a message about how it came, and the rest of it.

    `identity` is who authenticated, with `?` for octets that are not ASCII; `octets`
    are the message as it was submitted.
    """

    identity: str | None
    tls: bool
    octets: bytes = field(repr=False)

    @classmethod
    def of(cls, octets: bytes) -> Trace:
        """Of a message as it left Postfix; ValueError for any other."""
        match = re.match(rb"Received:.*\r\n(?:[ \t].*\r\n)*", octets)
        if match is None:
            raise ValueError("not a message that Postfix took")
        said = match[0].decode()
        sender = re.search(r"\(Authenticated sender: (.*)\)", said)
        return cls(
            identity=sender[1] if sender else None,
            tls=re.search(r"with (ESMTP|UTF8SMTP)SA? ", said) is not None,
            octets=octets[match.end() :],
        )
