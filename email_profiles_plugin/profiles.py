"""Documents with a life: whatever is stored under a name, such as email profiles."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, evolve, frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import InUse, Invalid, NotFound, StaleRevision
from email_profiles_hookspecs.services import Clock

from .clock import SystemChance
from .documents import json_path, references, rename_reference, secret_pointers
from .documents.shapes import Schema
from .sealing import Body, Moved, Sealer, with_value
from .store import audit, documents
from .store.database import Database
from .store.documents import Stored

EMBEDDED = "embedded/"
"""Starts the names of documents that belong to a consumer; no user's name can."""

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff/\\]{1,64}")


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


@frozen(kw_only=True)
class Applied:
    """What `apply` did: *change* is `created`, `changed` or `unchanged`."""

    stored: Stored
    change: str
    warnings: tuple[Problem, ...] = ()


@define(kw_only=True)
class Documents:
    """
    The documents of one kind.

    Every change names its *actor* and goes into the audit trail. A change that fails
    leaves everything as it was.
    """

    kind: Kind
    database: Database
    sealer: Sealer
    clock: Clock
    chance: SystemChance
    changed: Callable[[], None]
    schema_of: Callable[[Stored], Schema]

    def list(self) -> builtins.list[Stored]:
        """All that are listed, by name."""
        with self.database.read() as connection:
            return documents.listed(connection, self.kind.name)

    def get(self, name: str) -> Stored:
        """The one called *name*; NotFound."""
        with self.database.read() as connection:
            return self._found(connection, name)

    def export(self, name: str) -> dict[str, Any]:
        """The document as `apply` takes it here; secrets sealed or referred to."""
        return dict(self.get(name).body)

    def apply(
        self, document: Body, *, actor: str, based_on: int | None = None
    ) -> Applied:
        """
        Store *document* under its name: a new one, or in place of the old.

        Stored secrets that it leaves out are kept, unless they would go to another
        place. Raises Invalid with every mistake; StaleRevision where the document was
        changed since the revision *based_on* (None: since read here).
        """
        name = document.get("name") if isinstance(document, Mapping) else None
        return self._apply(document, name, actor, based_on)

    def embed(self, document: Body, *, owner: str, actor: str) -> str:
        """
        Store a consumer's own settings, unlisted; the name to send by.

        *owner* is the consumer's lasting id: settings of the same owner are replaced.
        """
        given = {**document, "name": owner}
        applied = self._apply(given, EMBEDDED + owner, actor, None)
        if applied.change == "unchanged" and not self._touch(applied.stored):
            applied = self._apply(given, EMBEDDED + owner, actor, None)
        return applied.stored.name

    def set_secret(self, name: str, field: str, value: str, *, actor: str) -> Stored:
        """Seal *value* as the secret called *field*: `auth.password`, `password`."""
        old = self.get(name)
        path = self._secret_path(old, field)
        body = with_value(old.body, path, value)
        return self._apply(body, name, actor, old.revision).stored

    def prepare(
        self, document: Body, name: object
    ) -> tuple[dict[str, Any], Stored | None, str, builtins.list[Problem]]:
        """
        *document*, checked and with the stored secrets that it may use.

        With it: what is stored under *name*, the id, and warnings. Raises Invalid.
        """
        what = f"{self.kind.title} {name!r}" if isinstance(name, str) else "document"
        if not isinstance(document, Mapping):
            raise Invalid(what, self.kind.validate(document))
        old = None
        if isinstance(name, str):
            with self.database.read() as connection:
                old = documents.by_name(connection, self.kind.name, name)
        id = old.id if old is not None else self.chance.unique()
        body, warnings = dict(document), builtins.list[Problem]()
        if old is not None:
            body, warnings = self.sealer.keep(document, old.body)
        problems = self.kind.validate(body)
        for place in documents.unstorable(body):
            message = "half a character (a lone surrogate) can't be stored"
            problems.append(Problem(path=json_path(place), message=message))
        if not any(documents.unstorable(body)):
            with self.database.read() as connection:
                problems += self._targets(connection, body)[1]
        if not problems:
            before = old.body if old is not None else None
            problems = self.sealer.problems(body, before, id)
            problems += self.kind.check(body, id)
        if problems:
            raise Invalid(what, problems)
        return body, old, id, warnings + self.kind.warn(body)

    def rename(self, old: str, new: str, *, actor: str) -> Stored:
        """Give it another name; all that refers to it goes on doing so. NameTaken."""
        wrong = not isinstance(new, str) or not _NAME.fullmatch(new)
        if wrong or new != new.strip():
            message = "has to have 1 to 64 characters, no slash, no control character"
            raise Invalid("new name", [Problem(path="$.name", message=message)])

        def work(connection: Connection) -> Stored:
            stored = self._found(connection, old)
            renamed = self._next(stored, {**stored.body, "name": new}, name=new)
            documents.put(connection, renamed, new=False)
            self._audit(connection, actor, "rename", renamed, {"from": old})
            for user in documents.referrers(connection, stored.id):
                schema = self.schema_of(user)
                body = rename_reference(user.body, schema, self.kind.name, old, new)
                documents.put(connection, self._next(user, body), new=False)
                detail = {"renamed": self.kind.name, "from": old, "to": new}
                self._audit(connection, actor, "follow a rename", user, detail)
            return renamed

        renamed = self.database.write(work)
        self.changed()
        return renamed

    def delete(self, name: str, *, actor: str, force: bool = False) -> None:
        """
        Delete it; InUse, with the users' names, where something refers to it.

        *force* deletes a profile although messages wait for it, and refuses them.
        """

        def work(connection: Connection) -> None:
            stored = self._found(connection, name)
            users = [
                f"{user.kind.replace('_', ' ')} {user.name!r}"
                for user in documents.referrers(connection, stored.id)
            ]
            if users:
                raise InUse(
                    f"{self.kind.title} {name!r} is used by {', '.join(users)}",
                    "change or delete those first",
                )
            self.kind.gone(connection, stored, force)
            documents.remove(connection, stored.id)
            self._audit(connection, actor, "delete", stored, {"force": force})

        self.database.write(work)
        self.changed()

    def reseal(self, connection: Connection) -> int:
        """Seal the secrets of this kind with the newest key; how many documents."""
        count = 0
        for stored in documents.everything(connection):
            if stored.kind != self.kind.name:
                continue
            body = self.sealer.reseal(stored.body, stored.id)
            if body != stored.body:
                documents.put(connection, self._next(stored, body), new=False)
                count += 1
        return count

    def _apply(
        self, document: Body, name: Any, actor: str, based_on: int | None
    ) -> Applied:
        body, old, id, warnings = self.prepare(document, name)
        body = self.sealer.seal(body, old.body if old is not None else None, id)
        now = self.clock.now().timestamp()
        if old is None:
            stored = Stored(
                id=id,
                kind=self.kind.name,
                name=name,
                listed=not name.startswith(EMBEDDED),
                revision=1,
                body=body,
                created_at=now,
                updated_at=now,
            )
        else:
            stored = self._next(old, body)
        if based_on is not None and based_on != stored.revision - 1:
            raise StaleRevision(
                f"{self.kind.title} {name!r} was changed since revision {based_on}",
                "read it again, then change it",
            )
        if old is not None and old.body == body:
            return Applied(stored=old, change="unchanged", warnings=tuple(warnings))
        moved = old is not None and bool(self.kind.moved(old.body, body))
        detail = {"revision": stored.revision, "changed": _differing(old, body)}

        def work(connection: Connection) -> None:
            documents.put(connection, stored, new=old is None)
            targets, missing = self._targets(connection, body)
            if missing:
                raise Invalid(f"{self.kind.title} {name!r}", missing)
            documents.refer(connection, id, targets)
            self.kind.touched(connection, stored, moved)
            action = "create" if old is None else "change"
            self._audit(connection, actor, action, stored, detail)

        self.database.write(work)
        self.changed()
        change = "created" if old is None else "changed"
        return Applied(stored=stored, change=change, warnings=tuple(warnings))

    def _touch(self, stored: Stored) -> bool:
        """Put off its collection; whether it was still there."""
        now = self.clock.now().timestamp()
        return self.database.write(lambda c: documents.touch(c, stored.id, now))

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
            remedy = "apply that one first"
            problems.append(Problem(path=path, message=message, remedy=remedy))
        return targets, problems

    def _secret_path(self, stored: Stored, field: str) -> builtins.list[str]:
        """Where the secret called *field* stands, at the top or in auth; Invalid."""
        wanted = field.removeprefix("$.").split(".")
        for path in (wanted, ["auth", *wanted]):
            probe = with_value(stored.body, path, "")
            if "/" + "/".join(path) in secret_pointers(probe, self.kind.schema(probe)):
                return path
        message = f"{field!r} is no secret of this {self.kind.title}"
        raise Invalid(stored.name, [Problem(path=f"$.{field}", message=message)])

    def _found(self, connection: Connection, name: str) -> Stored:
        found = documents.by_name(connection, self.kind.name, name)
        if found is None:
            raise NotFound(self.kind.title, name)
        return found

    def _next(self, old: Stored, body: Body, name: str | None = None) -> Stored:
        return evolve(
            old,
            name=name or old.name,
            revision=old.revision + 1,
            body=body,
            updated_at=self.clock.now().timestamp(),
        )

    def _audit(
        self,
        connection: Connection,
        actor: str,
        action: str,
        stored: Stored,
        detail: Mapping[str, Any],
    ) -> None:
        audit.record(
            connection,
            audit.Entry(
                at=self.clock.now().timestamp(),
                actor=actor,
                action=action,
                kind=stored.kind,
                subject_id=stored.id,
                subject=stored.name,
                detail=detail,
            ),
        )


def _differing(old: Stored | None, new: Body) -> builtins.list[str]:
    """The names of what changed, blocks one level deep; never a value."""
    before = old.body if old is not None else {}
    names = []
    for name in dict.fromkeys((*before, *new)):
        a, b = before.get(name), new.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            names += [
                f"{name}.{key}"
                for key in dict.fromkeys((*a, *b))
                if a.get(key) != b.get(key)
            ]
        elif a != b:
            names.append(name)
    return names
