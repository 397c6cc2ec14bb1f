"""The real servers as fixtures, asked by smtplib: they come up, and go again."""

from __future__ import annotations

import os
import select
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from email_profiles_plugin.testing import (
    CertificateAuthority,
    Dovecot,
    Listener,
    MailSystem,
    Postfix,
    SmtpServer,
    daemons,
    postfix,
)

CONTENT = b"Subject: x\r\nMessage-ID: <%b@plant.test>\r\n\r\n.\r\n..dots\r\nTank 4\r\n"


def client(
    system: MailSystem, name: str, context: ssl.SSLContext | None = None
) -> smtplib.SMTP:
    """smtplib at a port, over the TLS that it has; trusting, unless told otherwise."""
    context = context or system.certificate_authority.client_context()
    port = system.ports[name]
    if name.startswith("implicit"):
        return smtplib.SMTP_SSL("localhost", port, context=context, timeout=10)
    made = smtplib.SMTP("localhost", port, timeout=10)
    try:
        if name != "plain":
            made.starttls(context=context)
    except ssl.SSLError:
        made.close()
        raise
    return made


def plain(user: str, password: str) -> str:
    response = f"\0{user}\0{password}".encode()
    return f"PLAIN {b64encode(response).decode()}"


@pytest.mark.parametrize("name", ["starttls", "implicit"])
def test_mail_goes_through(mail_system: MailSystem, name: str) -> None:
    """What a user submits is read back: the same octets, who, and that TLS was on."""
    mail_system.dovecot.add_user(f"reader-{name}", "pässwörd: 1")
    content = CONTENT % name.encode()
    with client(mail_system, name) as session:
        session.ehlo()
        assert 235 == session.docmd("AUTH", plain(f"reader-{name}", "pässwörd: 1"))[0]
        session.sendmail("a@plant.test", ["b@plant.test", "c@other.test"], content)
    delivered = mail_system.read(f"<{name}@plant.test>")
    assert ("a@plant.test", {"b@plant.test", "c@other.test"}) == (
        delivered.mail_from,
        {*delivered.recipients},
    )
    assert (content, f"reader-{name}", True) == (
        delivered.octets,
        delivered.identity,
        delivered.tls,
    )


def test_plain_port_asks_nothing(mail_system: MailSystem) -> None:
    """Without TLS there is no AUTH, and mail is taken from anybody."""
    with client(mail_system, "plain") as session:
        session.ehlo()
        assert not session.has_extn("auth")
        session.sendmail("", ["b@plant.test"], CONTENT % b"null")
    delivered = mail_system.read("<null@plant.test>")
    assert ("", None, False) == (
        delivered.mail_from,
        delivered.identity,
        delivered.tls,
    )


def test_authentication_is_needed_over_tls(mail_system: MailSystem) -> None:
    """AUTH is offered within TLS alone; without it nothing is taken; Dovecot judges."""
    mail_system.dovecot.add_user("keeper", "right")
    with smtplib.SMTP("localhost", mail_system.ports["starttls"]) as session:
        session.ehlo()
        assert not session.has_extn("auth")
        assert 530 == session.mail("a@plant.test")[0]
        session.starttls(context=mail_system.certificate_authority.client_context())
        session.ehlo()
        offered = session.esmtp_features["auth"].split()
        session.mail("a@plant.test")
        assert 554 == session.rcpt("b@plant.test")[0]
        session.rset()
        assert 535 == session.docmd("AUTH", plain("keeper", "wrong"))[0]
        assert 535 == session.docmd("AUTH", plain("nobody", "right"))[0]
        assert 235 == session.docmd("AUTH", plain("keeper", "right"))[0]
    wanted = {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"}
    assert wanted == set(offered)
    assert "keeper" in mail_system.dovecot.log


def test_refusals(mail_system: MailSystem) -> None:
    """Senders, recipients, DATA and content are refused where the address says so."""
    with client(mail_system, "plain") as session:
        session.ehlo()
        codes = [session.mail("refused@a.test")[0], session.mail("deferred@a.test")[0]]
        session.mail("a@plant.test")
        codes += [session.rcpt(f"{who}@b.test")[0] for who in ("refused", "deferred")]
        session.rcpt("c@plant.test")
        content = b"Subject: please refuse this content\r\n\r\nx\r\n"
        codes.append(session.data(content)[0])
        session.mail("no-data@plant.test")
        session.rcpt("c@plant.test")
        codes.append(session.docmd("DATA")[0])
    assert [550, 450, 550, 450, 550, 550] == codes


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("expired", "expired"),
        ("wrong host", "Hostname mismatch"),
        ("unknown issuer", "unable to get local issuer|self-signed"),
    ],
)
def test_bad_certificates(
    mail_system: MailSystem, tls: str, kind: str, reason: str
) -> None:
    """Each is bad in the one way that its name says; Postfix logs the end of it."""
    before = len(mail_system.postfix.log)
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        client(mail_system, f"{tls} {kind}")
    port = f"postfix/{tls}-{kind.replace(' ', '-')}/smtpd"
    (line,) = mail_system.postfix.wait_logged(f"{port}.*disconnect from", before)
    assert "auth=" not in line


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_protocol_ranges(mail_system: MailSystem, tls: str, version: str) -> None:
    """A port named for a version speaks that and no other."""
    with client(mail_system, f"{tls} {version}") as session:
        assert isinstance(session.sock, ssl.SSLSocket)
        assert version == session.sock.version()
    context = mail_system.certificate_authority.client_context()
    other = ssl.TLSVersion.TLSv1_2 if version == "TLSv1.3" else ssl.TLSVersion.TLSv1_3
    context.minimum_version = context.maximum_version = other
    with pytest.raises(ssl.SSLError, match=r"(?i)version"):
        client(mail_system, f"{tls} {version}", context)


def processes(folder: Path | str) -> list[int]:
    """The ids of those that name *folder* in their command; none that has ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended since
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def test_nothing_is_left(
    mail_system: MailSystem, certificate_authority: CertificateAuthority
) -> None:
    """Stopped, neither folder nor port nor process is there; a second pair is apart."""
    with MailSystem(
        certificate_authority=certificate_authority,
        listeners={"plain": Listener(tls="none")},
    ) as other:
        folders = [other.postfix.folder, other.dovecot.folder]
        port = other.ports["plain"]
        assert port not in mail_system.ports.values()
        assert all(processes(folder) for folder in folders)
        socket.create_connection(("127.0.0.1", port)).close()
    assert [False, False] == [folder.exists() for folder in folders]
    assert [[], []] == [processes(folder) for folder in folders]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


DIES = """
import os, sys
from pathlib import Path
from email_profiles_plugin.testing import CertificateAuthority, Listener, MailSystem

system = MailSystem(
    certificate_authority=CertificateAuthority(Path(sys.argv[1])),
    listeners={"plain": Listener(tls="none")},
)
system.start()
print(system.postfix.folder, system.dovecot.folder, flush=True)
os.kill(os.getpid(), 9)
"""


def test_servers_end_with_their_owner(mail_system: MailSystem, tmp_path: Path) -> None:
    """Where whoever started them is killed, they are told to end."""
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    folders = done.stdout.split()
    assert 2 == len(folders), done.stderr
    for folder in folders:
        for process in processes(folder):
            with suppress(ProcessLookupError), end_of(process) as end:
                assert select.select([end], [], [], 20)[0], folder
        shutil.rmtree(folder)


@contextmanager
def end_of(process: int) -> Iterator[int]:
    """A descriptor that can be read once the process has ended."""
    end = os.pidfd_open(process)
    try:
        yield end
    finally:
        os.close(end)


def test_a_port_that_is_taken_is_given_up(
    mail_system: MailSystem,
    certificate_authority: CertificateAuthority,
    smtp_server: SmtpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody else took it between choice and start: others are chosen."""
    choices = [[smtp_server.port]]

    def choose(count: int) -> list[int]:
        return choices.pop() if choices else daemons.choose_ports(count)

    monkeypatch.setattr(postfix, "choose_ports", choose)
    server = Postfix(
        certificate_authority=certificate_authority,
        next_hop_port=smtp_server.port,
        listeners={"plain": Listener(tls="none")},
    )
    with server, smtplib.SMTP("localhost", server.ports["plain"]) as session:
        assert 250 == session.ehlo()[0]
    assert [] == choices


def test_what_is_missing_is_told(
    monkeypatch: pytest.MonkeyPatch, authorization_server: object
) -> None:
    """Not installed, or not root: ServiceMissing says which."""
    monkeypatch.setattr(shutil, "which", lambda name, path: None)
    with pytest.raises(daemons.ServiceMissing, match="dovecot is not installed"):
        Dovecot(authorization_server=authorization_server).start()  # type: ignore[arg-type]
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name, path: "/usr/sbin/dovecot")
    with pytest.raises(daemons.ServiceMissing, match="only root can run dovecot"):
        Dovecot(authorization_server=authorization_server).start()  # type: ignore[arg-type]


SUITE = """
import pytest
from email_profiles_plugin.testing import dovecot
from email_profiles_plugin.testing.daemons import ServiceMissing

def missing(name):
    raise ServiceMissing(f"{name} is not installed")

@pytest.fixture(scope="session", autouse=True)
def bare():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dovecot, "find_program", missing)
        yield

def test_one(mail_system): pass
def test_two(mail_system): pass
"""


@pytest.mark.parametrize(
    ("required", "said"),
    [
        ("", "2 skipped"),
        ("1", "dovecot is not installed, and EMAIL_PROFILES_REQUIRE_SERVICES is 1"),
    ],
)
def test_tests_are_skipped_or_fail(tmp_path: Path, required: str, said: str) -> None:
    """Where something is missing: a skip with the reason; where required, a failure."""
    (tmp_path / "test_suite.py").write_text(SUITE, "utf-8")
    command = ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    if not any(one.name == "email_profiles" for one in entry_points(group="pytest11")):
        command += ["-p", "email_profiles_plugin.testing.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, *command, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "EMAIL_PROFILES_REQUIRE_SERVICES": required,
        },
    )
    assert said in done.stdout, done.stdout
    assert "dovecot is not installed" in done.stdout
    assert (1 if required else 0) == done.returncode


def test_a_program_that_ends_is_told(tmp_path: Path) -> None:
    """StartFailed has its status, and what it said."""
    daemon = daemons.Daemon(
        command=["/bin/sh", "-c", "echo not today; exit 3"],
        output=tmp_path / "output",
    )
    with pytest.raises(daemons.StartFailed, match="ended with 3: not today"):
        daemon.start(lambda: False)
