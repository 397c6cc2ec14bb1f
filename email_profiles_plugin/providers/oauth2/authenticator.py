"""The authenticator: a profile's access token, by the client's own credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, fields, frozen

from email_profiles_hookspecs import (
    Credential,
    Profile,
    Reply,
    Services,
    Timing,
    Token,
    TokenStatus,
    sasl,
)
from email_profiles_hookspecs.errors import NeedsGrant, TokenError
from email_profiles_hookspecs.services import TokenAction

from . import metadata
from .server import Server

LATER = "granting access in a browser comes in a later version"


class Revoked(TokenError):
    """What ends a fetch that only came to take the token away."""


@frozen
class OAuth2:
    """
    Offers the profile's access token; fetches and revokes it by the OAuth2 client.

    Non-interactive so far: RFC 6749, 4.4. The client is read anew for each request.
    """

    profile: Profile
    services: Services = field(repr=False)

    def acquire(self, deadline: float) -> Credential:
        if self._auth("interactive"):
            raise NeedsGrant(
                f"email profile {self.profile.name!r} needs access to be granted by a "
                f"person, and {LATER}",
                "switch Interactive off, where the client may act for itself",
            )
        timing = _timing(self.profile.auth)
        token = self.services.tokens.current(self.fetch, deadline, timing)
        smtp, username = self.profile.smtp, self._auth("username")
        offers: tuple[sasl.Sasl, ...] = (
            sasl.XOAuth2(username, token.access_token),
            sasl.OAuthBearer(username, token.access_token, smtp.hostname, smtp.port),
        )
        mechanism = self._auth("mechanism") or "automatic"
        return Credential(
            offers=[o for o in offers if mechanism in ("automatic", o.mechanism)],
            identity=username,
            generation=token.generation,
        )

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        tokens = self.services.tokens
        if tokens.reject(credential.generation):
            return True
        # Another connection was refused first, and the next token may be there.
        return tokens.status().generation > credential.generation

    def status(self) -> TokenStatus:
        status = self.services.tokens.status()
        if self._auth("interactive"):
            return evolve(status, state="needs grant", error=LATER, actions=())
        actions: tuple[TokenAction, ...] = ("refresh",)
        if status.state != "none":
            actions += ("revoke",)
        return evolve(status, actions=actions)

    def refresh(self, deadline: float) -> TokenStatus:
        self.services.tokens.renew(self.fetch, deadline)
        return self.status()

    def revoke(self, deadline: float) -> None:
        """
        Tell the authorization server, where it takes that, and forget the token.

        Kept, with the error raised, where the server could not be told.
        """
        try:
            self.services.tokens.renew(self._take_away, deadline)
        except Revoked:
            self.services.tokens.forget()

    def fetch(self, previous: Token | None, deadline: float) -> Token:
        """A new token, for the client's own credentials (RFC 6749, 4.4.2)."""
        server = self._server(deadline)
        form = {"grant_type": "client_credentials"}
        if scope := self._auth("scope"):
            form["scope"] = scope
        form |= self._auth("client_credentials_token_params") or {}
        endpoint = server.endpoint("token_endpoint")
        if endpoint is None:
            raise TokenError(
                f"OAuth2 client {server.client.name!r} has no token endpoint",
                "set it, or an issuer whose metadata has one",
            )
        token = self.services.tokens.parse(server.post(endpoint, form))
        return token if token.scope else evolve(token, scope=scope or "")

    def _take_away(self, previous: Token | None, deadline: float) -> Token:
        """
        RFC 7009, 2.1: the refresh token where there is one, and its access token.

        In the place of a fetch, so that nobody fetches at the same time.
        """
        server = self._server(deadline)
        endpoint = server.endpoint("revocation_endpoint")
        for kind in ("refresh_token", "access_token"):
            value = getattr(previous, kind, None)
            if endpoint and value:
                form = {"token": value, "token_type_hint": kind}
                reply = server.post(endpoint, form)
                refusal = metadata.read_object(reply.body).get("error")
                if reply.status >= 300 and refusal != "unsupported_token_type":
                    self.services.tokens.parse(reply)  # raises what the server says
        raise Revoked("the token was revoked")

    def _server(self, deadline: float) -> Server:
        client = self.services.clients.get(self._auth("client"))
        return Server(client, self.services, deadline)

    def _auth(self, name: str) -> Any:
        return self.profile.auth.get(name)


def _timing(auth: Mapping[str, Any]) -> Timing:
    names = [attribute.name for attribute in fields(Timing)]
    return Timing(**{name: auth[name] for name in names if name in auth})
