"""Renaming and deleting: pages that ask first, and say why something can't be done."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import frozen
from starlette.responses import Response

from email_profiles_hookspecs.errors import (
    Conflict,
    EmailProfilesError,
    Invalid,
)

from ..profiles import Documents
from ..store.documents import Stored
from . import refusals
from .access import Role
from .calls import Call
from .places import Place

MOST = 100
"""Messages that are counted one by one."""


def nothing_waits(call: Call, stored: Stored) -> int:
    """For documents that no message waits for."""
    return 0


def messages_that_wait(call: Call, stored: Stored) -> int:
    """How many messages are queued for a profile; more than MOST are not counted."""
    return len(
        call.profiles.outbox.list(state="queued", profile_id=stored.id, limit=MOST + 1)
    )


@frozen(kw_only=True)
class Removal:
    """
    What becomes of the documents of one kind.

    *here*: the place of their list; *page*: the place of one; *waiting*: how many
    messages wait for one.
    """

    documents: Callable[[Call], Documents]
    here: str
    page: str
    waiting: Callable[[Call, Stored], int] = nothing_waits

    def places(self, path: str) -> tuple[Place, ...]:
        """The routes, below *path*."""
        return (
            self._place("GET", path, "rename", self.ask_name),
            self._place("POST", path, "rename", self.rename),
            self._place("GET", path, "delete", self.ask),
            self._place("POST", path, "delete", self.delete),
        )

    def _place(
        self, method: str, path: str, verb: str, endpoint: Callable[[Call], Response]
    ) -> Place:
        name = f"{self.page}_{verb}"
        return Place(method, f"{path}/{{id}}/{verb}", name, Role.ADMIN, endpoint)

    def ask_name(self, call: Call) -> Response:
        """By which name it is to go."""
        stored = self._found(call)
        return self._page(call, "rename.html", stored, name=stored.name)

    def rename(self, call: Call) -> Response:
        """Give it the name that was typed; or ask again."""
        stored, name = self._found(call), call.form.get("name", "").strip()
        if name == stored.name:
            return call.to(self.page, id=stored.id, said="It has that name already.")
        try:
            self.documents(call).rename(stored.name, name, actor=call.actor)
        except (Conflict, Invalid) as error:
            return self._page(call, "rename.html", stored, error, name=name)
        return call.to(
            self.page, id=stored.id, said=f"{stored.name} is now called {name}."
        )

    def ask(self, call: Call) -> Response:
        """Whether it is to go, and what that would mean."""
        return self._page(call, "delete.html", self._found(call))

    def delete(self, call: Call) -> Response:
        """Delete it, and refuse what waits if that was asked for; or say why not."""
        stored = self._found(call)
        force = call.form.get("force") == "on"
        try:
            self.documents(call).delete(stored.name, actor=call.actor, force=force)
        except Conflict as error:
            return self._page(call, "delete.html", stored, error)
        return call.to(self.here, said=f"{stored.name} was deleted.")

    def _found(self, call: Call) -> Stored:
        return self.documents(call).by_id(call.params["id"])

    def _page(
        self,
        call: Call,
        template: str,
        stored: Stored,
        error: EmailProfilesError | None = None,
        **context: Any,
    ) -> Response:
        documents = self.documents(call)
        return call.page(
            template,
            status=refusals.status_of(error) if error else 200,
            stored=stored,
            title=documents.kind.title,
            users=documents.users(stored.id),
            waiting=self.waiting(call, stored),
            most=MOST,
            error=error,
            section=self.here,
            back=partial(call.url, self.page, id=stored.id),
            post=partial(call.url, f"{self.page}_{template.split('.')[0]}"),
            **context,
        )
