"""Submission over real sockets: many messages, few connections, servers with limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import define, field

from email_profiles_hookspecs import Credential, Profile, Reply, SmtpSettings
from email_profiles_plugin.smtp.mail import Mail, Submission, in_turn
from email_profiles_plugin.smtp.pool import Keep, Pool
from email_profiles_plugin.submission import COLD_S, Submitter
from email_profiles_plugin.testing.scripted_server import Line, ScriptedServer
from email_profiles_plugin.testing.smtp_model import SmtpModel

NOBODY = Credential(offers=())
OCTETS = b"Subject: hi\r\n\r\n.hello\r\n"


class Nobody:
    """An authenticator that is never asked."""

    def acquire(self, deadline: float) -> Credential:
        raise AssertionError

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        raise AssertionError


@define
class Modelled:
    """A server that plays a new model with each client, and keeps what it read."""

    make: Callable[[], SmtpModel] = SmtpModel
    extensions: Sequence[str] = ("PIPELINING",)
    models: list[SmtpModel] = field(factory=list)
    flushes: list[list[bytes]] = field(factory=list)

    def __call__(self, line: Line) -> None:
        line.greet(*self.extensions)
        model, flushes = self.make(), list[bytes]()
        self.models.append(model)
        self.flushes.append(flushes)
        while not model.closed and (octets := line.socket.recv(65536)):
            flushes.append(octets)
            for said in model.feed(octets):
                line.say(said)

    @property
    def taken(self) -> list[str]:
        return [one.mail_from for model in self.models for one in model.taken]


@define
class Sender:
    """Sends with a pool of its own."""

    port: int
    smtp: dict[str, Any] = field(factory=dict)
    keep: Keep = field(factory=Keep)
    pool: Pool = field(init=False)
    submitter: Submitter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.pool = Pool(self.keep)
        self.submitter = Submitter(
            self.pool, lambda _: Nobody(), lambda _: 1, lambda line: None
        )

    @property
    def profile(self) -> Profile:
        settings = SmtpSettings(
            hostname="localhost", port=self.port, timeout_ms=2000, **self.smtp
        )
        return Profile(id="p", revision=1, name="p", mode="basic", smtp=settings)

    def __call__(self, *names: str) -> list[Submission]:
        messages = [
            Submission(
                mail=Mail(mail_from=name, recipients=("b@x",), octets=OCTETS),
                tell=lambda line: None,
            )
            for name in names
        ]
        self.submitter.submit(self.profile, NOBODY, in_turn(messages))
        return messages


@contextmanager
def sending(
    server: Callable[[Line], None], keep: Keep | None = None, **smtp: Any
) -> Iterator[Sender]:
    with ScriptedServer(server) as scripted:
        sender = Sender(scripted.port, smtp, keep or Keep())
        try:
            yield sender
        finally:
            sender.pool.close()


def codes(messages: Sequence[Submission]) -> list[int | None]:
    return [one.answers["b@x"].reply.code if one.answers else None for one in messages]


NAMES = ["1@s", "2@s", "3@s", "4@s", "5@s"]


@pytest.mark.parametrize(
    ("extensions", "flushes"),
    [(("SIZE 99",), 20), (("PIPELINING",), 6), (("PIPELINING", "CHUNKING"), 2)],
)
def test_a_queue_goes_down_one_connection(
    extensions: Sequence[str], flushes: int
) -> None:
    """In order, in as few flushes as what the server offers allows."""
    server = Modelled(extensions=extensions)
    with sending(server) as send:
        messages = send(*NAMES)

    assert [250] * 5 == codes(messages)
    assert NAMES == server.taken
    (heard,) = server.flushes
    assert flushes == len([octets for octets in heard if octets != b"QUIT\r\n"])


def test_pipelining_off_is_one_command_at_a_time() -> None:
    """Whatever the server offers."""
    server = Modelled(extensions=("PIPELINING", "CHUNKING"))
    with sending(server, pipelining="off") as send:
        messages = send(*NAMES)

    assert [250] * 5 == codes(messages)
    assert not [octets for octets in server.flushes[0] if b"BDAT" in octets]
    assert [b"MAIL FROM:<1@s>\r\n", b"RCPT TO:<b@x>\r\n"] == server.flushes[0][:2]


class LosesItsPlace(SmtpModel):
    """Takes a second command in one packet for an intruder's, as Postfix can."""

    def feed(self, octets: bytes) -> list[bytes]:
        if octets.count(b"\r\n") > 1 and not self._in_data:
            self.closed = True
            return [b"554 5.5.0 Error: SMTP protocol synchronization\r\n"]
        return super().feed(octets)


def test_after_a_sync_error_one_command_at_a_time() -> None:
    """The messages go again over a new connection; next time from the start."""
    server = Modelled(LosesItsPlace)
    with sending(server) as send:
        messages = send("1@s", "2@s")
        send.pool.close()
        more = send("3@s")

    assert [250, 250, 250] == codes([*messages, *more])
    assert ["1@s", "2@s", "3@s"] == server.taken
    assert [0, 2, 1] == [len(model.taken) for model in server.models]


class KnowsNoBdat(SmtpModel):
    """Offers CHUNKING, and takes the content for commands all the same."""

    def _chunk(self, words: Sequence[bytes], rest: bytes) -> int | None:
        self._buffer = rest
        return 502


def test_a_server_that_has_no_bdat_after_all_gets_data() -> None:
    """Over a new connection; nothing is taken twice, and nothing is in doubt."""
    server = Modelled(KnowsNoBdat, ("PIPELINING", "CHUNKING"))
    with sending(server) as send:
        messages = send(*NAMES)

    assert [250] * 5 == codes(messages)
    assert NAMES == server.taken
    assert 2 == len(server.models)
    assert b"DATA\r\n" in server.flushes[1][0]


class Tires(SmtpModel):
    """Ends a session after two messages, as many servers do after a hundred."""

    def _perform(self, verb: bytes, line: bytes) -> int:
        if verb == b"MAIL" and len(self.taken) == 2:
            self.closed = True
            return 421
        return super()._perform(verb, line)


@pytest.mark.parametrize("chunking", [False, True])
def test_a_server_that_ends_the_session_costs_nobody_a_try(chunking: bool) -> None:
    """Each message has one result, in order, over as many connections as it takes."""
    server = Modelled(Tires, ("PIPELINING", "CHUNKING")[: 1 + chunking])
    with sending(server) as send:
        messages = send(*NAMES)

    assert [250] * 5 == codes(messages)
    assert NAMES == server.taken
    assert [2, 2, 1] == [len(model.taken) for model in server.models]


@pytest.mark.parametrize("chunking", [False, True])
def test_a_connection_has_a_limit_of_messages(chunking: bool) -> None:
    """The flight goes on over the next one."""
    server = Modelled(extensions=("PIPELINING", "CHUNKING")[: 1 + chunking])
    with sending(server, Keep(messages=2)) as send:
        messages = send(*NAMES)

    assert [250] * 5 == codes(messages)
    assert [2, 2, 1] == [len(model.taken) for model in server.models]


def test_a_server_says_how_many_messages_a_connection_may_have() -> None:
    """LIMITS MAILMAX (RFC 9422); the next ones go over another connection."""
    server = Modelled(extensions=("PIPELINING", "LIMITS MAILMAX=2"))
    with sending(server) as send:
        messages = send(*NAMES)

    assert [250] * 5 == codes(messages)
    assert [2, 2, 1] == [len(model.taken) for model in server.models]


def test_a_connection_that_idled_is_tried_before_content_goes() -> None:
    """By BDAT the content would go with the envelope, and be in doubt."""
    server = Modelled(extensions=("PIPELINING", "CHUNKING"))
    with sending(server) as send:
        send("1@s", "2@s")
        (connection,) = send.pool._shares["p"].idle
        connection.used_at -= COLD_S + 1
        messages = send("3@s", "4@s")

    assert [250, 250] == codes(messages)
    (first,) = [octets for octets in server.flushes[0] if b"<3@s>" in octets]
    assert first.startswith(b"RSET\r\n")
    assert b"BDAT" not in first


def test_a_session_is_told_to_the_message_that_it_is_about() -> None:
    """Each transcript has its own lines, though the messages travel together."""
    server = Modelled()
    sessions: dict[str, list[str]] = {"1@s": [], "2@s": []}
    messages = [
        Submission(
            mail=Mail(mail_from=name, recipients=("b@x",), octets=OCTETS),
            tell=said.append,
        )
        for name, said in sessions.items()
    ]
    with sending(server) as send:
        send.submitter.submit(send.profile, NOBODY, in_turn(messages))

    first, second = sessions.values()
    assert "C: MAIL FROM:<1@s>" in first
    assert not [line for line in first if "2@s" in line]
    assert [
        "C: MAIL FROM:<2@s>",
        "C: RCPT TO:<b@x>",
        "C: DATA",
        "S: 250 said",
        "S: 250 said",
        "S: 354 said",
        f"C: [{len(OCTETS) + 4} octets]",
        "S: 250 said",
    ] == second


def test_debug_mode_prints_each_line_once() -> None:
    """With the profile's name; nobody else has to listen."""
    printed: list[str] = []
    server = Modelled()
    with sending(server, debug=True) as send:
        send.submitter = Submitter(
            send.pool, lambda _: Nobody(), lambda _: 1, printed.append
        )
        one = Submission(mail=Mail(mail_from="1@s", recipients=("b@x",), octets=OCTETS))
        send.submitter.submit(send.profile, NOBODY, in_turn([one]))

    assert 1 == printed.count("p: C: MAIL FROM:<1@s>")
    assert 1 == printed.count("p: C: DATA")


def test_other_settings_forget_what_a_server_could_not() -> None:
    """It may be another server."""
    server = Modelled(LosesItsPlace)
    with sending(server) as send:
        send("1@s")
        send.submitter.stamp = lambda _: 2
        send("2@s")

    assert ["1@s", "2@s"] == server.taken
    assert [0, 1, 0, 1] == [len(model.taken) for model in server.models]
