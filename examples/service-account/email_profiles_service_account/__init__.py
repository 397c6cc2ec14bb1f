"""Authentication mode `service_account`: a robot's key for a mailbox's token."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.resources import files

from attrs import evolve, field, frozen

from email_profiles_hookspecs import (
    AuthProvider,
    Credential,
    Problem,
    Profile,
    Reply,
    Services,
    Timing,
    Token,
    TokenStatus,
    hookimpl,
    jwt,
    sasl,
)
from email_profiles_hookspecs.errors import GrantRefused

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

LIFE_S = 600
"""Seconds that an assertion is good for; Google takes at most 3,600."""

TIMING = ("access_token_timeout_s", "refresh_before_expiration_s")

REMEDIES = {
    "invalid_grant": "look at the username, the key, and the clock of this machine",
    "unauthorized_client": "allow the service account this scope, for the whole domain",
}
"""What to do about a refusal; there is nothing to grant anew."""


@frozen
class ServiceAccount:
    """Signs an assertion for the mailbox, and trades it for a token (RFC 7523, 2.1)."""

    profile: Profile
    services: Services = field(repr=False)

    def acquire(self, deadline: float) -> Credential:
        auth, smtp = self.profile.auth, self.profile.smtp
        timing = Timing(**{name: auth[name] for name in TIMING})
        token = self.services.tokens.current(self.fetch, deadline, timing)
        user, value = auth["username"], token.access_token
        offers: list[sasl.Sasl] = [sasl.XOAuth2(user, value)]
        offers.append(sasl.OAuthBearer(user, value, smtp.hostname, smtp.port))
        return Credential(offers=offers, identity=user, generation=token.generation)

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return self.services.tokens.reject(credential.generation)

    def status(self) -> TokenStatus:
        status = self.services.tokens.status()
        held = status.state in ("valid", "expiring", "expired")
        return evolve(status, actions=("refresh", "revoke") if held else ("refresh",))

    def refresh(self, deadline: float) -> TokenStatus:
        self.services.tokens.renew(self.fetch, deadline)
        return self.status()

    def revoke(self, deadline: float) -> None:
        self.services.tokens.forget()  # it ends by itself within the hour

    def fetch(self, previous: Token | None, deadline: float) -> Token:
        reply = self.services.http.request(
            "POST",
            self.profile.auth["token_uri"],
            form={"grant_type": JWT_BEARER, "assertion": self.assertion()},
            ca_file=self.profile.auth["ca_file"],
            deadline=deadline,
        )
        try:
            token = self.services.tokens.parse(reply)
        except GrantRefused as error:
            remedy = REMEDIES.get(error.error, error.remedy)
            raise GrantRefused(error.message, error.error, remedy) from error
        return evolve(token, scope=token.scope or self.profile.auth["scope"])

    def assertion(self) -> str:
        """Who asks (`iss`), for whose mailbox (`sub`), and for what."""
        auth, now = self.profile.auth, int(self.services.clock.now().timestamp())
        who = {"iss": auth["issuer"], "sub": auth["username"]}
        what = {"aud": auth["token_uri"], "scope": auth["scope"]}
        claims = {**who, **what, "iat": now, "exp": now + LIFE_S}
        key = self.services.secrets.read(auth["private_key"])
        headers = {"kid": auth["key_id"]} if auth["key_id"] else {}
        return jwt.sign(claims, key, headers=headers)


def check(profile: Profile, services: Services) -> Iterable[Problem]:
    """What the schema can't say."""
    if profile.auth["username"].lower() == profile.auth["issuer"].lower():
        yield Problem(
            path="$.auth.username",
            message="is the service account itself, which has no mailbox",
            remedy="name the mailbox to send from",
        )


@hookimpl
def email_profiles_auth_providers() -> Iterable[AuthProvider]:
    schema = files(__name__).joinpath("service_account.schema.json")
    yield AuthProvider(
        mode="service_account",
        title="Service account",
        schema=json.loads(schema.read_text("utf-8")),
        build=ServiceAccount,
        check=check,
    )
