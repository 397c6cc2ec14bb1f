"""Trials of an OAuth2 client: token requests of each grant, and nothing is kept."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Literal

from attrs import asdict, define, evolve, field, frozen

from email_profiles_hookspecs import (
    HttpReply,
    Problem,
    Profile,
    Redirect,
    SmtpSettings,
    Timing,
    Token,
    TokenStatus,
)
from email_profiles_hookspecs.errors import (
    GrantRefused,
    HttpError,
    Invalid,
    SecretError,
    StateRefused,
    TokenError,
)
from email_profiles_hookspecs.services import Fetch, Http

from . import grant_rules
from .documents import validate_token_request
from .oauth import grants
from .oauth.grants import Granted
from .profiles import Documents
from .providers.oauth2 import OAuth2
from .provision import ProfileServices
from .token_vault import FETCH_S
from .tokens import sent_for

Grant = Literal["client_credentials", "authorization_code", "refresh_token"]

PARAMETERS: Mapping[Grant, str] = {
    "client_credentials": "client_credentials_token_params",
    "authorization_code": "authorization_code_token_params",
    "refresh_token": "refresh_token_params",
}
"""Where a profile has the additional parameters of each grant's token request."""


@frozen(kw_only=True)
class ClientReport:
    """
    What a test of an OAuth2 client came to.

    *status*: HTTP's, of the last answer; None: there was none. *code*: the
    authorization server's, where it refused (RFC 6749, 5.2). *refresh_token*, which is
    not shown, is for a test of that grant.
    """

    client: str
    grant: Grant = "client_credentials"
    status: int | None = None
    granted: Granted | None = None
    refresh_token: str | None = field(default=None, repr=False)
    code: str = ""
    error: str = ""
    remedy: str = ""

    @property
    def passed(self) -> bool:
        """A token was granted."""
        return self.granted is not None


@frozen(kw_only=True)
class Begun:
    """A test that a browser was sent off for; *until*: seconds since 1970."""

    client: str
    state: str = field(repr=False)
    until: float
    redirect_uri: str
    scope: str
    kept: str = field(repr=False)

    @classmethod
    def read(cls, kept: str) -> Begun | None:
        """From the JSON that it was kept as; None where it is none."""
        try:
            found = json.loads(kept)
            return cls(
                client=found["client"],
                state=found["state"],
                until=found["until"],
                redirect_uri=found["redirect_uri"],
                scope=found["scope"],
                kept=found["kept"],
            )
        except (ValueError, LookupError, TypeError):
            return None


@define
class Listening:
    """The contract's Http, which remembers the last answer."""

    http: Http
    answer: HttpReply | None = None

    def request(self, method: str, url: str, **options: Any) -> HttpReply:
        """As *http* does it."""
        self.answer = None
        answer = self.http.request(method, url, **options)
        if method == "POST" or answer.status != HTTPStatus.OK:
            self.answer = answer  # what the metadata said is no answer to this test
        return answer

    def granted(self, token: Token) -> Granted | None:
        """What may be shown of *token*, which came in that answer."""
        if self.answer is None:
            return None
        return grants.describe(self.answer, token, sent_for(self.answer))


@define
class Unkept:
    """The contract's Tokens: what is fetched stays here, and goes with it."""

    read: Callable[[HttpReply], Token]
    previous: Token | None = field(default=None, repr=False)
    token: Token | None = field(default=None, repr=False)

    def current(self, fetch: Fetch, deadline: float, timing: Timing) -> Token:
        """As `renew`: there is none before."""
        return self.renew(fetch, deadline)

    def renew(self, fetch: Fetch, deadline: float) -> Token:
        """What *fetch* brings for the previous one."""
        self.token = fetch(self.previous, deadline)
        return self.token

    def grant(self, fetch: Fetch, deadline: float) -> Token:
        """As `renew`."""
        return self.renew(fetch, deadline)

    def reject(self, generation: int) -> bool:
        """Nothing is stored."""
        return False

    def status(self) -> TokenStatus:
        """Nothing is stored."""
        return TokenStatus(state="none")

    def forget(self) -> None:
        """Nothing is stored."""

    def parse(self, reply: HttpReply) -> Token:
        """As for a profile."""
        return self.read(reply)


@define(kw_only=True)
class ClientDocuments(Documents):
    """
    The OAuth2 clients; with what Ignition calls *test authorization*, *test token*.

    A test goes the way of a profile: *scope* and *params* are its settings of that
    kind. Raises Invalid and NotFound; failures of a token request are in the report.
    """

    services: Callable[[Profile], ProfileServices]

    def test(
        self,
        name: str,
        *,
        scope: str = "",
        params: Mapping[str, str] | None = None,
        refresh_token: str | None = None,
    ) -> ClientReport:
        """
        Ask for one token, for the client's own credentials or for a *refresh_token*.

        The server may take a refresh token once only: then the report has the next.
        """
        grant: Grant = "client_credentials"
        previous = None
        if refresh_token is not None:
            grant = "refresh_token"
            previous = Token(access_token="", refresh_token=refresh_token)
        auth = self._wanted(name, scope, PARAMETERS[grant], params)
        return self._try(
            name, grant, auth, previous, lambda made, limit: made.refresh(limit)
        )

    def begin_test(
        self,
        name: str,
        redirect_uri: str,
        *,
        scope: str = "",
        params: Mapping[str, str] | None = None,
    ) -> Redirect:
        """
        Where to send a browser, so that a person grants access for a test.

        *params* are of the authorization request. *kept* is for `complete_test`, and
        for nobody else. Raises, too, what the provider does: TokenError, HttpError.
        """
        grant_rules.check_redirect_uri(redirect_uri)
        auth = self._wanted(name, scope, "authorization_params", params)
        profile = self._asking(name, "authorization_code", auth)
        state = self.chance.secret()
        redirect = OAuth2(profile, self.services(profile)).begin(redirect_uri, state)
        begun = Begun(
            client=self.get(name).id,
            state=state,
            until=self.clock.now().timestamp() + grant_rules.LIFETIME_S,
            redirect_uri=redirect_uri,
            scope=scope,
            kept=redirect.kept,
        )
        return evolve(redirect, kept=json.dumps(asdict(begun)))

    def complete_test(
        self,
        name: str,
        query: str,
        kept: str,
        *,
        params: Mapping[str, str] | None = None,
    ) -> ClientReport:
        """
        Trade in the code that the browser brought in its URL's *query*.

        *params* are of this token request. StateRefused, with nothing asked, where
        the answer is not the one to `begin_test`, or comes after ten minutes.
        """
        begun = self._begun(name, kept)
        callback = grant_rules.read(query)
        wanted = grant_rules.digest(begun.state)
        if not hmac.compare_digest(callback.state_hash, wanted):
            raise StateRefused(
                "this answer belongs to another grant", "unknown", grant_rules.ANEW
            )
        kind = PARAMETERS["authorization_code"]
        auth = self._wanted(name, begun.scope, kind, params)

        def trade_in(made: OAuth2, limit: float) -> object:
            return made.complete(begun.redirect_uri, callback.query, begun.kept, limit)

        return self._try(name, "authorization_code", auth, None, trade_in)

    def _begun(self, name: str, kept: str) -> Begun:
        begun = Begun.read(kept)
        if begun is None or begun.client != self.get(name).id:
            raise StateRefused(
                "no such test of this client was begun", "unknown", grant_rules.ANEW
            )
        if self.clock.now().timestamp() >= begun.until:
            raise StateRefused("the answer came too late", "expired", grant_rules.ANEW)
        return begun

    def _try(
        self,
        name: str,
        grant: Grant,
        auth: Mapping[str, Any],
        previous: Token | None,
        act: Callable[[OAuth2, float], object],
    ) -> ClientReport:
        profile = self._asking(name, grant, auth)
        services = self.services(profile)
        listening = Listening(services.http)
        unkept = Unkept(services.tokens.parse, previous)
        made = OAuth2(profile, evolve(services, http=listening, tokens=unkept))
        try:
            act(made, self.clock.monotonic() + FETCH_S)
            report = _told(name, grant, listening, unkept.token)
        except (TokenError, HttpError, SecretError) as error:
            report = _failed(name, grant, error)
        answer = listening.answer
        return report if answer is None else evolve(report, status=answer.status)

    def _wanted(
        self, name: str, scope: str, kind: str, params: Mapping[str, str] | None
    ) -> dict[str, Any]:
        """Settings that ask for this; Invalid, NotFound."""
        wanted: dict[str, Any] = {"scope": scope, "params": dict(params or {})}
        problems = validate_token_request(wanted)
        if scope and "scope" in wanted["params"]:
            message, remedy = (
                "is asked for as the scope already",
                "leave one of them out",
            )
            path = "$.params.scope"
            problems += [Problem(path=path, message=message, remedy=remedy)]
        if problems:
            raise Invalid(f"the token request of {self.kind.title} {name!r}", problems)
        self.get(name)
        return {"scope": scope, kind: wanted["params"]}

    def _asking(self, name: str, grant: Grant, auth: Mapping[str, Any]) -> Profile:
        """A profile that would ask for this; it has no mail server, and is not kept."""
        return Profile(
            id=self.chance.unique(),
            revision=0,
            name=f"test of {name}",
            smtp=SmtpSettings(hostname="localhost"),
            mode="oauth2",
            auth={
                "username": "",
                "client": name,
                "interactive": grant != "client_credentials",
                **auth,
            },
        )


def _told(
    name: str, grant: Grant, listening: Listening, token: Token | None
) -> ClientReport:
    if token is None:
        return ClientReport(client=name, grant=grant)
    return ClientReport(
        client=name,
        grant=grant,
        granted=listening.granted(token),
        refresh_token=token.refresh_token,
    )


def _failed(
    name: str, grant: Grant, error: TokenError | HttpError | SecretError
) -> ClientReport:
    return ClientReport(
        client=name,
        grant=grant,
        code=error.error if isinstance(error, GrantRefused) else "",
        error=error.message,
        remedy=error.remedy,
    )
