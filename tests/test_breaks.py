"""
Connections that break, at every octet of a flight: nothing is lost, doubled or guessed.

What a server had taken is accepted, or unknown where its reply can't have come; what it
had not taken is sent again at once where nobody had said a word on it, or is not sent.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Literal

import pytest
from attrs import define, field

from email_profiles_hookspecs import Credential, Profile, Reply, SmtpSettings
from email_profiles_hookspecs.errors import Disconnected
from email_profiles_plugin.smtp.mail import Mail, Submission, in_turn, stuffed
from email_profiles_plugin.smtp.pool import Pool
from email_profiles_plugin.smtp.wire import Wire
from email_profiles_plugin.submission import Submitter
from email_profiles_plugin.testing.scripted_server import Line, ScriptedServer
from email_profiles_plugin.testing.smtp_model import Plan, SmtpModel

How = Literal["FIN", "RST", "421", "mute"]
HOWS: tuple[How, ...] = ("FIN", "RST", "421", "mute")

LIMIT_S = 60
"""No case takes longer; one that does has failed."""

Send = Callable[[Sequence[Submission]], None]

NOBODY = Credential(offers=())
NAMES = ["0@s", "1@s", "2@s", "3@s"]
TO = ("a@x", "b@x")
REFUSED = ("2@s", "a@x")
PLANS = {"2@s": Plan(recipients={"a@x": 550})}


class Nobody:
    """An authenticator that is never asked."""

    def acquire(self, deadline: float) -> Credential:
        raise AssertionError

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        raise AssertionError


@define(eq=False)
class Breaks:
    """
    A script: the first connection breaks after *at* octets, others behave well.

    421 comes instead of what was to be said there; mute is FIN without the replies to
    what came last. *came*: all that the client handed over, as far as anybody could
    read it; *sessions* takes each that has ended.
    """

    how: How
    extensions: Sequence[str]
    at: int = 0
    models: list[SmtpModel] = field(factory=list)
    broke: bool = False
    came: bytes = b""
    sessions: queue.SimpleQueue[SmtpModel] = field(factory=queue.SimpleQueue)

    def begin(self, at: int) -> None:
        """The next case."""
        self.at, self.models, self.broke, self.came = at, [], False, b""

    def __call__(self, line: Line) -> None:
        first = not self.models
        model = SmtpModel(plans=PLANS)
        self.models.append(model)
        try:
            line.greet(*self.extensions)
            if first:
                self._break(line, model)
            else:
                serve(line, model)
        finally:
            self.sessions.put(model)

    def _break(self, line: Line, model: SmtpModel) -> None:
        if self.how == "421":
            model.close_after = self.at
        left = self.at
        while left:
            octets = line.socket.recv(left)
            if not octets:
                return
            left -= len(octets)
            self.came += octets
            replies = model.feed(octets)
            if left or self.how != "mute":
                line.say(b"".join(replies))
        self.broke = True
        if self.how == "RST":
            linger = struct.pack("ii", 1, 0)
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            line.socket.close()
            return
        if not self.at and self.how == "421":
            line.say(b"".join(model.feed(b"")))
        line.socket.shutdown(socket.SHUT_WR)
        self.came += line.wait()


def serve(line: Line, model: SmtpModel) -> None:
    while octets := line.socket.recv(65536):
        for said in model.feed(octets):
            line.say(said)


@contextmanager
def sending(port: int, window: int = 4) -> Iterator[Send]:
    """Sends over connections of its own, which are kept from one call to the next."""
    settings = SmtpSettings(
        hostname="127.0.0.1",
        port=port,
        timeout_ms=LIMIT_S * 1000,
        final_reply_timeout_ms=LIMIT_S * 1000,
    )
    profile = Profile(id="p", revision=1, name="p", mode="basic", smtp=settings)
    pool = Pool()
    submitter = Submitter(pool, lambda _: Nobody(), lambda _: 1, print, window=window)
    try:
        yield lambda messages: submitter.submit(profile, NOBODY, in_turn(messages))
    finally:
        pool.close()


def four() -> list[Submission]:
    """One that goes ahead, and three that travel together where that is done."""
    return [
        Submission(
            mail=Mail(
                mail_from=name,
                recipients=TO,
                octets=b"S: %b\r\n\r\n.\r\n" % name.encode(),
            )
        )
        for name in NAMES
    ]


def times_taken(models: Sequence[SmtpModel], one: Submission, recipient: str) -> int:
    return sum(
        taken.mail_from == one.mail.mail_from and recipient in taken.recipients
        for model in models
        for taken in model.taken
    )


def check(server: Breaks, messages: Sequence[Submission]) -> None:
    """Each recipient of each message is accepted, not sent, or unknown; and rightly."""
    for one in messages:
        assert one.done
        assert one.error is None or isinstance(one.error, Disconnected), one.error
        for recipient in one.mail.recipients:
            answer = one.answers.get(recipient)
            said = (answer.stage, answer.reply.code) if answer else None
            accepted, unknown = said == ("end of data", 250), recipient in one.doubtful
            times = times_taken(server.models, one, recipient)
            assert times <= 1
            assert accepted <= (times == 1)
            assert (times == 1) <= (accepted or unknown)
            if unknown:
                check_doubt(server, one, times)
            elif (one.mail.mail_from, recipient) == REFUSED:
                assert said in (("RCPT", 550), None) or 421 == said[1]
            else:
                assert accepted or one.error is not None or (said and 421 == said[1])


def check_doubt(server: Breaks, one: Submission, times: int) -> None:
    """It was handed over whole, and its reply did not come, nor a 421 before it."""
    assert one.handed_over
    assert isinstance(one.error, Disconnected)
    assert server.how != "421"
    if server.how == "FIN":  # all that was said before it was heard
        assert times == 0
    if server.how != "RST":
        octets = one.mail.octets
        assert octets in server.came or stuffed(octets) in server.came


MANNERS = {
    "one by one": ((), 5),
    "PIPELINING": (("PIPELINING",), 1),
    "CHUNKING": (("PIPELINING", "CHUNKING"), 1),
}
"""What is offered, and the step from one case to the next, in octets."""


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize("manner", MANNERS)
def test_a_connection_that_breaks_at_any_octet(
    manner: str, kept: bool, how: How
) -> None:
    """Accepted is what was taken; unknown is only what nobody can know of."""
    extensions, step = MANNERS[manner]
    script, broke, doubted = Breaks(how, extensions), 0, 0
    with ScriptedServer(script) as server:
        for at in count(0, step):
            script.begin(at)
            messages = four()
            with sending(server.port) as send:
                for part in (messages[:kept], messages[kept:]):
                    send(part)
            for _ in script.models:
                script.sessions.get(timeout=LIMIT_S)
            check(script, messages)
            if not script.broke:
                break
            broke += step
            doubted += any(one.doubtful for one in messages)

    assert [250] * 4 == [one.answers["b@x"].reply.code for one in messages]
    assert broke > 250
    assert bool(doubted) == (how != "421")


MOST = 16 * 1024


def narrow(connection: socket.socket) -> None:
    """Buffers of 16 KB, or as few as the system has."""
    for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        connection.setsockopt(socket.SOL_SOCKET, buffer, MOST)


@pytest.fixture
def narrow_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's buffers are small."""
    adopt = Wire._adopt

    def small(wire: Wire, connection: socket.socket) -> None:
        narrow(connection)
        adopt(wire, connection)

    monkeypatch.setattr(Wire, "_adopt", small)


@pytest.mark.usefixtures("narrow_wire")
def test_nothing_blocks_while_neither_side_reads() -> None:
    """
    1,600 recipients in one go, long answers, small buffers: it reads while it writes.

    The server reads nothing while its answers are not taken; a client that sent all
    before it read would wait for ever, as the server would.
    """

    def script(line: Line) -> None:
        narrow(line.socket)
        line.greet("PIPELINING", "CHUNKING")
        model = SmtpModel(padding=190)
        models.append(model)
        while octets := line.socket.recv(MOST):
            line.say(b"".join(model.feed(octets)))  # blocks until they are taken

    models: list[SmtpModel] = []
    host = "plant." * 18 + "example"
    to = tuple(f"operator-{number:03}-{'x' * 50}@{host}" for number in range(100))
    messages = [
        Submission(mail=Mail(mail_from=f"{n}@s", recipients=to, octets=b"S: x\r\n\r\n"))
        for n in range(33)
    ]
    with ScriptedServer(script) as server, sending(server.port, window=16) as send:
        within_limit(lambda: send(messages))

    assert all(250 == one.answers[who].reply.code for one in messages for who in to)
    (model,) = models
    assert 33 == len(model.taken)


@pytest.mark.usefixtures("narrow_wire")
@pytest.mark.parametrize("manner", ["PIPELINING", "CHUNKING"])
def test_what_was_said_before_the_connection_broke_counts(manner: str) -> None:
    """Also when it breaks while we write: the answers are there to be read."""

    def script(line: Line) -> None:
        narrow(line.socket)
        line.greet(*MANNERS[manner][0])
        model = SmtpModel()
        models.append(model)
        later = len(models) > 1
        while later or len(model.taken) < 2:
            octets = line.socket.recv(65536)
            if not octets:
                return
            for said in model.feed(octets):
                line.say(said)
        # What is unread when a socket is closed makes it an RST.

    models: list[SmtpModel] = []
    octets = b"S: x\r\n\r\n" + b"x" * 900 + b"\r\n"
    large = octets + (b"x" * 900 + b"\r\n") * 400
    messages = [
        Submission(
            mail=Mail(mail_from=name, recipients=TO, octets=large if number else octets)
        )
        for number, name in enumerate(NAMES)
    ]
    with ScriptedServer(script) as server, sending(server.port) as send:
        within_limit(lambda: send(messages))

    taken = [[one.mail_from for one in model.taken] for model in models]
    assert ["0@s", "1@s"] == taken[0]
    for one in messages:
        times = times_taken(models, one, "a@x")
        assert times == (250 in [said.reply.code for said in one.answers.values()])
        assert not one.doubtful


def within_limit(work: Callable[[], None]) -> None:
    """Do *work* in a thread, and wait for it no longer than anything may take."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    assert not thread.is_alive(), "both sides wait"
