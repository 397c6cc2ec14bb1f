"""Provision: the services that a provider is given, for one profile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

from attrs import frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import OAuth2Client, Profile
from email_profiles_hookspecs.errors import Invalid, NotFound
from email_profiles_hookspecs.services import Clients, Clock, Http, Logger, Tokens

from . import token_rules
from .documents import client_from_document, profile_from_document, with_defaults
from .documents.shapes import Schema
from .http import HttpClient
from .secrets import Keyring, SecretReader
from .store import documents
from .store.database import Database
from .tokens import TokenKeeper


@frozen(kw_only=True)
class ProfileServices:
    """The contract's `Services`."""

    clock: Clock
    http: Http
    secrets: SecretReader
    clients: Clients
    tokens: Tokens
    logger: Logger


@frozen
class StoredClients:
    """The OAuth2 clients in the store."""

    database: Database

    def get(self, name: str) -> OAuth2Client:
        """The client called *name*; NotFound."""
        with self.database.read() as connection:
            return stored_client(connection, name)


def stored_client(connection: Connection, name: str) -> OAuth2Client:
    """The client called *name*; NotFound."""
    found = documents.by_name(connection, "oauth2_client", name)
    if found is None:
        raise NotFound("OAuth2 client", name)
    return client_from_document(found.body, id=found.id, revision=found.revision)


@frozen(kw_only=True)
class Provision:
    """Gives each profile its services; *schemas* are the modes'."""

    database: Database
    keyring: Keyring
    clock: Clock
    http: HttpClient
    tokens: TokenKeeper
    schemas: Callable[[], Mapping[str, Schema]]

    def services(self, profile: Profile) -> ProfileServices:
        """What the provider of *profile* may use."""
        return ProfileServices(
            clock=self.clock,
            http=self.http,
            secrets=SecretReader(self.keyring),
            clients=StoredClients(self.database),
            tokens=self.tokens.of(
                profile.id,
                self.fingerprint(profile),
                token_rules.read_timing(profile.auth),
                profile.name,
                lambda connection: self._current(connection, profile),
            ),
            logger=logging.getLogger(f"email_profiles_plugin.mode.{profile.mode}"),
        )

    def fingerprint(self, profile: Profile) -> str:
        """What the profile's token is issued for; its client by the name in auth."""
        with self.database.read() as connection:
            return self._fingerprint(connection, profile)

    def _current(self, connection: Connection, profile: Profile) -> str:
        """
        As `fingerprint`, of the profile as it is stored now; "" where it is of no use.

        One that is not in the store is a plugin's, and taken as it is.
        """
        found = documents.by_id(connection, profile.id)
        if found is None:
            return self._fingerprint(connection, profile)
        try:
            stored = profile_from_document(
                found.body,
                id=found.id,
                revision=found.revision,
                schemas=self.schemas(),
            )
        except Invalid:
            return ""  # the plugin of its mode is gone
        return self._fingerprint(connection, stored)

    def _fingerprint(self, connection: Connection, profile: Profile) -> str:
        name, client = profile.auth.get("client"), None
        if isinstance(name, str):
            with suppress(NotFound):
                client = stored_client(connection, name)
        defaults = with_defaults({}, self.schemas().get(profile.mode, {}))
        return token_rules.fingerprint(profile.mode, profile.auth, client, defaults)
