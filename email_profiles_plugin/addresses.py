"""
Mail addresses: one text to one address, or a sentence that says why not.

Strict where a mistake would cost mail or let something in (RFC 5322, 3.4; RFC 5321,
4.1.2; RFC 6531), and open to what plants have: single-label domains, underscores,
address literals, non-ASCII names, local parts and domains.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

import idna
from attrs import field, frozen

LOCAL_MAX = 64
"""Octets of a local part as it stands in an envelope (RFC 5321, 4.5.3.1.1)."""

DOMAIN_MAX = 255
"""Octets of a domain in A-labels (RFC 5321, 4.5.3.1.2)."""

TEXT_MAX = 900
"""Characters of an address with its name: it has to fit in lines of 998 octets."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_NAMED = re.compile(rf'(?:{_QUOTED} *|([^"<>]*))<(.*)>')
_QUOTED_LOCAL = re.compile(rf"{_QUOTED}@(.*)")
_PAIR = re.compile(r"\\(.)")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
_NAME_NEEDS_QUOTES = re.compile(r"[()\[\]:;@\\,]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@frozen(kw_only=True)
class Address:
    """
    One mailbox: *name* (or ""), *local* part without its quotes, *domain* as written.

    *spec* is the address on the wire: the local part, quoted where it has to be, and
    the domain in A-labels. *key* is what all spellings of one mailbox share. Comes
    from `parse` alone.
    """

    name: str = ""
    local: str
    domain: str
    spec: str = field(repr=False)
    key: str = field(repr=False)

    @property
    def ascii(self) -> bool:
        """False: only SMTPUTF8 can carry the address (RFC 6531)."""
        return self.local.isascii()


def shown(text: str) -> str:
    """*text* as an error may quote it: escaped, at most 40 characters of it."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def unsafe(text: str) -> str:
    """What forbids *text* in a header: a control or a lone surrogate; "" if nothing."""
    if text.isprintable():
        return ""
    if found := _CONTROL.search(text):
        return f"has the control character U+{ord(found[0]):04X}"
    if _SURROGATE.search(text):
        return "has a lone surrogate, which is not text"
    return ""


@lru_cache(maxsize=4096)
def parse(text: str) -> Address:
    """
    The one address in *text*: `user@example.com` or `Name <user@example.com>`.

    ValueError, with a sentence for the user, for anything else.
    """
    if problem := unsafe(text):
        raise ValueError(f"{shown(text)} {problem}")
    if len(text) > TEXT_MAX:
        raise ValueError(f"{shown(text)} is longer than {TEXT_MAX} characters")
    text = text.strip(" ")
    if not text:
        raise ValueError("the address is empty")
    name, spec = _split_name(text)
    local, domain = _split_spec(spec, text)
    written = _written_local(local)
    if len(written.encode()) > LOCAL_MAX:
        raise ValueError(
            f"{shown(text)} has more than {LOCAL_MAX} octets before the at sign"
        )
    try:
        wired = a_labels(domain)
    except ValueError as error:
        raise ValueError(f"{shown(text)}: {error}") from None
    return Address(
        name=name,
        local=local,
        domain=domain,
        spec=f"{written}@{wired}",
        key=f"{local}@{wired.lower()}",
    )


def separate(text: str, marks: str = ",;") -> list[str]:
    """What stands in *text* between *marks* outside double quotes; nothing empty."""
    found = re.findall(rf'(?:"[^"]*"?|[^"{re.escape(marks)}])+', text)
    return [one.strip() for one in found if one.strip()]


def usual(allowed: Iterable[str], username: object) -> str:
    """
    What a profile sends as, where nobody says: "" for nothing that is known.

    The first address of those *allowed*, else the *username*, where it is one.
    """
    for one in (*allowed, username):
        if isinstance(one, str) and "@" in one.strip("@"):
            try:
                return parse(one).spec
            except ValueError:
                continue
    return ""


def matches(address: Address, allowed: str) -> bool:
    """
    Whether *allowed*, an address or a domain, covers *address*.

    Domains are equal as A-labels, whatever their case, subdomains are other domains,
    and local parts are equal to the letter (RFC 5321, 2.4). What is neither address
    nor domain covers nothing.
    """
    try:
        if "@" in allowed:
            return address.key == parse(allowed).key
        domain = a_labels(allowed.strip(" ")).lower()
    except ValueError:
        return False
    return address.key.endswith("@" + domain)


def _split_name(text: str) -> tuple[str, str]:
    """The display name, without quotes, and what stands in the angle brackets."""
    if not text.endswith(">"):
        return "", text
    found = _NAMED.fullmatch(text)
    if not found:
        raise ValueError(f"{shown(text)} is not of the form Name <user@example.com>")
    quoted, plain, spec = found.groups()
    if quoted is not None:
        return _PAIR.sub(r"\1", quoted), spec
    if _NAME_NEEDS_QUOTES.search(plain):
        raise ValueError(
            f"{shown(text)} is more than one address, or its name needs double quotes"
        )
    return plain.strip(" "), spec


def _split_spec(spec: str, text: str) -> tuple[str, str]:
    """Local part, without quotes, and domain; the local part is checked."""
    if found := _QUOTED_LOCAL.fullmatch(spec):
        local, domain = _PAIR.sub(r"\1", found[1]), found[2]
        legal = local.isprintable()
    else:
        local, at, domain = spec.rpartition("@")
        if not at:
            raise ValueError(f"{shown(text)} has no at sign")
        if local and ("," in spec or ";" in spec or "@" in local):
            raise ValueError(f"{shown(text)} is more than one address")
        legal = bool(_DOT_ATOM.fullmatch(local)) and local.isprintable()
    if not local:
        raise ValueError(f"{shown(text)} has nothing before the at sign")
    if not legal:
        raise ValueError(f"{shown(text)} has illegal characters before the at sign")
    if not domain:
        raise ValueError(f"{shown(text)} has no domain")
    return local, domain


def _written_local(local: str) -> str:
    """The local part as it is sent: a dot-atom, or else in quotes."""
    if _DOT_ATOM.fullmatch(local):
        return local
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@lru_cache(maxsize=1024)
def a_labels(domain: str) -> str:
    """
    *domain* in A-labels, an ASCII one as written; ValueError where it is none.

    Non-ASCII goes through UTS 46 and IDNA 2008; ASCII labels need not pass them:
    underscores exist, and what is registered is not ours to judge.
    """
    if domain.startswith("["):
        return _literal(domain)
    if not domain.isascii():
        domain = _mapped(domain)
    if len(domain) > DOMAIN_MAX:
        raise ValueError(f"the domain is longer than {DOMAIN_MAX} octets")
    for label in domain.split("."):
        if not label:
            raise ValueError("the domain has an empty label")
        if len(label) > 63:
            raise ValueError("the domain has a label of more than 63 octets")
        if not _LABEL.fullmatch(label):
            raise ValueError("the domain has illegal characters")
    return domain


def _mapped(domain: str) -> str:
    if len(domain) > DOMAIN_MAX:
        raise ValueError(f"the domain is longer than {DOMAIN_MAX} octets")
    try:
        labels = idna.uts46_remap(domain, std3_rules=False).split(".")
        return ".".join(
            label if label.isascii() else idna.alabel(label).decode("ascii")
            for label in labels
        )
    except idna.IDNAError:
        raise ValueError(
            "the domain is not a valid international domain name"
        ) from None


def _literal(domain: str) -> str:
    """An address literal: `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321, 4.1.3)."""
    inner = domain[1:-1] if domain.endswith("]") else ""
    tag, _, rest = inner.partition(":")
    try:
        if tag.lower() == "ipv6" and "%" not in rest:
            IPv6Address(rest)
        else:
            IPv4Address(inner)
    except ValueError:
        raise ValueError("the domain is not a valid address literal") from None
    return domain
