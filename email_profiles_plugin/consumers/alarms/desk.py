"""The alarm notifications that are stored, as values, and what they send by."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from email_profiles_hookspecs import Profile
from email_profiles_hookspecs.errors import Disabled, NotFound

from ...documents import map_secrets, with_defaults
from ...store import documents
from ...store.documents import Stored
from .notification import Notification, from_document

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ...runtime import EmailProfiles

KEPT_S = 3600
"""Seconds for which settings that belong to a consumer count as just stored."""

MOST_GIVEN = 1000
"""Documents that were given instead of named, and are remembered."""


@frozen
class Kept:
    """
    The *name* that something was stored by, in which *revision*, and until when that
    need not be seen.
    """

    name: str
    until: float
    revision: int = 0


@define(eq=False)
class Desk:
    """Finds alarm notifications, and the email profile of each; keeps what it found."""

    profiles: EmailProfiles
    _known: dict[str, Notification] = field(factory=dict, init=False)
    _given: dict[str, Kept] = field(factory=dict, init=False)
    _own: dict[tuple[str, int], Kept] = field(factory=dict, init=False, repr=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def find(self, document: str | Mapping[str, Any]) -> Notification:
        """
        The one called *document*, or the one that *document* is.

        One that is given is stored, unlisted, or nobody could send later what it has
        waiting. Raises NotFound, Invalid.
        """
        if isinstance(document, str):
            return self.value(self.profiles.alarm_notifications.get(document))
        return self.value(self._stored(document))

    def _stored(self, document: Mapping[str, Any]) -> Stored:
        """As it is stored, unless another of its name took its place meanwhile."""
        text = json.dumps(document, sort_keys=True, default=repr)
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        now = self.profiles.clock.monotonic()
        with self._guard:
            kept = self._given.get(digest)
        if kept is not None and kept.until > now:
            stored = self.profiles.alarm_notifications.get(kept.name)
            if stored.revision == kept.revision:
                return stored
        name = document.get("name") if isinstance(document, Mapping) else None
        embedded = self.profiles.alarm_notifications.embed(
            document, owner=name if isinstance(name, str) else "", actor="alarms"
        )
        stored = self.profiles.alarm_notifications.get(embedded)
        with self._guard:
            if len(self._given) >= MOST_GIVEN:
                self._given.clear()
            self._given[digest] = Kept(embedded, now + KEPT_S, stored.revision)
        return stored

    def by_id(self, connection: Connection, id: str) -> Notification | None:
        """The one with this id; None where it is gone."""
        stored = documents.by_id(connection, id)
        return None if stored is None else self.value(stored)

    def value(self, stored: Stored) -> Notification:
        """What *stored* says."""
        with self._guard:
            known = self._known.get(stored.id)
        if known is not None and known.revision == stored.revision:
            return known
        schema = self.profiles.alarm_notifications.kind.schema(stored.body)
        made = from_document(
            with_defaults(stored.body, schema), id=stored.id, revision=stored.revision
        )
        with self._guard:
            self._known[stored.id] = made
        return made

    def live_since(self, now: float, retention_s: float) -> dict[str, float]:
        """Since when their mails' links can be used, where that outlasts retention."""
        kind = self.profiles.alarm_notifications.kind.name
        with self.profiles.database.read() as connection:
            found = documents.everything(connection)
        links = [(one.id, self.value(one).link) for one in found if one.kind == kind]
        return {
            id: now - link.valid_s
            for id, link in links
            if link is not None and link.valid_s > retention_s
        }

    def profile(self, notification: Notification) -> Profile:
        """
        What it sends by: the profile that it names, or one of its own settings.

        NotFound, Disabled; SecretError where a secret of its own does not open.
        """
        name = notification.profile or self._own_profile(notification)
        found = self.profiles.resolve(name)
        if found is None:
            raise NotFound("email profile", name)
        if not found.enabled:
            raise Disabled(f"the email profile {found.name!r} is disabled")
        return found

    def _own_profile(self, notification: Notification) -> str:
        now = self.profiles.clock.monotonic()
        with self._guard:
            kept = self._own.get((notification.id, notification.revision))
        if kept is not None and kept.until > now:
            return kept.name
        with self.profiles.database.read() as connection:
            stored = documents.by_id(connection, notification.id)
        if stored is None:
            raise NotFound("alarm notification", notification.name)
        name = self.profiles.profiles.embed(
            self._own_settings(stored),
            owner=stored.id,
            actor=f"alarm notification {stored.name}",
        )
        with self._guard:
            self._own[stored.id, stored.revision] = Kept(name, now + KEPT_S)
        return name

    def _own_settings(self, stored: Stored) -> dict[str, Any]:
        """The email profile in a document; its secrets open, to be sealed elsewhere."""

        def opened(pointer: str, secret: object) -> object:
            if isinstance(secret, Mapping) and "sealed" in secret:
                place = f"{stored.id}#{pointer}"
                return self.profiles.keyring.open(place, secret["sealed"])
            return secret

        schema = self.profiles.alarm_notifications.kind.schema(stored.body)
        body = map_secrets(stored.body, schema, opened)
        return {"smtp": body["smtp"], "auth": body["auth"]}
