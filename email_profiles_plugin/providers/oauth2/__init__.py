"""Authentication mode `oauth2`: an access token that an authorization server issues."""

from __future__ import annotations

from collections.abc import Iterable

import email_profiles_schemas
from email_profiles_hookspecs import (
    AuthProvider,
    Problem,
    Profile,
    Services,
    hookimpl,
)
from email_profiles_hookspecs.errors import NotFound

from .authenticator import OAuth2

__all__ = ["OAuth2", "check", "email_profiles_auth_providers"]


def check(profile: Profile, services: Services) -> Iterable[Problem]:
    """What the schema can't say: whether a person could grant access at all."""
    try:
        client = services.clients.get(profile.auth["client"])
    except NotFound:
        return  # told where references are looked at
    known = client.authorization_endpoint or client.issuer
    known = known or client.device_authorization_endpoint
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
