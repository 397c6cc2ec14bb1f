"""
An OAuth 2.0 authorization server on loopback, over TLS, for tests and for the demo.

oauthlib's own server side decides; here are its endpoints, what a test can change
while it runs, and the record of what it was asked.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from .authorization_endpoints import JSON, Endpoints
from .certificates import CertificateAuthority
from .gate import Gate
from .grants import GrantValidator
from .https import Answer, HttpsListener
from .registrations import (
    AuthorizationRules,
    RegisteredClient,
    parse_request,
    read_client_id,
)

SECRET_FIELDS = (
    "assertion",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "device_code",
    "password",
    "refresh_token",
    "token",
)


@frozen(kw_only=True)
class RecordedRequest:
    """One request; what is secret in `form`, the query included, reads `***`."""

    method: str
    path: str
    grant_type: str | None
    client_id: str | None
    form: Mapping[str, str]


@frozen(kw_only=True)
class Override:
    """An answer given in place of the server's own, after all its work if *spent*."""

    answer: Answer
    spent: bool = field(default=False)


class AuthorizationServer:
    """
    A server on 127.0.0.1, with threads of its own; a context manager.

    What it grants, and how, is in `rules`, which may be changed while it runs.
    `client` is a confidential client with a secret made at random; `register` adds
    others. The endpoints are known once it has started. After `stop`, `start`
    listens on the same port again, and what was issued is still good.
    """

    def __init__(
        self,
        certificate_authority: CertificateAuthority,
        *,
        rules: AuthorizationRules | None = None,
        port: int = 0,
    ) -> None:
        self.ca_file = certificate_authority.ca_file
        self.port = port
        self.rules = rules or AuthorizationRules()
        self.hold = Gate()
        """Closed, it keeps back what the token endpoint has decided already."""
        self.requests: list[RecordedRequest] = []
        self._context = certificate_authority.server_context()
        self._validator = GrantValidator(
            self.rules, lambda: (self.issuer, self.token_endpoint)
        )
        self._endpoints = Endpoints(self.rules, self._validator, lambda: self.issuer)
        self._overrides: dict[str, deque[Override]] = {}
        self._deciding = threading.Lock()
        self._listener: HttpsListener | None = None
        self.client = self.register("email-profiles", secrets.token_urlsafe(24))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; OSError if it can't."""
        self._listener = HttpsListener(self._context, self.port, self._respond)
        self.port = self._listener.server_port
        self._listener.start()

    def stop(self) -> None:
        """Cut every connection and stop listening."""
        if self._listener is not None:
            self.hold.dismiss()
            self._listener.stop()
            self._listener = None

    # Where it is

    @property
    def issuer(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def authorization_endpoint(self) -> str:
        return f"{self.issuer}/authorize"

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/token"

    @property
    def device_authorization_endpoint(self) -> str:
        return f"{self.issuer}/device_authorization"

    @property
    def revocation_endpoint(self) -> str:
        return f"{self.issuer}/revoke"

    @property
    def introspection_endpoint(self) -> str:
        return f"{self.issuer}/introspect"

    # What a test does to it

    def register(
        self,
        client_id: str,
        client_secret: str | None = None,
        *,
        redirect_uris: tuple[str, ...] = (),
        public_key: bytes | None = None,
        user: str | None = None,
    ) -> RegisteredClient:
        """Add a client, or replace it; see `RegisteredClient`."""
        client = RegisteredClient(
            client_id=client_id,
            client_secret=client_secret,
            redirect_uris=redirect_uris,
            public_key=public_key,
            user=user,
        )
        self._validator.clients[client_id] = client
        return client

    def answer_next(
        self,
        status: int,
        body: bytes | Mapping[str, Any] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        count: int = 1,
        path: str = "/token",
        spent: bool = False,
    ) -> None:
        """
        Give this answer to the next *count* requests for *path*, whatever they ask.

        A mapping is sent as JSON; status 0 closes the connection instead. *spent*:
        the request is first carried out, so that a code or a refresh token is used
        up and the real answer is lost.
        """
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = dict(JSON) if headers is None else dict(headers)
        answer = Answer(status=status, headers=given, body=octets)
        waiting = self._overrides.setdefault(path, deque())
        waiting.extend([Override(answer=answer, spent=spent)] * count)

    def revoke_tokens(self, kind: str = "access_token") -> None:
        """Make all tokens of a *kind*, also `refresh_token`, worthless; tell nobody."""
        for token in tuple(self._validator.tokens.values()):
            if token.kind == kind:
                token.revoked = True

    def accepts(self, username: str, token: str) -> bool:
        """Whether *token* is a good access token of this user; for `SmtpServer`."""
        issued = self._validator.tokens.get(token)
        if issued is None or issued.kind != "access_token":
            return False
        return issued.user == username and issued.active(self.rules.clock())

    @property
    def token_requests(self) -> int:
        """How often the token endpoint was asked, answered or not."""
        return sum(request.path == "/token" for request in tuple(self.requests))

    @property
    def reuses(self) -> int:
        """How often a spent refresh token came again, and was refused."""
        return self._validator.reuses

    # What it does

    def _respond(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        path = urlsplit(target).path
        text = body.decode("utf-8", "replace")
        self._record(method, target, headers, text)
        with self._deciding:
            waiting = self._overrides.get(path)
            override = waiting.popleft() if waiting else None
            answer = Answer(status=500)
            if override is None or override.spent:
                answer = self._endpoints.decide(method, target, headers, text)
        if override is not None:
            answer = override.answer
        if path == "/token":
            self.hold.pass_through().result()
        return answer

    def _record(
        self, method: str, target: str, headers: Mapping[str, str], body: str
    ) -> None:
        parts = urlsplit(target)
        form = dict(parse_qsl(parts.query) + parse_qsl(body))
        try:
            client_id = read_client_id(
                parse_request(self.issuer, method, headers, body)
            )
        except ValueError:
            client_id = None
        record = RecordedRequest(
            method=method,
            path=parts.path,
            grant_type=form.get("grant_type"),
            client_id=client_id or form.get("client_id"),
            form={k: "***" if k in SECRET_FIELDS else v for k, v in form.items()},
        )
        self.requests.append(record)
