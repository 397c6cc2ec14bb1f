"""The loopback SMTP server, asked by smtplib and by bare sockets."""

from __future__ import annotations

import base64
import gc
import json
import smtplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from email_profiles_hookspecs import sasl
from email_profiles_plugin.testing import CertificateAuthority, SmtpServer

CONTENT = b"Subject: Tank 4 high\r\n\r\n.\r\n..dots\r\nLevel is 92 %.\r\n"

Start = Callable[..., SmtpServer]


@contextmanager
def connect(
    server: SmtpServer, authority: CertificateAuthority | None = None
) -> Iterator[smtplib.SMTP]:
    """An smtplib client after EHLO, over TLS if *authority* is given."""
    with smtplib.SMTP(server.host, server.port, "client.test", timeout=10) as client:
        if authority is not None:
            client.starttls(context=authority.client_context())
        client.ehlo()
        yield client


def authenticate(client: smtplib.SMTP, offer: sasl.Sasl) -> tuple[int, bytes]:
    """Play one of the contract's own SASL mechanisms, as the core will."""
    exchange = offer.respond()
    first = next(exchange)
    code, text = client.docmd("AUTH", offer.mechanism)
    if first is not None and code == 334:
        code, text = client.docmd(base64.b64encode(first).decode())
    while code == 334:
        answer = exchange.send(base64.b64decode(text))
        code, text = client.docmd(base64.b64encode(answer or b"").decode())
    return code, text


def converse(server: SmtpServer, sent: bytes) -> bytes:
    """Everything that the server says to *sent*, written at once, till it closes."""
    with socket.create_connection((server.host, server.port), timeout=10) as client:
        client.sendall(sent)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_message_is_kept_exactly(smtp_server_factory: Start) -> None:
    """Envelope and octets are kept as sent: dots unstuffed, CRLF untouched."""
    server = smtp_server_factory()
    with connect(server) as client:
        client.sendmail("a@plant.test", ["b@plant.test", "c@plant.test"], CONTENT)
    (delivered,) = server.wait_for(1)
    assert "a@plant.test" == delivered.mail_from
    assert ("b@plant.test", "c@plant.test") == delivered.recipients
    assert CONTENT == delivered.octets
    assert "Tank 4 high" == delivered.message["Subject"]
    assert (None, False) == (delivered.identity, delivered.tls)


def test_queue_id_is_in_the_reply(smtp_server_factory: Start) -> None:
    """The final reply reads like a real server's, with the id that is kept."""
    server = smtp_server_factory()
    with connect(server) as client:
        client.mail("a@plant.test")
        client.rcpt("b@plant.test")
        code, text = client.data(CONTENT)
    queue_id = server.messages[0].queue_id
    assert (250, f"2.0.0 OK: queued as {queue_id}") == (code, text.decode())


def test_null_sender_is_empty(smtp_server_factory: Start) -> None:
    """MAIL FROM:<> is kept as an empty sender."""
    server = smtp_server_factory()
    with connect(server) as client:
        client.sendmail("", ["b@plant.test"], CONTENT)
    assert "" == server.messages[0].mail_from


def test_starttls_and_identity(
    smtp_server: SmtpServer, certificate_authority: CertificateAuthority
) -> None:
    """Over STARTTLS a user logs in, and the message says who and that TLS was on."""
    assert smtp_server.users is not None
    with connect(smtp_server, certificate_authority) as client:
        client.login("gateway", smtp_server.users["gateway"])
        client.sendmail("a@plant.test", ["b@plant.test"], CONTENT)
    (delivered,) = smtp_server.messages
    assert ("gateway", True) == (delivered.identity, delivered.tls)


def test_implicit_tls(
    smtp_server_factory: Start, certificate_authority: CertificateAuthority
) -> None:
    """On an implicit-TLS port AUTH is offered at once and STARTTLS is not."""
    server = smtp_server_factory(tls="implicit", users={"gateway": "pw"})
    context = certificate_authority.client_context()
    with smtplib.SMTP_SSL("localhost", server.port, context=context) as client:
        client.login("gateway", "pw")
        assert not client.has_extn("starttls")
        client.sendmail("a@plant.test", ["b@plant.test"], CONTENT)
    assert (True, CONTENT) == (server.messages[0].tls, server.messages[0].octets)


def greet_securely(server: SmtpServer, authority: CertificateAuthority) -> None:
    """Connect by name, as the server's TLS setting wants it, and leave again."""
    trusting = authority.client_context()
    if server.tls == "implicit":
        smtplib.SMTP_SSL("localhost", server.port, context=trusting).close()
        return
    with smtplib.SMTP("localhost", server.port, "client.test") as client:
        client.starttls(context=trusting)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_bad_certificates_are_refused_by_clients(
    smtp_server_factory: Start, certificate_authority: CertificateAuthority, tls: str
) -> None:
    """A certificate for another host, and an expired one, fail as they should."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    for bad, reason in (
        (certificate_authority.server_context("elsewhere.test"), "mismatch"),
        (certificate_authority.server_context(not_after=past), "expired"),
    ):
        server = smtp_server_factory(tls=tls, ssl_context=bad)
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            greet_securely(server, certificate_authority)
        server.wait_until(lambda s: s.sessions == 1 and s.open_sessions == 0)


def test_plain_client_on_implicit_port_gets_no_word(
    smtp_server_factory: Start,
) -> None:
    """As with real servers, nothing is said before the handshake; stop cuts it."""
    server = smtp_server_factory(tls="implicit")
    with socket.create_connection((server.host, server.port), timeout=10) as client:
        server.wait_until(lambda s: s.sessions == 1)
        server.stop()
        try:
            said = client.recv(1024)
        except ConnectionResetError:
            said = b""
    assert b"" == said


OFFERS: tuple[sasl.Sasl, ...] = (
    sasl.Plain("bücher", "geheim-ß"),
    sasl.Login("bücher", "geheim-ß"),
    sasl.CramMd5("bücher", "geheim-ß"),
    sasl.ScramSha256("bücher", "geheim-ß"),
    sasl.XOAuth2("bücher", "good-token"),
    sasl.OAuthBearer("bücher", "good-token", "localhost", 25),
)
WRONG: tuple[sasl.Sasl, ...] = (
    sasl.Plain("bücher", "wrong"),
    sasl.Login("bücher", "wrong"),
    sasl.CramMd5("bücher", "wrong"),
    sasl.ScramSha256("nobody", "wrong"),
    sasl.XOAuth2("bücher", "bad-token"),
    sasl.OAuthBearer("bücher", "bad-token"),
)


def accept_good_token(username: str, token: str) -> bool:
    return (username, token) == ("bücher", "good-token")


@pytest.fixture
def all_mechanisms(smtp_server_factory: Start) -> SmtpServer:
    return smtp_server_factory(
        users={"bücher": "geheim-ß"}, accept_token=accept_good_token
    )


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: str(offer.mechanism))
def test_every_mechanism_works(all_mechanisms: SmtpServer, offer: sasl.Sasl) -> None:
    """Every mechanism takes good credentials, non-ASCII ones too, and says who."""
    with connect(all_mechanisms) as client:
        assert offer.mechanism in client.esmtp_features["auth"].split()
        assert 235 == authenticate(client, offer)[0]
        client.sendmail("a@plant.test", ["b@plant.test"], CONTENT)
    assert "bücher" == all_mechanisms.messages[0].identity


@pytest.mark.parametrize("offer", WRONG, ids=lambda offer: str(offer.mechanism))
def test_every_mechanism_refuses(all_mechanisms: SmtpServer, offer: sasl.Sasl) -> None:
    """Wrong credentials get 535; good ones then work on the same connection."""
    with connect(all_mechanisms) as client:
        if offer.mechanism == "SCRAM-SHA-256":
            assert (
                535
                == client.docmd(
                    "AUTH", f"SCRAM-SHA-256 {base64.b64encode(b'n,,n=x,r=y').decode()}"
                )[0]
            )
        else:
            assert 535 == authenticate(client, offer)[0]
        assert 235 == authenticate(client, OFFERS[0])[0]


@pytest.mark.parametrize(
    ("mechanism", "response", "dummy", "status"),
    [
        ("XOAUTH2", "user=bücher\1auth=Bearer bad\1\1", b"", "401"),
        ("OAUTHBEARER", "n,a=bücher,\1auth=Bearer bad\1\1", b"\1", "invalid_token"),
    ],
)
def test_token_refusal_explains_first(
    all_mechanisms: SmtpServer, mechanism: str, response: str, dummy: bytes, status: str
) -> None:
    """A bad token brings JSON in a 334, and 535 after the client's dummy answer."""
    with connect(all_mechanisms) as client:
        encoded = base64.b64encode(response.encode()).decode()
        code, text = client.docmd("AUTH", f"{mechanism} {encoded}")
        assert (334, status) == (code, json.loads(base64.b64decode(text))["status"])
        assert 535 == client.docmd(base64.b64encode(dummy).decode())[0]


def test_smtplib_authenticates_too(all_mechanisms: SmtpServer) -> None:
    """An independent client's PLAIN, LOGIN, CRAM-MD5 and initial responses work."""
    all_mechanisms.users = {"gateway": "pw"}
    for method in ("plain", "login", "cram_md5"):
        with connect(all_mechanisms) as client:
            client.user, client.password = "gateway", "pw"
            respond = getattr(client, f"auth_{method}")
            name = method.upper().replace("_", "-")
            assert 235 == client.auth(name, respond)[0]


def test_long_token_after_the_challenge(smtp_server_factory: Start) -> None:
    """A token of 8,000 characters goes through after 334; a long AUTH line may not."""
    token = "t" * 8000
    server = smtp_server_factory(
        accept_token=lambda username, given: given == token, auth_line_limit=512
    )
    offer = sasl.XOAuth2("gateway", token)
    initial = base64.b64encode(next(offer.respond()) or b"").decode()
    with connect(server) as client:
        assert 500 == client.docmd("AUTH", f"XOAUTH2 {initial}")[0]
        assert 235 == authenticate(client, offer)[0]


def test_broken_token_check_is_temporary(smtp_server_factory: Start) -> None:
    """An authorization server that is down is 454, as Dovecot says it."""

    def fail(username: str, token: str) -> bool:
        raise OSError("introspection is down")

    server = smtp_server_factory(accept_token=fail)
    with connect(server) as client:
        assert 454 == authenticate(client, sasl.XOAuth2("gateway", "t"))[0]


def test_malformed_responses(all_mechanisms: SmtpServer) -> None:
    """Bad base64, too few parts and `*` are 501; an unknown mechanism is 504."""
    with connect(all_mechanisms) as client:
        assert 501 == client.docmd("AUTH", "PLAIN ????")[0]
        assert 501 == client.docmd("AUTH", "PLAIN AAAA=BBBB")[0]
        assert 501 == client.docmd("AUTH", "PLAIN YWJj")[0]
        assert 501 == client.docmd("AUTH", "CRAM-MD5 YWJj")[0]
        assert 501 == client.docmd("AUTH")[0]
        assert 334 == client.docmd("AUTH", "LOGIN")[0]
        assert 501 == client.docmd("*")[0]
        assert 504 == client.docmd("AUTH", "NTLM")[0]
        assert 235 == authenticate(client, OFFERS[0])[0]
        assert 503 == client.docmd("AUTH", "PLAIN")[0]


def test_auth_waits_for_tls(
    smtp_server: SmtpServer, certificate_authority: CertificateAuthority
) -> None:
    """Before STARTTLS, AUTH is neither offered nor taken, unless set so."""
    with connect(smtp_server) as client:
        assert not client.has_extn("auth")
        assert 538 == client.docmd("AUTH", "PLAIN")[0]
    smtp_server.auth_before_tls = True
    with connect(smtp_server) as client:
        assert client.has_extn("auth")
        assert 334 == client.docmd("AUTH", "PLAIN")[0]
        assert 501 == client.docmd("*")[0]


def test_auth_is_required_where_offered(smtp_server_factory: Start) -> None:
    """Mail from whoever hasn't authenticated is 530, unless that is allowed."""
    server = smtp_server_factory(users={"gateway": "pw"})
    with connect(server) as client:
        assert 530 == client.mail("a@plant.test")[0]
        server.auth_required = False
        assert 250 == client.mail("a@plant.test")[0]


def test_auth_not_offered_without_users(smtp_server_factory: Start) -> None:
    """No users and no token check: no AUTH, and none needed."""
    with connect(smtp_server_factory()) as client:
        assert not client.has_extn("auth")
        assert 502 == client.docmd("AUTH", "PLAIN")[0]


def test_mechanisms_can_be_chosen(smtp_server_factory: Start) -> None:
    """Only the mechanisms named are offered, in that order."""
    server = smtp_server_factory(users={}, mechanisms=["LOGIN", "PLAIN", "XOAUTH2"])
    with connect(server) as client:
        assert "LOGIN PLAIN" == client.esmtp_features["auth"].strip()


def test_password_can_change_while_it_runs(smtp_server_factory: Start) -> None:
    """A changed password counts at the next AUTH."""
    server = smtp_server_factory(users={"gateway": "old"})
    with connect(server) as client:
        assert server.users is not None
        server.users["gateway"] = "new"
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("gateway", "old")
        assert 235 == client.login("gateway", "new")[0]


def test_refusals_by_address(smtp_server_factory: Start) -> None:
    """Recipients and senders are refused with the replies given, while it runs."""
    server = smtp_server_factory(refuse={"gone@plant.test": "550 5.1.1 no such user"})
    with connect(server) as client:
        refused = client.sendmail(
            "a@plant.test", ["gone@plant.test", "b@plant.test"], CONTENT
        )
        assert {"gone@plant.test": (550, b"5.1.1 no such user")} == refused
        server.refuse_sender["a@plant.test"] = "451 4.7.1 come back later"
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("a@plant.test", ["b@plant.test"], CONTENT)
    assert [("b@plant.test",)] == [m.recipients for m in server.messages]


def test_replies_can_be_set(smtp_server_factory: Start) -> None:
    """The content, AUTH, any verb and the greeting can be answered at will."""
    server = smtp_server_factory(users={"gateway": "pw"}, auth_required=False)
    server.data_reply = "452 4.3.1 disk full"
    server.auth_reply = "454 4.7.0 try later"
    with connect(server) as client:
        client.mail("a@plant.test")
        client.rcpt("b@plant.test")
        assert (452, b"4.3.1 disk full") == client.data(CONTENT)
        assert 454 == authenticate(client, sasl.Plain("gateway", "pw"))[0]
        server.replies["RCPT"] = "421 4.3.2 going down"
        client.mail("a@plant.test")
        assert 421 == client.rcpt("b@plant.test")[0]
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
    server.replies["CONNECT"] = "554 5.7.1 not you"
    with pytest.raises(smtplib.SMTPConnectError, match="not you"):
        smtplib.SMTP(server.host, server.port)
    assert [] == server.messages


def test_before_reply_may_change_or_drop(smtp_server_factory: Start) -> None:
    """The hook sees verb and reply, replaces the reply, or drops the connection."""
    seen: list[tuple[str, str]] = []

    def hook(verb: str, reply: str) -> str | None:
        seen.append((verb, reply))
        return {"NOOP": "250 changed", ".": None}.get(verb, reply)

    server = smtp_server_factory(before_reply=hook)
    with connect(server) as client:
        assert (250, b"changed") == client.noop()
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.sendmail("a@plant.test", ["b@plant.test"], CONTENT)
    assert [CONTENT] == [m.octets for m in server.messages]
    assert ["CONNECT", "EHLO", "NOOP", "MAIL", "RCPT", "DATA", "."] == list(
        dict.fromkeys(verb for verb, _ in seen)
    )


def test_size_limit(smtp_server_factory: Start) -> None:
    """SIZE is offered, and held to when announced and when not."""
    server = smtp_server_factory(size_limit=100)
    with connect(server) as client:
        assert "100" == client.esmtp_features["size"].strip()
        assert 552 == client.mail("a@plant.test", ["SIZE=101"])[0]
        client.mail("a@plant.test")
        client.rcpt("b@plant.test")
        assert 552 == client.data(b"x" * 99 + b"\r\n")[0]
    assert [] == server.messages


def test_extensions_can_be_taken_away(smtp_server_factory: Start) -> None:
    """PIPELINING, SMTPUTF8 and SIZE are offered, or not, as set; 8BITMIME always."""
    rich = smtp_server_factory()
    poor = smtp_server_factory(pipelining=False, smtputf8=False, size_limit=None)
    with connect(rich) as client:
        wanted = ("pipelining", "smtputf8", "size", "8bitmime")
        assert [True] * 4 == [client.has_extn(e) for e in wanted]
    with connect(poor) as client:
        assert [False] * 3 + [True] == [client.has_extn(e) for e in wanted]


def test_smtputf8_address(smtp_server_factory: Start) -> None:
    """A non-ASCII recipient arrives as it was written."""
    server = smtp_server_factory()
    with connect(server) as client:
        client.mail("a@plant.test", ["SMTPUTF8"])
        client.rcpt("jürgen@plant.test")
        client.data(CONTENT)
    assert ("jürgen@plant.test",) == server.messages[0].recipients
    assert "mail from:<a@plant.test> smtputf8" in [x.lower() for x in server.lines]


def test_pipelined_input(smtp_server_factory: Start) -> None:
    """Commands sent together are answered in order, also right behind a final dot."""
    server = smtp_server_factory()
    opening = b"MAIL FROM:<a@plant.test>\r\nRCPT TO:<b@plant.test>\r\nDATA\r\n"
    content = b"Subject: x\r\n\r\nx\r\n.\r\n"
    said = converse(
        server,
        b"EHLO client.test\r\n" + (opening + content) * 2 + b"QUIT\r\n",
    )
    codes = [line[:3] for line in said.splitlines() if line[3:4] == b" "]
    one = [b"250", b"250", b"354", b"250"]
    assert [b"220", b"250", *one, *one, b"221"] == codes
    assert [b"Subject: x\r\n\r\nx\r\n"] * 2 == [m.octets for m in server.messages]


@pytest.mark.parametrize("tls", [False, True])
def test_what_was_handed_over_is_delivered(
    smtp_server_factory: Start, certificate_authority: CertificateAuthority, tls: bool
) -> None:
    """A client that closes right behind its final dot has sent its message."""
    server = smtp_server_factory(tls="starttls" if tls else "none")
    authority = certificate_authority if tls else None
    for _ in range(5):
        with connect(server, authority) as client:
            client.mail("a@plant.test")
            client.rcpt("b@plant.test")
            client.docmd("DATA")
            client.send(CONTENT.replace(b"\r\n.", b"\r\n..") + b".\r\nQUIT\r\n")
            if isinstance(client.sock, ssl.SSLSocket):
                with suppress(OSError):  # replies are waiting where it wants silence
                    client.sock.unwrap()
            client.close()
    assert [CONTENT] * 5 == [m.octets for m in server.wait_for(5)]


def test_what_waits_behind_a_held_reply_is_delivered(
    smtp_server_factory: Start,
) -> None:
    """What came before a client ended its side is read once a held reply is let go."""
    server = smtp_server_factory()
    server.hold.close()
    opening = b"MAIL FROM:<a@plant.test>\r\nRCPT TO:<b@plant.test>\r\nDATA\r\n"
    with socket.create_connection((server.host, server.port), timeout=10) as client:
        client.sendall(b"EHLO client.test\r\n" + (opening + b"x\r\n.\r\n") * 2)
        client.shutdown(socket.SHUT_WR)
        server.hold.wait_held()
        with connect(server) as other:
            other.noop()  # by now the server has seen the first client's end
        server.hold.open()
        server.wait_for(2)
    assert [b"x\r\n"] * 2 == [m.octets for m in server.messages]


def test_half_a_message_is_not_delivered(smtp_server_factory: Start) -> None:
    """A client that leaves before the final dot has sent nothing."""
    server = smtp_server_factory()
    with connect(server) as client:
        client.mail("a@plant.test")
        client.rcpt("b@plant.test")
        client.docmd("DATA")
        client.send(b"Subject: half\r\n\r\nof a mess")
        client.close()
    server.wait_until(lambda s: s.open_sessions == 0)
    assert [] == server.messages


def test_line_too_long_is_refused(smtp_server_factory: Start) -> None:
    """A line of content over 998 octets is refused, so that clients' limits show."""
    server = smtp_server_factory()
    with connect(server) as client:
        client.mail("a@plant.test")
        client.rcpt("b@plant.test")
        assert 500 == client.data(b"x" * 1000 + b"\r\n")[0]
    assert [] == server.messages


def test_hold_keeps_the_final_reply(smtp_server_factory: Start) -> None:
    """Held, a message is delivered but not answered; other sessions go on."""
    server = smtp_server_factory()
    server.hold.close()
    answers: list[object] = []

    def send() -> None:
        with connect(server) as client:
            answers.append(client.sendmail("a@plant.test", ["b@plant.test"], CONTENT))

    sender = Thread(target=send)
    sender.start()
    server.hold.wait_held()
    assert (1, []) == (len(server.messages), answers)
    with connect(server) as client:
        assert 250 == client.noop()[0]
    server.hold.open()
    sender.join()
    assert [{}] == answers


def test_killed_client_has_delivered(smtp_server_factory: Start) -> None:
    """SIGKILL while the reply is held: delivered once, and the server goes on."""
    server = smtp_server_factory()
    server.hold.close()
    program = (
        "import smtplib, sys\n"
        "client = smtplib.SMTP('127.0.0.1', int(sys.argv[1]), 'client.test')\n"
        "client.sendmail('a@plant.test', ['b@plant.test'], b'Subject: x\\r\\n\\r\\n')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(server.port)]) as client:
        server.hold.wait_held(timeout=30)
        client.kill()
    server.hold.open()
    server.wait_until(lambda s: s.open_sessions == 0)
    assert 1 == len(server.messages)


def test_stop_while_held(smtp_server_factory: Start) -> None:
    """A server stops at once, and cuts a client that waits for its reply."""
    server = smtp_server_factory()
    server.hold.close()
    failures: list[type[Exception]] = []

    def send() -> None:
        try:
            with connect(server) as client:
                client.sendmail("a@plant.test", ["b@plant.test"], CONTENT)
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            failures.append(type(error))

    sender = Thread(target=send)
    sender.start()
    server.hold.wait_held()
    server.stop()
    sender.join()
    assert 1 == len(failures)


def test_sessions_are_counted(smtp_server_factory: Start) -> None:
    """Connections so far, open now, and the most at one time."""
    server = smtp_server_factory()
    with connect(server), connect(server):
        server.wait_until(lambda s: s.open_sessions == 2)
    with connect(server):
        pass
    server.wait_until(lambda s: s.open_sessions == 0)
    assert (3, 2) == (server.sessions, server.peak_sessions)


def test_commands_are_recorded_without_secrets(smtp_server_factory: Start) -> None:
    """The verbs are kept in order; what AUTH carries is masked."""
    server = smtp_server_factory(users={"gateway": "pw"})
    with connect(server) as client:
        client.docmd("AUTH", f"PLAIN {base64.b64encode(b'x').decode()}")
        client.docmd("BDAT", "1 LAST")
    assert ["EHLO", "AUTH", "BDAT", "QUIT"] == server.commands
    assert ["EHLO client.test", "AUTH PLAIN ***", "BDAT 1 LAST", "QUIT"] == server.lines


def test_waiting_in_vain_says_so(smtp_server_factory: Start) -> None:
    """wait_for gives up with a TimeoutError that tells what there is."""
    server = smtp_server_factory()
    with pytest.raises(TimeoutError, match="0 messages"):
        server.wait_for(1, timeout=0)
    with pytest.raises(TimeoutError, match="0 held"):
        server.hold.wait_held(timeout=0)


def test_restart_on_the_same_port(smtp_server_factory: Start) -> None:
    """Stopped, nobody answers; started again, it is where it was."""
    server = smtp_server_factory()
    port = server.port
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP(server.host, port)
    server.start()
    with connect(server) as client:
        client.sendmail("a@plant.test", ["b@plant.test"], CONTENT)
    assert (port, 1) == (server.port, len(server.messages))


def test_port_in_use_is_an_error(smtp_server_factory: Start) -> None:
    """A server that can't listen says so in start."""
    taken = smtp_server_factory().port
    with pytest.raises(OSError, match="address already in use"):
        SmtpServer(port=taken).start()


def test_tls_needs_a_context() -> None:
    """STARTTLS without a certificate is a mistake of the author's."""
    with pytest.raises(ValueError, match="ssl_context"):
        SmtpServer(tls="starttls")


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_nothing_leaks(
    certificate_authority: CertificateAuthority, tls: Any, recwarn: Any
) -> None:
    """Stopped with clients connected, it leaves no socket and no thread behind."""
    context = certificate_authority.server_context()
    trusting = certificate_authority.client_context()
    server = SmtpServer(tls=tls, ssl_context=context)
    server.start()
    if tls == "implicit":
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            "127.0.0.1", server.port, context=trusting
        )
    else:
        client = smtplib.SMTP("127.0.0.1", server.port)
    if tls == "starttls":
        client.starttls(context=trusting)
    client.ehlo("client.test")
    server.stop()
    client.close()
    gc.collect()
    assert [] == [str(w.message) for w in recwarn]


def test_import_is_light() -> None:
    """Naming the package or the pytest plugin loads none of the servers' libraries."""
    program = (
        "import sys, email_profiles_plugin.testing\n"
        "import email_profiles_plugin.testing.pytest_plugin\n"
        "heavy = {'aiosmtpd', 'trustme', 'oauthlib', 'cryptography', 'attrs'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    assert "[]\n" == done.stdout
