"""Authentication mode `basic`: a username and a password, or neither."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import field, frozen

import email_profiles_schemas
from email_profiles_hookspecs import (
    AuthProvider,
    Credential,
    Profile,
    Reply,
    Services,
    hookimpl,
    sasl,
)


@frozen
class Password:
    """Proves a password by whatever mechanism the server has; looks it up each time."""

    username: str
    mechanism: str
    read: Callable[[], str] = field(repr=False)

    def acquire(self, deadline: float) -> Credential:
        offers = sasl.password_offers(self.username, self.read(), self.mechanism)
        return Credential(offers=offers, identity=self.username)

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return False  # the same password is no better the second time


@frozen
class Nobody:
    """No authentication, as plant relays have it."""

    def acquire(self, deadline: float) -> Credential:
        return Credential(offers=())

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return False


def build(profile: Profile, services: Services) -> Password | Nobody:
    username, password = profile.auth.get("username"), profile.auth.get("password")
    if not username or password is None:
        return Nobody()
    mechanism = profile.auth.get("mechanism", "automatic")
    return Password(username, mechanism, lambda: services.secrets.read(password))


@hookimpl
def email_profiles_auth_providers() -> Iterable[AuthProvider]:
    yield AuthProvider(
        mode="basic",
        title="Classic SMTP",
        schema=email_profiles_schemas.load("auth_basic"),
        build=build,
    )
