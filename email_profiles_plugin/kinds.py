"""The two kinds of document, and what is particular to each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from attrs import frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import AuthProvider, Problem, Profile, Services
from email_profiles_hookspecs.errors import InUse, NotFound

from . import documents as rules
from . import linter
from .documents.shapes import Schema
from .resolution import contained
from .sealing import Body, Moved
from .settlement import WAITING
from .store import documents, grants, health, settling, tokens, views
from .store.documents import Stored

PROFILE = "email_profile"
CLIENT = "oauth2_client"

Providers = Callable[[], Mapping[str, AuthProvider]]


@frozen(kw_only=True)
class Kind:
    """
    What is particular to a kind of document.

    *moved* tells in what two documents differ as to where their secrets would go;
    *check* is what neither a schema nor a rule can say; *gone* and *touched* are what
    else happens, in the same transaction, when one is deleted, or stored (and moved).
    """

    name: str
    title: str
    schema: Callable[[object], Schema]
    validate: Callable[[object], list[Problem]]
    warn: Callable[[object], list[Problem]]
    moved: Moved
    check: Callable[[Body, str], Iterable[Problem]]
    gone: Callable[[Connection, Stored, bool], None]
    touched: Callable[[Connection, Stored, bool], None]


def profile_kind(
    providers: Providers,
    services: Callable[[Profile], Services],
    now: Callable[[], float],
) -> Kind:
    """Email profiles: the mode's provider has a say in what is valid."""

    def schemas() -> dict[str, Schema]:
        return {mode: provider.schema for mode, provider in providers().items()}

    def check(body: Body, id: str) -> Iterable[Problem]:
        profile = rules.profile_from_document(
            body, id=id, revision=0, schemas=schemas()
        )
        provider = providers()[profile.mode]
        with contained(profile):
            return list(provider.check(profile, services(profile)))

    def gone(connection: Connection, stored: Stored, force: bool) -> None:
        waiting = _waiting(connection, stored, force)
        moment = now()
        for id in waiting:
            settling.move_recipients(connection, id, WAITING, "refused", moment)
            reason = f"the email profile {stored.name!r} was deleted"
            settling.close(connection, id, by="", now=moment, error=reason)
        health.forget(connection, stored.id)
        tokens.forget(connection, stored.id)
        grants.forget(connection, stored.id)

    def touched(connection: Connection, stored: Stored, moved: bool) -> None:
        health.resume(connection, stored.id)
        if moved:
            tokens.drop(connection, stored.id)  # it does not follow to another place

    return Kind(
        name=PROFILE,
        title="email profile",
        schema=lambda body: rules.profile_schema(body, schemas()),
        validate=lambda body: rules.validate_profile(body, schemas()),
        warn=lambda body: _warn_of_profile(body, schemas(), services),
        moved=rules.changed_place,
        check=check,
        gone=gone,
        touched=touched,
    )


def client_kind() -> Kind:
    """OAuth2 clients: shared by profiles, so that a change concerns those too."""

    def touched(connection: Connection, stored: Stored, moved: bool) -> None:
        for user in documents.referrers(connection, stored.id):
            health.resume(connection, user.id)

    return Kind(
        name=CLIENT,
        title="OAuth2 client",
        schema=lambda body: rules.client_schema(),
        validate=rules.validate_client,
        warn=_warn_of_client,
        moved=rules.changed_client_place,
        check=lambda body, id: (),
        gone=lambda connection, stored, force: None,
        touched=touched,
    )


def _warn_of_profile(
    body: object,
    schemas: Mapping[str, Schema],
    services: Callable[[Profile], Services],
) -> list[Problem]:
    """The linter sees the profile's OAuth2 client too."""
    if not isinstance(body, Mapping):
        return []
    profile = rules.profile_from_document(body, id="", revision=0, schemas=schemas)
    name, client = profile.auth.get("client"), None
    if profile.mode == "oauth2" and isinstance(name, str):
        with suppress(NotFound):
            client = services(profile).clients.get(name)
    return rules.warnings(body, linter.of_profile(body, client))


def _warn_of_client(body: object) -> list[Problem]:
    lint = linter.of_client(body) if isinstance(body, Mapping) else ()
    return rules.client_warnings(body, lint)


def _waiting(connection: Connection, stored: Stored, force: bool) -> list[str]:
    """
    The messages that wait for a profile that is to be deleted.

    InUse where there are any, without *force*, or one is on its way to the server.
    """
    if views.listed(connection, state="sending", profile_id=stored.id, limit=1):
        raise InUse(
            f"a message of email profile {stored.name!r} is being sent just now",
            "try again in a moment",
        )
    waiting = views.queued(connection, stored.id)
    if waiting and not force:
        raise InUse(
            f"messages wait for email profile {stored.name!r}: {len(waiting)}",
            "let them go out, cancel them, or delete it by force",
        )
    return waiting
