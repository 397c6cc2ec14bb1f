"""
The rules by which the loopback authorization server grants, in oauthlib's terms.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, MutableMapping
from typing import Any

from oauthlib.oauth2 import RequestValidator
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.oauth2.rfc6749.grant_types.base import GrantTypeBase

from .registrations import (
    JWT_CLIENT,
    AuthorizationCode,
    AuthorizationRules,
    IssuedToken,
    RegisteredClient,
    check_claims,
    read_assertion,
    read_client_id,
    read_client_secret,
    verify_assertion,
)

CODE_LIFETIME_S = 600  # RFC 6749, 4.1.2


class GrantValidator(RequestValidator):  # type: ignore[misc]
    """oauthlib's questions, answered from *rules* and from what was issued."""

    def __init__(
        self, rules: AuthorizationRules, audiences: Callable[[], tuple[str, ...]]
    ):
        self.rules = rules
        self.audiences = audiences
        self.clients: MutableMapping[str, RegisteredClient] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.tokens: dict[str, IssuedToken] = {}
        self.reuses = 0

    def revoke_family(self, family: str) -> None:
        """Make every token of one grant worthless."""
        for token in self.tokens.values():
            if token.family == family:
                token.revoked = True

    def check_assertion(
        self, assertion: str
    ) -> tuple[RegisteredClient, dict[str, Any]]:
        """Whose assertion it is, and its claims (RFC 7523); ValueError otherwise."""
        header, claims = read_assertion(assertion)
        client = self.clients.get(str(claims.get("iss")))
        if client is None or client.public_key is None:
            raise ValueError("iss is not registered with a key")
        verify_assertion(assertion, client.public_key, str(header.get("alg")))
        check_claims(claims, self.audiences(), self.rules.clock())
        return client, claims

    # Clients (RFC 6749, 2.3)

    def client_authentication_required(self, request: Any, *args: Any) -> bool:
        client = self.clients.get(read_client_id(request) or "")
        return client is None or not client.public

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        if getattr(request, "client_assertion_type", None) == JWT_CLIENT:
            return self._authenticate_by_assertion(request)
        client_id, secret = read_client_secret(request)
        client = self.clients.get(client_id or "")
        if client is None or client.client_secret is None or secret is None:
            return False
        request.client = client
        expected, given = client.client_secret.encode(), secret.encode()
        return secrets.compare_digest(expected, given)

    def _authenticate_by_assertion(self, request: Any) -> bool:
        try:
            client, claims = self.check_assertion(request.client_assertion)
        except (AttributeError, ValueError):
            return False
        request.client = client
        return bool(claims["sub"] == client.client_id)

    def authenticate_client_id(
        self, client_id: str, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        request.client = self.clients.get(client_id)
        return request.client is not None and request.client.public

    def validate_client_id(self, client_id: str, request: Any, *args: Any) -> bool:
        request.client = self.clients.get(client_id)
        return request.client is not None

    def validate_grant_type(self, *args: Any) -> bool:
        return True

    def validate_response_type(
        self, client_id: str, response_type: str, *args: Any
    ) -> bool:
        return response_type == "code"

    # Scopes

    def get_default_scopes(self, *args: Any) -> list[str]:
        return sorted(self.rules.scopes or ["mail.send"])

    def validate_scopes(self, client_id: str, scopes: list[str], *args: Any) -> bool:
        return self.rules.scopes is None or set(scopes) <= self.rules.scopes

    def get_original_scopes(self, refresh_token: str, *args: Any) -> list[str]:
        return self.tokens[refresh_token].scopes

    # Codes (RFC 6749, 4.1; RFC 7636; RFC 8628)

    def validate_redirect_uri(
        self, client_id: str, redirect_uri: str, *args: Any
    ) -> bool:
        registered = self.clients[client_id].redirect_uris
        return not registered or redirect_uri in registered

    def get_default_redirect_uri(self, client_id: str, *args: Any) -> Any:
        return next(iter(self.clients[client_id].redirect_uris), None)

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        return self.rules.require_pkce

    def save_authorization_code(
        self, client_id: str, code: dict[str, str], request: Any, *args: Any
    ) -> None:
        wanted = self.rules.offline_params.items()
        self.codes[code["code"]] = AuthorizationCode(
            value=code["code"],
            client_id=client_id,
            user=self.rules.user,
            scopes=request.scopes,
            family=secrets.token_hex(8),
            expires_at=self.rules.clock() + CODE_LIFETIME_S,
            redirect_uri=request.redirect_uri,
            challenge=request.code_challenge,
            offline=all(getattr(request, k, None) == v for k, v in wanted),
        )

    def validate_code(
        self, client_id: str, value: str, client: Any, request: Any, *args: Any
    ) -> bool:
        code = self.codes.get(value)
        if code is None or code.client_id != client.client_id:
            return False
        if code.used:
            self.revoke_family(code.family)  # RFC 6749, 4.1.2
            return False
        request.user, request.scopes = code.user, code.scopes
        request.origin = code
        return self.rules.clock() < code.expires_at

    def get_code_challenge(self, code: str, request: Any) -> Any:
        return self.codes[code].challenge

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        return "S256"

    def confirm_redirect_uri(
        self, client_id: str, value: str, redirect_uri: str, *args: Any, **kwargs: Any
    ) -> bool:
        return self.codes[value].redirect_uri == redirect_uri

    def invalidate_authorization_code(
        self, client_id: str, code: str, *args: Any
    ) -> None:
        self.codes[code].used = True

    def validate_device_code(
        self, client_id: str, value: str, request: Any, *args: Any
    ) -> str | None:
        code = self.codes.get(value)
        if code is None or code.client_id != client_id or code.used:
            return None
        if self.rules.clock() >= code.expires_at:
            return "expired_token"
        if self.rules.device_answers:
            return self.rules.device_answers.pop(0)
        if not self.rules.approves:
            return "access_denied"
        request.user, request.scopes, request.origin = code.user, code.scopes, code
        code.used = True
        return "authorized"

    # Tokens

    def validate_refresh_token(
        self, value: str, client: Any, request: Any, *args: Any
    ) -> bool:
        token = self.tokens.get(value)
        if token is None or token.client_id != client.client_id:
            return False
        if token.kind != "refresh_token":
            return False
        active = token.active(self.rules.clock(), self.rules.reuse_grace_s)
        if token.spent_at is not None and not active:
            self.reuses += 1
            if self.rules.detect_reuse:
                self.revoke_family(token.family)  # RFC 9700, 4.14.2
        request.user, request.origin = token.user, token
        return active

    def rotate_refresh_token(self, request: Any) -> bool:
        return self.rules.rotate

    def save_bearer_token(
        self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Keep what is issued; *token* becomes the answer, less what is omitted."""
        origin = getattr(request, "origin", None)
        if isinstance(origin, AuthorizationCode) and not origin.offline:
            token.pop("refresh_token", None)
        for name in self.rules.omit:
            token.pop(name, None)
        now = self.rules.clock()
        family = origin.family if origin else secrets.token_hex(8)
        self._keep("access_token", token, request, family, now + self.rules.lifetime_s)
        if "refresh_token" not in token or token["refresh_token"] in self.tokens:
            return
        self._keep("refresh_token", token, request, family, None)
        if isinstance(origin, IssuedToken) and origin.spent_at is None:
            origin.spent_at = now

    def _keep(
        self,
        kind: str,
        token: dict[str, Any],
        request: Any,
        family: str,
        expires_at: float | None,
    ) -> None:
        if kind not in token:
            return
        client: RegisteredClient = request.client
        self.tokens[token[kind]] = IssuedToken(
            value=token[kind],
            kind=kind,
            client_id=client.client_id,
            user=request.user or client.user or self.rules.user,
            scopes=list(request.scopes),
            family=family,
            issued_at=self.rules.clock(),
            expires_at=expires_at,
        )

    def revoke_token(
        self, value: str, hint: str | None, request: Any, *args: Any
    ) -> None:
        token = self.tokens.get(value)
        if token is None or token.client_id != request.client.client_id:
            return
        if token.kind == "refresh_token":
            self.revoke_family(token.family)  # RFC 7009, 2.1
        token.revoked = True

    def introspect_token(
        self, value: str, hint: str | None, request: Any, *args: Any
    ) -> dict[str, Any] | None:
        token = self.tokens.get(value)
        if token is None or not token.active(self.rules.clock()):
            return None
        claims: dict[str, Any] = {
            "client_id": token.client_id,
            "username": token.user,
            "email": token.user,
            "sub": token.user,
            "scope": " ".join(token.scopes),
            "iat": int(token.issued_at),
            "iss": self.audiences()[0],
            "token_type": "Bearer",
        }
        if token.expires_at is not None:
            claims["exp"] = int(token.expires_at)
        return claims


class JwtBearerGrant(GrantTypeBase):  # type: ignore[misc]
    """RFC 7523, 2.1: an assertion, signed by a registered client, for a token."""

    def __init__(self, validator: GrantValidator) -> None:
        super().__init__(validator)
        self.validator = validator

    def create_token_response(
        self, request: Any, token_handler: Any
    ) -> tuple[dict[str, str], str, int]:
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        try:
            self._validate(request)
        except errors.OAuth2Error as error:
            headers.update(error.headers)
            return headers, error.json, error.status_code
        token = token_handler.create_token(request, refresh_token=False)
        self.validator.save_token(token, request)
        return headers, json.dumps(token), 200

    def _validate(self, request: Any) -> None:
        assertion = getattr(request, "assertion", None)
        if not assertion:
            raise errors.InvalidRequestError("Missing assertion.", request=request)
        try:
            client, claims = self.validator.check_assertion(assertion)
        except ValueError as error:
            raise errors.InvalidGrantError(str(error), request=request) from error
        request.client, request.client_id = client, client.client_id
        request.user = claims["sub"]
        request.scope = request.scope or claims.get("scope")
        self.validate_scopes(request)
