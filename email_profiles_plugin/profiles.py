"""Documents with a life: whatever is stored under a name, such as email profiles."""

from __future__ import annotations

import builtins
import difflib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from attrs import define, evolve, frozen
from sqlalchemy import Connection

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import InUse, Invalid, NotFound
from email_profiles_hookspecs.services import Clock

from .clock import SystemChance
from .documents import differing, json_path, rename_reference
from .documents.shapes import Schema
from .sealing import Body, Sealer, value_at, with_value
from .shelf import Based, Shelf
from .store import audit, documents
from .store.documents import Stored

EMBEDDED = "embedded/"
"""Starts the names of documents that belong to a consumer; no user's name can."""

# As `name` in the schemas.
_NAME = re.compile(
    r"(?!\s|\.{1,2}\Z)[^\x00-\x1f\x7f-\x9f\ud800-\udfff/\\]{1,64}(?<!\s)"
)


@frozen(kw_only=True)
class Applied:
    """What `apply` did: *change* is `created`, `changed` or `unchanged`."""

    stored: Stored
    change: str
    warnings: tuple[Problem, ...] = ()


@define(kw_only=True)
class Documents(Shelf):
    """
    The documents of one kind, and their lives.

    Every change names its *actor* and goes into the audit trail. A change that fails
    leaves everything as it was; where the document is at another revision than the
    change is *based_on* (None: any), that is StaleRevision.
    """

    sealer: Sealer
    clock: Clock
    chance: SystemChance
    changed: Callable[[], None]
    schema_of: Callable[[Stored], Schema]

    def apply(self, document: Body, *, actor: str, based_on: Based = None) -> Applied:
        """
        Store *document* under its name: a new one, or in place of the old.

        Stored secrets that it leaves out are kept, unless they would go to another
        place. Raises Invalid with every mistake; StaleRevision where the document was
        changed since the revision *based_on* (None: since read here; 0: it is there).
        """
        return self._apply(document, _name_in(document), actor, based_on)

    def change(
        self,
        id: str,
        document: Body,
        *,
        actor: str,
        based_on: int,
        without: Collection[str] = (),
    ) -> Applied:
        """
        Store *document* in the place of the one with this lasting id, as `apply` does.

        Another name in it renames, with all that refers to it; NameTaken. *without*
        names stored secrets to give up, by JSON pointer: `/auth/password`.
        """
        old, name = self.by_id(id), _name_in(document)
        return self._apply(document, name, actor, based_on, old, without)

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

    def set_secret(
        self, name: str, field: str, value: str, *, actor: str, based_on: Based = None
    ) -> Applied:
        """Seal *value* as the secret called *field*: `auth.password`, `password`."""
        old, path = self._secret(name, field, based_on)
        body = with_value(old.body, path, value)
        return self._apply(body, name, actor, old.revision)

    def unset_secret(
        self, name: str, field: str, *, actor: str, based_on: Based = None
    ) -> Applied:
        """Give the secret called *field* up, wherever it is kept."""
        old, path = self._secret(name, field, based_on)
        body = with_value(old.body, path, None)
        value_at(body, path[:-1]).pop(path[-1])
        without = ["/" + "/".join(path)]
        return self._apply(body, name, actor, old.revision, without=without)

    def prepare(
        self,
        document: Body,
        name: object,
        old: Stored | None = None,
        without: Collection[str] = (),
    ) -> tuple[dict[str, Any], Stored | None, str, builtins.list[Problem]]:
        """
        *document*, checked and with the stored secrets that it may use.

        With it: *old*, else what is stored under *name*; the id, and warnings. Raises
        Invalid.
        """
        what = f"{self.kind.title} {name!r}" if isinstance(name, str) else "document"
        if not isinstance(document, Mapping):
            raise Invalid(what, self.kind.validate(document))
        if old is None and isinstance(name, str):
            with self.database.read() as connection:
                old = documents.by_name(connection, self.kind.name, name)
        id = old.id if old is not None else self.chance.unique()
        body, warnings = dict(document), builtins.list[Problem]()
        if old is not None:
            body, warnings = self.sealer.keep(document, old.body, without)
        problems = self.kind.validate(body)
        for place in documents.unstorable(body):
            message = "half a character (a lone surrogate) can't be stored"
            problems.append(Problem(path=json_path(place), message=message))
        if not any(documents.unstorable(body)):
            with self.database.read() as connection:
                problems += self._targets(connection, body)[1]
        if not problems:
            problems = self.sealer.problems(body, old.body if old else None, id)
            problems += self.kind.check(body, id)
        if problems:
            raise Invalid(what, problems)
        return body, old, id, warnings + self.kind.warn(body)

    def rename(
        self, old: str, new: str, *, actor: str, based_on: Based = None
    ) -> Stored:
        """Give it another name; all that refers to it goes on doing so. NameTaken."""
        if not isinstance(new, str) or not _NAME.fullmatch(new):
            said = (
                "has to have 1 to 64 characters, no slash, no control character, no"
                " space at its ends, and not to be . or .."
            )
            raise Invalid("new name", [Problem(path="$.name", message=said)])

        def work(connection: Connection) -> Stored:
            stored = self._listed(connection, old, based_on)
            renamed = self._next(stored, {**stored.body, "name": new}, name=new)
            documents.put(connection, renamed, new=False)
            detail = {"from": old, "revision": renamed.revision, "changed": ["name"]}
            self._audit(connection, actor, "rename", renamed, detail)
            self._follow(connection, actor, renamed, old)
            return renamed

        renamed = self.database.write(work)
        self.changed()
        return renamed

    def delete(
        self, name: str, *, actor: str, force: bool = False, based_on: Based = None
    ) -> None:
        """
        Delete it; InUse, with the users' names, where something refers to it.

        *force* deletes a profile although messages wait for it, and refuses them.
        """

        def work(connection: Connection) -> None:
            stored = self._listed(connection, name, based_on)
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
        self,
        document: Body,
        name: Any,
        actor: str,
        based_on: Based,
        old: Stored | None = None,
        without: Collection[str] = (),
    ) -> Applied:
        body, old, id, warnings = self.prepare(document, name, old, without)
        before = old.body if old is not None else {}
        body = self.sealer.seal(body, before, id)
        now = self.clock.now().timestamp()
        if old is None:
            listed = not name.startswith(EMBEDDED)
            stored = documents.first(self.kind.name, id, name, listed, body, now)
        else:
            stored = self._next(old, body, name=name)
        self._fresh(name, stored.revision - 1, based_on)
        if old is not None and old.body == body:
            return Applied(stored=old, change="unchanged", warnings=tuple(warnings))
        moved = old is not None and bool(self.kind.moved(old.body, body))
        detail = {"revision": stored.revision, "changed": differing(before, body)}

        def work(connection: Connection) -> None:
            documents.put(connection, stored, new=old is None)
            targets, missing = self._targets(connection, body)
            if missing:
                raise Invalid(f"{self.kind.title} {name!r}", missing)
            documents.refer(connection, id, targets)
            self.kind.touched(connection, stored, moved)
            if old is not None and old.name != name:
                self._follow(connection, actor, stored, old.name)
            self._audit(connection, actor, action, stored, detail)

        action = "create" if old is None else "change"
        self.database.write(work)
        self.changed()
        return Applied(stored=stored, change=f"{action}d", warnings=tuple(warnings))

    def _listed(self, connection: Connection, name: str, based_on: Based) -> Stored:
        """What is a consumer's own is renamed and deleted by it alone."""
        stored = self._found(connection, name, based_on)
        if not stored.listed:
            raise NotFound(self.kind.title, name)
        return stored

    def _secret(
        self, name: str, field: str, based_on: Based
    ) -> tuple[Stored, builtins.list[str]]:
        """The document, and where it has the secret called *field*; Invalid."""
        with self.database.read() as connection:
            old = self._found(connection, name, based_on)
        path = self.sealer.path_of(old.body, field)
        if path is None:
            known = self.sealer.fields(old.body)
            near = difflib.get_close_matches(field[:64], known, n=1)
            remedy = f"its secrets are {', '.join(known)}" if known else "it has none"
            if near:
                remedy = f"did you mean {near[0]}? {remedy}"
            message = f"{field!r} is no secret of this {self.kind.title}"
            problem = Problem(path=f"$.{field}", message=message, remedy=remedy)
            raise Invalid(name, [problem])
        return old, path

    def _follow(
        self, connection: Connection, actor: str, renamed: Stored, old: str
    ) -> None:
        """Let all that referred to *old* name it as it is called now."""
        kind, new = self.kind.name, renamed.name
        for user in documents.referrers(connection, renamed.id):
            body = rename_reference(user.body, self.schema_of(user), kind, old, new)
            followed = self._next(user, body)
            documents.put(connection, followed, new=False)
            revision = followed.revision
            detail = {"renamed": kind, "from": old, "to": new, "revision": revision}
            self._audit(connection, actor, "follow a rename", user, detail)

    def _touch(self, stored: Stored) -> bool:
        """Put off its collection; whether it was still there."""
        now = self.clock.now().timestamp()
        return self.database.write(lambda c: documents.touch(c, stored.id, now))

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
        at = self.clock.now().timestamp()
        audit.record(connection, audit.of_document(at, actor, action, stored, detail))


def _name_in(document: object) -> Any:
    return document.get("name") if isinstance(document, Mapping) else None
