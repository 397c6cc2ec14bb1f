"""A shelf: the documents of one kind as they stand there, to be read."""

from __future__ import annotations

import builtins
import difflib
from typing import Any

from attrs import define
from sqlalchemy import Connection

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import NotFound, StaleRevision

from .documents import Reference, references
from .kinds import Kind
from .sealing import Body
from .store import audit, documents
from .store.database import Database
from .store.documents import Stored

Based = int | None
"""The revision that a change is based on; None: whichever there is."""


@define(kw_only=True)
class Shelf:
    """Documents of one *kind*, and who refers to them."""

    kind: Kind
    database: Database

    def list(self) -> builtins.list[Stored]:
        """All that are listed, by name."""
        with self.database.read() as connection:
            return documents.listed(connection, self.kind.name)

    def get(self, name: str) -> Stored:
        """The one called *name*; NotFound."""
        with self.database.read() as connection:
            return self._found(connection, name)

    def missing(self, name: str) -> NotFound:
        """What to raise where nobody knows *name*: it may be called otherwise now."""
        with self.database.read() as connection:
            remedy = audit.called_now(connection, self.kind.name, name)
        return NotFound(self.kind.title, name, remedy)

    def by_id(self, id: str) -> Stored:
        """The listed one with this lasting id; NotFound."""
        with self.database.read() as connection:
            stored = documents.by_id(connection, id)
        if stored is None or stored.kind != self.kind.name or not stored.listed:
            raise NotFound(self.kind.title, id)
        return stored

    def export(self, name: str) -> dict[str, Any]:
        """The document as `apply` takes it here; secrets sealed or referred to."""
        return dict(self.get(name).body)

    def users(self, id: str) -> builtins.list[Stored]:
        """The documents that refer to the one with this id, by name."""
        with self.database.read() as connection:
            return documents.referrers(connection, id)

    def _targets(
        self, connection: Connection, body: Body
    ) -> tuple[dict[str, str], builtins.list[Problem]]:
        """The ids of what *body* names, by place; a problem where there is none."""
        targets, problems = {}, []
        for one in references(body, self.kind.schema(body)):
            target = documents.by_name(connection, one.kind, one.name)
            if target is not None:
                targets[one.pointer] = target.id
                continue
            path = "$" + one.pointer.replace("/", ".")
            message = f"there is no {one.kind.replace('_', ' ')} {one.name!r}"
            remedy = audit.called_now(connection, one.kind, one.name)
            remedy = remedy or self._nearly(connection, one)
            problems.append(Problem(path=path, message=message, remedy=remedy))
        return targets, problems

    def _found(
        self, connection: Connection, name: str, based_on: Based = None
    ) -> Stored:
        found = documents.by_name(connection, self.kind.name, name)
        if found is None:
            remedy = audit.called_now(connection, self.kind.name, name)
            raise NotFound(self.kind.title, name, remedy)
        self._fresh(name, found.revision, based_on)
        return found

    def _fresh(self, name: str, revision: int, based_on: Based) -> None:
        if based_on is not None and based_on != revision:
            raise StaleRevision(
                f"{self.kind.title} {name!r} was changed since revision {based_on}",
                "read it again, then change it",
            )

    def _nearly(self, connection: Connection, one: Reference) -> str:
        """What to do about a name that there is not: the one that is meant, if any."""
        known = [each.name for each in documents.listed(connection, one.kind)]
        near = difflib.get_close_matches(one.name[:64], known, n=1)
        remedy = "apply that one first"
        return f"did you mean {near[0]}? Else {remedy}" if near else remedy
