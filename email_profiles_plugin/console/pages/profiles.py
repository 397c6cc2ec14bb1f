"""Email Settings: the list of profiles, and what can be done with each."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen
from starlette.responses import Response

from email_profiles_hookspecs import TokenStatus
from email_profiles_hookspecs.errors import Conflict, EmailProfilesError, NotFound

from ...documents.shapes import value_at
from ...presets import FACTS_OF
from ...profiles import Applied
from ...store.documents import Stored
from ...store.health import Health
from .. import beginnings, editing, removal, sources
from ..access import Role
from ..beginnings import Beginning
from ..calls import Call
from ..editing import Draft, Refused
from ..forms import Form
from ..places import Place

KINDS = {"basic": "Classic SMTP", "oauth2": "OAuth2 SMTP"}
"""What the seed calls the kinds of profile; others go by their mode's title."""

A_PAGE = 25
"""Profiles on a page of the list: the state of each one's token is looked up."""


@frozen(kw_only=True)
class Row:
    """A profile in the list; *token* None: its mode has none. *state*: in a word."""

    stored: Stored
    kind: str
    server: str
    security: str
    state: str
    health: Health
    token: TokenStatus | None = None
    trouble: str = ""
    usable: bool = True


def profiles(call: Call) -> Response:
    """The list, by name, page by page."""
    asked = call.request.query_params
    text = asked.get("text", "")[:200]
    found = [
        one
        for one in call.profiles.profiles.list()
        if text.lower() in f"{one.name}\n{one.body.get('description', '')}".lower()
    ]
    pages = max(1, -(-len(found) // A_PAGE))
    number = asked.get("page", "1")
    page = min(int(number), pages) if number.isdecimal() and len(number) < 6 else 1
    page = max(page, 1)
    listed = found[(page - 1) * A_PAGE : page * A_PAGE]
    healths = call.profiles.healths([one.id for one in listed])
    return call.page(
        "profiles.html",
        now=call.profiles.now(),
        rows=[_row(call, one, healths[one.id]) for one in listed],
        count=len(found),
        text=text,
        page_number=page,
        pages=pages,
    )


def _row(call: Call, stored: Stored, health: Health) -> Row:
    body = stored.body
    mode = str(value_at(body, ("auth", "mode")))
    usable = mode in call.profiles.plugins.providers
    state = "paused" if health.failures else "enabled"
    if not body.get("enabled", True):
        state = "disabled"
    token, trouble = _token(call, stored)
    return Row(
        stored=stored,
        kind=kind_of(call, mode),
        server=f"{body['smtp']['hostname']}:{body['smtp'].get('port', 25)}",
        security=_security(stored),
        state=state if usable else "no plugin",
        health=health,
        token=token,
        trouble=trouble,
        usable=usable,
    )


def _token(call: Call, stored: Stored) -> tuple[TokenStatus | None, str]:
    """The state of a profile's token, where it has one; or why that can't be told."""
    try:
        return call.profiles.tokens.status(stored.name), ""
    except Conflict:
        return None, ""
    except EmailProfilesError as error:
        return None, str(error)


def _security(stored: Stored) -> str:
    smtp = stored.body["smtp"]
    if smtp.get("use_ssl"):
        return "SSL/TLS"
    return "STARTTLS" if smtp.get("use_starttls") else "no TLS"


def kind_of(call: Call, mode: str) -> str:
    """What kind of profile those of *mode* are."""
    provider = call.profiles.plugins.providers.get(mode)
    return KINDS.get(mode) or (provider.title if provider is not None else mode)


def choose(call: Call) -> Response:
    """*Create new Email Profile*: of which kind, or with which preset."""
    providers = call.profiles.plugins.providers.values()
    return call.page(
        "profile_kinds.html",
        kinds=[(one, kind_of(call, one.mode)) for one in providers],
        offers=beginnings.offers(),
        facts_of=FACTS_OF,
        kind_of=lambda mode: kind_of(call, mode),
    )


def new(call: Call) -> Response:
    """The form of a new profile."""
    beginning = _beginning(call, call.request.query_params)
    draft = _draft(call, beginning)
    return _form(call, editing.shown(call, draft), draft, beginning)


def create(call: Call) -> Response:
    """Store a new profile."""
    beginning = _beginning(call, call.form)
    draft = _draft(call, beginning)
    done = editing.store(call, draft)
    if isinstance(done, Refused):
        return _form(call, done.form, draft, beginning, done)
    return _stored(call, done)


def _beginning(call: Call, asked: Mapping[str, str]) -> Beginning:
    preset, mode = asked.get("preset") or "", call.params["mode"]
    if mode not in call.profiles.plugins.providers:
        raise NotFound("authentication mode", mode)
    if not preset:
        return Beginning()
    clients = call.profiles.clients.list()
    interactive = asked.get("interactive") != "off"
    return beginnings.of_profile(preset, mode, interactive, clients)


def _draft(call: Call, beginning: Beginning) -> Draft:
    return Draft(
        documents=call.profiles.profiles,
        base={"auth": {"mode": call.params["mode"]}},
        initial={"auth": {"mode": call.params["mode"]}, **beginning.document},
        hints=beginning.hints,
        blanks=beginning.blanks,
    )


def duplicate(call: Call) -> Response:
    """The form of a new profile that is like another, but for its secrets."""
    stored = _found(call)
    beginning = beginnings.copy_of(call.profiles.profiles, stored)
    draft = Draft(
        documents=call.profiles.profiles,
        base={"auth": {"mode": value_at(stored.body, ("auth", "mode"))}},
        initial=beginning.document,
    )
    return _form(call, editing.shown(call, draft), draft, beginning)


def profile(call: Call) -> Response:
    """The form of a profile, with what a linter says of it."""
    draft = editing.draft_of(call.profiles.profiles, _found(call))
    return _form(call, editing.shown(call, draft), draft, Beginning())


def change(call: Call) -> Response:
    """Store a profile that was changed, under another name too."""
    draft = editing.draft_of(call.profiles.profiles, _found(call))
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
    mode = str(value_at(draft.base, ("auth", "mode")))
    provider = call.profiles.plugins.providers.get(mode)
    stored = draft.stored
    row = None
    if stored is not None:
        health = call.profiles.healths([stored.id])[stored.id]
        row = _row(call, stored, health)
    return call.page(
        "profile.html",
        now=call.profiles.now(),
        status=refused.status if refused else 200,
        form=form,
        stored=stored,
        row=row,
        mode=mode,
        kind=kind_of(call, mode),
        provider=provider,
        beginning=beginning,
        changes=refused.changes if refused else (),
        secrets_folder=sources.folder(call.profiles.home),
        editable=call.may(Role.ADMIN) and provider is not None,
    )


def _stored(call: Call, done: Applied) -> Response:
    return call.to(
        "profile",
        id=done.stored.id,
        said=editing.told("Email profile", done),
    )


def _found(call: Call) -> Stored:
    return call.profiles.profiles.by_id(call.params["id"])


REMOVAL = removal.Removal(
    documents=lambda call: call.profiles.profiles,
    here="profiles",
    page="profile",
    waiting=removal.messages_that_wait,
)

PLACES = (
    Place("GET", "/profiles", "profiles", Role.VIEWER, profiles),
    Place("GET", "/profiles/new", "profile_kinds", Role.ADMIN, choose),
    Place("GET", "/profiles/new/{mode}", "profile_new", Role.ADMIN, new),
    Place("POST", "/profiles/new/{mode}", "profile_new", Role.ADMIN, create),
    Place("GET", "/profiles/{id}", "profile", Role.VIEWER, profile),
    Place("POST", "/profiles/{id}", "profile", Role.ADMIN, change),
    Place("GET", "/profiles/{id}/duplicate", "profile_copy", Role.ADMIN, duplicate),
    *REMOVAL.places("/profiles"),
)
