"""
All errors that cross the contract.

    EmailProfilesError
    ├── Invalid (ValueError)            a document or request breaks its rules
    ├── NotFound (LookupError)          no profile, client or message by that name
    ├── Conflict                        the stored state says otherwise
    │   ├── StaleRevision               it was changed since it was read
    │   ├── NameTaken
    │   ├── InUse                       something refers to it
    │   ├── StateRefused                an answer to no grant that is in progress
    │   └── IdempotencyConflict         the same key with other content
    ├── Disabled                        the profile is switched off
    ├── FromNotAllowed                  the profile may not send as this address
    ├── Vetoed                          a site plugin forbids this message
    ├── StoreUnavailable                the database is locked, full, out of reach
    │   └── OutboxUnavailable           nothing can be queued now
    ├── Closed                          the facade was closed
    ├── NotSent                         the outcome says why
    ├── Unknown                         nobody can tell (yet) whether it was sent
    ├── SecretError                     a secret can't be read, or doesn't open
    ├── SaslError                       an exchange can't go on
    ├── TokenError                      no token
    │   ├── NeedsGrant                  a person has to grant anew
    │   ├── GrantRefused                the authorization server said no
    │   ├── SlowDown                    not yet: poll again, but less often
    │   └── TokenTimeout (TimeoutError) none within access_token_timeout_s
    ├── HttpError                       a request got no usable answer
    ├── PluginFailed                    a mode's plugin raised what is none of these
    ├── ReportFailed                    a report can't be made
    └── SubmissionError                 the mail server, by stage
        ├── ConnectFailed (OSError)     name, route, port
        ├── TlsFailed                   handshake, certificate, versions
        ├── NotOffered                  the server lacks what the profile requires
        ├── Refused                     a 4xx or 5xx reply
        ├── ProtocolError               not SMTP
        ├── TimedOut (TimeoutError)
        └── Disconnected (OSError)      the connection ended

The root is never raised itself. Each error's `args` are its constructor's
arguments, so all of them pickle. *stage* is where it happened, *remedy* what to do,
each "" where there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from .values import Outcome, Problem, Reply


class EmailProfilesError(Exception):
    """Never raised itself: the root of this tree."""

    stage: str = ""
    remedy: str = ""


class _Said(EmailProfilesError):
    """An error that is told in a sentence, with a remedy where one is known."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message


class Invalid(EmailProfilesError, ValueError):
    """A document or request breaks its rules; *problems* holds every mistake."""

    def __init__(self, what: str, problems: Sequence[Problem]) -> None:
        super().__init__(what, tuple(problems))
        self.what = what
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return f"{self.what}: " + "; ".join(str(problem) for problem in self.problems)


class NotFound(EmailProfilesError, LookupError):
    """
    There is no *kind* (email profile, OAuth2 client, message) called *name*.

    *remedy* says what it is called now, where it was renamed.
    """

    def __init__(self, kind: str, name: str, remedy: str = "") -> None:
        super().__init__(kind, name, remedy)
        self.kind = kind
        self.name = name
        self.message = f"there is no {kind} {name!r}"
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message


class Conflict(_Said):
    """What is stored does not allow this."""


class StaleRevision(Conflict):
    """The document was changed since the revision that this write is based on."""


class NameTaken(Conflict):
    """Another document has this name."""


class InUse(Conflict):
    """Something refers to the document; the message names what."""


class StateRefused(Conflict):
    """
    An authorization server's answer belongs to no grant that may go on.

    *reason*: `malformed`, `unknown` (or forged), `session` (another one's), `used`,
    `expired`, `redirect_uri` (it came in elsewhere), `changed` (the profile was).
    """

    def __init__(self, message: str, reason: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.args = (message, reason, remedy)
        self.reason = reason


class IdempotencyConflict(Conflict):
    """The same origin and key were used for a request with other content."""


class Disabled(_Said):
    """The profile is disabled; new messages are refused."""


class FromNotAllowed(_Said):
    """The profile's policy does not let it send as this address."""


class Vetoed(_Said):
    """A site plugin forbids this message; for `tryfirst` implementations of send."""


class StoreUnavailable(_Said):
    """The database can't be used: locked, full, read-only, or out of reach."""


class OutboxUnavailable(StoreUnavailable):
    """The outbox can't take a message now; the caller still has it."""


class Closed(_Said):
    """The facade was closed; nothing is sent through it any more."""


class Unknown(_Said):
    """Whether message *id* was or will be sent can't be told; look at it later."""

    def __init__(self, message: str, id: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.args = (message, id, remedy)
        self.id = id


class NotSent(_Said):
    """Not everybody's mail server took a message; *outcome* says what became of it."""

    def __init__(self, message: str, outcome: Outcome, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.args = (message, outcome, remedy)
        self.outcome = outcome


class SecretError(_Said):
    """A secret can't be read, or does not open in this place with these keys."""


class SaslError(_Said):
    """A SASL exchange can't go on; the core answers `*` and ends it."""

    stage = "AUTH"


class HttpError(_Said):
    """An HTTP request got no usable answer; says nothing that was sent."""


class PluginFailed(_Said):
    """The plugin of a mode raised what is no contract error: its type, no values."""


class ReportFailed(_Said):
    """A report can't be made; *stage* is what it failed at: source, template, ..."""

    def __init__(self, message: str, stage: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.args = (message, stage, remedy)
        self.stage = stage


class TokenError(_Said):
    """There is no access token."""

    stage = "token"


class NeedsGrant(TokenError):
    """Only a person can help: the profile's access has to be granted anew."""


class GrantRefused(TokenError):
    """The authorization server refused; *error* is its code (RFC 6749, 5.2)."""

    def __init__(self, message: str, error: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.args = (message, error, remedy)
        self.error = error


class SlowDown(TokenError):
    """A device grant is still pending; wait *interval* seconds between polls now."""

    def __init__(self, message: str, interval: int, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.args = (message, interval, remedy)
        self.interval = interval


class TokenTimeout(TokenError, TimeoutError):
    """No valid access token came within the profile's access_token_timeout_s."""


class SubmissionError(EmailProfilesError):
    """A message could not be handed over; *stage* says how far it got."""

    def __init__(self, stage: str, message: str, remedy: str = "") -> None:
        super().__init__(stage, message, remedy)
        self.args = (stage, message, remedy)  # an OSError keeps but two of three
        self.stage = stage
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        line = f"{self.stage}: {self.message}"
        return f"{line} ({self.remedy})" if self.remedy else line


class ConnectFailed(SubmissionError, OSError):
    """No connection: the name does not resolve, or nobody answers at the port."""


class TlsFailed(SubmissionError):
    """The TLS handshake failed, or the certificate is not to be trusted."""


class NotOffered(SubmissionError):
    """The server does not offer what the profile or the message requires."""


class ProtocolError(SubmissionError):
    """The server sent what no SMTP server may send."""


class TimedOut(SubmissionError, TimeoutError):
    """The server kept us waiting beyond the profile's timeout."""


class Disconnected(SubmissionError, OSError):
    """The server, or something on the way, ended the connection."""


class Refused(SubmissionError):
    """The server said no, in *reply*, to what was said at *stage*."""

    def __init__(self, stage: str, reply: Reply, remedy: str = "") -> None:
        super().__init__(stage, str(reply), remedy)
        self.args = (stage, reply, remedy)
        self.reply = reply
