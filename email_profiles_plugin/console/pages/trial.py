"""Compose and send a test: by a stored profile, or by values that are not saved yet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from starlette.responses import Response

from email_profiles_hookspecs import Problem, SendRequest
from email_profiles_hookspecs.errors import (
    Conflict,
    EmailProfilesError,
    FromNotAllowed,
    Invalid,
    NotFound,
)

from ... import addresses
from ...store.documents import Stored
from ...trial import TrialReport
from .. import drafts
from ..access import Role
from ..calls import Call
from ..places import Place

KEPT_S = 3600.0
"""Seconds that values which are not saved can be tested."""

DRAFT = "values to test"
"""The purpose that they are kept for."""

FIELDS = ("from", "to", "subject", "body")

PLACES_OF = {
    "from_address": "from",
    "to": "to",
    "subject": "subject",
    "text": "body",
}
"""Which field a part of the request is typed in."""

LONGEST = 4000
"""Characters that To may have."""


@frozen(kw_only=True)
class Tested:
    """
    What is tested: a stored profile's name, or a document; and where it is typed.

    *id*: of the stored profile. *back*: its token's page, if it has any.
    """

    name: str
    body: Mapping[str, Any] = field(repr=False)
    target: str | Mapping[str, Any] = field(repr=False)
    here: str
    id: str = ""
    back: str = ""
    without: Sequence[str] = ()
    warnings: Sequence[str] = ()

    @property
    def saved(self) -> bool:
        """The stored profile is tested."""
        return isinstance(self.target, str)


def trial(call: Call) -> Response:
    """An empty test, but for what is known: From, a subject, a body."""
    tested = _stored(call)
    return _page(call, tested, _filled_in(tested))


def send(call: Call) -> Response:
    """Send it now, by the stored profile; what came of it is below the button."""
    return _sent(call, _stored(call))


def draft(call: Call) -> Response:
    """
    Keep the values of a form, to test them: on a page of their own, in another tab.

    `of` in the address is the id of the profile that they are of, `mode` the mode of
    one that is new. They are sealed, as a secret may be among them, and no page holds
    that.
    """
    asked = call.request.query_params
    id, mode = asked.get("of", ""), asked.get("mode", "")
    stored = call.profiles.profiles.by_id(id) if id else None
    if stored is None and mode not in call.profiles.plugins.providers:
        raise NotFound("authentication mode", mode)
    found = drafts.draft_of(call, stored, mode)
    if found.told:
        return call.page("trial_mistakes.html", status=422, told=found.told)
    kept = {
        "document": found.document,
        "without": list(found.without),
        "warnings": [str(one) for one in found.warnings],
    }
    key = call.profiles.keepsakes.keep(DRAFT, call.session, kept, seconds=KEPT_S)
    return call.to("trial_of_draft", key=key)


def trial_of_draft(call: Call) -> Response:
    """As `trial`, of values that are not saved."""
    tested = _draft(call)
    if tested is None:
        return call.page("trial_gone.html", status=404)
    return _page(call, tested, _filled_in(tested))


def send_by_draft(call: Call) -> Response:
    """As `send`, by values that are not saved."""
    tested = _draft(call)
    if tested is None:
        return call.page("trial_gone.html", status=404)
    return _sent(call, tested)


def _stored(call: Call) -> Tested:
    stored = call.profiles.profiles.by_id(call.params["id"])
    return Tested(
        name=stored.name,
        body=stored.body,
        target=stored.name,
        here=call.url("trial", id=stored.id),
        id=stored.id,
        back=call.url("token", id=stored.id) if _has_token(call, stored) else "",
    )


def _has_token(call: Call, stored: Stored) -> bool:
    """Its mode has one to manage, whatever it is like now."""
    try:
        call.profiles.tokens.status(stored.name)
    except Conflict:
        return False
    except EmailProfilesError:
        pass
    return True


def _draft(call: Call) -> Tested | None:
    key = call.params["key"]
    kept = call.profiles.keepsakes.find(DRAFT, call.session, key)
    if kept is None:
        return None
    document = kept["document"]
    return Tested(
        name=str(document.get("name", "")),
        body=document,
        target=document,
        here=call.url("trial_of_draft", key=key),
        without=kept["without"],
        warnings=kept["warnings"],
    )


def _filled_in(tested: Tested) -> dict[str, str]:
    what = "" if tested.saved else ", with values that are not saved"
    return {
        "from": from_address(tested.body),
        "to": "",
        "subject": f"Test of email profile {tested.name}",
        "body": f"This is a test of the email profile {tested.name}{what}.",
    }


def from_address(body: Mapping[str, Any]) -> str:
    """The first that a profile may send as; else its user, where that is an address."""
    policy, auth = body.get("policy"), body.get("auth")
    allowed = policy.get("from_addresses", ()) if isinstance(policy, Mapping) else ()
    username = auth.get("username") if isinstance(auth, Mapping) else None
    return addresses.usual(allowed, username)


def recipients(text: str) -> list[str]:
    """The addresses in what a person typed: commas, semicolons or lines between."""
    return addresses.separate(text, ",;\n")


def _sent(call: Call, tested: Tested) -> Response:
    typed = {name: call.form.get(name, "") for name in FIELDS}
    report, mistakes = None, dict[str, str]()
    if len(typed["to"]) > LONGEST:
        mistakes["to"] = f"is longer than {LONGEST} characters"
        return _page(call, tested, typed, report, mistakes)
    request = SendRequest(
        profile=tested.name,
        from_address=typed["from"].strip(),
        to=recipients(typed["to"]),
        subject=typed["subject"],
        text=typed["body"],
    )
    try:
        report = call.profiles.profiles.test(
            tested.target, request, without=tested.without
        )
    except FromNotAllowed as error:
        mistakes["from"] = str(error)
    except Invalid as error:
        mistakes = _by_field(error.problems)
    except EmailProfilesError as error:
        said = str(getattr(error, "message", error))
        report = TrialReport(
            profile=tested.name,
            saved=tested.saved,
            stage=error.stage,
            error=said,
            remedy=error.remedy,
        )
    return _page(call, tested, typed, report, mistakes)


def _by_field(problems: Sequence[Problem]) -> dict[str, str]:
    """The mistakes, each beside what it is about; "": beside none."""
    found: dict[str, list[str]] = {}
    for one in problems:
        member = re.match(r"\$\.(\w+)(?:\[\d+\])?$", one.path)
        name = PLACES_OF.get(member[1], "") if member else ""
        said = f"{one.message}; {one.remedy}" if one.remedy else one.message
        found.setdefault(name, []).append(said if name else str(one))
    return {name: ". ".join(said) for name, said in found.items()}


def _page(
    call: Call,
    tested: Tested,
    typed: Mapping[str, str],
    report: TrialReport | None = None,
    mistakes: Mapping[str, str] | None = None,
) -> Response:
    response = call.page(
        "trial.html",
        status=422 if mistakes else 200,
        tested=tested,
        typed=typed,
        report=report,
        mistakes=mistakes or {},
        first=next((name for name in FIELDS if name in (mistakes or {})), ""),
    )
    return response


PLACES = (
    Place("GET", "/profiles/{id}/test", "trial", Role.OPERATOR, trial),
    Place("POST", "/profiles/{id}/test", "trial", Role.OPERATOR, send),
    Place("POST", "/tests", "trial_draft", Role.ADMIN, draft),
    Place("GET", "/tests/{key}", "trial_of_draft", Role.ADMIN, trial_of_draft),
    Place("POST", "/tests/{key}", "trial_of_draft", Role.ADMIN, send_by_draft),
)
