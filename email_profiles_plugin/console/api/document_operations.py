"""The operations on documents: the same for each kind that is stored by a name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from attrs import frozen
from starlette.responses import Response

from ..access import Role
from .bodies import JSON, MERGE_PATCH
from .documents import Change, Collection, Listed
from .operations import (
    AFTER,
    LIMIT,
    Answer,
    Asked,
    Body,
    Operation,
    PageOf,
    Parameter,
    object_of,
)
from .values import COMPONENTS, Schema

IF_MATCH = Parameter(
    name="If-Match",
    header=True,
    description="The ETag of the revision that the change is based on; `*`: any.",
    schema={"type": "string", "examples": ['"5f0c1d2e-7"']},
)
IF_NONE_MATCH = Parameter(
    name="If-None-Match",
    header=True,
    description="`*`: create only. Reading: the ETag that is known already.",
    schema={"type": "string", "examples": ["*"]},
)
FORCE = Parameter(
    name="force",
    description="Delete it although messages wait for it, and refuse those.",
    schema={"type": "boolean", "default": False},
)
ETAG = {"ETag": 'The document\'s lasting id and its revision: `"id-7"`.'}
CREATED = {**ETAG, "Location": "Where it is."}
CHANGES = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED)
CONFLICT = HTTPStatus.CONFLICT
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 64}


@frozen
class Table:
    """All that can be done with the documents of *collection*."""

    collection: Collection

    def operations(self) -> Iterator[Operation]:
        """One after the other."""
        yield from self._reading()
        yield from self._storing()
        yield from self._changing()
        yield from self._particular()
        yield from self._secrets()

    def _reading(self) -> Iterator[Operation]:
        whole = Answer(description="The document.", kind=self._schema, headers=ETAG)
        many, word = self.collection.many.replace(" ", "_").lower(), self._word
        yield self._of(
            "GET",
            "",
            f"list_{many}",
            f"List the {self.collection.many}, by name",
            Role.VIEWER,
            self.collection.list,
            parameters=(LIMIT, AFTER),
            answers=(Answer(description="One page.", kind=PageOf(Listed)),),
        )
        yield self._of(
            "GET",
            "/{name}",
            f"get_{word}",
            f"Read one {self.collection.one}",
            Role.VIEWER,
            self.collection.get,
            description="A stored secret is a mark, which PUT takes back as it is.",
            parameters=(IF_NONE_MATCH,),
            answers=(
                whole,
                Answer(description="It is as you know it.", status=304, headers=ETAG),
            ),
        )
        yield self._of(
            "GET",
            "/{name}/export",
            f"export_{word}",
            f"Export one {self.collection.one}, its secrets sealed",
            Role.ADMIN,
            self.collection.export,
            description="They open in this installation alone, under this name.",
            answers=(whole,),
        )

    def _storing(self) -> Iterator[Operation]:
        word = self._word
        created = Answer(
            description="Created.", kind=Change, status=201, headers=CREATED
        )
        changed = Answer(
            description="Changed, or as before.", kind=Change, headers=ETAG
        )
        yield self._of(
            "POST",
            "",
            f"create_{word}",
            f"Create one {self.collection.one}",
            Role.ADMIN,
            self.collection.create,
            body=self._whole,
            answers=(created,),
            errors=(CONFLICT,),
        )
        yield self._of(
            "PUT",
            "/{name}",
            f"put_{word}",
            f"Store one {self.collection.one}: a new one, or in place of the old",
            Role.ADMIN,
            self.collection.put,
            description="A stored secret that is left out, or sent as its mark, is kept"
            " unless it would go to another place.",
            parameters=(IF_MATCH, IF_NONE_MATCH),
            body=self._whole,
            answers=(changed, created),
            errors=(*CHANGES, CONFLICT),
        )

    def _changing(self) -> Iterator[Operation]:
        word = self._word
        changed = Answer(description="Changed, or not.", kind=Change, headers=ETAG)
        yield self._of(
            "PATCH",
            "/{name}",
            f"patch_{word}",
            f"Change some of one {self.collection.one} (RFC 7396)",
            Role.ADMIN,
            self.collection.patch,
            description="Null takes a property away, a stored secret as well.",
            parameters=(IF_MATCH,),
            body=Body(
                schema={"type": "object"},
                types=(MERGE_PATCH, JSON),
                example={"description": "What it is for"},
            ),
            answers=(changed,),
            errors=(*CHANGES, CONFLICT),
        )
        yield self._of(
            "DELETE",
            "/{name}",
            f"delete_{word}",
            f"Delete one {self.collection.one}",
            Role.ADMIN,
            self.collection.delete,
            parameters=(IF_MATCH, FORCE),
            answers=(Answer(description="It is gone.", status=204),),
            errors=(*CHANGES, CONFLICT),
        )

    def _particular(self) -> Iterator[Operation]:
        word = self._word
        changed = Answer(description="Done.", kind=Change, headers=CREATED)
        yield self._of(
            "POST",
            "/{name}/rename",
            f"rename_{word}",
            f"Give one {self.collection.one} another name",
            Role.ADMIN,
            self.collection.rename,
            description="All that refers to it goes on doing so.",
            parameters=(IF_MATCH,),
            body=Body(schema=object_of(name=NAME), example={"name": "another-name"}),
            answers=(changed,),
            errors=(*CHANGES, CONFLICT),
        )
        created = Answer(
            description="Created.", kind=Change, status=201, headers=CREATED
        )
        yield self._of(
            "POST",
            "/{name}/duplicate",
            f"duplicate_{word}",
            f"Create one like this {self.collection.one}, without its secrets",
            Role.ADMIN,
            self.collection.duplicate,
            description="`changes`, a merge patch, gives them, and whatever differs.",
            body=Body(
                schema={
                    **object_of(name=NAME, changes={"type": "object"}),
                    "required": ["name"],
                },
                example={"name": "another-name"},
            ),
            answers=(created,),
            errors=(CONFLICT,),
        )

    def _secrets(self) -> Iterator[Operation]:
        yield self._of(
            "PUT",
            "/{name}/secrets/{field}",
            f"set_secret_of_{self._word}",
            f"Seal a secret of one {self.collection.one}",
            Role.ADMIN,
            self.collection.set_secret,
            parameters=(IF_MATCH,),
            body=Body(
                schema=object_of(value={**NAME, "maxLength": 65536}),
                example={"value": "the secret itself"},
            ),
            answers=(Answer(description="Sealed.", kind=Change, headers=ETAG),),
            errors=(*CHANGES, CONFLICT),
        )

    def _of(
        self,
        method: str,
        path: str,
        id: str,
        summary: str,
        rule: Role,
        run: Callable[[Asked], Response],
        **more: Any,
    ) -> Operation:
        return Operation(
            method=method,
            path=f"/{self.collection.path}{path}",
            id=id,
            tag=self.collection.tag,
            summary=summary,
            rule=rule,
            run=run,
            **more,
        )

    @property
    def _word(self) -> str:
        return self.collection.one.replace(" ", "_").lower()

    @property
    def _whole(self) -> Body:
        return Body(schema=self._schema, example=self.collection.example)

    @property
    def _schema(self) -> Schema:
        return {"$ref": COMPONENTS + self.collection.component}


COLLECTIONS: tuple[Collection, ...] = (
    Collection(
        path="profiles",
        tag="Email profiles",
        one="email profile",
        many="email profiles",
        component="EmailProfile",
        kind="email_profile",
        documents=lambda profiles: profiles.profiles,
        example={
            "name": "plant-alerts",
            "smtp": {"hostname": "mail.plant.example", "use_starttls": True},
            "auth": {"mode": "basic", "username": "gateway", "password": "..."},
        },
    ),
    Collection(
        path="clients",
        tag="OAuth2 clients",
        one="OAuth2 client",
        many="OAuth2 clients",
        component="OAuth2Client",
        kind="oauth2_client",
        documents=lambda profiles: profiles.clients,
        example={
            "name": "plant-login",
            "client_id": "4711",
            "client_secret": "...",
            "token_endpoint": "https://login.plant.example/token",
        },
    ),
    Collection(
        path="alarm-notifications",
        tag="Alarm notifications",
        one="alarm notification",
        many="alarm notifications",
        component="AlarmNotification",
        kind="alarm_notification",
        documents=lambda profiles: profiles.alarm_notifications,
        example={
            "name": "tanks",
            "profile": "plant-alerts",
            "from_address": "gateway@plant.example",
            "recipients": ["operator@plant.example"],
        },
    ),
    Collection(
        path="report-schedules",
        tag="Report schedules",
        one="report schedule",
        many="report schedules",
        component="ReportSchedule",
        kind="report_schedule",
        documents=lambda profiles: profiles.report_schedules,
        example={
            "name": "shift",
            "profile": "plant-alerts",
            "from_address": "gateway@plant.example",
            "to": ["operator@plant.example"],
            "source": {"callable": "shift_report"},
        },
    ),
)
"""One more kind of document is one more entry, with the facade's name for it."""

OPERATIONS = tuple(
    operation
    for collection in COLLECTIONS
    for operation in Table(collection).operations()
)
