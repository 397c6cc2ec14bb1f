"""
The parameters of `send_email`, as scripts give them, and what they mean. Pure.

Names, order and defaults are those of Ignition 8.1's `system.net.sendEmail`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from attrs import evolve, field, frozen

from email_profiles_hookspecs import Attachment, Problem, SendRequest
from email_profiles_hookspecs.errors import Invalid

from ...addresses import separate

NAMES = (
    "smtp",
    "fromAddr",
    "subject",
    "body",
    "html",
    "to",
    "attachmentNames",
    "attachmentData",
    "timeout",
    "username",
    "password",
    "priority",
    "smtpProfile",
    "cc",
    "bcc",
    "retries",
    "replyTo",
)
"""In the order in which they are taken by position."""

ORIGIN = "script"
MOST_RETRIES = 99
WHAT = "send_email()"

OTHER_NAMES = {
    "attachments": "attachmentNames and attachmentData",
    "attachment": "attachmentNames and attachmentData",
    "attachmentname": "attachmentNames",
    "contenttype": "html",
    "email": "to",
    "files": "attachmentNames and attachmentData",
    "from": "fromAddr",
    "fromaddress": "fromAddr",
    "fromemail": "fromAddr",
    "host": "smtp",
    "hostname": "smtp",
    "ishtml": "html",
    "message": "body",
    "msg": "body",
    "port": 'smtp="host:port"',
    "profile": "smtpProfile",
    "profilename": "smtpProfile",
    "recipient": "to",
    "recipients": "to",
    "retry": "retries",
    "sender": "fromAddr",
    "server": "smtp",
    "smtphost": "smtp",
    "smtpport": 'smtp="host:port"',
    "smtpserver": "smtp",
    "ssl": 'smtp="host:port:tls"',
    "starttls": 'smtp="host:port:tls"',
    "text": "body",
    "timeoutms": "timeout",
    "tls": 'smtp="host:port:tls"',
    "toaddress": "to",
    "toaddresses": "to",
    "toaddrs": "to",
    "user": "username",
    "usessl": 'smtp="host:port:tls"',
    "usetls": 'smtp="host:port:tls"',
}
"""What scripts call parameters that have another name, in small letters."""


class _Detected:
    """The default of *html*: it is looked for in the body. Ignition documents False."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "False"


DETECTED = _Detected()

_HTML = re.compile(r"\s*(?:<!doctype\s+html\b|<html\b)", re.IGNORECASE)
_SERVER = re.compile(
    r"(?:\[(?P<literal>[^\]]+)\]|(?P<host>[^:\[\]]+))"
    r"(?::(?P<port>\d{1,5}))?(?::(?P<tls>[A-Za-z]*))?"
)


@frozen(kw_only=True)
class Server:
    """Settings of a script's own, where it names no profile."""

    hostname: str
    port: int
    tls: bool
    username: str
    password: str = field(repr=False)

    def document(self) -> dict[str, Any]:
        """As an email profile: TLS from the start on 465, else by STARTTLS."""
        security = "use_ssl" if self.port == 465 else "use_starttls"
        auth = {"mode": "basic"}
        if self.username:
            auth |= {"username": self.username, "password": self.password}
        smtp: dict[str, Any] = {"hostname": self.hostname, "port": self.port}
        return {"smtp": smtp | ({security: True} if self.tls else {}), "auth": auth}


@frozen(kw_only=True)
class Call:
    """
    What a script asks for: by the *profile* of that name, or by a *server*.

    *timeout_s* and the number of *attempts* bound what is tried; *request* lacks the
    profile, and From where the script gives none.
    """

    profile: str
    server: Server | None
    timeout_s: float
    request: SendRequest

    def by(self, profile: str, from_address: str, now: datetime) -> SendRequest:
        """The request, to be sent by this *profile* until its time is over."""
        return evolve(
            self.request,
            profile=profile,
            from_address=self.request.from_address or from_address,
            not_after=now + timedelta(seconds=self.timeout_s),
        )


def unknown(names: Iterable[str]) -> TypeError:
    """What to say of parameters that there are none of: which is meant."""
    return TypeError("; ".join(_unknown(name) for name in names))


def _unknown(name: str) -> str:
    plain = name.replace("_", "").lower()
    small = {one.lower(): one for one in NAMES}
    meant = small.get(plain) or OTHER_NAMES.get(plain)
    if meant is None:
        near = get_close_matches(plain, [*small, *OTHER_NAMES], 1, 0.75)
        meant = (small | OTHER_NAMES)[near[0]] if near else ""
    said = f"{WHAT} has no parameter {name!r}"
    return f"{said}: use {meant}" if meant else f"{said}; it has {', '.join(NAMES)}"


def read(given: Mapping[str, Any]) -> Call:
    """
    The call with all *given* parameters, by name; Invalid with every mistake.

    `smtpProfile` wins over smtp, username and password.
    """
    reading = Reading(given)
    profile = reading.take("smtpProfile", _text)
    timeout_ms = reading.take("timeout", _number(1, 86_400_000))
    body = reading.take("body", _text)
    html = reading.take("html", _flag)
    if html is None:
        html = bool(_HTML.match(body))
    server = None if profile else reading.server()
    request = {
        "profile": "",
        "from_address": reading.take("fromAddr", _text).strip(),
        "to": reading.take("to", _addresses),
        "cc": reading.take("cc", _addresses),
        "bcc": reading.take("bcc", _addresses),
        "reply_to": reading.take("replyTo", _addresses),
        "subject": reading.take("subject", _text),
        "html" if html else "text": body,
        "attachments": reading.attachments(),
        "priority": reading.take("priority", _number(1, 5)),
        "max_attempts": 1 + (reading.take("retries", _number(0, MOST_RETRIES)) or 0),
        "origin": ORIGIN,
    }
    if not any(request[name] for name in ("to", "cc", "bcc")):
        reading.wrong("to", "names nobody", "give an address, or a list of them")
    if reading.problems:
        raise Invalid(WHAT, reading.problems)
    return Call(
        profile=profile,
        server=server,
        timeout_s=timeout_ms / 1000,
        request=SendRequest(**request),
    )


@frozen
class Reading:
    """Reads parameters, and keeps what is wrong with them."""

    given: Mapping[str, Any] = field(repr=False)
    problems: list[Problem] = field(factory=list)

    def wrong(self, name: str, message: str, remedy: str = "") -> None:
        """Keep a mistake."""
        self.problems.append(Problem(path=name, message=message, remedy=remedy))

    def take(self, name: str, read: Callable[[Any], Any]) -> Any:
        """What the parameter says; an empty text where it is of no use."""
        try:
            return read(self.given[name])
        except ValueError as error:
            self.wrong(name, *map(str, error.args))
            return "" if read is _text else None

    def server(self) -> Server | None:
        """The script's own mail server; None, with what is wrong, where it has none."""
        smtp = self.take("smtp", _text).strip()
        username = self.take("username", _text)
        password = self.take("password", _text)
        found = _SERVER.fullmatch(smtp)
        if not smtp:
            self.wrong("smtpProfile", "is missing", "name an email profile, or smtp")
            return None
        tls = (found["tls"] or "").lower() if found else ""
        if found is None or tls not in ("", "tls"):
            remedy = 'write "host", "host:port" or "host:port:tls"'
            self.wrong("smtp", "is no mail server", remedy)
            return None
        return Server(
            hostname=found["literal"] or found["host"],
            port=int(found["port"] or 25),
            tls=bool(tls),
            username=username,
            password=password,
        )

    def attachments(self) -> tuple[Attachment, ...]:
        """Names and data go in pairs."""
        names = self.take("attachmentNames", _list) or []
        data = self.take("attachmentData", _list) or []
        if len(names) != len(data):
            counts = f"{len(names)} names for {len(data)} attachments"
            self.wrong("attachmentNames", counts, "give one of each")
            return ()
        return tuple(self._attachments(names, data))

    def _attachments(
        self, names: Sequence[Any], data: Sequence[Any]
    ) -> Iterator[Attachment]:
        for at, (name, one) in enumerate(zip(names, data, strict=True)):
            try:
                yield Attachment(name=_text(name), data=octets(one))
            except (ValueError, TypeError) as error:
                self.wrong(f"attachmentData[{at}]", str(error))


def octets(value: Any) -> bytes:
    """An attachment's data: octets, text, or numbers from -128 to 255 as Java's."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    numbers: list[Any] = list(value) if isinstance(value, Iterable) else [None]
    if all(isinstance(one, int) and -128 <= one <= 255 for one in numbers):
        return bytes(one & 0xFF for one in numbers)
    raise ValueError("has to be octets, or text")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("has to be text")
    return value


def _flag(value: Any) -> bool | None:
    """None: to be found out."""
    if value is DETECTED or value is None:
        return None
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise ValueError("has to be true or false, 1 or 0")


def _number(least: int, most: int) -> Callable[[Any], int]:
    """A whole number, also as text."""

    def read(value: Any) -> int:
        try:
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise ValueError
            found = int(value)
        except ValueError:
            raise ValueError("has to be a whole number") from None
        if not least <= found <= most:
            raise ValueError(f"has to be from {least} to {most}")
        return found

    return read


def _addresses(value: Any) -> tuple[str, ...]:
    """A list of addresses, or a text with commas or semicolons between them."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(separate(value))
    found: list[Any] = list(value) if isinstance(value, Iterable) else [None]
    if not all(isinstance(one, str) for one in found):
        raise ValueError("has to be an address, or a list of them")
    return tuple(one.strip() for one in found if one.strip())


def _list(value: Any) -> list[Any]:
    """A list; one name, or the octets of one attachment, are a list of one."""
    if value is None:
        return []
    if isinstance(value, str | bytes | bytearray | memoryview):
        return [value]
    if not isinstance(value, Iterable):
        raise ValueError("has to be a list")
    return list(value)
