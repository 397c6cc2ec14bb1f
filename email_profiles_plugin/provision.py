"""Provision: the services that a provider is given, for one profile."""

from __future__ import annotations

import logging
from functools import cached_property

from attrs import frozen

from email_profiles_hookspecs import OAuth2Client, Profile
from email_profiles_hookspecs.errors import NotFound
from email_profiles_hookspecs.services import Clients, Clock, Http, Logger, Tokens

from .clock import SystemChance
from .documents import client_from_document
from .secrets import Keyring, SecretReader
from .store import documents
from .store.database import Database


@frozen
class StoredClients:
    """The OAuth2 clients in the store."""

    database: Database

    def get(self, name: str) -> OAuth2Client:
        """The client called *name*; NotFound."""
        with self.database.read() as connection:
            found = documents.by_name(connection, "oauth2_client", name)
        if found is None:
            raise NotFound("OAuth2 client", name)
        return client_from_document(found.body, id=found.id, revision=found.revision)


@frozen(kw_only=True)
class Provision:
    """Gives each profile its services; what is heavy is made on first use."""

    database: Database
    keyring: Keyring
    clock: Clock
    chance: SystemChance

    def services(self, profile: Profile) -> ProfileServices:
        """What the provider of *profile* may use."""
        return ProfileServices(self, profile)


class ProfileServices:
    """The contract's `Services`, for one profile."""

    def __init__(self, provision: Provision, profile: Profile) -> None:
        self._provision = provision
        self._profile = profile

    @property
    def clock(self) -> Clock:
        return self._provision.clock

    @cached_property
    def http(self) -> Http:
        from .http import HttpClient

        return HttpClient(self._provision.clock)

    @cached_property
    def secrets(self) -> SecretReader:
        return SecretReader(self._provision.keyring)

    @cached_property
    def clients(self) -> Clients:
        return StoredClients(self._provision.database)

    @cached_property
    def tokens(self) -> Tokens:
        raise AssertionError

    @property
    def logger(self) -> Logger:
        return logging.getLogger(f"email_profiles_plugin.mode.{self._profile.mode}")
