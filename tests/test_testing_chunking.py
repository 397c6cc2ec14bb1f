"""The loopback SMTP server takes content by BDAT, and in any pipeline."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from email_profiles_plugin.testing import CertificateAuthority, SmtpServer

HELLO = b"EHLO client.test\r\n"
OPENING = b"MAIL FROM:<a@plant.test>\r\nRCPT TO:<b@plant.test>\r\n"
CONTENT = b"Subject: x\r\n\r\n.\r\n..dots\r\nno end"

Start = Callable[..., SmtpServer]


def bdat(octets: bytes, last: bool = True) -> bytes:
    """One chunk, its command in front."""
    return b"BDAT %d%s\r\n%s" % (len(octets), b" LAST" * last, octets)


@contextmanager
def running(**options: object) -> Iterator[SmtpServer]:
    with SmtpServer(chunking=True, **options) as server:  # type: ignore[arg-type]
        yield server


def hear(server: SmtpServer, *segments: bytes) -> str:
    """All that it says to EHLO and to *segments*, each sent alone, till it closes."""
    with socket.create_connection((server.host, server.port), timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(HELLO)
        for segment in segments:
            client.sendall(segment)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


def converse(server: SmtpServer, *segments: bytes) -> list[str]:
    """The codes of the replies; the greeting's and EHLO's are left out."""
    said = hear(server, *segments).splitlines()
    return [line[:3] for line in said if line[3:4] == " "][2:]


def test_chunking_is_offered_if_it_is_set(smtp_server_factory: Start) -> None:
    """CHUNKING is in EHLO's answer; off, BDAT is 502 and its octets are commands."""
    server = smtp_server_factory()
    assert ["250", "250", "502", "250", "221"] == converse(
        server, OPENING + bdat(b"NOOP\r\n") + b"QUIT\r\n"
    )
    server.chunking = True
    assert "250-CHUNKING\r\n" in hear(server)


def test_chunks_make_a_message() -> None:
    """The octets are kept exactly, dots and the missing line end too."""
    with running() as server:
        codes = converse(
            server,
            OPENING + bdat(CONTENT[:7], False) + bdat(CONTENT[7:], False) + bdat(b""),
        )
    (delivered,) = server.messages
    assert ["250"] * 5 == codes
    assert ("a@plant.test", ("b@plant.test",), CONTENT) == (
        delivered.mail_from,
        delivered.recipients,
        delivered.octets,
    )
    assert ["EHLO", "MAIL", "RCPT", "BDAT", "BDAT", "BDAT"] == server.commands
    assert ["BDAT 7", f"BDAT {len(CONTENT) - 7}", "BDAT 0 LAST"] == server.lines[3:]


def test_queue_id_is_in_the_last_reply() -> None:
    """As after DATA."""
    with running() as server:
        said = hear(server, OPENING + bdat(b"x\r\n"))
    assert f"250 2.0.0 OK: queued as {server.messages[0].queue_id}\r\n" in said


WITHOUT_TRANSACTION = {
    "no MAIL": (bdat(CONTENT), ["503"]),
    "no RCPT": (b"MAIL FROM:<a@plant.test>\r\n" + bdat(CONTENT), ["250", "503"]),
    "MAIL refused": (
        OPENING.replace(b"<a@", b"<bad@") + bdat(CONTENT),
        ["550", "503", "503"],
    ),
    "all recipients refused": (
        OPENING.replace(b"<b@", b"<gone@") + bdat(CONTENT, False) + bdat(CONTENT),
        ["250", "551", "503", "503"],
    ),
    "after LAST": (OPENING + bdat(b"x") + bdat(CONTENT), ["250"] * 3 + ["503"]),
    "after RSET": (
        OPENING + bdat(CONTENT, False) + b"RSET\r\n" + bdat(CONTENT),
        ["250"] * 4 + ["503"],
    ),
}


@pytest.mark.parametrize("case", WITHOUT_TRANSACTION)
def test_without_a_transaction(case: str) -> None:
    """503, the octets are read and no command, and what follows is played."""
    sent, codes = WITHOUT_TRANSACTION[case]
    with running() as server:
        server.refuse_sender["bad@plant.test"] = "550 5.1.0 no"
        server.refuse["gone@plant.test"] = "551 5.1.1 no"
        good = b"RSET\r\n" + OPENING + bdat(b"good\r\n")
        assert codes + ["250"] * 4 == converse(server, sent + good)
    assert b"good\r\n" == server.messages[-1].octets


def test_mixing_data_and_bdat() -> None:
    """After BDAT, DATA and RCPT are 503 (RFC 3030, 2), and the message goes on."""
    with running() as server:
        codes = converse(
            server,
            OPENING + bdat(b"a\r\n", False),
            b"DATA\r\nRCPT TO:<c@plant.test>\r\nMAIL FROM:<c@plant.test>\r\n",
            bdat(b"b\r\n"),
        )
    assert ["250"] * 3 + ["503"] * 3 + ["250"] == codes
    assert [b"a\r\nb\r\n"] == [m.octets for m in server.messages]


@pytest.mark.parametrize("command", ["BDAT", "BDAT x", "BDAT 1 END", "BDAT 1 LAST 2"])
def test_malformed_commands(command: str) -> None:
    """501; nothing is read behind it, for nobody knows how much."""
    with running() as server:
        codes = converse(server, OPENING + command.encode() + b"\r\nNOOP\r\n")
    assert ["250", "250", "501", "250"] == codes


def test_authentication_is_required() -> None:
    """530, and the octets are read."""
    with running(users={"gateway": "pw"}) as server:
        codes = converse(server, bdat(b"QUIT\r\n") + b"NOOP\r\n")
    assert ["530", "250"] == codes


def test_size_limit() -> None:
    """552 once the chunks are too many octets; the rest of the transaction is 503."""
    with running(size_limit=100) as server:
        codes = converse(
            server,
            OPENING + bdat(b"x" * 60, False) + bdat(b"x" * 60, False) + bdat(b"x"),
            OPENING + bdat(b"x" * 101),
            OPENING + bdat(b"x" * 100),
        )
    assert ["250", "250", "250", "552", "503"] == codes[:5]
    assert ["250", "250", "552", "250", "250", "250"] == codes[5:]
    assert [100] == [len(m.octets) for m in server.messages]


def test_line_too_long_is_refused() -> None:
    """As by DATA, so that clients' limits show."""
    with running() as server:
        codes = converse(server, OPENING + bdat(b"x" * 999 + b"\r\n"))
    assert ["250", "250", "554"] == codes
    assert [] == server.messages


def test_answers_can_be_set() -> None:
    """`data_reply` is the answer to the last chunk, `replies` to every chunk."""
    with running() as server:
        server.data_reply = "452 4.3.1 disk full"
        message = OPENING + bdat(b"a", False) + bdat(b"b")
        assert ["250"] * 3 + ["452"] == converse(server, message)
        server.data_reply = None
        server.replies["BDAT"] = "451 4.3.0 not now"
        assert ["250"] * 2 + ["451"] * 2 == converse(server, message)
        server.replies["BDAT"] = "421 4.3.2 going down"
        assert ["250"] * 2 + ["421"] == converse(server, message)
    assert [] == server.messages


def test_replies_pass_the_callback() -> None:
    """The last chunk's answer is `.`, others' `BDAT`; a refusal put there counts."""
    seen: list[tuple[str, str]] = []

    def change(verb: str, reply: str) -> str | None:
        seen.append((verb, reply[:3]))
        return "451 4.3.0 no" if (verb, len(seen)) == ("BDAT", 11) else reply

    with running(before_reply=change) as server:
        message = OPENING + bdat(b"a", False) + bdat(b"b")
        assert ["250"] * 4 == converse(server, message)
        assert ["250", "250", "451", "503"] == converse(server, message)
    verbs = ["MAIL", "RCPT", "BDAT", "."]
    assert [(verb, "250") for verb in verbs] == seen[2:6]
    assert [b"ab"] == [m.octets for m in server.messages]


def test_callback_can_cut() -> None:
    """None in place of a chunk's answer closes the connection."""
    with running(before_reply=lambda v, r: None if v == "BDAT" else r) as server:
        assert ["250", "250"] == converse(server, OPENING + bdat(b"a", False))


def test_hold_keeps_the_answer_to_the_last_chunk() -> None:
    """Held, the message is delivered, and earlier chunks are answered."""
    with running() as server:
        server.hold.close()
        with socket.create_connection((server.host, server.port)) as client:
            client.sendall(HELLO + OPENING + bdat(b"a", False) + bdat(b"b"))
            server.hold.wait_held()
            assert [b"ab"] == [m.octets for m in server.messages]
            server.hold.open()
            client.shutdown(socket.SHUT_WR)
            said = b"".join(iter(lambda: client.recv(65536), b""))
    assert said.splitlines()[-1].startswith(b"250 2.0.0 OK: queued")


def test_half_a_chunk_is_not_delivered() -> None:
    """A client that leaves before the last octet has sent nothing."""
    with running() as server:
        assert ["250"] * 2 == converse(server, OPENING + bdat(b"x" * 9)[:-1])
        assert ["250"] * 3 == converse(server, OPENING + bdat(b"x" * 9, False))
    assert [] == server.messages


def test_a_big_chunk(certificate_authority: CertificateAuthority) -> None:
    """Two megabytes in one chunk, over TLS, arrive as they were."""
    octets = (b"0123456789abcdef" * 4)[:-2] + b"\r\n"
    context = certificate_authority.server_context()
    trusting = certificate_authority.client_context()
    with (
        running(tls="implicit", ssl_context=context) as server,
        socket.create_connection((server.host, server.port), timeout=10) as bare,
        trusting.wrap_socket(bare, server_hostname="localhost") as client,
    ):
        client.sendall(HELLO + OPENING + bdat(octets * 32768))
        server.wait_for(1)
    assert octets * 32768 == server.messages[0].octets


def flight(count: int, data: bool) -> bytes:
    """Messages back to back, each with a recipient refused; the last is plain."""
    sent = b""
    for number in range(count):
        content = b"Subject: %d\r\n\r\nMAIL FROM:<z@plant.test>\r\n" % number
        body = b"DATA\r\n" + content + b".\r\n" if data else bdat(content)
        sent += b"RSET\r\nMAIL FROM:<a@plant.test>\r\nRCPT TO:<b@plant.test>\r\n"
        sent += b"RCPT TO:<gone@plant.test>\r\n" + body
    return sent


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    count=st.integers(1, 4),
    data=st.booleans(),
    cuts=st.lists(st.integers(0, 600), max_size=8),
)
def test_any_pipeline_however_it_is_split(
    count: int, data: bool, cuts: list[int]
) -> None:
    """Messages in one flight get their replies in order, wherever segments end."""
    sent = flight(count, data)
    edges = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    segments = [sent[a:b] for a, b in pairwise(edges)]
    with running(refuse={"gone@plant.test": "550 5.1.1 no"}) as server:
        codes = converse(server, *segments)
    one = ["250", "250", "250", "550", *(["354"] if data else []), "250"]
    assert one * count == codes
    assert [f"{n}" for n in range(count)] == [
        m.message["Subject"] for m in server.messages
    ]


@pytest.mark.parametrize("data", [False, True])
def test_byte_by_byte(data: bool) -> None:
    """Every octet in a segment of its own."""
    sent = flight(2, data)
    with running(refuse={"gone@plant.test": "550 5.1.1 no"}) as server:
        codes = converse(server, *(sent[n : n + 1] for n in range(len(sent))))
    assert (12 if data else 10) == len(codes)
    assert ["0", "1"] == [m.message["Subject"] for m in server.messages]


@pytest.mark.parametrize("refusal", ["replies", "before_reply"])
def test_data_refused_in_a_pipeline(refusal: str) -> None:
    """However DATA is refused, what comes behind it is commands, not content."""
    with running() as server:
        if refusal == "replies":
            server.replies["DATA"] = "451 4.3.0 not now"
        else:
            server.before_reply = lambda verb, reply: (
                "451 4.3.0 not now" if verb == "DATA" else reply
            )
        codes = converse(server, OPENING + b"DATA\r\nRSET\r\n" + OPENING + b"NOOP\r\n")
    assert ["250", "250", "451", "250", "250", "250", "250"] == codes


def test_content_refused_is_told_at_the_dot() -> None:
    """Content that is too long is answered under the verb `.`, not `DATA`."""
    seen: list[tuple[str, str]] = []

    def note(verb: str, reply: str) -> str:
        seen.append((verb, reply[:3]))
        return reply

    with running(size_limit=10, before_reply=note) as server:
        converse(server, OPENING + b"DATA\r\n" + b"x" * 20 + b"\r\n.\r\n")
    assert [("DATA", "354"), (".", "552")] == seen[-2:]
