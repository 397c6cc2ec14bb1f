"""
HTTPS for providers: verified, bounded, and quiet about what it sent.

The only module that knows requests. Trust: the request's *ca_file* alone, else what
OpenSSL trusts on this machine, as for SMTP, else the list that comes with requests.
"""

from __future__ import annotations

import base64
import os
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from json import dumps
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from attrs import define, evolve, field, frozen

from email_profiles_hookspecs import HttpReply
from email_profiles_hookspecs.errors import HttpError
from email_profiles_hookspecs.services import Clock

from . import masking
from .http_failures import CONNECT_S, Target, explain, timed_out

BODY_LIMIT = 1 << 20
"""Octets of an answer; a token endpoint's has a few thousand."""

SHUT_RDWR = 2
"""As in the socket module, which belongs to the SMTP core."""


@frozen(kw_only=True)
class Answer(HttpReply):
    """A reply that remembers the *host* asked, and the secrets *sent* to it."""

    host: str = ""
    sent: tuple[str, ...] = field(default=(), repr=False)


@frozen
class HttpClient:
    """
    The contract's Http: a fresh connection for each request, no proxy, no .netrc.

    https only, plain http to this machine itself; link-local addresses are refused,
    also when a name leads to one. A redirect is an answer like any other. Looking a
    name up is bounded by the resolver alone, all else by the deadline; nothing is
    sent after that.
    """

    clock: Clock
    body_limit: int = BODY_LIMIT

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        auth: tuple[str, str] | None = None,
        ca_file: str | None = None,
        connect_timeout_s: float = CONNECT_S,
        deadline: float,
    ) -> HttpReply:
        """
        One request, the answer read whole; HttpError where there is none.

        *auth* is HTTP Basic, both parts form-encoded first (RFC 6749, 2.3.1).
        *deadline* is monotonic and covers the body: no drip stretches it.
        """
        target = evolve(_target(url, ca_file), connect_s=connect_timeout_s)
        remaining = deadline - self.clock.monotonic()
        if remaining <= 0:
            raise HttpError(f"there was no time left to ask {target.place}")
        given = {"Accept": "application/json", "User-Agent": "email-profiles"}
        given.update(headers or {})
        body: bytes | None = None
        if form is not None:
            body = urlencode(form).encode()
            given["Content-Type"] = "application/x-www-form-urlencoded"
        elif json is not None:
            body = dumps(json).encode()
            given["Content-Type"] = "application/json"
        if auth is not None:
            given["Authorization"] = _basic(*auth)
        fields = [*given.items(), *(form or {}).items()]
        sent = masking.spellings(fields, [json, *(auth or ())[1:]])
        return self._send(target, (method, url, given, body), sent, remaining)

    def _send(
        self,
        target: Target,
        request: tuple[str, str, Mapping[str, str], bytes | None],
        sent: tuple[str, ...],
        remaining: float,
    ) -> Answer:
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        watch = Watch(target)
        timer = threading.Timer(min(remaining, threading.TIMEOUT_MAX), watch.cut)
        timer.daemon = True
        timer.start()
        try:
            answer = self._exchange(target, request, sent, watch, remaining)
            if not watch.over:
                return answer
            trouble, cause = timed_out(target), None
        except (RequestException, HTTPError, OSError, ValueError) as error:
            trouble, cause = explain(error, target, over=watch.over)
        finally:
            timer.cancel()
        # Out here, or the library's error, with the whole request, is its context.
        raise trouble from cause

    def _exchange(
        self,
        target: Target,
        request: tuple[str, str, Mapping[str, str], bytes | None],
        sent: tuple[str, ...],
        watch: Watch,
        remaining: float,
    ) -> Answer:
        from requests import Session

        method, url, headers, body = request
        with Session() as session:
            session.trust_env = False
            session.mount(f"{target.scheme}://", _adapter(watch))
            with session.request(
                method,
                url,
                headers=dict(headers),
                data=body,
                timeout=(min(target.connect_s, remaining), remaining),
                verify=_trusted(target.ca_file),
                allow_redirects=False,
                stream=True,
            ) as response:
                octets = bytearray()
                for piece in response.iter_content(1 << 14):
                    octets += piece
                    if len(octets) > self.body_limit:
                        raise HttpError(
                            f"the answer of {target.place} is too big, over "
                            f"{self.body_limit} octets",
                            "look at the endpoint's address",
                        )
                return Answer(
                    status=response.status_code,
                    headers={k.lower(): v for k, v in response.headers.items()},
                    body=bytes(octets),
                    host=target.host,
                    sent=sent,
                )


@define(eq=False)
class Watch:
    """Looks at whom a connection leads to, and cuts it at the deadline."""

    target: Target
    over: bool = False
    _wire: Any = None

    def admit(self, wire: Any) -> None:
        """
        Refuse the peer before anything but a TLS handshake was sent to it.

        TimeoutError where the deadline is over: who looked a name up, or connected,
        for too long asks nothing any more.
        """
        self._wire = wire
        if self.over:  # `cut` came before there was a wire
            raise TimeoutError
        _refuse(self.target, ip_address(wire.getpeername()[0]))

    def cut(self) -> None:
        """End whatever waits for the peer."""
        self.over = True
        wire = self._wire
        if wire is None:
            return
        with suppress(OSError):
            if isinstance(wire, ssl.SSLSocket):
                # SSLSocket's own would pull the TLS layer away under the reader.
                super(ssl.SSLSocket, wire).shutdown(SHUT_RDWR)
            else:
                wire.shutdown(SHUT_RDWR)


def _adapter(watch: Watch) -> Any:
    """A requests adapter whose connections *watch* looks at."""
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            watch.admit(self.sock)

    class Secured(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            watch.admit(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls: Any = Plain

    class SecuredPool(HTTPSConnectionPool):
        ConnectionCls: Any = Secured

    adapter = HTTPAdapter(max_retries=0)
    pools = {"http": PlainPool, "https": SecuredPool}
    adapter.poolmanager.pool_classes_by_scheme = pools
    return adapter


def _target(url: str, ca_file: str | None) -> Target:
    """*url*, looked at before anything is sent; HttpError for what is not allowed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    scheme = parts.scheme
    if scheme not in ("http", "https") or not host:
        raise HttpError("an address that is no https URL can't be asked")
    if parts.username is not None or parts.password is not None:
        raise HttpError(f"the address at {host} may not hold a user name or password")
    named = f"[{host}]" if ":" in host else host
    place = f"{named}:{port or (443 if scheme == 'https' else 80)}"
    target = Target(scheme=scheme, host=host, place=place, ca_file=ca_file)
    try:
        address = ip_address(host)
    except ValueError:
        if scheme == "http" and host != "localhost":
            raise _in_clear(target) from None
    else:
        _refuse(target, address)
    if ca_file is not None and not os.access(ca_file, os.R_OK):
        message = f"the CA file {ca_file} can't be read"
        raise HttpError(message, "correct the client's CA file")
    return target


def _refuse(target: Target, address: IPv4Address | IPv6Address) -> None:
    """HttpError for an address that may not be asked."""
    real = getattr(address, "ipv4_mapped", None) or address
    if real.is_link_local:
        raise HttpError(
            f"{target.place} is a link-local address ({real}), which is never asked",
            "look at the endpoint's address",
        )
    if target.scheme == "http" and not real.is_loopback:
        raise _in_clear(target)


def _in_clear(target: Target) -> HttpError:
    return HttpError(
        f"{target.place} would be asked in clear",
        "use an https address; http is only for this machine itself",
    )


def _trusted(ca_file: str | None) -> str:
    """The file, or folder, of the authorities to trust."""
    if ca_file is not None:
        return ca_file
    machine = ssl.get_default_verify_paths()
    found = machine.cafile or machine.capath
    if found is None:
        from requests.utils import DEFAULT_CA_BUNDLE_PATH

        found = DEFAULT_CA_BUNDLE_PATH
    return found


def _basic(name: str, secret: str) -> str:
    pair = f"{quote_plus(name)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
