"""Sessions: what a browser brings back in its cookie, signed by this installation."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import asdict, define, field, frozen
from itsdangerous import BadData, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import Response

from email_profiles_hookspecs.services import Clock

from ..sign_ins import SESSION_S
from .origins import USUAL

if TYPE_CHECKING:
    from ..runtime import EmailProfiles

IDLE_S = 3600
"""Seconds without a call after which a session is over."""

LOOK_S = 60
"""Seconds between two notes of when a session was seen."""

SAID = 1000
"""Characters of what the next page tells; the cookie has to stay small."""


@define(kw_only=True)
class Visit:
    """
    A browser's session. What is in its cookie is signed, not sealed.

    *begun* and *seen*: seconds since 1970. *name*: the user that it was begun for.
    *said*: what the next page tells. *link*: a sign-in link that waits for its button.
    """

    id: str = field(default="", repr=False)
    begun: float = 0
    seen: float = 0
    name: str = ""
    said: str = ""
    link: str = field(default="", repr=False)

    @property
    def csrf(self) -> str:
        """What forms of this session bring back; the id can't be told from it."""
        return hashlib.sha256(f"csrf {self.id}".encode()).hexdigest()

    def tell(self) -> str:
        """What was said, once."""
        said, self.said = self.said, ""
        return said


def _suffix(path: str) -> str:
    """What a name has more: who is at / would take the cookies of who is at *path*."""
    return f"_{hashlib.sha256(path.encode()).hexdigest()[:8]}" if path else ""


@frozen(kw_only=True)
class Sessions:
    """
    Reads and writes the cookie.

    *keys* gives the signing keys, the newest first, each time anew: one signs, all are
    accepted. *unique* makes ids that nobody can guess.
    """

    keys: Callable[[], tuple[bytes, ...]] = field(repr=False)
    unique: Callable[[], str]
    clock: Clock
    cookie: str
    path: str
    secure: bool

    @classmethod
    def of(cls, profiles: EmailProfiles, base_url: str) -> Sessions:
        """Those of a console at *base_url*: another port or path has others."""
        parts = urlsplit(base_url)
        port = parts.port or USUAL[parts.scheme]
        return cls(
            keys=lambda: profiles.keyring.derived("console session"),
            unique=profiles.sign_ins.chance.secret,
            clock=profiles.sign_ins.clock,
            cookie=f"email_profiles_{port}{_suffix(parts.path)}",
            path=parts.path or "/",
            secure=parts.scheme == "https",
        )

    def new(self, name: str = "") -> Visit:
        """A session that begins now; whatever another one held stays behind."""
        now = self.clock.now().timestamp()
        return Visit(id=self.unique(), begun=now, seen=now, name=name)

    def after(self, before: Visit, code: str) -> Visit:
        """The one that *before* becomes by *code*: each time the same, and no guess."""
        said = f"sign in {before.id} {code}".encode()
        visit = self.new()
        visit.id = hmac.new(self.keys()[0], said, hashlib.sha256).hexdigest()
        return visit

    def read(self, request: Request) -> tuple[Visit, Mapping[str, Any]]:
        """The session of *request* or a new one, and what its cookie says by now."""
        given = request.cookies.get(self.cookie, "")
        try:
            said = self._serializer().loads(given)
            visit = Visit(**said)
        except (BadData, TypeError):
            return self.new(), {}
        now = self.clock.now().timestamp()
        if (
            not now - IDLE_S < visit.seen <= now + LOOK_S
            or visit.begun < now - SESSION_S
        ):
            return self.new(), {}
        if visit.seen < now - LOOK_S:
            visit.seen = now
        return visit, said

    def differs(self, visit: Visit, stored: Mapping[str, Any]) -> bool:
        """Whether the browser has yet to be told of *visit*."""
        return asdict(visit) != stored

    def write(self, visit: Visit, response: Response) -> None:
        """Let the browser keep *visit* until it is closed."""
        visit.said = visit.said[:SAID]
        self._set(response, str(self._serializer().dumps(asdict(visit))))

    def _set(self, response: Response, value: str) -> None:
        response.set_cookie(
            self.cookie,
            value,
            path=self.path,
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )

    def _serializer(self) -> URLSafeSerializer:
        return URLSafeSerializer(
            list(reversed(self.keys())),  # the last one signs
            salt=f"{self.cookie} {self.path}",
            signer_kwargs={"digest_method": hashlib.sha256},
        )
