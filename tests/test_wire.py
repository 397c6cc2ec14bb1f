"""The wire, over real sockets, against servers that misbehave."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn

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
from email_profiles_plugin.smtp import tls as client_tls
from email_profiles_plugin.smtp import wire as wire_module
from email_profiles_plugin.smtp.mail import Mail, Submission, in_turn
from email_profiles_plugin.smtp.pool import Pool
from email_profiles_plugin.smtp.wire import Wire
from email_profiles_plugin.submission import Submitter
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
    submission = Submission(mail=mail, tell=session.append)
    pool = Pool()
    submitter = Submitter(pool, lambda _: Refuses(), lambda _: 1, session.append)
    try:
        submitter.submit(to, credential, in_turn([submission]))
    finally:
        pool.close()
    return submission, session


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
    assert (awaiting or ()) == result.doubtful


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


def resolving(patch: pytest.MonkeyPatch, *addresses: tuple[Any, Any]) -> list[str]:
    """Every name has these *addresses*; the list takes the names asked for."""
    asked: list[str] = []

    def look(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [
            (family, socket.SOCK_STREAM, 0, "", (address, port))
            for family, address in addresses
        ]

    patch.setattr(socket, "getaddrinfo", look)
    return asked


def test_an_address_of_a_kind_that_this_machine_lacks_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without IPv6 the next address is tried; without any, it is a named error."""
    real = socket.socket

    def sockets(family: int, *kind: int, **more: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *kind, **more)

    with ScriptedServer(say("554 no")) as server:
        monkeypatch.setattr(socket, "socket", sockets)
        six, four = (socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1")
        resolving(monkeypatch, six, four)
        result, _ = submit(profile(server.port))
        assert isinstance(result.error, Refused)

        resolving(monkeypatch, six)
        result, _ = submit(profile(server.port))
        monkeypatch.undo()

    assert isinstance(result.error, ConnectFailed)
    assert "not supported" in str(result.error)


@pytest.mark.parametrize(
    ("addresses", "shares"), [(1, [10]), (2, [5, 10]), (13, [1] * 3)]
)
def test_no_address_uses_up_the_time_of_those_after_it(
    addresses: int, shares: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share what is left, a second each at least; here no time goes by."""
    given: list[float] = []

    class Silent(socket.socket):
        def settimeout(self, value: float | None) -> None:
            given.append(value or 0)

        def connect(self, address: Any) -> NoReturn:
            raise TimeoutError

    monkeypatch.setattr(wire_module, "monotonic", lambda: 0.0)
    monkeypatch.setattr(socket, "socket", Silent)
    resolving(monkeypatch, *[(socket.AF_INET, "127.0.0.1")] * addresses)
    settings = profile(25, timeout_ms=10_000).smtp
    with pytest.raises(TimedOut), Wire(settings, ssl.create_default_context()) as wire:
        wire.connect()

    assert addresses == len(given)
    assert shares == given[: len(shares)]


def test_without_descriptors_or_threads_there_is_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What this machine has run out of is a failure to connect, and leaves nothing."""

    def none(*_: object) -> NoReturn:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(selectors, "DefaultSelector", none)
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = profile(server.getsockname()[1]).smtp
        wire = Wire(settings, ssl.create_default_context())
        with pytest.raises(ConnectFailed, match="Too many open files"):
            wire.connect()
        assert -1 == wire._socket.fileno()

    def no_thread(*_: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    result, _ = submit(profile(25))
    assert isinstance(result.error, ConnectFailed)
    assert "new thread" in str(result.error)


def test_whatever_the_resolver_raises_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that can't be asked for fails at once, not at the end of the timeout."""

    def look(*_: object, **__: object) -> NoReturn:
        raise OverflowError("that is no port")

    monkeypatch.setattr(socket, "getaddrinfo", look)
    result, _ = submit(profile(25, timeout_ms=500))

    assert isinstance(result.error, ConnectFailed)
    assert "that is no port" in str(result.error)


def test_a_connection_that_is_gone_has_no_ends() -> None:
    """Looking whose it is says that it broke."""

    class Gone:
        def getpeername(self) -> NoReturn:
            raise OSError(107, "Transport endpoint is not connected")

        getsockname = getpeername

        def close(self) -> None:
            pass

    gone: Any = Gone()
    wire = Wire(profile(25).smtp, ssl.create_default_context())
    wire._socket = gone
    with pytest.raises(Disconnected):
        assert wire.loopback
    with pytest.raises(Disconnected):
        assert wire.address_literal


def test_a_dead_peer_is_found_out_in_two_minutes() -> None:
    """Keepalive, where the platform has it to set."""
    with ScriptedServer(lambda line: line.wait()) as server:
        settings = profile(server.port).smtp
        with Wire(settings, ssl.create_default_context()) as wire:
            wire.connect()
            for name, value in wire_module._KEEPALIVE:
                if option := getattr(socket, name, None):
                    got = wire._socket.getsockopt(socket.IPPROTO_TCP, option)
                    assert (name, value) == (name, got)


@pytest.mark.parametrize(
    "hostname", ["straße.example", "straße.example.", "xn--strae-oqa.example."]
)
def test_a_name_beyond_ascii_is_the_same_for_resolver_and_certificate(
    hostname: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By IDNA 2008; by that of 2003 it would be strasse, and somebody else's."""
    asked = resolving(monkeypatch, (socket.AF_INET, "127.0.0.1"))
    ca = CertificateAuthority(tmp_path)
    context = ca.server_context("xn--strae-oqa.example")

    assert 250 == answered(context, "implicit", ca.ca_file, hostname=hostname)
    assert ["xn--strae-oqa.example"] == [name.removesuffix(".") for name in asked]


def test_a_name_without_a_labels_is_named() -> None:
    """As a failure to connect."""
    result, _ = submit(profile(25, hostname="☃.example"))

    assert isinstance(result.error, ConnectFailed)
    assert "☃.example" in str(result.error)


def test_old_versions_are_set_without_a_warning() -> None:
    """Where warnings are errors, as here, they would end the submission."""
    settings = evolve(profile(25).smtp, ssl_protocols=("TLSv1", "TLSv1.1"))
    context = client_tls.context(settings)

    assert ssl.TLSVersion.TLSv1 == context.minimum_version
    assert ssl.TLSVersion.TLSv1_1 == context.maximum_version


def test_a_version_that_this_machine_lacks_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a failure of TLS, whatever OpenSSL was built with."""
    monkeypatch.setitem(client_tls.VERSIONS, "TLSv1.3", 0x9999)
    result, _ = submit(profile(25, use_starttls=True))

    assert isinstance(result.error, TlsFailed)
    assert "TLSv1.3" in str(result.error)


@pytest.mark.parametrize("password", ["hunter2!", "abc", "my cat is it", "caf\u00a0\t"])
@pytest.mark.parametrize(
    "answer", ["535 {}", "535-refused for\r\n535 {}", "unrecognized: {}", "334 {}"]
)
def test_a_password_is_nowhere_however_it_is_echoed(password: str, answer: str) -> None:
    """In a refusal, in what is no reply at all, or in a challenge."""

    def script(line: Line) -> None:
        line.greet("AUTH PLAIN")
        said = line.hear().decode()
        line.say(answer.format(f"{said} ({password})"))
        line.hear()
        line.say(f"501 cancelled: {said} ({password})")
        line.wait()

    credential = Credential(offers=(sasl.Plain("user", password),))
    with ScriptedServer(script) as server:
        result, session = submit(profile(server.port), credential)
        echo = server.heard[0][1].decode().split()[-1]
    shown = "\n".join(session) + str(result.error) + repr(result)

    assert result.error
    assert echo not in shown
    assert f"({password})" not in shown
    assert f"({ascii(password)[1:-1]})" not in shown


def test_a_challenge_is_played_as_it_came() -> None:
    """Also where it happens to hold what is masked: `Password:` in Base64."""

    def script(line: Line) -> None:
        line.greet("AUTH LOGIN")
        for answer in ("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok", "550 no"):
            line.hear()
            line.say(answer)
        line.wait()

    credential = Credential(offers=(sasl.Login("UGFz", "hunter2!"),))
    with ScriptedServer(script) as server:
        result, session = submit(profile(server.port), credential)

    assert result.error is None
    assert "S: 334 ***c3dvcmQ6" in session


def test_what_a_server_says_is_kept_in_part() -> None:
    """Beyond 2,000 characters nobody reads on; but EHLO's answer is read whole."""

    def script(line: Line) -> None:
        line.greet(*["X-LONG " + "x" * 1000] * 20, "SIZE 10")
        line.hear()
        line.say("550-" + "x" * 8000 + "\r\n550 no")
        line.wait()

    small = evolve(MAIL, octets=b"\r\n")
    with ScriptedServer(script) as server:
        refused, session = submit(profile(server.port), mail=small)
        large, _ = submit(profile(server.port))

    assert 2003 == len(refused.answers["b@x.test"].reply.text)
    assert 8000 > sum(map(len, session))
    assert isinstance(large.error, NotOffered)


def test_421_is_the_last_word() -> None:
    """A server that says it, and neither answers the rest nor hangs up."""

    def script(line: Line) -> None:
        line.greet("PIPELINING")
        line.hear()
        line.say("421 4.3.2 closing")
        line.wait()

    result = failure(script)

    assert result.error is None
    assert 421 == result.answers["b@x.test"].reply.code
