"""
Whole dialogues: greeting, STARTTLS, AUTH by each mechanism, and flights of messages.

The first two octets choose the profile and the messages, the rest is the tape. What
must hold is told by a second reading of the tape, which knows nothing of the first.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any
from unittest.mock import patch

from attrs import define, evolve, field
from reading import replies
from tape import CANNED, HELLO, Context, Plug, Tape, TapedWire

from email_profiles_hookspecs import Credential, Limits, Profile, SmtpSettings, sasl
from email_profiles_hookspecs.errors import (
    ConnectFailed,
    Disconnected,
    NotOffered,
    ProtocolError,
    Refused,
    SaslError,
    TimedOut,
    TlsFailed,
)
from email_profiles_plugin import submission as submission_module
from email_profiles_plugin.smtp import tls
from email_profiles_plugin.smtp import wire as wire_module
from email_profiles_plugin.smtp.dialogue import Chunk, Command, Content
from email_profiles_plugin.smtp.flight import NO_BDAT
from email_profiles_plugin.smtp.mail import Mail, Submission, in_turn
from email_profiles_plugin.smtp.pool import Pool
from email_profiles_plugin.submission import COLD_S, Submitter

PASSWORD, TOKEN = "hunter2!", "t0ken-of-nobody"

CONTRACT = (
    ConnectFailed,
    Disconnected,
    NotOffered,
    ProtocolError,
    Refused,
    SaslError,
    TimedOut,
    TlsFailed,
)
STAGES = {
    *("connect", "greeting", "EHLO", "STARTTLS", "TLS", "AUTH"),
    *("RSET", "MAIL", "RCPT", "DATA", "end of data"),
}

MOST_AHEAD = 20
"""EHLO, STARTTLS, EHLO, and AUTH by two mechanisms with two credentials."""

OFFERS: Sequence[tuple[sasl.Sasl, ...]] = (
    (sasl.Plain("user", PASSWORD),),
    (sasl.Login("user", PASSWORD),),
    (sasl.CramMd5("user", PASSWORD),),
    (sasl.ScramSha256("user", PASSWORD, lambda: "abc"),),
    (sasl.XOAuth2("user", TOKEN),),
    (sasl.OAuthBearer("user", TOKEN, "localhost", 587),),
    sasl.password_offers("user", PASSWORD, nonce=lambda: "abc"),
    (),
)


@define
class Authenticator:
    """Has the same credential once more, or nothing else."""

    credential: Credential
    again: bool

    def acquire(self, deadline: float) -> Credential:
        return self.credential

    def rejected(self, credential: Credential, reply: object) -> bool:
        return self.again


@define
class Session:
    """What two octets choose, and what came of it."""

    how: int
    what: int
    tape: Tape
    told: list[str] = field(factory=list, init=False)
    submissions: list[Submission] = field(factory=list, init=False)
    offers: tuple[sasl.Sasl, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.offers = OFFERS[self.how & 7]
        if self.how & 32:  # straight to the mail
            self.offers = ()
            hello = list(HELLO.values())[(self.how >> 6) % len(HELLO)]
            self.tape.prefix = CANNED[0xE2], hello
        recipients = 1 + (self.what >> 2 & 3)
        for number in range(1 + (self.what & 3)):
            body = b".\r\n..x\r\n" if self.what & 64 else b"x" * 900 + b"\r\n"
            octets = b"Subject: %d\r\n\r\n%b" % (number, body)
            mail = Mail(
                mail_from=f"{number}@s",
                recipients=tuple(f"{number}{one}@x" for one in range(recipients)),
                octets=octets,
                smtputf8=bool(self.what & 32),
            )
            self.submissions.append(Submission(mail=mail, tell=self.told.append))

    @property
    def profile(self) -> Profile:
        settings = SmtpSettings(
            hostname="localhost",
            port=587,
            use_starttls=bool(self.how & 8) and not self.how & 32,
            timeout_ms=1000,
            final_reply_timeout_ms=2000,
        )
        return Profile(
            id="p",
            revision=1,
            name="p",
            mode="basic",
            smtp=settings,
            limits=Limits(recipients_per_message=2 if self.what & 16 else 100),
        )

    def play(self) -> None:
        credential = Credential(offers=self.offers, identity="user")
        authenticator = Authenticator(credential, bool(self.how & 16))
        pool = Pool()
        submitter = Submitter(
            pool, lambda _: authenticator, lambda _: 1, self.told.append
        )
        later = 1 if self.what & 128 else len(self.submissions)
        with on_tape(self.tape):
            for part in (self.submissions[:later], self.submissions[later:]):
                submitter.submit(self.profile, credential, in_turn(part))
                self.tape.now += 2 * COLD_S
            pool.close()


@contextmanager
def on_tape(tape: Tape) -> Iterator[None]:
    """Connections are to *tape*, and time is its own."""
    wire: Any = partial(TapedWire, tape=tape)
    logging.disable(logging.WARNING)
    with (
        patch.object(submission_module, "Wire", wire),
        patch.object(submission_module, "monotonic", tape),
        patch.object(wire_module, "monotonic", tape),
        patch.object(tls, "context", lambda settings: Context()),
    ):
        yield
    logging.disable(logging.NOTSET)


def check(octets: bytes) -> None:
    """Play *octets*; AssertionError where something does not hold."""
    if len(octets) < 2:
        return
    session = Session(octets[0], octets[1], Tape(octets[2:], monotonic()))
    session.play()
    assert all(plug.closed for plug in session.tape.plugs), "a socket was left open"
    for plug in session.tape.plugs:
        assert ahead_of_mail(plug) <= MOST_AHEAD, "a server that asks for ever"
    check_errors(session)
    check_secrets(session)
    Oracle(session).check()


def ahead_of_mail(plug: Plug) -> int:
    """How many commands came before the first message."""
    lines = [one.line for one in plug.writes if isinstance(one, Command)]
    mail = [n for n, line in enumerate(lines) if line.startswith(("RSET", "MAIL"))]
    return mail[0] if mail else len(lines)


def check_errors(session: Session) -> None:
    """Each message has an answer for everybody, or a named error at its stage."""
    for one in session.submissions:
        assert one.done
        assert not one.withdrawn
        if one.error is None:
            assert {*one.answers} == {*one.mail.recipients}
        else:
            assert isinstance(one.error, CONTRACT), repr(one.error)
            assert one.error.stage in STAGES, one.error.stage


def check_secrets(session: Session) -> None:
    """Nothing that is told holds what proves who we are, plain or in Base64."""
    shown = "\n".join(session.told)
    for one in session.submissions:
        shown += f"\n{one.error} {one.error!r} {one!r}"
    for offer in session.offers:
        secrets = [PASSWORD.encode(), TOKEN.encode(), f"\0user\0{PASSWORD}".encode()]
        if offer.mechanism == "XOAUTH2":
            secrets.append(f"user=user\1auth=Bearer {TOKEN}".encode())
        for secret in secrets:
            assert secret.decode() not in shown
            assert b64encode(secret).decode().rstrip("=")[:-1] not in shown


@define
class Said:
    """A write, where its last octet is among all, and the reply to it, if any."""

    write: Command | Content | Chunk
    end: int
    code: int | None = None

    @property
    def yes(self) -> bool:
        return self.code is not None and self.code // 100 == 2

    @property
    def line(self) -> str:
        return self.write.line if isinstance(self.write, Command) else ""


def paired(plug: Plug) -> list[Said]:
    """What was said over a connection, with the replies that count."""
    said, end = list[Said](), 0
    for write in plug.writes:
        end += len(write.octets)
        said.append(Said(write, end))
    for number, reply in enumerate(replies(bytes(plug.given))):
        sent, put = next(
            (sent, put) for given, sent, put in plug.packets if given >= reply.end
        )
        if reply.code == 421:  # answers all that follow
            for one in said[max(number - 1, 0) :]:
                one.code = 421
            return said
        if number > put or (
            number and sent < said[number - 1].end and reply.code < 400
        ):
            return said  # it answers nothing that was asked
        if number:
            said[number - 1].code = reply.code
    return said


@define
class Fate:
    """What the tape says of one recipient of one message in one transaction."""

    accepted: bool
    handed_over: bool
    answered: bool
    refused: bool = False
    """At RCPT, whatever became of the content."""


@define
class Oracle:
    """What the tape says became of each recipient, beside what we say."""

    session: Session
    fates: dict[str, list[Fate]] = field(factory=dict, init=False)

    def check(self) -> None:
        for plug in self.session.tape.plugs:
            self._read(plug, paired(plug))
        for one in self.session.submissions:
            for recipient in one.mail.recipients:
                self._compare(one, recipient, self.fates.get(recipient, []))

    def _read(self, plug: Plug, said: Sequence[Said]) -> None:
        """Take the transactions of a connection apart."""
        good, begun, proven, out_of_step = True, False, False, False
        asked: dict[str, Said] = {}
        for one in said:
            if one.line == "RSET":
                good = one.yes
            elif one.line.startswith("MAIL"):
                begun, good, asked = good and one.yes, True, {}
            elif one.line.startswith("RCPT"):
                asked[one.line[len("RCPT TO:<") : -1]] = one
            elif not isinstance(one.write, Command) and one.write.octets != b".\r\n":
                handed_over = one.end <= len(plug.sent)
                fate = Fate(
                    accepted=begun and one.yes and handed_over,
                    handed_over=handed_over,
                    # A yes to nobody's message, or what follows a BDAT that was
                    # taken for commands, answers nothing.
                    answered=one.code is not None
                    and not out_of_step
                    and (begun or not one.yes),
                )
                for recipient, rcpt in asked.items():
                    own = evolve(
                        fate,
                        accepted=fate.accepted and rcpt.yes,
                        refused=rcpt.code is not None and not rcpt.yes,
                    )
                    self.fates.setdefault(recipient, []).append(own)
                proven |= one.yes
                out_of_step |= not proven and one.code in NO_BDAT

    def _compare(self, one: Submission, recipient: str, fates: list[Fate]) -> None:
        answer = one.answers.get(recipient)
        ours = answer is not None and (answer.stage, answer.reply.code // 100) == (
            "end of data",
            2,
        )
        accepted = [fate for fate in fates if fate.accepted]
        assert len(accepted) <= 1, "taken twice"
        for fate in fates[:-1]:
            known = fate.answered or fate.refused or not fate.handed_over
            assert known, "sent again, though in doubt"
        doubtful = recipient in one.doubtful
        if ours:
            assert accepted, "accepted without a word"
        if accepted:
            assert ours or doubtful, "taken, and called not sent"
        if doubtful:
            assert answer is None
            assert one.error is not None
            assert fates[-1].handed_over, "in doubt, though not sent whole"
            assert not fates[-1].answered, "in doubt, though answered"
