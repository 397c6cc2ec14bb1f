"""Authentication mode `oauth2`: an access token, by the client's own credentials."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve, field, fields, frozen

import email_profiles_schemas
from email_profiles_hookspecs import (
    AuthProvider,
    Credential,
    HttpReply,
    OAuth2Client,
    Problem,
    Profile,
    Reply,
    Services,
    Timing,
    Token,
    TokenStatus,
    hookimpl,
    sasl,
)
from email_profiles_hookspecs.errors import NeedsGrant, NotFound, TokenError
from email_profiles_hookspecs.services import TokenAction

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
        client = self._client()
        form = {"grant_type": "client_credentials"}
        if scope := self._auth("scope"):
            form["scope"] = scope
        form |= self._auth("client_credentials_token_params") or {}
        endpoint = client.token_endpoint or self._discovered(
            client, "token_endpoint", deadline
        )
        if endpoint is None:
            raise TokenError(
                f"OAuth2 client {client.name!r} has no token endpoint",
                "set it, or an issuer whose metadata has one",
            )
        reply = self._post(client, endpoint, form, deadline)
        token = self.services.tokens.parse(reply)
        return token if token.scope else evolve(token, scope=scope or "")

    def _take_away(self, previous: Token | None, deadline: float) -> Token:
        """
        RFC 7009, 2.1: the refresh token where there is one, and its access token.

        In the place of a fetch, so that nobody fetches at the same time.
        """
        client = self._client()
        endpoint = client.revocation_endpoint or self._discovered(
            client, "revocation_endpoint", deadline
        )
        for kind in ("refresh_token", "access_token"):
            value = getattr(previous, kind, None)
            if endpoint and value:
                form = {"token": value, "token_type_hint": kind}
                reply = self._post(client, endpoint, form, deadline)
                refusal = _object(reply.body).get("error")
                if reply.status >= 300 and refusal != "unsupported_token_type":
                    self.services.tokens.parse(reply)  # raises what the server says
        raise Revoked("the token was revoked")

    def _post(
        self, client: OAuth2Client, endpoint: str, form: dict[str, str], deadline: float
    ) -> HttpReply:
        """RFC 6749, 2.3.1: the request, with the client's proof of who it is."""
        auth, method = None, client.token_endpoint_auth_method
        if method == "none":
            form = {**form, "client_id": client.client_id}
        elif method in ("client_secret_basic", "client_secret_post"):
            if client.client_secret is None:
                raise TokenError(
                    f"OAuth2 client {client.name!r} has no client secret",
                    "set it, or another way for the client to authenticate",
                )
            secret = self.services.secrets.read(client.client_secret)
            if method == "client_secret_basic":
                auth = (client.client_id, secret)
            else:
                proof = {"client_id": client.client_id, "client_secret": secret}
                form = {**form, **proof}
        else:
            raise TokenError(
                f"OAuth2 client {client.name!r} authenticates by {method}, which comes "
                "in a later version",
                "choose client_secret_basic or client_secret_post",
            )
        return self.services.http.request(
            "POST",
            endpoint,
            form=form,
            auth=auth,
            ca_file=client.ca_file,
            connect_timeout_s=client.connect_timeout_ms / 1000,
            deadline=self._until(client, deadline),
        )

    def _discovered(
        self, client: OAuth2Client, name: str, deadline: float
    ) -> str | None:
        """What the issuer's metadata says; None without an issuer, or that member."""
        if client.issuer is None:
            return None
        found: list[str] = []
        for url in _metadata_urls(client.issuer):
            reply = self.services.http.request(
                "GET",
                url,
                ca_file=client.ca_file,
                connect_timeout_s=client.connect_timeout_ms / 1000,
                deadline=self._until(client, deadline),
            )
            metadata = _object(reply.body) if reply.status == 200 else {}
            if metadata.get("issuer") == client.issuer:  # RFC 8414, 3.3
                value = metadata.get(name)
                return value if isinstance(value, str) else None
            if "issuer" in metadata:
                found.append(str(metadata["issuer"])[:200])
        if found:
            raise TokenError(
                f"the metadata is of issuer {found[0]!r}, not {client.issuer!r}",
                "correct the issuer, to the letter, or set the endpoints",
            )
        raise TokenError(
            f"the issuer {client.issuer} has no metadata",
            "correct the issuer, or set the endpoints",
        )

    def _client(self) -> OAuth2Client:
        return self.services.clients.get(self._auth("client"))

    def _until(self, client: OAuth2Client, deadline: float) -> float:
        own = self.services.clock.monotonic() + client.request_timeout_ms / 1000
        return min(deadline, own)

    def _auth(self, name: str) -> Any:
        return self.profile.auth.get(name)


def _timing(auth: Mapping[str, Any]) -> Timing:
    names = [attribute.name for attribute in fields(Timing)]
    return Timing(**{name: auth[name] for name in names if name in auth})


def _metadata_urls(issuer: str) -> Iterator[str]:
    """RFC 8414, 3.1; then where OpenID Connect has it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    well_known = "/.well-known/oauth-authorization-server"
    yield f"{parts.scheme}://{parts.netloc}{well_known}{path}"
    yield f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def check(profile: Profile, services: Services) -> Iterable[Problem]:
    """What the schema can't say: whether a person could grant access at all."""
    try:
        client = services.clients.get(profile.auth["client"])
    except NotFound:
        return  # told where references are looked at
    known = client.authorization_endpoint or client.issuer
    if profile.auth.get("interactive") and not known:
        yield Problem(
            path="$.auth.interactive",
            message=f"OAuth2 client {client.name!r} has no authorization endpoint",
            remedy="set its authorization_endpoint or issuer first",
        )


@hookimpl
def email_profiles_auth_providers() -> Iterable[AuthProvider]:
    yield AuthProvider(
        mode="oauth2",
        title="OAuth2 SMTP",
        schema=email_profiles_schemas.load("auth_oauth2"),
        build=OAuth2,
        check=check,
    )
