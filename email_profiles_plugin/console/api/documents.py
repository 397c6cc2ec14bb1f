"""Documents over HTTP: read and changed alike, of whatever kind they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

from attrs import frozen
from starlette.responses import Response

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid, NameTaken, NotFound, StaleRevision

from ...profiles import Documents
from ...runtime import EmailProfiles
from ...store.documents import Stored
from .. import beginnings
from ..calls import Call
from . import conditions, marks
from .bodies import merged
from .operations import Asked, answer
from .values import as_json


@frozen(kw_only=True)
class Listed:
    """A document in a list, with its lasting id; secrets are marks."""

    id: str
    name: str
    revision: int
    created_at: datetime
    updated_at: datetime
    document: Mapping[str, Any]


@frozen(kw_only=True)
class Change:
    """What a change did; *warnings* are what is allowed, and likely not meant."""

    id: str
    name: str
    revision: int
    change: Literal["created", "changed", "unchanged"]
    warnings: tuple[Problem, ...] = ()


@frozen(kw_only=True)
class Collection:
    """
    The documents of one kind at *path*, which *documents* has in the facade.

    *kind* is the name of their schema, *component* the same in the OpenAPI document;
    *one* and *many* name them in its sentences.
    """

    path: str
    tag: str
    one: str
    many: str
    component: str
    kind: str
    example: Mapping[str, Any]
    documents: Callable[[EmailProfiles], Documents]

    def list(self, asked: Asked) -> Response:
        """One page of them."""
        documents, after = self.documents(asked.profiles), asked.query["after"] or ""
        found = sorted(documents.list(), key=lambda one: one.name)
        found = [one for one in found if one.name > after]
        shown = found[: asked.query["limit"]]
        items = [
            Listed(
                id=one.id,
                name=one.name,
                revision=one.revision,
                created_at=datetime.fromtimestamp(one.created_at, UTC),
                updated_at=datetime.fromtimestamp(one.updated_at, UTC),
                document=marks.shown(documents, one),
            )
            for one in shown
        ]
        more = shown[-1].name if len(shown) < len(found) else None
        return answer({"items": as_json(items), "next": more})

    def get(self, asked: Asked) -> Response:
        """One, its stored secrets as marks; 304 where it is known."""
        documents = self.documents(asked.profiles)
        stored = documents.get(asked["name"])
        headers = {"ETag": conditions.tag(stored)}
        if conditions.is_known(asked.call, stored):
            return Response(None, HTTPStatus.NOT_MODIFIED, headers)
        return answer(marks.shown(documents, stored), headers=headers)

    def export(self, asked: Asked) -> Response:
        """One as `apply` takes it, its secrets sealed."""
        stored = self.documents(asked.profiles).get(asked["name"])
        return answer(stored.body, headers={"ETag": conditions.tag(stored)})

    def create(self, asked: Asked) -> Response:
        """A new one; NameTaken."""
        return self._made(asked, asked.body)

    def _made(self, asked: Asked, given: Any) -> Response:
        documents = self.documents(asked.profiles)
        body = self._taken(asked, given, None)
        try:
            applied = documents.apply(body, actor=asked.call.actor, based_on=0)
        except StaleRevision as error:
            message = f"the name {given['name']!r} is taken"
            remedy = f"choose another, or change that {self.one}"
            raise NameTaken(message, remedy) from error
        return self._done(asked.call, applied.stored, "created", applied.warnings)

    def put(self, asked: Asked) -> Response:
        """A new one, or another revision."""
        documents, call = self.documents(asked.profiles), asked.call
        given = named(self.one, asked.body, asked["name"])
        stored = stored_as(documents, asked["name"])
        based_on: int | None = 0
        if not conditions.to_create(call, stored) and stored is not None:
            based_on = conditions.based_on(call, stored)
        body = self._taken(asked, given, stored)
        applied = documents.apply(body, actor=call.actor, based_on=based_on)
        return self._done(call, applied.stored, applied.change, applied.warnings)

    def patch(self, asked: Asked) -> Response:
        """Another revision, by a merge patch."""
        documents, call = self.documents(asked.profiles), asked.call
        stored = documents.get(asked["name"])
        based_on = conditions.based_on(call, stored)
        given = merged(marks.shown(documents, stored), asked.body)
        given = named(self.one, given, stored.name)
        applied = documents.change(
            stored.id,
            self._taken(asked, given, stored),
            actor=call.actor,
            based_on=based_on or stored.revision,
            without=marks.given_up(documents, given, stored),
        )
        return self._done(call, applied.stored, applied.change, applied.warnings)

    def delete(self, asked: Asked) -> Response:
        """It goes."""
        documents = self.documents(asked.profiles)
        stored = documents.get(asked["name"])
        documents.delete(
            stored.name,
            actor=asked.call.actor,
            force=asked.query["force"],
            based_on=conditions.based_on(asked.call, stored),
        )
        return Response(None, HTTPStatus.NO_CONTENT)

    def rename(self, asked: Asked) -> Response:
        """Another name."""
        documents = self.documents(asked.profiles)
        stored = documents.get(asked["name"])
        renamed = documents.rename(
            stored.name,
            asked.body["name"],
            actor=asked.call.actor,
            based_on=conditions.based_on(asked.call, stored),
        )
        return self._done(asked.call, renamed, "changed")

    def set_secret(self, asked: Asked) -> Response:
        """One more secret sealed."""
        documents = self.documents(asked.profiles)
        stored = documents.get(asked["name"])
        changed = documents.set_secret(
            stored.name,
            asked["field"],
            asked.body["value"],
            actor=asked.call.actor,
            based_on=conditions.based_on(asked.call, stored),
        )
        return self._done(asked.call, changed.stored, changed.change, changed.warnings)

    def duplicate(self, asked: Asked) -> Response:
        """Another one of the same settings, without its secrets."""
        documents = self.documents(asked.profiles)
        stored = documents.get(asked["name"])
        copied = beginnings.copy_of(documents, stored).document
        given = merged(copied, asked.body.get("changes", {}))
        return self._made(asked, {**given, "name": asked.body["name"]})

    def _taken(self, asked: Asked, given: object, stored: Stored | None) -> Any:
        documents = self.documents(asked.profiles)
        return marks.taken(documents, given, stored, home=asked.profiles.home)

    def _done(
        self,
        call: Call,
        stored: Stored,
        change: Any,
        warnings: tuple[Problem, ...] = (),
    ) -> Response:
        done = Change(
            id=stored.id,
            name=stored.name,
            revision=stored.revision,
            change=change,
            warnings=warnings,
        )
        url = call.url(f"api/{self.path}/name", name=stored.name)
        headers = {"ETag": conditions.tag(stored), "Location": quote(url)}
        status = HTTPStatus.CREATED if change == "created" else HTTPStatus.OK
        return answer(done, status, headers)


def stored_as(documents: Documents, name: str) -> Stored | None:
    """What is stored under *name*; None where nothing is."""
    try:
        return documents.get(name)
    except NotFound:
        return None


def named(one: str, given: Any, name: str) -> Any:
    """*given* under the *name* that the path says; Invalid where it says another."""
    if not isinstance(given, Mapping):
        return given
    if given.get("name", name) != name:
        raise Invalid(
            f"{one} {name!r}",
            [
                Problem(
                    path="$.name",
                    message="is not the name in the path",
                    remedy="leave it out; to change a name there is rename",
                )
            ],
        )
    return {"name": name, **given}
