"""Documents and what is wrong with them: every mistake at once, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import email_profiles_schemas
from email_profiles_hookspecs import Problem

from . import rules
from .composition import client_schema, is_open, plain, request_schema
from .sentences import (
    SECRET_FORM,
    SECRET_REMEDY,
    Finding,
    Teller,
    unknown_mode,
)
from .shapes import (
    SECRET,
    Place,
    Schema,
    declared,
    here,
    is_secret,
    json_path,
    visit,
)


def validate_profile(document: object, schemas: Mapping[str, Schema]) -> list[Problem]:
    """
    Every mistake in *document*, an email profile; *schemas* go by mode.

    The core's schema first, then the mode's alone over auth without `mode`, in which
    only what a schema names is allowed. No secret, nor what might be a misspelt one,
    is in a problem's text.
    """
    findings = list(_against(document, email_profiles_schemas.load("email_profile")))
    if not isinstance(document, dict):
        return _problems(document, findings)
    auth, schema = document.get("auth"), None
    if isinstance(auth, dict) and isinstance(auth.get("mode"), str):
        if auth["mode"] in schemas:
            schema = plain(schemas[auth["mode"]])
            findings.extend(_auth(auth, schema))
        else:
            message, remedy = unknown_mode(auth["mode"], schemas)
            findings.append(Finding(("auth", "mode"), message, remedy))
    findings.extend(rules.of_profile(document, schema))
    return _problems(document, findings)


def validate_client(document: object) -> list[Problem]:
    """Every mistake in *document*, an OAuth2 client."""
    findings = list(_against(document, client_schema()))
    if isinstance(document, dict):
        findings.extend(rules.of_client(document))
    return _problems(document, findings)


def validate_document(
    document: object,
    schema: Schema,
    more: Callable[[Mapping[str, Any]], Iterable[Finding]],
) -> list[Problem]:
    """Every mistake in *document*: by its *schema*, and by rules for *more*."""
    findings = list(_against(document, schema))
    if isinstance(document, dict):
        findings.extend(rules.text(document))
        findings.extend(more(document))
    return _problems(document, findings)


def validate_request_document(document: object) -> list[Problem]:
    """
    Every mistake in *document*, the JSON form of a send request.

    Addresses and header fields are looked at when the message is rendered.
    """
    findings = list(_against(document, request_schema()))
    if isinstance(document, dict):
        findings.extend(rules.of_request(document))
    return _problems(document, findings)


def validate_token_request(document: object) -> list[Problem]:
    """
    Every mistake in *document*, what one token request asks for: `scope`, `params`.

    The rules are those of a profile's `scope` and additional parameters.
    """
    return _problems(document, [*_against(document, _asked()), *rules.text(document)])


def _asked() -> dict[str, Any]:
    auth = email_profiles_schemas.load("auth_oauth2")
    known = auth["properties"]
    return {
        "type": "object",
        "properties": {
            "scope": known["scope"],
            "params": known["client_credentials_token_params"],
        },
        "additionalProperties": False,
        "$defs": auth["$defs"],
    }


def warnings(document: object, lint: Iterable[Finding] = ()) -> list[Problem]:
    """
    What is allowed in an email profile, and most likely not meant.

    What a linter says of a place is told instead of what holds everywhere.
    """
    if not isinstance(document, dict):
        return []
    return _problems(document, _either(lint, rules.warnings_of_profile(document)))


def client_warnings(document: object, lint: Iterable[Finding] = ()) -> list[Problem]:
    """What is allowed in an OAuth2 client, and most likely not meant; as above."""
    if not isinstance(document, dict):
        return []
    return _problems(document, _either(lint, rules.warnings_of_client(document)))


def warnings_of_document(
    document: object, rules_of: Callable[[Mapping[str, Any]], Iterable[Finding]]
) -> list[Problem]:
    """What is allowed in a document, and by these rules most likely not meant."""
    if not isinstance(document, dict):
        return []
    return _problems(document, rules_of(document))


def _either(lint: Iterable[Finding], general: Iterable[Finding]) -> list[Finding]:
    found = list(lint)
    places = {one.place for one in found}
    return [*found, *(one for one in general if one.place not in places)]


def _auth(auth: dict[str, Any], schema: dict[str, Any]) -> Iterator[Finding]:
    block = {key: value for key, value in auth.items() if key != "mode"}
    found = list(_against(block, schema))
    if not is_open(here(schema, schema)):
        teller = Teller(block, schema, lambda place: False)
        found.extend(teller.strangers((), block, schema))
    for one in found:
        yield Finding(("auth", *one.place), one.message, one.remedy)


def _against(document: object, schema: Mapping[str, Any]) -> list[Finding]:
    """What a validator finds, told; all at or below a secret is one finding."""
    if excess := list(rules.excess(document)):
        return excess
    validator = _validator(schema)
    teller = Teller(document, schema, lambda place: bool(declared(schema, place)))
    secrets = {
        spot.place: spot.value
        for spot in visit(document, schema)
        if is_secret(spot.schemas)
    }
    found: list[Finding] = []
    errors = list(validator.iter_errors(document))
    mistyped = {tuple(one.absolute_path) for one in errors if one.validator == "type"}
    for error in errors:
        if error.validator != "type" and tuple(error.absolute_path) in mistyped:
            continue  # of the wrong type, it need not be too large as well
        for one in teller.tell(error):
            within = [
                one.place[:size]
                for size in range(len(one.place) + 1)
                if one.place[:size] in secrets
            ]
            found.append(_of_secret(within[0], secrets) if within else one)
    return found


def _of_secret(place: Place, secrets: Mapping[Place, object]) -> Finding:
    if secrets[place] == "":
        return Finding(
            place, "is empty", "leave it out; `unset-secret` removes a stored one"
        )
    return Finding(place, SECRET_FORM, SECRET_REMEDY)


def _validator(schema: Mapping[str, Any]) -> Any:
    """A validator that fetches nothing and takes no 25.0 for a whole number."""
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry, Resource

    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole)
    extend: Any = validators.extend
    strict = extend(Draft202012Validator, type_checker=checker)
    secret = Resource.from_contents(email_profiles_schemas.load("secret"))
    registry: Any = Registry().with_resource(SECRET, secret)
    bare = {key: value for key, value in schema.items() if key != "$schema"}
    return strict(bare, registry=registry)


def _is_whole(checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _problems(document: object, findings: Iterable[Finding]) -> list[Problem]:
    """*findings* in document order, each once."""
    order = _Order(document)
    unique = sorted(dict.fromkeys(findings), key=lambda one: order.of(one.place))
    return [
        Problem(path=json_path(one.place), message=one.message, remedy=one.remedy)
        for one in unique
    ]


class _Order:
    """Where places stand in one document; what is missing stands after the rest."""

    def __init__(self, document: object) -> None:
        self._document = document
        self._known: dict[int, dict[str, int]] = {}

    def of(self, place: Place) -> tuple[int, ...]:
        value: Any = self._document
        steps: list[int] = []
        for key in place:
            step = self._step(value, key)
            steps.append(step)
            try:
                value = value[key]
            except (LookupError, TypeError):
                value = None
        return tuple(steps)

    def _step(self, value: object, key: str | int) -> int:
        if isinstance(key, int):
            return key
        if not isinstance(value, dict):
            return 0
        if id(value) not in self._known:
            self._known[id(value)] = {name: at for at, name in enumerate(value)}
        return self._known[id(value)].get(key, len(value))
