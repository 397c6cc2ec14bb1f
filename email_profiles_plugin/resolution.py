"""Resolution: a name becomes a profile, and a profile what authenticates it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager

from attrs import define, evolve, field

from email_profiles_hookspecs import Authenticator, AuthProvider, Profile, Services
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    Invalid,
    StoreUnavailable,
)

from .documents import (
    document_from_profile,
    profile_from_document,
    references,
    validate_profile,
)
from .documents.shapes import Schema
from .store import documents, tokens
from .store.database import Database
from .store.documents import Stored
from .submission import plugin_failed

log = logging.getLogger(__name__)


@define(kw_only=True, eq=False)
class Resolver:
    """
    Finds profiles, and keeps one authenticator for each.

    *ask* is the hook `email_profiles_resolve`. Profiles and authenticators are kept
    until their revision changes.
    """

    database: Database
    providers: Callable[[], Mapping[str, AuthProvider]]
    services: Callable[[Profile], Services]
    ask: Callable[[str], Profile | None]
    _profiles: dict[str, Profile] = field(factory=dict, init=False)
    _authenticators: dict[str, tuple[Hashable, Authenticator]] = field(
        factory=dict, init=False
    )
    _accepted: dict[str, Profile] = field(factory=dict, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def schemas(self) -> Mapping[str, Schema]:
        """The modes' schemas."""
        found = self.providers()
        return {mode: provider.schema for mode, provider in found.items()}

    def stored(self, name: str) -> Profile | None:
        """The profile of that name in the store."""
        with self.database.read() as connection:
            found = documents.by_name(connection, "email_profile", name)
        return self._profile(found) if found is not None else None

    def by_id(self, id: str) -> Profile | None:
        """A profile in the store, whatever its name is now; None if it can't be had."""
        try:
            with self.database.read() as connection:
                found = documents.by_id(connection, id)
            return None if found is None else self._profile(found)
        except EmailProfilesError as error:
            log.warning("profile %s can't be used: %s", id, error)
            return None

    def profile(self, id: str, name: str) -> Profile | None:
        """
        The profile of a queued message: by id, whatever it is called now.

        One that is not in the store is asked for by name, and has *id* all the same,
        as the message's row does. None while it can't be had, for whatever reason:
        its messages wait, and nobody else's. StoreUnavailable where all wait.
        """
        reading = True
        try:
            with self.database.read() as connection:
                found = documents.by_id(connection, id)
            reading = False
            made = self.ask(name) if found is None else self._profile(found)
        except (Exception, SystemExit) as error:
            if reading and isinstance(error, StoreUnavailable):
                raise
            foreign = not isinstance(error, EmailProfilesError)
            log.warning("%r can't be used: %s", name, error, exc_info=foreign)
            return None
        return made if made is None or made.id == id else evolve(made, id=id)

    def callback_uid(self, profile: Profile) -> str:
        """The immutable id of the profile's OAuth2 client; its own, without one."""
        for one in references(profile.auth, self.schemas()[profile.mode]):
            if one.kind == "oauth2_client":
                with self.database.read() as connection:
                    client = documents.by_name(connection, one.kind, one.name)
                return profile.id if client is None else client.id
        return profile.id

    def accept(self, profile: Profile) -> Profile:
        """
        *profile*, if its settings are valid; Invalid.

        What a site plugin returns is validated once for each revision.
        """
        with self._guard:
            known = self._profiles.get(profile.id)
            if known is not None and known == profile:  # another thread's, maybe
                return known
            if self._accepted.get(profile.id) == profile:
                return self._accepted[profile.id]
        document = document_from_profile(profile)
        schemas = self.schemas()
        problems = validate_profile(document, schemas)
        if problems:
            raise Invalid(f"email profile {profile.name!r}, from a plugin", problems)
        made = profile_from_document(
            document, id=profile.id, revision=profile.revision, schemas=schemas
        )
        accepted = evolve(made, name=profile.name)
        with self._guard:
            self._accepted[profile.id] = accepted
        return accepted

    def authenticator(self, profile: Profile) -> Authenticator:
        """What acquires credentials; the same until profile or client changes."""
        stamp = self.stamp(profile)
        with self._guard:
            kept = self._authenticators.get(profile.id)
            if kept is not None and kept[0] == stamp:
                return kept[1]
        made = self.build(profile)
        with self._guard:
            self._authenticators[profile.id] = (stamp, made)
        return made

    def build(self, profile: Profile) -> Authenticator:
        """A new authenticator, which nobody else uses."""
        provider = self.providers()[profile.mode]
        with contained(profile):
            return provider.build(profile, self.services(profile))

    def stamp(self, profile: Profile) -> Hashable:
        """
        Changes with the profile, with each document that it refers to, and when access
        is granted anew.
        """
        if not any(references(profile.auth, self.schemas()[profile.mode])):
            return profile.revision
        with self.database.read() as connection:
            used = documents.revisions_used(connection, profile.id)
            grant = tokens.read(connection, profile.id).grant_generation
        return profile.revision, used, grant

    def _profile(self, found: Stored) -> Profile:
        with self._guard:
            kept = self._profiles.get(found.id)
        if kept is not None and kept.revision == found.revision:
            return kept
        made = profile_from_document(
            found.body, id=found.id, revision=found.revision, schemas=self.schemas()
        )
        made = evolve(made, name=found.name)
        with self._guard:
            self._profiles[found.id] = made
        return made


@contextmanager
def contained(profile: Profile) -> Iterator[None]:
    """What the plugin of the profile's mode raises becomes a contract error."""
    try:
        yield
    except EmailProfilesError:
        raise
    except (Exception, SystemExit) as error:
        raise plugin_failed(profile, error) from error
