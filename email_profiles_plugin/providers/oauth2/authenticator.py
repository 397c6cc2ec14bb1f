"""The authenticator: a profile's access token, and how a person grants one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from attrs import Factory, evolve, field, fields, frozen

from email_profiles_hookspecs import (
    Credential,
    Device,
    OAuth2Client,
    Profile,
    Redirect,
    Reply,
    Services,
    Timing,
    Token,
    TokenStatus,
    sasl,
)
from email_profiles_hookspecs.errors import (
    GrantRefused,
    NeedsGrant,
    NotFound,
    TokenError,
)
from email_profiles_hookspecs.services import TokenAction

from . import remarks
from .grants import Grants

BEGIN_S = 30.0
"""Seconds that looking for the authorization endpoint may take."""


class Revoked(TokenError):
    """What ends a fetch that only came to take the token away."""


def _unique() -> str:
    return secrets.token_urlsafe(32)


@frozen(eq=False)
class OAuth2:
    """
    Offers the profile's access token; gets it, has it granted, takes it away.

    Not interactive: by the client's own credentials. Interactive: a person grants
    access, in a browser or from another device, and it is refreshed from then on. The
    OAuth2 client is read anew for each request.
    """

    profile: Profile
    services: Services = field(repr=False)
    unique: Callable[[], str] = field(default=_unique, repr=False)
    _grants: Grants = field(
        init=False,
        repr=False,
        default=Factory(
            lambda self: Grants(
                profile=self.profile, services=self.services, unique=self.unique
            ),
            takes_self=True,
        ),
    )

    def acquire(self, deadline: float) -> Credential:
        timing = _timing(self.profile)
        if timing.access_token_timeout_s <= 0:
            self._insist_on_a_grant()
        token = self.services.tokens.current(self.fetch, deadline, timing)
        smtp, username = self.profile.smtp, self.profile.auth["username"]
        offers: tuple[sasl.Sasl, ...] = (
            sasl.XOAuth2(username, token.access_token),
            sasl.OAuthBearer(username, token.access_token, smtp.hostname, smtp.port),
        )
        mechanism = self.profile.auth.get("mechanism") or "automatic"
        return Credential(
            offers=[o for o in offers if mechanism in ("automatic", o.mechanism)],
            identity=username,
            generation=token.generation,
        )

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return self.services.tokens.reject(credential.generation)

    def fetch(self, previous: Token | None, deadline: float) -> Token:
        """A new token without a person's help; NeedsGrant where it takes one."""
        if not self._interactive:
            return self._grants.client_credentials(deadline)
        if previous is None:
            raise NeedsGrant("nobody has granted access yet", "grant it")
        if previous.refresh_token is None:
            raise self._not_renewable()
        return self._grants.refresh(previous, deadline)

    # What is offered to whoever looks after the token

    def status(self) -> TokenStatus:
        """
        As stored, with the actions; and what is wrong with a token that is good.

        `device` is among them also while nobody has looked yet whether the issuer's
        metadata has an endpoint for it: this asks nobody.
        """
        status = self.services.tokens.status()
        if self._interactive:
            status = self._of_a_person(status)
        actions = tuple(self._actions(status))
        withheld = remarks.withheld(
            actions, self._client(), status.error, interactive=self._interactive
        )
        return evolve(status, actions=actions, withheld=withheld)

    def refresh(self, deadline: float) -> TokenStatus:
        self.services.tokens.renew(self.fetch, deadline)
        return self.status()

    def revoke(self, deadline: float) -> None:
        """
        Tell the authorization server, where it takes that, and forget the token.

        Kept, with the error raised, where the server could not be told.
        """

        def take_away(previous: Token | None, limit: float) -> Token:
            # In the place of a fetch, so that nobody fetches at the same time.
            self._grants.revoke(previous, limit)
            raise Revoked("the token was revoked")

        try:
            self.services.tokens.renew(take_away, deadline)
        except Revoked:
            self.services.tokens.forget()

    # A person grants access

    def begin(self, redirect_uri: str, state: str) -> Redirect:
        """The authorization request; asks the issuer for its metadata, maybe."""
        deadline = self.services.clock.monotonic() + BEGIN_S
        url, pending = self._grants.send_off(redirect_uri, state, deadline)
        return Redirect(url=url, kept=pending.write())

    def complete(
        self, redirect_uri: str, query: Mapping[str, str], kept: str, deadline: float
    ) -> TokenStatus:
        """
        Trade the code in; GrantRefused, in the server's words, where that says no.

        TokenError where the answer is not the issuer's, or the client was changed
        meanwhile. Without a refresh token the access token is kept, and `error` says
        what to do.
        """
        try:
            code, pending = self._grants.code(query, kept)
        except GrantRefused as error:
            self._note(error, deadline)
            raise

        def redeem(previous: Token | None, limit: float) -> Token:
            return self._grants.authorization_code(code, pending, redirect_uri, limit)

        self.services.tokens.grant(redeem, deadline)
        return self.status()

    def device_begin(self, deadline: float) -> Device:
        """What to show to the person, and to give to `device_poll`."""
        return self._grants.device_authorization(deadline)

    def device_poll(self, device: Device, deadline: float) -> TokenStatus | None:
        """
        None while nobody has agreed; SlowDown with a new interval says the same.

        GrantRefused where the person refused (`access_denied`) or was too slow
        (`expired_token`).
        """
        try:
            token = self._grants.device_code(device, deadline)
        except GrantRefused as error:
            self._note(error, deadline)
            raise
        if token is None:
            return None
        self.services.tokens.grant(lambda previous, limit: token, deadline)
        return self.status()

    def _note(self, refusal: GrantRefused, deadline: float) -> None:
        """Where there is no token, this is why; one that is there is left alone."""
        status = self.services.tokens.status()
        if status.has_refresh_token or status.state in ("valid", "expiring"):
            return

        def refuse(previous: Token | None, limit: float) -> Token:
            raise refusal

        with suppress(TokenError):
            self.services.tokens.grant(refuse, deadline)

    @property
    def _interactive(self) -> bool:
        return bool(self.profile.auth.get("interactive"))

    def _insist_on_a_grant(self) -> None:
        """Who waits for nobody is told the cause, rather than to come again."""
        status = self.status()
        if status.state == "needs grant":
            raise NeedsGrant(status.error, "grant access")

    def _client(self) -> OAuth2Client | None:
        with suppress(NotFound):
            return self._grants.client()
        return None

    def _not_renewable(self) -> NeedsGrant:
        remedy = remarks.without_refresh_token(self._client())
        return NeedsGrant(remarks.UNTOLD, remedy)

    def _of_a_person(self, status: TokenStatus) -> TokenStatus:
        """*status*, with what a person should know, or has to do."""
        good, found = status.state in ("valid", "expiring"), [status.error]
        if not status.has_refresh_token:
            if not good:
                missing = status.error or remarks.missing(status.generation)
                if status.state == "expired":
                    missing = str(self._not_renewable())
                return evolve(status, state="needs grant", error=missing)
            found.append(str(self._not_renewable()))
        username = self.profile.auth["username"]
        found.append(remarks.another_account(status.account, username))
        return evolve(status, error="; ".join(dict.fromkeys(filter(None, found))))

    def _actions(self, status: TokenStatus) -> Iterator[TokenAction]:
        """What can be done now; *refresh* and *grant* are offered as Ignition does."""
        if not self._interactive or status.has_refresh_token:
            yield "refresh"
        client = self._client() if self._interactive else None
        if client is not None and (client.authorization_endpoint or client.issuer):
            yield "grant"
        if client is not None and self._grants.may_have(
            client, "device_authorization_endpoint"
        ):
            yield "device"
        stored = status.state in ("valid", "expiring", "expired")
        if stored or status.has_refresh_token or status.expires_at is not None:
            yield "revoke"


def _timing(profile: Profile) -> Timing:
    names = [attribute.name for attribute in fields(Timing)]
    return Timing(
        **{name: profile.auth[name] for name in names if name in profile.auth}
    )
