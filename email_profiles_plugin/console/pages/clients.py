"""OAuth2 clients: the list, the form, and the redirect URI to register."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from attrs import frozen
from starlette.responses import Response

from ... import grant_rules
from ...profiles import Applied
from ...store.documents import Stored
from .. import beginnings, departures, editing, removal, sources
from ..access import Role
from ..beginnings import Beginning
from ..calls import Call
from ..editing import Draft, Refused
from ..forms import Form
from ..places import Place


@frozen(kw_only=True)
class Row:
    """A client in the list."""

    stored: Stored
    server: str
    users: list[Stored]


def clients(call: Call) -> Response:
    """The list, by name."""
    documents = call.profiles.clients
    rows = [
        Row(
            stored=one,
            server=str(one.body.get("issuer") or one.body.get("token_endpoint") or ""),
            users=documents.users(one.id),
        )
        for one in documents.list()
    ]
    return call.page("clients.html", rows=rows)


def new(call: Call) -> Response:
    """The form of a new client, of a preset if one is named."""
    beginning = _beginning(call.request.query_params)
    draft = _draft(call, beginning)
    return _form(call, editing.shown(call, draft), draft, beginning)


def create(call: Call) -> Response:
    """Store a new client."""
    beginning = _beginning(call.form)
    draft = _draft(call, beginning)
    done = editing.store(call, draft)
    if isinstance(done, Refused):
        return _form(call, done.form, draft, beginning, done)
    return _stored(call, done)


def _beginning(asked: Mapping[str, str]) -> Beginning:
    preset = asked.get("preset") or ""
    if not preset:
        return Beginning()
    return beginnings.of_client(preset, asked.get("interactive") != "off")


def _draft(call: Call, beginning: Beginning) -> Draft:
    return Draft(
        documents=call.profiles.clients,
        initial=beginning.document,
        hints=beginning.hints,
        blanks=beginning.blanks,
    )


def client(call: Call) -> Response:
    """The form of a client, with what a linter says of it."""
    draft = editing.draft_of(call.profiles.clients, _found(call))
    return _form(call, editing.shown(call, draft), draft, Beginning())


def change(call: Call) -> Response:
    """Store a client that was changed, under another name too."""
    draft = editing.draft_of(call.profiles.clients, _found(call))
    done = editing.store(call, draft)
    if isinstance(done, Refused):
        return _form(call, done.form, draft, Beginning(), done)
    return _stored(call, done)


def _form(
    call: Call,
    form: Form,
    draft: Draft,
    beginning: Beginning,
    refused: Refused | None = None,
) -> Response:
    stored = draft.stored
    uri, trouble = "", ""
    if stored:
        own = partial(grant_rules.redirect_uri, uid=stored.id)
        uri, trouble = departures.redirect_uri(call, own)
    return call.page(
        "client.html",
        status=refused.status if refused else 200,
        form=form,
        stored=stored,
        beginning=beginning,
        offers=_offers(),
        changes=refused.changes if refused else (),
        secrets_folder=sources.folder(call.profiles.home),
        users=call.profiles.clients.users(stored.id) if stored else [],
        redirect_uri=uri,
        trouble=trouble,
        editable=call.may(Role.ADMIN),
    )


def _offers() -> list[beginnings.Offer]:
    """Presets of whose servers a client can be."""
    return [
        one
        for preset, ways in beginnings.offers()
        if preset.access is not None
        for one in ways
        if one.how
    ]


def _stored(call: Call, done: Applied) -> Response:
    return call.to(
        "client",
        id=done.stored.id,
        said=editing.told("OAuth2 client", done),
    )


def _found(call: Call) -> Stored:
    return call.profiles.clients.by_id(call.params["id"])


REMOVAL = removal.Removal(
    documents=lambda call: call.profiles.clients, here="clients", page="client"
)

PLACES = (
    Place("GET", "/clients", "clients", Role.VIEWER, clients),
    Place("GET", "/clients/new", "client_new", Role.ADMIN, new),
    Place("POST", "/clients/new", "client_new", Role.ADMIN, create),
    Place("GET", "/clients/{id}", "client", Role.VIEWER, client),
    Place("POST", "/clients/{id}", "client", Role.ADMIN, change),
    *REMOVAL.places("/clients"),
)
