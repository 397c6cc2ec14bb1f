"""
The contract's Services without a network, a store or a machine's clock.

For tests of a provider alone: what it is given is set, what it asked for is kept.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import Factory, define, evolve, field, frozen

from email_profiles_hookspecs import (
    HttpReply,
    OAuth2Client,
    SecretRef,
    Timing,
    Token,
    TokenStatus,
)
from email_profiles_hookspecs.errors import (
    GrantRefused,
    NeedsGrant,
    NotFound,
    SecretError,
)
from email_profiles_hookspecs.services import Fetch, Logger

from .. import masking, token_rules
from ..http import Answer
from ..oauth import grants
from ..token_vault import told

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


@define(eq=False)
class FakeClock:
    """Stands still until a test moves it on; *seconds* is its monotonic time."""

    begin: datetime = BEGIN
    seconds: float = 0

    def now(self) -> datetime:
        """The time of day."""
        return self.begin + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Seconds since it began."""
        return self.seconds

    def timestamp(self) -> float:
        """`now` in seconds since 1970, for `AuthorizationRules.clock`."""
        return self.now().timestamp()

    def forward(self, seconds: float) -> None:
        """Let so much time go by."""
        self.seconds += seconds


@frozen(kw_only=True)
class Asked:
    """One HTTP request of a provider's; nothing that may be secret is in its repr."""

    method: str
    url: str
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    json: Any = field(default=None, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    ca_file: str | None = None
    connect_timeout_s: float = 10
    deadline: float

    @property
    def sent(self) -> tuple[str, ...]:
        """The secrets in it, as an answer may quote them."""
        fields = [*self.headers.items(), *(self.form or {}).items()]
        return masking.spellings(fields, [self.json, *(self.auth or ())[1:]])


Answering = Callable[[Asked], HttpReply]


def json_reply(body: Any, status: int = 200) -> HttpReply:
    """An answer with *body* as JSON, as a token endpoint gives it."""
    octets = json.dumps(body).encode()
    return HttpReply(
        status=status, headers={"content-type": "application/json"}, body=octets
    )


@define(eq=False)
class FakeHttp:
    """Answers every request by *answer*: a reply, an error to raise, or a function."""

    answer: HttpReply | Exception | Answering
    asked: list[Asked] = field(factory=list)

    def request(self, method: str, url: str, **options: Any) -> HttpReply:
        """The contract's; what was sent is masked in what `parse` quotes."""
        if options.get("headers") is None:
            options.pop("headers", None)
        asked = Asked(method=method, url=url, **options)
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        reply = self.answer if isinstance(self.answer, HttpReply) else None
        if reply is None:
            assert callable(self.answer)
            reply = self.answer(asked)
        return Answer(
            status=reply.status,
            headers=reply.headers,
            body=reply.body,
            sent=asked.sent,
        )


@define(eq=False)
class FakeSecrets:
    """Secrets by a reference's *value*; with *error*, none can be read."""

    values: Mapping[str, str] = field(factory=dict, repr=False)
    error: Exception | None = None
    asked: list[SecretRef] = field(factory=list)

    def read(self, reference: SecretRef) -> str:
        """The contract's."""
        self.asked.append(reference)
        if self.error is not None:
            raise self.error
        if reference.kind == "plain":
            return reference.value
        if reference.value not in self.values:
            raise SecretError(f"there is no secret for {reference.place}", "type it")
        return self.values[reference.value]


@define(eq=False)
class FakeClients:
    """OAuth2 clients by name; with *error*, none can be had."""

    clients: Mapping[str, OAuth2Client] = field(factory=dict)
    error: Exception | None = None
    asked: list[str] = field(factory=list)

    def get(self, name: str) -> OAuth2Client:
        """The contract's."""
        self.asked.append(name)
        if self.error is not None:
            raise self.error
        if name not in self.clients:
            raise NotFound("OAuth2 client", name)
        return self.clients[name]


@define(eq=False)
class FakeTokens:
    """
    One profile's token in memory, by the rules of the real one; thread-safe.

    Differs in this: a token that is due is not fetched before it expires, and a fetch
    has its caller's deadline and its caller's thread.
    """

    clock: FakeClock
    error: Exception | None = None
    asked: list[str] = field(factory=list)
    kept: list[Token] = field(factory=list, repr=False)
    """Every token that there ever was, the last one last."""
    _state: token_rules.Kept = field(default="none", init=False)
    _reason: str = field(default="", init=False)
    _token: Token | None = field(default=None, init=False, repr=False)
    _obtained_at: float = field(default=0, init=False)
    _timing: Timing = field(factory=Timing, init=False)
    _turn: threading.RLock = field(factory=threading.RLock, init=False, repr=False)

    def current(self, fetch: Fetch, deadline: float, timing: Timing) -> Token:
        """The contract's."""
        with self._use("current"):
            self._timing = timing
            if self._token and token_rules.usable(self._held, self.clock.timestamp()):
                return self._token
            if self._state == "needs grant":
                raise NeedsGrant(self._reason, "grant access anew")
            return self._obtain(fetch, deadline, self._token)

    def renew(self, fetch: Fetch, deadline: float) -> Token:
        """The contract's."""
        with self._use("renew"):
            return self._obtain(fetch, deadline, self._token)

    def grant(self, fetch: Fetch, deadline: float) -> Token:
        """The contract's."""
        with self._use("grant"):
            return self._obtain(fetch, deadline, None)

    def reject(self, generation: int) -> bool:
        """The contract's."""
        with self._use("reject"):
            if self._token is None or self._token.generation < generation:
                return False
            if self._token.generation > generation:
                return True
            self._token = evolve(self._token, expires_at=self.clock.now())
            self._state, self._reason = "error", "the mail server refused the token"
            return True

    def status(self) -> TokenStatus:
        """The contract's."""
        with self._use("status"):
            token, now = self._token, self.clock.timestamp()
            return TokenStatus(
                state=token_rules.state_at(self._held, now, self._timing),
                expires_at=token.expires_at if token else None,
                scope=token.scope if token else "",
                account=token.account if token else "",
                generation=len(self.kept),
                has_refresh_token=bool(token and token.refresh_token),
                error=self._reason,
            )

    def forget(self) -> None:
        """The contract's."""
        with self._use("forget"):
            self._token, self._state, self._reason = None, "none", ""

    def parse(self, reply: HttpReply) -> Token:
        """The contract's."""
        sent = reply.sent if isinstance(reply, Answer) else ()
        return grants.parse(reply, self.clock.now(), sent)

    def _use(self, what: str) -> threading.RLock:
        self.asked.append(what)
        if self.error is not None:
            raise self.error
        return self._turn

    @property
    def _held(self) -> token_rules.Held:
        token = self._token
        ends = token.expires_at if token else None
        return token_rules.Held(
            kept=self._state,
            present=token is not None,
            obtained_at=self._obtained_at,
            expires_at=ends.timestamp() if ends else None,
        )

    def _obtain(self, fetch: Fetch, deadline: float, previous: Token | None) -> Token:
        try:
            token = fetch(previous, deadline)
        except Exception as error:
            self._fail(error, previous)
            raise
        if previous is not None and token.refresh_token is None:  # RFC 6749, 6
            token = evolve(token, refresh_token=previous.refresh_token)
        said = token.expires_at.timestamp() if token.expires_at else None
        now = self.clock.timestamp()
        ends = token_rules.expires_at(now, said, self._timing)
        self._token = evolve(
            token,
            expires_at=None if ends is None else datetime.fromtimestamp(ends, UTC),
            generation=len(self.kept) + 1,
        )
        self.kept.append(self._token)
        self._state, self._reason, self._obtained_at = "valid", "", now
        return self._token

    def _fail(self, error: Exception, previous: Token | None) -> None:
        refreshed = previous is not None and previous.refresh_token is not None
        self._state, self._reason = "error", told(error)
        if isinstance(error, NeedsGrant):
            self._state = "needs grant"
        elif isinstance(error, GrantRefused):
            self._state = token_rules.refused_state(error.error, refreshed)


def _nothing(asked: Asked) -> HttpReply:
    raise AssertionError(f"nothing was set to answer {asked.method} {asked.url}")


@define(eq=False, kw_only=True)
class FakeServices:
    """
    The contract's Services, of the fakes here.

    *used* says what a provider asked of them, in words.
    """

    clock: FakeClock = field(factory=FakeClock)
    http: FakeHttp = field(factory=lambda: FakeHttp(_nothing))
    secrets: FakeSecrets = field(factory=FakeSecrets)
    clients: FakeClients = field(factory=FakeClients)
    tokens: FakeTokens = field(
        default=Factory(lambda self: FakeTokens(self.clock), takes_self=True)
    )
    logger: Logger = field(
        factory=lambda: logging.getLogger("email_profiles_plugin.mode.fake")
    )

    @property
    def used(self) -> tuple[str, ...]:
        """Each request, secret, client and use of the tokens, by kind."""
        return tuple(self._used())

    def _used(self) -> Iterator[str]:
        for asked in tuple(self.http.asked):
            yield f"asks {asked.method} {asked.url}"
        for reference in tuple(self.secrets.asked):
            yield f"reads the secret {reference.place}"
        for name in tuple(self.clients.asked):
            yield f"looks up the OAuth2 client {name!r}"
        for what in tuple(self.tokens.asked):
            yield f"calls tokens.{what}"
