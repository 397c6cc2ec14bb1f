"""The requests of each grant, as a profile's settings want them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from email_profiles_hookspecs import (
    Device,
    HttpReply,
    OAuth2Client,
    Profile,
    Services,
    Token,
)
from email_profiles_hookspecs.errors import GrantRefused, HttpError, SlowDown

from . import browser, device, metadata, remarks
from .browser import Pending
from .server import Server

GONE = ("invalid_token", "invalid_grant", "expired_token", "unknown_token")
"""How servers refuse to revoke what they don't know; by RFC 7009, 2.2, all is well."""


@frozen(kw_only=True)
class Grants:
    """
    Asks as *profile* says; each kind of additional parameters in its own request only.

    *unique* makes what nobody can guess, *learnt* is the metadata seen so far.
    """

    profile: Profile
    services: Services = field(repr=False)
    unique: Callable[[], str] = field(repr=False)
    learnt: dict[str, Mapping[str, Any]] = field(factory=dict, repr=False)

    def setting(self, name: str) -> Any:
        """Of the profile's auth block; None where it has none."""
        return self.profile.auth.get(name)

    def client(self) -> OAuth2Client:
        """The OAuth2 client as it is now; NotFound."""
        return self.services.clients.get(self.setting("client"))

    def server(self, deadline: float) -> Server:
        """The client's authorization server."""
        return Server(
            client=self.client(),
            services=self.services,
            deadline=deadline,
            unique=self.unique,
            learnt=self.learnt,
        )

    def may_have(self, client: OAuth2Client, endpoint: str) -> bool:
        """Whether *client* has it, or metadata that has it or was not looked at yet."""
        if getattr(client, endpoint) is not None:
            return True
        issuer = client.issuer
        return issuer is not None and endpoint in self.learnt.get(issuer, {endpoint: 0})

    def client_credentials(self, deadline: float) -> Token:
        """A token for the client's own credentials (RFC 6749, 4.4.2)."""
        form = {"grant_type": "client_credentials", **self._scope()}
        form |= self._parameters("client_credentials_token_params")
        return self._granted(self.server(deadline), form)

    def refresh(self, previous: Token, deadline: float) -> Token:
        """
        A token for the refresh token of *previous* (RFC 6749, 6).

        The scope goes along: Microsoft insists on it (AADSTS900144). A server that
        granted less than was asked for may refuse that, and is asked without.
        """
        server, parameters = (
            self.server(deadline),
            self._parameters("refresh_token_params"),
        )
        form = {
            "grant_type": "refresh_token",
            "refresh_token": previous.refresh_token or "",
        }
        try:
            token = self._granted(server, {**form, **self._scope(), **parameters})
        except GrantRefused as error:
            if error.error != "invalid_scope" or not self._scope():
                raise
            token = self._granted(server, {**form, **parameters})
        return evolve(token, account=token.account or previous.account)

    def send_off(
        self, redirect_uri: str, state: str, deadline: float
    ) -> tuple[str, Pending]:
        """The authorization request (RFC 6749, 4.1.1), and what to know afterwards."""
        server, verifier = self.server(deadline), self.unique()
        client = server.client
        parameters = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": redirect_uri,
            **self._scope(),
            "state": state,
            "code_challenge": browser.challenge(verifier),
            "code_challenge_method": "S256",
            **self._parameters("authorization_params"),
        }
        endpoint = server.needed("authorization_endpoint")
        server.proof()  # what the code can't be traded in without is missed now
        pending = Pending(
            verifier=verifier,
            client=client.id,
            revision=client.revision,
            issuer=client.issuer or "",
            promised=server.promises_issuer(),
        )
        return browser.address(endpoint, parameters), pending

    def code(self, query: Mapping[str, str], kept: str) -> tuple[str, Pending]:
        """The code that the browser brought; GrantRefused and TokenError otherwise."""
        pending = Pending.read(kept, self.client())
        browser.check_issuer(query, pending)
        if (refusal := browser.refusal(query)) is not None:
            try:
                self.services.tokens.parse(refusal)  # raises what the server says
            except GrantRefused as error:
                if error.error != "access_denied":
                    raise
                raise browser.by_a_person(error) from error
        return browser.code(query), pending

    def authorization_code(
        self, code: str, pending: Pending, redirect_uri: str, deadline: float
    ) -> Token:
        """A token for the code (RFC 6749, 4.1.3; RFC 7636, 4.5)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": pending.verifier,
            **self._parameters("authorization_code_token_params"),
        }
        return self._granted(self.server(deadline), form)

    def device_authorization(self, deadline: float) -> Device:
        """Begin a grant from another device (RFC 8628, 3.1)."""
        server = self.server(deadline)
        endpoint = server.needed("device_authorization_endpoint")
        form = {"client_id": server.client.client_id, **self._scope()}
        reply = server.post(endpoint, form)
        answer = metadata.read_object(reply.body)
        if reply.status >= 300 or "error" in answer:
            self.services.tokens.parse(reply)  # raises what the server says
        return device.read(answer)

    def device_code(self, begun: Device, deadline: float) -> Token | None:
        """
        A token, or None while nobody has agreed (RFC 8628, 3.4 and 3.5).

        SlowDown, too, where the server gives no answer now: the grant may go on.
        """
        server = self.server(deadline)
        form = {"grant_type": device.GRANT, "device_code": begun.device_code}
        try:
            reply = server.post(server.needed("token_endpoint"), form)
        except HttpError as error:
            raise _slower(begun, error.message) from error
        if reply.status >= 500:
            raise _slower(begun, f"the authorization server answered {reply.status}")
        try:
            return self._read(reply)
        except GrantRefused as error:
            if error.error == "authorization_pending":
                return None
            if error.error == "slow_down":
                raise _slower(begun, error.message) from error
            raise

    def revoke(self, previous: Token | None, deadline: float) -> None:
        """
        RFC 7009, 2.1: the refresh token where there is one, and its access token.

        Where the refresh token is revoked, no trouble with the access token counts: at
        Google it is gone by then, and it ends by itself.
        """
        server = self.server(deadline)
        endpoint = server.endpoint("revocation_endpoint")
        if endpoint is None or previous is None:
            return
        refresh, access = previous.refresh_token, previous.access_token
        revoked = refresh and self._revoked(server, endpoint, "refresh_token", refresh)
        try:
            self._revoked(server, endpoint, "access_token", access)
        except (GrantRefused, HttpError) as error:
            if not revoked:
                raise
            self.services.logger.info("the access token: %s", error)

    def _revoked(self, server: Server, endpoint: str, kind: str, token: str) -> bool:
        """Whether it is of no use any more; false where the server takes no such."""
        reply = server.post(endpoint, {"token": token, "token_type_hint": kind})
        refusal = metadata.read_object(reply.body).get("error")
        if reply.status < 300 or refusal in GONE:
            return True
        if refusal != "unsupported_token_type":  # RFC 7009, 2.2.1
            self.services.tokens.parse(reply)  # raises what the server says
        return False

    def _granted(self, server: Server, form: Mapping[str, str]) -> Token:
        return self._read(server.post(server.needed("token_endpoint"), form))

    def _read(self, reply: HttpReply) -> Token:
        """The token; without a scope it has what was asked for (RFC 6749, 5.1)."""
        token = self.services.tokens.parse(reply)
        token = evolve(token, scope=token.scope or self.setting("scope") or "")
        if not self.setting("interactive"):
            return token  # it is nobody's but the client's
        id_token = metadata.read_object(reply.body).get("id_token")
        username = self.setting("username") or ""
        account = remarks.account((id_token, token.access_token), username)
        return evolve(token, account=account)

    def _scope(self) -> dict[str, str]:
        scope = self.setting("scope")
        return {"scope": scope} if scope else {}

    def _parameters(self, name: str) -> dict[str, str]:
        return dict(self.setting(name) or {})


def _slower(begun: Device, said: str) -> SlowDown:
    interval = begun.interval + device.STEP_S
    return SlowDown(said, interval, f"wait {interval} seconds between two polls")
