"""
The endpoints of the loopback authorization server: HTTP in front, oauthlib behind.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from oauthlib.common import add_params_to_uri, generate_token
from oauthlib.oauth2 import OAuth2Error, Server
from oauthlib.oauth2.rfc6749 import errors

from .grants import GrantValidator, JwtBearerGrant
from .https import Answer
from .registrations import (
    DEVICE_CODE,
    JWT_BEARER,
    AuthorizationCode,
    AuthorizationRules,
    parse_request,
    read_client_id,
)

JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}


class Endpoints:
    """Answers each request by *rules*; *issuer* tells where the server listens."""

    def __init__(
        self,
        rules: AuthorizationRules,
        validator: GrantValidator,
        issuer: Callable[[], str],
    ) -> None:
        self.rules = rules
        self.validator = validator
        self.issuer = issuer
        self.oauth = _build(rules, validator)

    def decide(
        self, method: str, target: str, headers: Mapping[str, str], body: str
    ) -> Answer:
        """What is answered, errors included; *target* is path and query."""
        uri, path = self.issuer() + target, urlsplit(target).path
        try:
            match path:
                case (
                    "/.well-known/oauth-authorization-server"
                    | "/.well-known/openid-configuration"
                ):
                    return _say(200, JSON, json.dumps(self._describe()))
                case "/authorize":
                    return self._authorize(uri, method, headers, body)
                case "/token":
                    create = self.oauth.create_token_response
                case "/introspect":
                    create = self.oauth.create_introspect_response
                case "/revoke":
                    create = self.oauth.create_revocation_response
                case "/device_authorization":
                    return self._authorize_device(uri, method, headers, body)
                case "/device":
                    return _say(200, {"Content-Type": "text/plain"}, "Approved.")
                case _:
                    return Answer(status=404)
            given, text, status = create(uri, method, body, headers)
            return _say(status, given, text)
        except (OAuth2Error, ValueError) as error:
            refusal = error if isinstance(error, OAuth2Error) else None
            refusal = refusal or errors.InvalidRequestError(str(error))
            return _say(refusal.status_code, JSON, refusal.json)

    def _authorize(
        self, uri: str, method: str, headers: Mapping[str, str], body: str
    ) -> Answer:
        given, _, status = self.oauth.create_authorization_response(
            uri, method, body, headers
        )
        if self.rules.sends_iss:  # RFC 9207: in refusals too
            iss = self.rules.claimed_issuer or self.issuer()
            given["Location"] = add_params_to_uri(given["Location"], [("iss", iss)])
        return _say(status, given, "")

    def _authorize_device(
        self, uri: str, method: str, headers: Mapping[str, str], body: str
    ) -> Answer:
        from oauthlib.oauth2.rfc8628.endpoints import DeviceAuthorizationEndpoint

        request = parse_request(uri, method, headers, body)
        client_id = read_client_id(request)
        if client_id and not request.client_id:  # oauthlib looks in the body alone
            body += "&" + urlencode({"client_id": client_id})
        create: Any = DeviceAuthorizationEndpoint
        endpoint = create(
            self.validator,
            f"{self.issuer()}/device",
            expires_in=self.rules.device_lifetime_s,
            interval=self.rules.device_interval_s,
            user_code_generator=lambda: secrets.token_hex(4).upper(),
        )
        _, data, status = endpoint.create_device_authorization_response(
            uri, method, body, headers
        )
        code = AuthorizationCode(
            value=data["device_code"],
            client_id=client_id or "",
            user=self.rules.user,
            scopes=data.pop("scope").split(),
            family=secrets.token_hex(8),
            expires_at=self.rules.clock() + data["expires_in"],
        )
        self.validator.codes[code.value] = code
        return _say(status, JSON, json.dumps(data))

    def _describe(self) -> dict[str, Any]:
        """RFC 8414, 2; RFC 9207, 3."""
        issuer, rules = self.issuer(), self.rules
        methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
        document = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "device_authorization_endpoint": f"{issuer}/device_authorization",
            "revocation_endpoint": f"{issuer}/revoke",
            "introspection_endpoint": f"{issuer}/introspect",
            "response_types_supported": ["code"],
            "grant_types_supported": [
                "authorization_code",
                "client_credentials",
                "refresh_token",
                JWT_BEARER,
                DEVICE_CODE,
            ],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": [*methods, "none"],
            "authorization_response_iss_parameter_supported": rules.sends_iss,
            **rules.metadata,
        }
        return {name: value for name, value in document.items() if value is not None}


def _build(rules: AuthorizationRules, validator: GrantValidator) -> Any:
    """oauthlib's server: S256 insisted on, JWT bearer added, passwords taken out."""
    create: Any = Server
    server = create(
        validator,
        token_expires_in=lambda request: rules.lifetime_s,
        token_generator=lambda request: generate_token(rules.token_length),
        refresh_token_generator=lambda request: generate_token(48),
    )
    server.grant_types[JWT_BEARER] = JwtBearerGrant(validator)
    del server.grant_types["password"]

    def insist_on_s256(request: Any) -> dict[str, Any]:
        if rules.require_pkce and not request.code_challenge:  # oauthlib takes ""
            raise errors.MissingCodeChallengeError(request=request)
        if request.code_challenge and request.code_challenge_method != "S256":
            raise errors.UnsupportedCodeChallengeMethodError(request=request)
        return {}

    def ask_user(request: Any) -> dict[str, Any]:
        if not rules.approves:
            raise errors.AccessDeniedError(request=request)
        return {}

    server.auth_grant.custom_validators.pre_auth.append(insist_on_s256)
    server.auth_grant.custom_validators.post_auth.append(ask_user)
    return server


def _say(status: int, headers: Mapping[str, str], body: str | None) -> Answer:
    return Answer(status=status, headers=headers, body=(body or "").encode())
