"""What a provider promises before it authenticates: schema, build, check."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from email_profiles_hookspecs import Problem, Profile, Services
from email_profiles_hookspecs.errors import NotFound

from ..documents import check_auth_schema, validate_profile
from ..documents.shapes import Schema, below, here, is_secret, json_path, names
from .examination import Examination, words

SECRETIVE = re.compile(
    r"(^|_)(pass(word|phrase|wd)?|secret|api_?key|private_key|access_key|key|token"
    r"|credentials?)$",
    re.IGNORECASE,
)
"""Names of properties that hold secrets, as far as one can tell."""

ACTIONS = ("acquire", "rejected")


def schema_is_usable(exam: Examination) -> None:
    """The schema is a schema of an object, and leaves `mode` to the core."""
    promise = "schema is a JSON Schema of an object, without mode"
    for reason in check_auth_schema(exam.provider.schema):
        exam.says(promise, reason)
    if exam.broken:
        raise exam.fails(promise, "nothing else was looked at")


def secrets_are_marked(exam: Examination) -> None:
    """What is secret is marked, so that it is sealed and never shown."""
    promise = "schema marks what is secret"
    for path, schemas in _properties(exam.provider.schema):
        name = path.rpartition(".")[2]
        if is_secret(schemas):
            if not any(one.get("writeOnly") is True for one in schemas):
                exam.says(promise, f"{path} refers to a secret, and is not writeOnly")
        elif SECRETIVE.search(name) and any(
            one.get("type") == "string" for one in schemas
        ):
            exam.says(
                promise,
                f'{path} is text that anybody may read; {{"$ref": '
                '"urn:email-profiles:secret", "writeOnly": true} hides it',
            )


def auth_is_valid(exam: Examination) -> None:
    """The auth block of the test is one, or nothing that follows would count."""
    if problems := validate_profile(exam.document(), exam.schemas):
        raise exam.fails("the auth block of this test is valid", words(problems))


def build_does_no_io(exam: Examination) -> None:
    """Building is for keeping what is given; also where only the least is given."""
    promise = "build does no I/O"
    for auth, when in ((exam.auth, ""), (minimal(exam), "with the least settings")):
        services = exam.services()
        profile = exam.profile(auth)
        built = exam.call(
            promise, when, partial(exam.provider.build, profile, services)
        )
        if built.error is not None:
            exam.says(promise, f"it raises {built.error!r:.200}")
        if services.used:
            exam.says(promise, f"it {services.used[0]}")
        missing = [
            name for name in ACTIONS if not callable(getattr(built.value, name, None))
        ]
        if missing:
            raise exam.fails(
                "build gives an authenticator",
                f"{type(built.value).__name__} has no {' and no '.join(missing)}",
            )
        exam.shown.keep("the authenticator's repr", built.value)
    exam.shown.keep("the provider's repr", exam.provider)


def check_yields_problems(exam: Examination) -> None:
    """`check` says what is wrong, finds nothing in what is right, raises nothing."""
    promise = "check yields problems, and raises nothing"
    gone = NotFound("OAuth2 client", "client")
    for auth, error, when in (
        (exam.auth, None, ""),
        (minimal(exam), None, "with the least settings"),
        (exam.auth, gone, "while the OAuth2 client is gone"),
    ):
        services = exam.services()
        services.clients.error = error
        profile = exam.profile(auth)
        found = exam.call(promise, when, partial(_checked, exam, profile, services))
        if found.error is not None:
            exam.says(promise, f"it raises {type(found.error).__name__} {when}".strip())
        if services.http.asked or services.secrets.asked:
            exam.says("check does no I/O", f"it {services.used[0]}")
        problems = found.value or []
        exam.shown.keep("a problem", *problems)
        strange = [one for one in problems if not isinstance(one, Problem)]
        if strange:
            exam.says(promise, f"it yields {type(strange[0]).__name__}, no Problem")
        elif problems and not when:
            exam.says(
                "check finds nothing wrong with the auth block of this test",
                words([one.path + " " + one.message for one in problems]),
            )


def _checked(exam: Examination, profile: Profile, services: Services) -> list[Problem]:
    return list(exam.provider.check(profile, services))


def minimal(exam: Examination) -> Mapping[str, Any]:
    """The auth block with only what has to be given; the whole one if it has to."""
    wanted = exam.provider.schema.get("required", ())
    auth = {name: value for name, value in exam.auth.items() if name in wanted}
    valid = not validate_profile(exam.document(auth), exam.schemas)
    return auth if valid else exam.auth


def _properties(schema: Schema) -> Iterator[tuple[str, tuple[Schema, ...]]]:
    """Every property that *schema* names, with all that speaks of it."""
    waiting: list[tuple[tuple[str | int, ...], tuple[Schema, ...]]] = [
        ((), here(schema, schema))
    ]
    while waiting:
        place, schemas = waiting.pop(0)
        for name in names(schemas):
            found = below(schemas, schema, name)
            yield json_path(("auth", *place, name)), found
            if not is_secret(found) and len(place) < 8:
                waiting.append(((*place, name), found))
