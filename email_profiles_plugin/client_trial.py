"""A trial of an OAuth2 client: one token request, and nothing of it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import define, evolve, frozen

from email_profiles_hookspecs import HttpReply, Profile, SmtpSettings, Token
from email_profiles_hookspecs.errors import (
    GrantRefused,
    HttpError,
    Invalid,
    SecretError,
    TokenError,
)
from email_profiles_hookspecs.services import Http

from .documents import validate_token_request
from .oauth import grants
from .oauth.grants import Granted
from .profiles import Documents
from .providers.oauth2 import OAuth2
from .provision import ProfileServices
from .token_vault import FETCH_S
from .tokens import sent_for

Grant = Literal["client_credentials"]


@frozen(kw_only=True)
class ClientReport:
    """
    What a test of an OAuth2 client came to.

    *status*: HTTP's, of the last answer; None: there was none. *code*: the
    authorization server's, where it refused (RFC 6749, 5.2).
    """

    client: str
    grant: Grant = "client_credentials"
    status: int | None = None
    granted: Granted | None = None
    code: str = ""
    error: str = ""
    remedy: str = ""

    @property
    def passed(self) -> bool:
        """A token was granted."""
        return self.granted is not None


@define
class Listening:
    """The contract's Http, which remembers the last answer."""

    http: Http
    answer: HttpReply | None = None

    def request(self, method: str, url: str, **options: Any) -> HttpReply:
        """As *http* does it."""
        self.answer = None
        self.answer = self.http.request(method, url, **options)
        return self.answer

    def granted(self, token: Token) -> Granted | None:
        """What may be shown of *token*, which came in that answer."""
        if self.answer is None:
            return None
        return grants.describe(self.answer, token, sent_for(self.answer))


@define(kw_only=True)
class ClientDocuments(Documents):
    """The OAuth2 clients; with `test`, which Ignition calls *test token*."""

    services: Callable[[Profile], ProfileServices]

    def test(
        self, name: str, *, scope: str = "", params: Mapping[str, str] | None = None
    ) -> ClientReport:
        """
        Ask for one token with the client's own credentials, and keep nothing of it.

        The way of a profile that sends: *scope* and *params* are its settings of that
        name. Raises Invalid and NotFound; failures are in the report.
        """
        wanted = {"scope": scope, "params": dict(params or {})}
        if problems := validate_token_request(wanted):
            raise Invalid(f"the token request of {self.kind.title} {name!r}", problems)
        self.get(name)
        profile = self._asking(name, wanted)
        services = self.services(profile)
        listening = Listening(services.http)
        provider = OAuth2(profile, evolve(services, http=listening))
        try:
            token = provider.fetch(None, self.clock.monotonic() + FETCH_S)
            report = ClientReport(client=name, granted=listening.granted(token))
        except (TokenError, HttpError, SecretError) as error:
            report = _failed(name, error)
        answer = listening.answer
        return report if answer is None else evolve(report, status=answer.status)

    def _asking(self, name: str, wanted: Mapping[str, Any]) -> Profile:
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
                "scope": wanted["scope"],
                "client_credentials_token_params": wanted["params"],
            },
        )


def _failed(name: str, error: TokenError | HttpError | SecretError) -> ClientReport:
    code = error.error if isinstance(error, GrantRefused) else ""
    said = error.message
    return ClientReport(client=name, code=code, error=said, remedy=error.remedy)
