"""The values that cross a hook: frozen, keyword-only, and quiet about secrets."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import Attribute, field, frozen

Lane = Literal["alarm", "normal", "bulk"]
OnUnknown = Literal["auto", "hold", "retry"]
OutcomeState = Literal[
    "accepted",
    "partly accepted",
    "refused",
    "expired",
    "cancelled",
    "unknown",
    "dry run",
]
SecretKind = Literal["env", "file", "sealed", "plain"]


def _strings(value: Iterable[str]) -> tuple[str, ...]:
    """A tuple of strings; a bare string is one address mistaken for many."""
    if isinstance(value, str | bytes):
        raise TypeError(f"expected a list of strings, got one {type(value).__name__}")
    return tuple(value)


def _attachments(value: Iterable[Attachment]) -> tuple[Attachment, ...]:
    found = tuple(value)
    for one in found:
        if not isinstance(one, Attachment):
            kind = type(one).__name__
            raise TypeError(f"expected Attachment(name=..., data=...), got a {kind}")
    return found


def _text(instance: object, attribute: Attribute[Any], value: str | None) -> None:
    if value is not None and not isinstance(value, str):
        kind = type(value).__name__
        raise TypeError(f"{attribute.name} has to be text, not {kind}")


def _mapping(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A deep copy: nobody changes a value behind another's back."""
    return copy.deepcopy(dict(value))


def _aware(instance: object, attribute: Attribute[Any], value: datetime | None) -> None:
    if value is not None and value.utcoffset() is None:
        raise ValueError(f"{attribute.name} needs a time zone")


@frozen(kw_only=True)
class SmtpSettings:
    """How to reach the mail server; defaults are those of Ignition 8.1."""

    hostname: str
    port: int = 25
    use_ssl: bool = False
    use_starttls: bool = False
    timeout_ms: int = 10_000
    debug: bool = False
    ssl_protocols: tuple[str, ...] = field(default=("TLSv1.2",), converter=_strings)
    ca_file: str | None = None
    verify_certificate: bool = True
    allow_plaintext_auth: bool = False
    helo_name: str | None = None
    pipelining: Literal["auto", "off"] = "auto"
    final_reply_timeout_ms: int = 600_000


@frozen(kw_only=True)
class Limits:
    """What a profile may use of its server; None: no limit of ours."""

    max_connections: int = 3
    messages_per_minute: int | None = None
    recipients_per_day: int | None = None
    recipients_per_message: int = 100


@frozen(kw_only=True)
class Policy:
    """How long and how often to try, and as whom a profile may send."""

    max_attempts: int = 8
    max_age_s: int = 172_800
    on_unknown: OnUnknown = "auto"
    from_addresses: tuple[str, ...] = field(default=(), converter=_strings)


@frozen(kw_only=True, eq=False)
class Profile:
    """
    An email profile, resolved: all that is needed to send by it.

    *auth* is the profile's auth block without `mode`, defaults filled in; a secret in
    it is a SecretRef. Two profiles are equal when id and revision are.
    """

    id: str
    revision: int
    name: str
    description: str = ""
    enabled: bool = True
    smtp: SmtpSettings
    mode: str
    auth: Mapping[str, Any] = field(repr=False, factory=dict, converter=_mapping)
    limits: Limits = field(factory=Limits)
    policy: Policy = field(factory=Policy)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Profile):
            return NotImplemented
        return (self.id, self.revision) == (other.id, other.revision)

    def __hash__(self) -> int:
        return hash((self.id, self.revision))


@frozen(kw_only=True)
class SecretRef:
    """
    Where a secret comes from; `services.secrets.read` turns it into text.

    *place* is the document's id and a JSON pointer into it; *value* is the name of
    an environment variable, a path, a sealed value, or (kind `plain`) the secret.
    """

    kind: SecretKind
    place: str
    value: str = field(repr=False)


@frozen(kw_only=True)
class Attachment:
    """
    A file sent along.

    *content_type* None: by the name's extension. With a *content_id* (without angle
    brackets) the HTML part may show the attachment inline, as `cid:...`.
    """

    name: str
    data: bytes = field(repr=False)
    content_type: str | None = None
    content_id: str | None = None


@frozen(kw_only=True)
class SendRequest:
    """
    What a host asks to be sent, by the name of a profile.

    Addresses are `user@example.com` or `Name <user@example.com>`. *priority* is 1
    (highest) to 5. After *not_after* (an aware datetime) the message expires
    instead of being sent. *max_attempts* None: as the profile's policy says. The same
    *idempotency_key* from the same *origin* queues a message once.
    """

    profile: str
    from_address: str
    sender: str | None = None
    to: tuple[str, ...] = field(default=(), converter=_strings)
    cc: tuple[str, ...] = field(default=(), converter=_strings)
    bcc: tuple[str, ...] = field(default=(), converter=_strings)
    reply_to: tuple[str, ...] = field(default=(), converter=_strings)
    subject: str = field(default="", validator=_text)
    text: str | None = field(default=None, validator=_text)
    html: str | None = field(default=None, validator=_text)
    attachments: tuple[Attachment, ...] = field(default=(), converter=_attachments)
    headers: Mapping[str, str] = field(factory=dict, converter=_mapping)
    priority: int = 3
    lane: Lane = "normal"
    not_after: datetime | None = field(default=None, validator=_aware)
    max_attempts: int | None = None
    idempotency_key: str | None = None
    origin: str = ""
    dry_run: bool = False


@frozen(kw_only=True)
class Receipt:
    """Durably queued, under this id; *duplicate*: it already was, by its key."""

    id: str
    message_id: str
    queued_at: datetime
    duplicate: bool = False


@frozen(kw_only=True)
class Reply:
    """A server's reply: its code, enhanced status (RFC 3463) or "", and text."""

    code: int
    enhanced: str = ""
    text: str = ""

    def __str__(self) -> str:
        return " ".join(
            part for part in (str(self.code), self.enhanced, self.text) if part
        )


@frozen(kw_only=True)
class Outcome:
    """
    What became of a message.

    *accepted* and *refused* go by recipient; *reply* is the server's last word on
    the message, *queue_id* the server's own name for it where the reply has one;
    *error* says, where nothing was accepted, why.
    """

    id: str
    message_id: str
    profile: str
    origin: str
    state: OutcomeState
    accepted: tuple[str, ...] = field(default=(), converter=_strings)
    refused: Mapping[str, Reply] = field(factory=dict, converter=_mapping)
    reply: Reply | None = None
    queue_id: str = ""
    attempt: int
    error: str = ""
    settled_at: datetime


@frozen(kw_only=True)
class Problem:
    """One mistake in a document: where (a JSON path), what, and what to do."""

    path: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.path}: {self.message}"
        return f"{line} ({self.remedy})" if self.remedy else line
