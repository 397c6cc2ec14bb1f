"""
A request as the octets that are sent: rendered once, when it is queued.

Same request, date and Message-ID: same octets, to the last one. Sources: RFC 5322
(header), 2045 to 2047 and 2231 (MIME), 3834 (Auto-Submitted), 6532 (addresses).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from attrs import field, frozen

from email_profiles_hookspecs import Problem, SendRequest
from email_profiles_hookspecs.errors import Invalid

from .addresses import Address, parse, shown, unsafe
from .encodings import LINE_MAX, folded, phrase, unstructured
from .parts import content

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_IMPORTANCE = MappingProxyType({1: "high", 2: "high", 4: "low", 5: "low"})

_MESSAGE_ID_MAX = 900
_MESSAGE_ID = re.compile(
    r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@(?:[A-Za-z0-9._-]+|\[[A-Za-z0-9.:]+\])>"
)
_HEADER_NAME = re.compile(r"[!-9;-~]{1,50}")
_FORBIDDEN = frozenset(
    (
        *("from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date"),
        *("message-id", "mime-version", "received", "return-path"),
    )
)
_FORBIDDEN_PREFIXES = ("content-", "resent-", "dkim-")
_URI_LISTS = frozenset(
    (
        *("list-unsubscribe", "list-subscribe", "list-help"),
        *("list-post", "list-owner", "list-archive"),
    )
)
_ID_LISTS = frozenset(("in-reply-to", "references"))
_BETWEEN_URIS = re.compile(r"(?<=>,) *(?=<)")
_PATHS = MappingProxyType(
    {
        "From": "$.from_address",
        "Sender": "$.sender",
        "To": "$.to[{}]",
        "Cc": "$.cc[{}]",
        "Bcc": "$.bcc[{}]",
        "Reply-To": "$.reply_to[{}]",
    }
)
_ADDRESS_REMEDY = "write user@example.com or Name <user@example.com>"


@frozen(kw_only=True)
class Envelope:
    """MAIL FROM and RCPT TO, as addr-specs with A-labels; each recipient once."""

    mail_from: str
    recipients: tuple[str, ...]


@frozen(kw_only=True)
class Rendered:
    """
    A message ready to be sent.

    *octets* is 7-bit with CRLF line ends, unless *smtputf8*: then an address has a
    non-ASCII local part, and only a server with SMTPUTF8 can take the message.
    """

    octets: bytes = field(repr=False)
    envelope: Envelope
    message_id: str
    smtputf8: bool = False


def message_id_for(from_address: str, unique: str) -> str:
    """
    `<unique@domain>`, the domain being that of *from_address*.

    For what is no address the domain is `invalid`: it is for `render` to say so,
    with all else that is wrong. ValueError where *unique* is not plain ASCII.
    """
    try:
        domain = parse(from_address).spec.rpartition("@")[2]
    except (ValueError, TypeError, AttributeError):
        domain = "invalid"
    return _checked(f"<{unique}@{domain}>")


def render(
    request: SendRequest,
    *,
    date: datetime,
    message_id: str,
    content_types: Mapping[str, str] = MappingProxyType({}),
) -> Rendered:
    """
    *request* as a message; Invalid, with every mistake in it, if it can't be one.

    *date* is aware; *message_id* has its angle brackets (ValueError otherwise).
    *content_types* adds a site's file extensions, in lower case without a dot. A
    priority other than 3 becomes X-Priority, which has the same scale, and Importance.
    A body's last line gets a line end; no body at all is an empty text.
    """
    digest = hashlib.sha256(_checked(message_id).encode()).hexdigest()[:24]
    problems: list[Problem] = []
    people = _people(request, problems)
    lines = [
        f"Date: {_stamp(date)}",
        *_address_lines(people),
        _subject(request.subject, problems),
        f"Message-ID: {message_id}",
        *_other_lines(request, problems),
        "MIME-Version: 1.0",
    ]
    header, body = content(request, digest, content_types, problems)
    if problems:
        raise Invalid("send request", problems)
    lines += (header, "\r\n")
    return Rendered(
        octets=b"".join(("\r\n".join(lines).encode(), *body)),
        envelope=_envelope(people),
        message_id=message_id,
        smtputf8=not all(who.ascii for all_ in people.values() for who in all_),
    )


def _checked(message_id: str) -> str:
    if len(message_id) > _MESSAGE_ID_MAX or not _MESSAGE_ID.fullmatch(message_id):
        raise ValueError(f"{shown(message_id)} is not of the form <unique@domain>")
    return message_id


def _stamp(date: datetime) -> str:
    if date.utcoffset() is None:
        raise ValueError("date needs a time zone")
    utc = date.astimezone(UTC)
    iso = utc.isoformat()  # digits in any locale
    day = f"{_DAYS[utc.weekday()]}, {iso[8:10]} {_MONTHS[utc.month - 1]}"
    return f"{day} {iso[:4]} {iso[11:19]} +0000"


def _people(request: SendRequest, problems: list[Problem]) -> dict[str, list[Address]]:
    """Whom *request* names, by header."""
    if not (request.to or request.cc or request.bcc):
        remedy = "name one in to, cc or bcc"
        problems.append(Problem(path="$.to", message="no recipient", remedy=remedy))
    named = {
        "From": (request.from_address,),
        "Sender": () if request.sender is None else (request.sender,),
        "To": request.to,
        "Cc": request.cc,
        "Bcc": request.bcc,
        "Reply-To": request.reply_to,
    }
    return {
        header: _addresses(header, texts, problems)
        for header, texts in named.items()
        if texts
    }


def _addresses(
    header: str, texts: Sequence[str], problems: list[Problem]
) -> list[Address]:
    try:
        return [parse(text) for text in texts]
    except (ValueError, TypeError, AttributeError):
        problems += _mistakes(header, texts)
        return []


def _mistakes(header: str, texts: Sequence[str]) -> Iterable[Problem]:
    for index, text in enumerate(texts):
        try:
            if not isinstance(text, str):
                raise ValueError("an address is text")
            parse(text)
        except ValueError as error:
            path = _PATHS[header].format(index)
            yield Problem(path=path, message=str(error), remedy=_ADDRESS_REMEDY)


def _envelope(people: Mapping[str, list[Address]]) -> Envelope:
    recipients: dict[str, str] = {}
    for header in ("To", "Cc", "Bcc"):
        for address in people.get(header, ()):
            recipients.setdefault(address.key, address.spec)
    return Envelope(
        mail_from=people["From"][0].spec, recipients=tuple(recipients.values())
    )


def _address_lines(people: Mapping[str, list[Address]]) -> list[str]:
    """The headers that name people; Bcc never is one of them."""
    lines = [
        _address_list(header, addresses)
        for header, addresses in people.items()
        if addresses and header != "Bcc"
    ]
    if "To" not in people and "Cc" not in people:
        lines.append("To: undisclosed-recipients:;")
    return lines


def _address_list(name: str, addresses: Sequence[Address]) -> str:
    tokens = [f"{name}:"]
    for address in addresses:
        tokens += _mailbox(address)
        tokens[-1] += ","
    tokens[-1] = tokens[-1][:-1]
    return folded(tokens)


def _mailbox(address: Address) -> Sequence[str]:
    """An address as tokens; one alone where it is short enough to stay together."""
    if not address.name:
        return (address.spec,)
    words = phrase(address.name)
    spec = f"<{address.spec}>"
    if len(words) == 1 and len(words[0]) + len(spec) < 60:
        return (f"{words[0]} {spec}",)
    return (*words, spec)


def _subject(subject: str, problems: list[Problem]) -> str:
    if not isinstance(subject, str):
        problems.append(Problem(path="$.subject", message="is not text"))
    elif wrong := unsafe(subject):
        problems.append(Problem(path="$.subject", message=wrong, remedy="remove it"))
    else:
        return unstructured("Subject", subject)
    return ""


def _other_lines(request: SendRequest, problems: list[Problem]) -> Iterable[str]:
    """Auto-Submitted and priority, unless *headers* has them; and *headers*."""
    lines = {"auto-submitted": "Auto-Submitted: auto-generated"}
    if request.priority == 3 and not request.headers:
        return lines.values()
    if request.priority in _IMPORTANCE:
        lines["x-priority"] = f"X-Priority: {request.priority}"
        lines["importance"] = f"Importance: {_IMPORTANCE[request.priority]}"
    elif request.priority != 3:
        problems.append(
            Problem(
                path="$.priority",
                message="is not one of 1 to 5",
                remedy="1 is the highest, 3 normal, 5 the lowest",
            )
        )
    own: dict[str, str] = {}
    for name, value in request.headers.items():
        try:
            line = _custom(name, value)
            if own.setdefault(name.lower(), line) is not line:
                raise ValueError("is set twice, in other letters")
        except ValueError as error:
            path = f"$.headers[{shown(str(name))}]"
            problems.append(Problem(path=path, message=str(error)))
    return (lines | own).values()


def _custom(name: str, value: str) -> str:
    """A header of the caller's, whole; ValueError, in a sentence, if it may not be."""
    if not isinstance(name, str) or not isinstance(value, str):
        raise ValueError("a header's name and value are text")
    folded_name = name.lower()
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(
            "a header's name is 1 to 50 printable ASCII characters, no space or colon"
        )
    if folded_name in _FORBIDDEN or folded_name.startswith(_FORBIDDEN_PREFIXES):
        raise ValueError("may not be set here: the message's own fields decide it")
    if wrong := unsafe(value):
        raise ValueError(wrong)
    if folded_name not in _URI_LISTS and folded_name not in _ID_LISTS:
        return unstructured(name, value)
    if not value.isascii():
        raise ValueError("has to be ASCII")
    value = value.strip(" ")
    uris = folded_name in _URI_LISTS
    tokens = _BETWEEN_URIS.split(value) if uris else value.split()
    line = folded([f"{name}: {tokens[0]}", *tokens[1:]]) if value else f"{name}:"
    if max(map(len, line.split("\r\n"))) > LINE_MAX:
        raise ValueError(f"needs a line of more than {LINE_MAX} octets")
    return line
