"""`send_email` on the facade: it waits and raises, or queues and hands out a handle."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from email_profiles_hookspecs import Outcome, Problem, Receipt, SendRequest
from email_profiles_hookspecs.errors import Invalid, NotSent

from ...addresses import usual
from . import parameters
from .parameters import DETECTED, Call, Server

if TYPE_CHECKING:
    from ...runtime import EmailProfiles

ACTOR = "script"
PURPOSE = "settings of a script's own"
OWN = {"$.smtp.hostname": "smtp", "$.smtp.port": "smtp", "$.auth.username": "username"}
"""Where settings of a script's own come from, by where they stand in the document."""


@frozen
class Mail:
    """
    A message that was sent, or queued; a script may ignore it.

    *id* is its id in the outbox.
    """

    id: str
    message_id: str
    _profiles: EmailProfiles = field(repr=False, alias="profiles")

    @property
    def state(self) -> str:
        """`queued`, `sending`, or what became of it: `accepted`, `refused`, ..."""
        outcome = self.outcome
        return outcome.state if outcome else self._profiles.outbox.show(self.id).state

    @property
    def outcome(self) -> Outcome | None:
        """What became of it; None while that is open."""
        return self._profiles.outcome(self.id)

    def wait(self, seconds: float = 300) -> Outcome | None:
        """What became of it, within *seconds*; None where that is still open."""
        return self._profiles.outcome(self.id, seconds)


@frozen
class SendEmail:
    """
    Sends mail as Ignition's `system.net.sendEmail` does, with the same parameters.

    Called, it waits until the mail server took the message, and raises where that did
    not come about; `later` queues it, and waits for nothing.
    """

    profiles: EmailProfiles

    def __call__(
        self,
        smtp: Any = None,
        fromAddr: Any = "",
        subject: Any = None,
        body: Any = None,
        html: Any = DETECTED,
        to: Any = None,
        attachmentNames: Any = None,
        attachmentData: Any = None,
        timeout: Any = 300000,
        username: Any = None,
        password: Any = None,
        priority: Any = "3",
        smtpProfile: Any = None,
        cc: Any = None,
        bcc: Any = None,
        retries: Any = 0,
        replyTo: Any = None,
        **unknown: Any,
    ) -> Mail:
        """
        Send a message now, and say how to look at it again.

        *smtpProfile* names an email profile; else *smtp* is `host`, `host:port` or
        `host:port:tls`, with *username* and *password*. *to*, *cc*, *bcc*, *replyTo*:
        an address or a list. *html*: 1, 0, or found out by the body where left out.
        *timeout* in milliseconds bounds all tries, of which there are 1 + *retries*.
        *priority*: "1" (highest) to "5".

        Raises Invalid with every mistake, TypeError for a parameter that there is not,
        NotSent with what became of it where not everybody's server took it, Unknown
        where that can't be told yet, and what `EmailProfiles.send` raises.
        """
        given = {name: value for name, value in locals().items() if name in NAMES}
        call = _read(given, unknown)
        request = self._request(call)
        return self._now(call, request)

    def later(self, *positional: Any, **named: Any) -> Mail:
        """
        Queue a message, with the same parameters, and don't wait for the mail server.

        It is durably queued, and tried until *timeout* is over. Raises as above, for
        what can never be sent.
        """
        if len(positional) > len(parameters.NAMES):
            most, came = len(parameters.NAMES), len(positional)
            raise TypeError(f"{parameters.WHAT} takes {most} parameters, not {came}")
        given = dict(zip(parameters.NAMES, positional, strict=False))
        if twice := given.keys() & named.keys():
            names = ", ".join(sorted(twice))
            raise TypeError(f"{parameters.WHAT} was given {names} twice")
        known = {name: one for name, one in named.items() if name in NAMES}
        unknown = {name: one for name, one in named.items() if name not in NAMES}
        call = _read({**DEFAULTS, **given, **known}, unknown)
        return self._mail(self.profiles.send(self._request(call)))

    def _now(self, call: Call, request: SendRequest) -> Mail:
        sent = self.profiles.outbox.deliver(request, call.timeout_s)
        outcome = sent.outcome
        if outcome.state not in ("accepted", "dry run"):
            raise _not_sent(outcome, self._remedy(outcome))
        return self._mail(sent.receipt)

    def _request(self, call: Call) -> SendRequest:
        name = call.profile or self._own(call)
        profile = self.profiles.resolve(name)
        if profile is None:
            raise self.profiles.profiles.missing(name)
        username = profile.auth.get("username")
        usually = usual(profile.policy.from_addresses, username)
        if not call.request.from_address and not usually:
            message = "is missing, and the profile names no address to send from"
            raise _wrong("fromAddr", message, "give the address to send from")
        return call.by(name, usually, self.profiles.clock.now())

    def _own(self, call: Call) -> str:
        """The email profile made of a script's own settings, by which it is sent."""
        assert call.server is not None  # `read` insists on either
        document = {**call.server.document(), "policy": {"from_addresses": []}}
        try:
            owner = self._owner(call.server)
            return self.profiles.profiles.embed(document, owner=owner, actor=ACTOR)
        except Invalid as error:
            raise Invalid(
                parameters.WHAT, [_in_their_words(one) for one in error.problems]
            ) from None

    def _owner(self, server: Server) -> str:
        """One for the same settings; nobody learns the password from it."""
        key = self.profiles.keyring.derived(PURPOSE)[0]
        settings = json.dumps([server.document(), server.password]).encode()
        return f"script-{hmac.digest(key, settings, 'sha256').hex()[:40]}"

    def _mail(self, receipt: Receipt) -> Mail:
        return Mail(receipt.id, receipt.message_id, self.profiles)

    def _remedy(self, outcome: Outcome) -> str:
        """What the last attempt that failed knows to do about it."""
        history = self.profiles.outbox.show(outcome.id).history
        return next((one.remedy for one in reversed(history) if one.remedy), "")


NAMES = frozenset(parameters.NAMES)
DEFAULTS: dict[str, Any] = dict(
    zip(parameters.NAMES, SendEmail.__call__.__defaults__ or (), strict=True)
)
"""As `__call__` declares them: one place for both."""


def _read(given: dict[str, Any], unknown: dict[str, Any]) -> Call:
    if unknown:
        raise parameters.unknown(unknown)
    return parameters.read(given)


def _wrong(name: str, message: str, remedy: str) -> Invalid:
    return Invalid(
        parameters.WHAT, [Problem(path=name, message=message, remedy=remedy)]
    )


def _in_their_words(problem: Problem) -> Problem:
    """A mistake in settings of a script's own, by the parameter that it comes from."""
    if "TLS" in problem.message or "clear" in problem.message:
        remedy = 'write smtp="host:port:tls", or use an email profile (smtpProfile)'
        return evolve(problem, path="smtp", remedy=remedy)
    return evolve(problem, path=OWN.get(problem.path, problem.path))


def _not_sent(outcome: Outcome, remedy: str) -> NotSent:
    refused = [f"{who}: {reply}" for who, reply in outcome.refused.items()]
    reason = outcome.error or "; ".join(refused) or outcome.state
    message = f"the message is {outcome.state}: {reason}"
    if outcome.accepted:
        message += f" (accepted for {', '.join(outcome.accepted)})"
    return NotSent(message, outcome, remedy)
