"""
Differential tests: what smtplib sends and what we send is the same, to the octet.

Messages are made by Hypothesis. A server says what was delivered to it, and whom it
refused; who sent it makes no difference.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Literal

from attrs import evolve, frozen
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from email_profiles_hookspecs import (
    Credential,
    Profile,
    Reply,
    SendRequest,
    SmtpSettings,
)
from email_profiles_hookspecs.errors import Invalid
from email_profiles_plugin.message import Rendered, render
from email_profiles_plugin.smtp.mail import Mail, Submission, in_turn
from email_profiles_plugin.smtp.pool import Pool
from email_profiles_plugin.submission import Submitter
from email_profiles_plugin.testing import Delivered, MailSystem, SmtpServer
from email_profiles_plugin.testing.message_strategies import requests

DATE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
NUMBERS = count(1)

Refused = Mapping[str, int]
Send = Callable[[str, int, Rendered], Refused]
"""Hands a message over to host and port; the codes of those who were refused."""


@frozen
class Target:
    """A server, and how to read what was delivered to it, by Message-ID."""

    host: str
    port: int
    read: Callable[[str], Delivered]


class Nobody:
    """An authenticator that is never asked."""

    def acquire(self, deadline: float) -> Credential:
        raise AssertionError

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        raise AssertionError


def by_smtplib(host: str, port: int, message: Rendered) -> Refused:
    """As a program of a few lines does it."""
    options = ["SMTPUTF8", "BODY=8BITMIME"] if message.smtputf8 else []
    envelope = message.envelope
    with smtplib.SMTP(host, port, local_hostname="client.test", timeout=60) as smtp:
        try:
            refused = smtp.sendmail(
                envelope.mail_from, list(envelope.recipients), message.octets, options
            )
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPSenderRefused as error:
            refused = dict.fromkeys(envelope.recipients, (error.smtp_code, b""))
        except smtplib.SMTPDataError as error:
            refused = dict.fromkeys(envelope.recipients, (error.smtp_code, b""))
    return {who: code for who, (code, _) in refused.items()}


def by_us(pipelining: Literal["auto", "off"], window: int) -> Send:
    """Over a connection of its own, in one of the three manners."""

    def send(host: str, port: int, message: Rendered) -> Refused:
        smtp = SmtpSettings(hostname=host, port=port, pipelining=pipelining)
        profile = Profile(id="p", revision=1, name="p", mode="basic", smtp=smtp)
        one = Submission(
            mail=Mail(
                mail_from=message.envelope.mail_from,
                recipients=message.envelope.recipients,
                octets=message.octets,
                smtputf8=message.smtputf8,
            )
        )
        pool = Pool()
        submitter = Submitter(
            pool, lambda _: Nobody(), lambda _: 1, print, window=window
        )
        submitter.submit(profile, Credential(offers=()), in_turn([one]))
        pool.close()
        assert one.error is None, one.error
        codes = {who: answer.reply.code for who, answer in one.answers.items()}
        return {who: code for who, code in codes.items() if code // 100 != 2}

    return send


WAYS: Mapping[str, Send] = {
    "smtplib": by_smtplib,
    "one by one": by_us("off", 0),
    "PIPELINING": by_us("auto", 0),
    "CHUNKING": by_us("auto", 4),
}


def rendered(request: SendRequest) -> Rendered:
    """The message, under an id that no other has."""
    message_id = f"<{next(NUMBERS):09}@differential.test>"
    try:
        return render(request, date=DATE, message_id=message_id)
    except Invalid:
        reject()


def differences(target: Target, request: SendRequest) -> dict[str, object]:
    """What became of *request* by each way, where that is not what smtplib's is."""
    found: dict[str, object] = {}
    for way, send in WAYS.items():
        message = rendered(request)
        refused = send(target.host, target.port, message)
        found[way] = refused
        if len(refused) < len(message.envelope.recipients):
            delivered = target.read(message.message_id)
            assert message.octets == delivered.octets
            found[way] = refused, delivered.mail_from, sorted(delivered.recipients)
    return {way: fate for way, fate in found.items() if fate != found["smtplib"]}


@settings(max_examples=60, deadline=None)
@given(request=requests, refuse=st.integers(0, 2))
def test_at_aiosmtpd(request: SendRequest, refuse: int) -> None:
    """The same envelope, the same octets, the same refusals."""
    with SmtpServer(chunking=True) as server:
        recipients = rendered(request).envelope.recipients
        server.refuse.update(dict.fromkeys(recipients[:refuse], "551 5.1.1 nobody"))
        assert {} == differences(loopback(server), request)
        if len(recipients) > refuse:
            assert 4 == len(server.messages)
            assert 1 == server.commands.count("BDAT")


def loopback(server: SmtpServer) -> Target:
    def read(message_id: str) -> Delivered:
        (found,) = [one for one in server.messages if message_id.encode() in one.octets]
        return found

    return Target(server.host, server.port, read)


@settings(max_examples=30, deadline=None)
@given(request=requests, refuse=st.booleans())
def test_at_postfix(
    mail_system: MailSystem, request: SendRequest, refuse: bool
) -> None:
    """Which hands it on: the envelope, and the octets below its trace, are the same."""
    target = Target("127.0.0.1", mail_system.ports["plain"], mail_system.read)
    if refuse:
        request = evolve(request, bcc=["refused@plant.example", *request.bcc])
    assert {} == differences(target, request)
