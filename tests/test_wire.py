"""The wire and the pool, over real sockets, against servers that misbehave."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from attrs import evolve

from email_profiles_hookspecs import Credential, Profile, SmtpSettings, sasl
from email_profiles_hookspecs.errors import (
    ConnectFailed,
    Disconnected,
    EmailProfilesError,
    NotOffered,
    ProtocolError,
    Refused,
    TimedOut,
    TlsFailed,
)
from email_profiles_plugin.smtp.dialogue import Extensions
from email_profiles_plugin.smtp.pool import Connection, Keep, Pool
from email_profiles_plugin.smtp.transaction import Mail
from email_profiles_plugin.smtp.wire import Wire
from email_profiles_plugin.submission import Submission, Submitter
from email_profiles_plugin.testing.certificates import CertificateAuthority
from email_profiles_plugin.testing.scripted_server import Line, ScriptedServer
from email_profiles_plugin.testing.smtp_server import SmtpServer

MAIL = Mail(
    mail_from="a@x.test",
    recipients=("b@x.test",),
    octets=b"Subject: hi\r\n\r\nhello\r\n",
)
NOBODY = Credential(offers=())
PASSWORD = Credential(offers=(sasl.Plain("user", "hunter2!"),), identity="user")


class Refuses:
    """An authenticator that has nothing else to offer."""

    def acquire(self, deadline: float) -> Credential:
        raise AssertionError

    def rejected(self, credential: Credential, reply: object) -> bool:
        return False


def profile(port: int, **smtp: Any) -> Profile:
    settings = SmtpSettings(
        hostname=smtp.pop("hostname", "localhost"),
        port=port,
        timeout_ms=smtp.pop("timeout_ms", 2000),
        final_reply_timeout_ms=smtp.pop("final_reply_timeout_ms", 2000),
        ssl_protocols=("TLSv1.2", "TLSv1.3"),
        **smtp,
    )
    return Profile(id="p", revision=1, name="p", mode="basic", smtp=settings)


def submit(
    to: Profile, credential: Credential = NOBODY, mail: Mail = MAIL
) -> tuple[Submission, list[str]]:
    session: list[str] = []
    pool = Pool()
    submitter = Submitter(pool, lambda _: Refuses(), lambda _: 1, session.append)
    try:
        return submitter.submit(to, credential, mail, session.append), session
    finally:
        pool.close()


def failure(script: Callable[[Line], None], **smtp: Any) -> Submission:
    """What a submission to a scripted server came to; its socket is closed."""
    with ScriptedServer(script) as server:
        result, _ = submit(profile(server.port, **smtp))
        for thread in server._threads[1:]:
            thread.join(5)
        assert not server.open, "a socket was left open"
    return result


def say(*lines: str) -> Callable[[Line], None]:
    def script(line: Line) -> None:
        for text in lines:
            line.say(text)
            line.hear()

    return script


def bytes_before_tls(line: Line) -> None:
    line.greet("STARTTLS")
    line.hear()
    line.say(b"220 go\r\n250 injected\r\n")
    line.wait()


def final_silence(line: Line) -> None:
    line.greet()
    line.accept()
    line.hear_content()
    line.wait()


def final_close(line: Line) -> None:
    line.greet()
    line.accept()
    line.hear_content()


def close_before_content(line: Line) -> None:
    line.greet()
    line.accept()


def drip(line: Line) -> None:
    for octet in b"220 very slow greeting" * 50:
        line.say(bytes([octet]))
        line.socket.settimeout(0.05)
        try:
            if not line.socket.recv(1):
                return
        except TimeoutError:
            pass


@pytest.mark.parametrize(
    ("script", "kind", "stage"),
    [
        (say("554 no"), Refused, "greeting"),
        (say("421 busy"), Refused, "greeting"),
        (say("HTTP/1.1 400"), ProtocolError, "greeting"),
        (lambda line: None, Disconnected, "greeting"),
        (lambda line: line.wait(), TimedOut, "greeting"),
        (drip, TimedOut, "greeting"),
        (lambda line: line.say(b"2" * 100_000), ProtocolError, "greeting"),
        (lambda line: line.say(b"250-x\r\n" * 10_000), ProtocolError, "greeting"),
        (lambda line: line.say(b"220 \0\xff\r\n"), Disconnected, "EHLO"),
        (say("220 hi", "550 no"), Refused, "EHLO"),
        (say("220 hi", "250 hi"), NotOffered, "STARTTLS"),
        (bytes_before_tls, ProtocolError, "STARTTLS"),
    ],
)
def test_a_session_that_goes_wrong_ends_in_a_named_error(
    script: Callable[[Line], None], kind: type[EmailProfilesError], stage: str
) -> None:
    """With its stage, in bounded time, and no socket left behind."""
    since = monotonic()
    result = failure(script, use_starttls=True, timeout_ms=500)

    assert (kind, stage) == (type(result.error), getattr(result.error, "stage", ""))
    assert monotonic() - since < 30


@pytest.mark.parametrize(
    ("script", "kind", "awaiting"),
    [
        (final_silence, TimedOut, ("b@x.test",)),
        (final_close, Disconnected, ("b@x.test",)),
        (close_before_content, Disconnected, None),
    ],
)
def test_only_what_was_handed_over_whole_is_unknown(
    script: Callable[[Line], None], kind: type[EmailProfilesError], awaiting: Any
) -> None:
    """Lost or timed out after the last octet; before it, it was not sent."""
    octets = MAIL.octets + (b"x" * 70 + b"\r\n") * 200_000
    mail = MAIL if awaiting else evolve(MAIL, octets=octets)
    with ScriptedServer(script) as server:
        to = profile(server.port, final_reply_timeout_ms=500)
        result, _ = submit(to, mail=mail)

    assert isinstance(result.error, kind)
    assert (awaiting or ()) == result.awaiting


def test_a_refusal_amid_the_content_is_read_when_the_connection_breaks() -> None:
    """The server says 552 and hangs up while we write; that answers the message."""

    def script(line: Line) -> None:
        line.greet()
        line.accept()
        line.hear()
        line.say("552 5.3.4 too big")
        line.socket.shutdown(socket.SHUT_WR)
        line.wait()

    octets = MAIL.octets + (b"x" * 70 + b"\r\n") * 100_000
    with ScriptedServer(script) as server:
        result, _ = submit(profile(server.port), mail=evolve(MAIL, octets=octets))

    assert result.error is None
    assert 552 == result.answers["b@x.test"].reply.code


@pytest.mark.parametrize("at", range(4))
def test_421_at_any_command_means_not_sent(at: int) -> None:
    """Never unknown: 421 answers its command and all that follow."""

    def script(line: Line) -> None:
        line.greet()
        for step in range(4):
            if step == 3:
                line.hear_content()
            else:
                line.hear()
            if step == at:
                line.say("421 4.3.2 closing")
                return
            line.say("354 go" if step == 2 else "250 ok")

    result = failure(script)

    assert result.error is None
    assert 421 == result.answers["b@x.test"].reply.code


def test_a_server_that_is_not_there_is_named() -> None:
    """Host, port, and what to look at."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    result, _ = submit(profile(port))

    assert isinstance(result.error, ConnectFailed)
    assert f"localhost port {port}" in str(result.error)
    assert result.error.remedy


def test_a_name_that_is_not_found_is_named() -> None:
    """As a failure to connect."""
    result, _ = submit(profile(25, hostname="nowhere.invalid"))

    assert isinstance(result.error, ConnectFailed)
    assert "nowhere.invalid is not found" in str(result.error)


def in_clear(port: int, **smtp: Any) -> tuple[Submission, list[str]]:
    """A submission with a password to what is not this machine, as far as we know."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "loopback", property(lambda self: False))
        return submit(profile(port, **smtp), PASSWORD)


def test_credentials_do_not_go_in_clear() -> None:
    """Unless the profile allows it; a bearer token never does."""
    with SmtpServer(
        users={"user": "hunter2!"}, auth_before_tls=True, mechanisms=("PLAIN",)
    ) as server:
        refused, _ = in_clear(server.port)
        allowed, _ = in_clear(server.port, allow_plaintext_auth=True)

    assert isinstance(refused.error, NotOffered)
    assert "in clear" in str(refused.error)
    assert 250 == allowed.answers["b@x.test"].reply.code


def test_a_password_is_in_no_transcript() -> None:
    """Also where the server echoes what it was told."""

    def script(line: Line) -> None:
        line.greet("AUTH PLAIN")
        said = line.hear().decode()
        line.say(f"535 5.7.8 wrong: {said} user hunter2!")
        line.wait()

    with ScriptedServer(script) as server:
        result, session = submit(profile(server.port), PASSWORD)
    shown = "\n".join(session) + str(result.error) + repr(result)

    assert isinstance(result.error, Refused)
    assert "hunter2!" not in shown
    assert "AHVzZXIAaHVudGVyMiE=" not in shown
    assert "AUTH PLAIN ***" in shown


def answered(context: ssl.SSLContext, tls: Any, ca: Path | None, **smtp: Any) -> Any:
    with SmtpServer(tls=tls, ssl_context=context, users={"user": "hunter2!"}) as server:
        to = profile(
            server.port,
            use_ssl=tls == "implicit",
            use_starttls=tls == "starttls",
            ca_file=str(ca) if ca else None,
            **smtp,
        )
        result, session = submit(to, PASSWORD)
        assert not any("AUTH" in line for line in session if result.error)
        return result.error or result.answers["b@x.test"].reply.code


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_certificates_are_verified(tls: str, tmp_path: Path) -> None:
    """A wrong host, an unknown issuer: refused by name before any credential leaves."""
    ca = CertificateAuthority(tmp_path)
    assert 250 == answered(ca.server_context(), tls, ca.ca_file)

    wrong = answered(ca.server_context("elsewhere.test"), tls, ca.ca_file)
    assert isinstance(wrong, TlsFailed)
    assert "not for localhost" in str(wrong)

    unknown = answered(ca.server_context(), tls, None)
    assert isinstance(unknown, TlsFailed)
    assert "issuer" in str(unknown)
    assert "ca_file" in unknown.remedy

    assert 250 == answered(
        ca.server_context("elsewhere.test"), tls, None, verify_certificate=False
    )


def test_versions_without_overlap_are_named(tmp_path: Path) -> None:
    """The profile allows TLS 1.3 alone, the server has 1.2."""
    ca = CertificateAuthority(tmp_path)
    context = ca.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with SmtpServer(tls="implicit", ssl_context=context) as server:
        to = profile(server.port, use_ssl=True, ca_file=str(ca.ca_file))
        to = evolve(to, smtp=evolve(to.smtp, ssl_protocols=("TLSv1.3",)))
        result, _ = submit(to)

    assert isinstance(result.error, TlsFailed)
    assert "TLSv1.3" in str(result.error)


def test_tls_on_a_plain_port_is_named(tmp_path: Path) -> None:
    """The most common mistake: 587 with SSL/TLS on."""
    with SmtpServer() as server:
        result, _ = submit(profile(server.port, use_ssl=True))

    assert isinstance(result.error, TlsFailed)
    assert "Use STARTTLS" in result.error.remedy


def test_plain_on_a_tls_port_times_out(tmp_path: Path) -> None:
    """And 465 without it: the server waits for us, we for the server."""
    ca = CertificateAuthority(tmp_path)
    with SmtpServer(tls="implicit", ssl_context=ca.server_context()) as server:
        result, _ = submit(profile(server.port, timeout_ms=300))

    assert isinstance(result.error, TimedOut)


class FakeWire:
    """As much of a wire as the pool asks of one."""

    def __init__(self) -> None:
        self.closed = False
        self.said_something = False

    def readable(self) -> bool:
        return self.said_something

    def close(self) -> None:
        self.closed = True

    quit = close


def connection() -> Connection:
    wire: Any = FakeWire()
    return Connection(wire, Extensions())


def lease(pool: Pool, limit: int = 1, wait: float = 0) -> Any:
    return pool.lease("p", "k", connection, limit=limit, deadline=monotonic() + wait)


def test_a_connection_is_lent_again() -> None:
    """To the next message of the same profile and revision."""
    pool = Pool()
    with lease(pool) as first:
        pass
    with lease(pool) as second:
        pass

    assert first is second


@pytest.mark.parametrize(
    ("keep", "messages"),
    [(Keep(messages=3), 3), (Keep(idle_s=0), 0), (Keep(age_s=0), 0)],
)
def test_a_connection_is_not_kept_for_ever(keep: Keep, messages: int) -> None:
    """Messages, idle time and age are bounded."""
    pool = Pool(keep)
    with lease(pool) as first:
        first.messages = messages

    assert first.wire.closed


def test_a_connection_that_said_something_unasked_is_not_lent() -> None:
    """A server that closed an idle connection costs no message."""
    pool = Pool()
    with lease(pool) as first:
        pass
    first.wire.said_something = True
    with lease(pool) as second:
        pass

    assert first is not second
    assert first.wire.closed


def test_a_connection_that_failed_is_closed() -> None:
    """After anything but an SMTP reply nobody knows what it would say next."""
    pool = Pool()
    with pytest.raises(RuntimeError), lease(pool) as first:
        raise RuntimeError
    with lease(pool) as second:
        pass

    assert first.wire.closed
    assert first is not second


def test_no_more_connections_than_the_profile_may_have() -> None:
    """Over all threads; who waits too long is told."""
    pool = Pool()
    with lease(pool), pytest.raises(TimedOut, match="busy"), lease(pool):
        pass
    with lease(pool, limit=2), lease(pool, limit=2):
        assert 2 == pool.leased("p")


def test_threads_share_what_there_is() -> None:
    """Sixteen threads, three connections, never a fourth, nobody starved."""
    pool, peak, done = Pool(), [0], threading.Barrier(17)

    def work() -> None:
        for _ in range(20):
            with lease(pool, limit=3, wait=20):
                peak[0] = max(peak[0], pool.leased("p"))
        done.wait(20)

    for _ in range(16):
        threading.Thread(target=work, daemon=True).start()
    done.wait(20)

    assert 1 <= peak[0] <= 3
