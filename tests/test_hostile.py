"""
Hostile servers: whatever is said, at whatever point, a session ends and says why.

A server plays its part up to a stage, does something there that no server should, and
from then on behaves: what goes over another connection arrives.
"""

from __future__ import annotations

import contextlib
import gc
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from email_profiles_hookspecs import Credential, Profile, SmtpSettings, sasl
from email_profiles_hookspecs.errors import (
    Disconnected,
    NotOffered,
    ProtocolError,
    Refused,
    SaslError,
    SubmissionError,
    TimedOut,
    TlsFailed,
)
from email_profiles_plugin.smtp.mail import Mail, Submission, in_turn, stuffed
from email_profiles_plugin.smtp.pool import Pool
from email_profiles_plugin.smtp.wire import Wire
from email_profiles_plugin.submission import Submitter
from email_profiles_plugin.testing.certificates import CertificateAuthority
from email_profiles_plugin.testing.scripted_server import Line, ScriptedServer

SHORT_S = 0.1
"""How long the client waits once a server has begun to misbehave."""

LONG_S = 20
"""How long it waits before: for what comes at once, on any machine."""

LIMIT_S = 60
"""No session takes longer; a test that does has failed."""

PASSWORD = "hunter2!"
ENVELOPE = {
    "one by one": (),
    "PIPELINING": ("PIPELINING",),
    "CHUNKING": ("PIPELINING", "CHUNKING"),
}
"""What EHLO offers, by the manner in which that makes the client send."""

SESSION = "greeting", "EHLO", "STARTTLS", "EHLO in TLS", "AUTH", "challenge", "verdict"
SAID_AT = {"EHLO in TLS": "EHLO", "challenge": "AUTH", "verdict": "AUTH"}
"""The stage that an error names, where it is called otherwise here."""

CONTRACT = (
    Disconnected,
    NotOffered,
    ProtocolError,
    Refused,
    SaslError,
    TimedOut,
    TlsFailed,
)
STAGES = {
    *("greeting", "EHLO", "STARTTLS", "TLS", "AUTH"),
    *("RSET", "MAIL", "RCPT", "DATA", "end of data"),
}

Deed = Callable[[Line, str], bytes | None]
"""What is done instead of a reply; what came after it, if that ended the session."""


def says_421(line: Line, reply: str) -> bytes:
    line.say("421 4.3.2 closing")
    return line.wait()


def says_more_and_more(line: Line, reply: str) -> bytes:
    while True:
        line.say(f"{reply[:3]}-more\r\n".encode() * 100)


def says_100_kilobytes(line: Line, reply: str) -> bytes:
    line.say(f"{reply[:3]} {'x' * 100_000}")
    return line.wait()


def says_nul(line: Line, reply: str) -> None:
    line.say(reply.replace(" ", " \0", 1))


def says_no_utf_8(line: Line, reply: str) -> None:
    line.say(reply.encode().replace(b" ", b" \xff\xfe", 1) + b"\r\n")


def says_nul_alone(line: Line, reply: str) -> bytes:
    line.say(b"\0" * 4 + b"\r\n")
    return line.wait()


def says_no_reply(line: Line, reply: str) -> bytes:
    line.say(b"\xff\xfe, no reply\r\n")
    return line.wait()


def closes(line: Line, reply: str) -> bytes:
    raise EOFError


def closes_amid_a_reply(line: Line, reply: str) -> bytes:
    line.say(reply.encode())
    raise EOFError


def is_silent(line: Line, reply: str) -> bytes:
    return line.wait()


def drips(line: Line, reply: str) -> bytes:
    """An octet now and then, each well within the timeout."""
    line.socket.settimeout(SHORT_S / 10)
    for octet in f"{reply[:3]} {'x' * 4000}".encode():
        line.say(bytes([octet]))
        with contextlib.suppress(TimeoutError):
            return line.wait()
    raise AssertionError("the client waits without end")


def says_it_thrice(line: Line, reply: str) -> None:
    line.say(f"{reply}\r\n".encode() * 3)


DEEDS: dict[Deed, type[SubmissionError] | None] = {
    says_421: Refused,
    says_more_and_more: ProtocolError,
    says_100_kilobytes: ProtocolError,
    says_nul: None,
    says_no_utf_8: None,
    says_nul_alone: ProtocolError,
    says_no_reply: ProtocolError,
    closes: Disconnected,
    closes_amid_a_reply: Disconnected,
    is_silent: TimedOut,
    drips: TimedOut,
    says_it_thrice: ProtocolError,
}
"""And the error that it brings; None where the reply is one all the same."""


@define(eq=False)
class Hostile:
    """A script: does *deed* when *stage* has passed *skip* times, once in all."""

    deed: Deed
    stage: str
    context: ssl.SSLContext
    offered: tuple[str, ...] = ()
    skip: int = 0
    done: bool = field(default=False, init=False)
    sender: str = field(default="", init=False)
    """Whose message it was that the deed was done to."""
    taken: list[str] = field(factory=list, init=False)
    """The senders of what has come whole, and is for somebody."""
    whole: list[str] = field(factory=list, init=False)
    """The senders of all that has come whole."""
    rest: bytes | None = field(default=None, init=False)
    """What came after the deed, if it was read."""
    _passed: int = field(default=0, init=False)
    _sender: str = field(default="", init=False)
    _good: bool = field(default=False, init=False)

    def __call__(self, line: Line) -> None:
        self._answer(line, "greeting", "220 hi")
        self._hello(line, "EHLO", "STARTTLS")
        line.hear()
        self._answer(line, "STARTTLS", "220 go")
        line.start_tls(self.context)
        self._hello(line, "EHLO in TLS", "AUTH LOGIN", *self.offered)
        line.hear()
        self._answer(line, "AUTH", "334 VXNlcm5hbWU6")
        line.hear()
        self._answer(line, "challenge", "334 UGFzc3dvcmQ6")
        line.hear()
        self._answer(line, "verdict", "235 ok")
        while (said := line.hear()) != b"QUIT":
            self._serve(line, said)

    def _answer(self, line: Line, stage: str, reply: str) -> None:
        self._passed += stage == self.stage
        if stage != self.stage or self.done or self._passed <= self.skip:
            line.say(reply)
            return
        self.done, self.sender = True, self._sender
        self.rest = self.deed(line, reply)
        if self.rest is not None:
            raise EOFError

    def _hello(self, line: Line, stage: str, *offered: str) -> None:
        line.hear()
        lines = ["250-hello there", *(f"250-{one}" for one in offered), "250 HELP"]
        self._answer(line, stage, "\r\n".join(lines))

    def _serve(self, line: Line, said: bytes) -> None:
        verb, reply = said[:4].decode(), "250 ok"
        if verb == "MAIL":
            self._sender, self._good = said.decode()[len("MAIL FROM:<") : -1], False
        elif verb == "RCPT":
            refused = b"nobody" in said
            reply = "550 no" if refused else reply
            self._good |= not refused
        elif verb == "DATA":
            reply = "354 go" if self._good else "554 no recipients"
        elif verb == "BDAT":
            line.hear_octets(int(said.split()[1]))
            self._take(line)
            return
        self._answer(line, verb, reply)
        if reply == "354 go":
            line.hear_content()
            self._take(line)

    def _take(self, line: Line) -> None:
        self.whole.append(self._sender)
        self.taken += [self._sender] if self._good else []
        self._answer(line, "end of data", "250 taken" if self._good else "503 what")


SAID = {
    "greeting": ("connected", 1),
    "EHLO": ("C: EHLO", 1),
    "STARTTLS": ("C: STARTTLS", 1),
    "EHLO in TLS": ("C: EHLO", 2),
    "AUTH": ("C: AUTH", 1),
    "challenge": ("C: ***", 1),
    "verdict": ("C: ***", 2),
}
"""The line of the session that a stage begins with, and the how manieth."""


@define
class Haste:
    """
    Takes a session's lines, and says how long to wait: long, but at the deed's stage.

    What comes at once on a quick machine may take its time on a slow one.
    """

    stage: str
    skip: int
    lines: list[str] = field(factory=list, init=False)

    def tell(self, line: str) -> None:
        self.lines.append(line)

    @property
    def wait_s(self) -> float:
        told, begins = self.lines, "connected"
        connections = [n for n, line in enumerate(told) if line.startswith(begins)]
        line, at = SAID.get(self.stage, (f"C: {self.stage}", self.skip + 1))
        if self.stage == "end of data":
            line = "C: BDAT" if any("C: BDAT" in one for one in told) else "C: ["
        seen = sum(one.startswith(line) for one in told)
        return SHORT_S if seen >= at and len(connections) == 1 else LONG_S


@define
class Result:
    submissions: list[Submission]
    session: list[str]
    script: Hostile

    @property
    def hit(self) -> Submission:
        """The message that the deed was done to; the first, where it was to none."""
        senders = [one.mail.mail_from for one in self.submissions]
        if self.script.sender not in senders:
            return self.submissions[0]
        number = senders.index(self.script.sender)
        return self.submissions[number + (self.script.stage == "RSET")]


def messages(tell: Callable[[str], None]) -> list[Submission]:
    """Every other one goes to nobody, so that RSET comes into it."""
    return [
        Submission(
            mail=Mail(
                mail_from=f"{number}@x.test",
                recipients=(f"{'nobody' if number % 2 else 'b'}@x.test",),
                octets=b"Subject: %d\r\n\r\n.hello\r\n" % number,
            ),
            tell=tell,
        )
        for number in range(5)
    ]


class NothingElse:
    """An authenticator with one credential."""

    def acquire(self, deadline: float) -> Credential:
        raise AssertionError

    def rejected(self, credential: Credential, reply: object) -> bool:
        return False


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server_context(ca: CertificateAuthority) -> ssl.SSLContext:
    return ca.server_context()


@pytest.fixture(scope="module", autouse=True)
def nothing_lost() -> Iterator[None]:
    """A socket that was lost and not closed warns, which is an error."""
    yield
    gc.collect()


Play = Callable[[Hostile], Result]


@pytest.fixture
def play(ca: CertificateAuthority, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Five messages to a server; it has to end, and to leave no socket open."""

    def run(script: Hostile) -> Result:
        haste = Haste(script.stage, script.skip)
        monkeypatch.setattr(Wire, "timeout", property(lambda _: haste.wait_s))
        result = Result(messages(haste.tell), haste.lines, script)
        with ScriptedServer(script) as server:
            final_s = SHORT_S if script.stage == "end of data" else LONG_S
            to = profile(server.port, ca.ca_file, final_s)
            within_limit(lambda: submit(to, result))
            for thread in server._threads[1:]:
                thread.join(LIMIT_S)
            assert not server.open, "a socket was left open"
        return result

    return run


def profile(port: int, ca_file: Path, final_s: float) -> Profile:
    settings = SmtpSettings(
        hostname="localhost",
        port=port,
        use_starttls=True,
        ca_file=str(ca_file),
        final_reply_timeout_ms=int(final_s * 1000),
        ssl_protocols=("TLSv1.2", "TLSv1.3"),
    )
    return Profile(id="p", revision=1, name="p", mode="basic", smtp=settings)


def submit(to: Profile, result: Result) -> None:
    credential = Credential(offers=(sasl.Login("user", PASSWORD),), identity="user")
    pool = Pool()
    submitter = Submitter(pool, lambda _: NothingElse(), lambda _: 1, print)
    submitter.submit(to, credential, in_turn(result.submissions))
    pool.close()


def within_limit(work: Callable[[], None]) -> None:
    """Do *work* in a thread, and wait for it no longer than any session may take."""
    raised: list[BaseException] = []

    def go() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    assert not thread.is_alive(), "the session did not end"
    if raised:
        raise raised[0]


def accepted(one: Submission) -> bool:
    (recipient,) = one.mail.recipients
    answer = one.answers.get(recipient)
    return answer is not None and (answer.stage, answer.reply.code) == (
        "end of data",
        250,
    )


def check(result: Result) -> None:
    """What holds of any session, whatever the server did."""
    script, shown = result.script, "\n".join(result.session)
    taken = list(script.taken)
    if script.stage == "end of data" and script.deed is says_421:
        taken = [sender for sender in taken if sender != script.sender]
    for one in result.submissions:
        sender, octets = one.mail.mail_from, one.mail.octets
        assert one.done
        if one.error is None:
            assert {*one.mail.recipients} == {*one.answers}
        else:
            assert isinstance(one.error, CONTRACT), repr(one.error)
            assert one.error.stage in STAGES
            shown += f"{one.error!r} {one.error}"
        assert not {*one.doubtful} & {*one.answers}
        if one.doubtful and script.rest is not None:
            came = octets in script.rest or stuffed(octets) in script.rest
            assert came or sender in script.whole
        assert taken.count(sender) <= 1
        if sender in taken:
            assert accepted(one) or one.doubtful
    assert PASSWORD not in shown
    assert b64encode(PASSWORD.encode()).decode().strip("=") not in shown


def named(value: Any) -> str | None:
    """A case in the list of tests."""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(("deed", "stage"), list(product(DEEDS, SESSION)), ids=named)
def test_whatever_a_server_does_before_mail(
    deed: Deed, stage: str, play: Play, server_context: ssl.SSLContext
) -> None:
    """The session ends by name, at its stage; what follows goes over another one."""
    result = play(Hostile(deed, stage, server_context))
    error, expected = result.hit.error, DEEDS[deed]
    check(result)

    assert not any(one.error for one in result.submissions[1:])
    if expected is not None:
        assert isinstance(error, SubmissionError)
        assert (expected, SAID_AT.get(stage, stage)) == (type(error), error.stage)
    elif stage in ("AUTH", "challenge"):  # what was asked is no Base64 any more
        assert error is not None
    else:
        assert error is None


MOMENTS = [
    (manner, stage, skip)
    for manner, stage, skip in product(
        ENVELOPE, ["RSET", "MAIL", "RCPT", "DATA", "end of data"], [0, 1]
    )
    if (manner, stage) != ("CHUNKING", "DATA")
]
"""Each stage, of the first message that comes to it and of the second."""


@pytest.mark.parametrize(("deed", "moment"), list(product(DEEDS, MOMENTS)), ids=named)
def test_whatever_a_server_does_to_a_message(
    deed: Deed,
    moment: tuple[str, str, int],
    play: Play,
    server_context: ssl.SSLContext,
) -> None:
    """Each message has an answer or a named error, and is unknown only if it went."""
    manner, stage, skip = moment
    script = Hostile(deed, stage, server_context, ENVELOPE[manner], skip)
    result = play(script)
    assert script.done
    check(result)
    if manner == "one by one":
        check_the_one_hit(result)


def check_the_one_hit(result: Result) -> None:
    """Where one command goes at a time, all is known of what the deed was done to."""
    one, stage = result.hit, result.script.stage
    expected = DEEDS[result.script.deed]
    first = one is result.submissions[0]
    answers = [(said.stage, said.reply.code) for said in one.answers.values()]
    thrice = result.script.deed is says_it_thrice
    unheard = stage == "RSET" or (stage == "MAIL" and not thrice)
    if expected is None or (unheard and not first):
        assert one.error is None
        assert accepted(one) or [("RCPT", 550)] == answers
    elif expected is Refused:
        assert [(stage, 421)] == answers
    elif thrice and one.error is None:
        assert accepted(one) or [("RCPT", 550)] == answers
    else:
        assert isinstance(one.error, SubmissionError)
        assert (expected, stage) == (type(one.error), one.error.stage)
        assert bool(one.doubtful) == (stage == "end of data")


def at_once(line: Line, reply: str) -> bytes:
    """Injects a reply behind the 220, in the same packet."""
    line.say(f"{reply}\r\n250 injected\r\n".encode())
    return line.wait()


def a_moment_later(line: Line, reply: str) -> bytes:
    """Injects one in a packet of its own, which is there when the handshake begins."""
    line.say(reply)
    line.say("250 injected")
    return line.wait()


def half_a_reply(line: Line, reply: str) -> bytes:
    """Injects the beginning of one."""
    line.say(f"{reply}\r\n250-".encode())
    return line.wait()


def to_the_handshake(deed: Deed) -> Deed:
    """Says 220, and does *deed* when TLS has begun."""

    def instead(line: Line, reply: str) -> bytes | None:
        line.say(reply)
        assert line.socket.recv(65536)
        return deed(line, "250 injected") or line.wait()

    instead.__name__ = deed.__name__
    return instead


def drips_tls(line: Line, reply: str) -> bytes:
    """Begins a handshake, an octet now and then."""
    line.socket.settimeout(SHORT_S / 10)
    for octet in b"\x16\x03\x03\x40\0\x02\0\x3f\xfc".ljust(4000, b"\3"):
        line.say(bytes([octet]))
        with contextlib.suppress(TimeoutError):
            return line.wait()
    raise AssertionError("the client waits without end")


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        (at_once, {(ProtocolError, "STARTTLS")}),
        (half_a_reply, {(ProtocolError, "STARTTLS")}),
        (a_moment_later, {(ProtocolError, "STARTTLS"), (TlsFailed, "TLS")}),
        (to_the_handshake(is_silent), {(TimedOut, "TLS")}),
        (to_the_handshake(drips_tls), {(TimedOut, "TLS")}),
        *(
            (to_the_handshake(deed), {(TlsFailed, "TLS")})
            for deed in DEEDS
            if deed not in (is_silent, drips)
        ),
    ],
    ids=named,
)
def test_whatever_a_server_does_between_220_and_tls(
    deed: Deed,
    expected: set[tuple[type[SubmissionError], str]],
    play: Play,
    server_context: ssl.SSLContext,
) -> None:
    """What was injected in clear is never taken for what is said in TLS."""
    result = play(Hostile(deed, "STARTTLS", server_context))
    first, *others = result.submissions
    check(result)

    assert isinstance(first.error, SubmissionError)
    assert (type(first.error), first.error.stage) in expected
    assert "Use STARTTLS" not in first.error.remedy
    assert not any(one.error for one in others)
    connections = "\n".join(result.session).split("connected to")
    assert "AUTH" not in connections[1]


@pytest.mark.parametrize("challenge", ["334 QQ==", "334 no Base64", "334 "])
def test_a_server_that_asks_for_ever(
    challenge: str, play: Play, server_context: ssl.SSLContext
) -> None:
    """The client answers as often as its mechanism has answers, and gives up."""

    def asks(line: Line, reply: str) -> bytes:
        line.say(challenge)
        while line.hear():
            line.say(challenge)
        return b""

    result = play(Hostile(asks, "AUTH", server_context))
    check(result)

    error = result.submissions[0].error
    assert isinstance(error, ProtocolError)
    assert "AUTH" == error.stage
