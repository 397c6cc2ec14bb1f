"""The schema files: complete, valid, and in step with the values of the contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from jsonschema import Draft202012Validator

import email_profiles_schemas
from email_profiles_hookspecs import (
    Limits,
    OAuth2Client,
    Policy,
    Profile,
    SendRequest,
    SmtpSettings,
    Timing,
)
from email_profiles_plugin.documents import SECRET, compose_profile_schema

NAMES = (
    "alarm_notification",
    "auth_basic",
    "auth_oauth2",
    "email_profile",
    "oauth2_client",
    "report_schedule",
    "secret",
    "send_request",
)
GROUPS = {
    "Main",
    "SMTP Server Settings",
    "OAuth2 Settings",
    "Advanced",
    "Advanced OAuth2 Settings",
    "Limits",
    "Policy",
    "Email",
    "Schedule",
    "Source",
    "Report",
    "Templates",
    "Recipients",
    "Filter",
    "Timing",
    "Acknowledgement",
}
CONDITIONS = {"if", "then", "else", "not"}
"""What stands there describes no value: it only tells values apart."""


def properties(
    schema: dict[str, Any], path: str = ""
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Each property in *schema*, at any depth: path, schema, whether required."""
    for name, one in schema.get("properties", {}).items():
        yield f"{path}{name}", one, name in schema.get("required", ())
        yield from properties(one, f"{path}{name}.")
        yield from properties(one.get("items", {}), f"{path}{name}[].")


def every_property() -> list[Any]:
    """All properties of all documents, as parameters."""
    return [
        pytest.param(name, path, one, required, id=f"{name}:{path}")
        for name in NAMES
        if name != "secret"
        for path, one, required in properties(email_profiles_schemas.load(name))
    ]


def at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema of the property at *path* (`smtp.port`)."""
    for name in path.split("."):
        schema = schema["properties"][name]
    return schema


def composed(mode: str) -> dict[str, Any]:
    """The whole schema of a profile of one of our own modes."""
    auth = email_profiles_schemas.load(f"auth_{mode}")
    return compose_profile_schema(mode, auth, mode)


def test_names() -> None:
    """There is one schema for each document, and names() lists them."""
    assert email_profiles_schemas.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_valid(name: str) -> None:
    """Each file is a valid schema of draft 2020-12, and says so."""
    schema = email_profiles_schemas.load(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith("urn:email-profiles:")
    assert schema["title"]
    assert schema["description"]


def test_secret_is_referred_to_by_its_urn() -> None:
    """The secret's schema has the name that properties refer to."""
    assert email_profiles_schemas.load("secret")["$id"] == SECRET


@pytest.mark.parametrize(("name", "path", "one", "required"), every_property())
def test_property_is_described(
    name: str, path: str, one: dict[str, Any], required: bool
) -> None:
    """Every property has a title and a description, which ends as a sentence does."""
    assert one["title"] == one["title"].strip() != ""
    assert one["description"].endswith(".")


@pytest.mark.parametrize(("name", "path", "one", "required"), every_property())
def test_property_has_a_default(
    name: str, path: str, one: dict[str, Any], required: bool
) -> None:
    """
    Every property has a default, but required ones and secrets, which have none.

    A property that may be absent without anything in its place is null by default.
    """
    has_none = required or "$ref" in one
    assert ("default" in one) is not has_none
    if not has_none:
        assert list(Draft202012Validator(one).iter_errors(one["default"])) == []


@pytest.mark.parametrize(("name", "path", "one", "required"), every_property())
def test_property_is_placed(
    name: str, path: str, one: dict[str, Any], required: bool
) -> None:
    """What a form draws has a group and an order; an object of properties has not."""
    drawn = "properties" not in one and "[]" not in path
    assert (one.get("x-group") in GROUPS) is drawn
    assert isinstance(one.get("x-order"), int) is drawn


@pytest.mark.parametrize(("name", "path", "one", "required"), every_property())
def test_property_has_its_unit(
    name: str, path: str, one: dict[str, Any], required: bool
) -> None:
    """The unit is in the name, in x-unit and in the description, or nowhere."""
    unit = {"ms": "ms", "s": "s"}.get(path.rpartition("_")[2] if "_" in path else "")
    assert one.get("x-unit") == unit
    if unit:
        word = {"ms": " milliseconds", "s": " seconds"}[unit]
        assert word in one["description"]


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Each schema in *schema* that has properties."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema
        for keyword, one in schema.items():
            if keyword not in CONDITIONS:
                yield from objects(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from objects(one)


@pytest.mark.parametrize("name", NAMES)
def test_objects_are_closed(name: str) -> None:
    """No object takes unknown properties; auth alone is closed with its mode."""
    schema = email_profiles_schemas.load(name)
    still_open = [
        one["title"]
        for one in objects(schema)
        if one.get("additionalProperties") is not False
    ]
    assert still_open == (["Authentication"] if name == "email_profile" else [])


@pytest.mark.parametrize("name", NAMES)
def test_input_is_bounded(name: str) -> None:
    """Each string, list and open object has a greatest size, each number a range."""

    def walk(one: Any) -> Iterator[dict[str, Any]]:
        if isinstance(one, dict):
            yield one
            for keyword, each in one.items():
                if keyword not in CONDITIONS:
                    yield from walk(each)
        elif isinstance(one, list):
            for each in one:
                yield from walk(each)

    limits = {
        "string": {"maxLength"},
        "array": {"maxItems"},
        "integer": {"minimum", "maximum"},
    }
    for one in walk(email_profiles_schemas.load(name)):
        types = one.get("type", ())
        for kind in [types] if isinstance(types, str) else types:
            if "enum" in one or one.get("uniqueItems"):
                continue
            assert limits.get(kind, set()) - one.keys() == set(), one.get("title")


SECRETS = {
    ("auth_basic", "password"),
    ("oauth2_client", "client_secret"),
    ("oauth2_client", "private_key"),
    ("report_schedule", "source.password"),
}


def test_secrets() -> None:
    """Every secret is a reference to the secret's schema, and write-only."""
    found = {
        (name, path)
        for name in NAMES
        for path, one, _ in properties(email_profiles_schemas.load(name))
        if one.get("$ref") == SECRET and one["writeOnly"] is True
    }
    marked = {
        (name, path)
        for name in NAMES
        for path, one, _ in properties(email_profiles_schemas.load(name))
        if "writeOnly" in one or "$ref" in one
    }
    assert found == marked == SECRETS


def test_reference_to_a_client() -> None:
    """The oauth2 mode says that its client is a reference to an OAuth2 client."""
    client = at(email_profiles_schemas.load("auth_oauth2"), "client")
    assert client["x-references"] == "oauth2_client"


NONE: Any = object()
MAIN, SERVER, ADVANCED = "Main", "SMTP Server Settings", "Advanced"
OAUTH2, ADVANCED_OAUTH2 = "OAuth2 Settings", "Advanced OAuth2 Settings"
BOTH_KINDS = [
    ("Name", "name", NONE, None, MAIN),
    ("Description", "description", "", None, MAIN),
    ("Hostname", "smtp.hostname", NONE, None, SERVER),
    ("Port", "smtp.port", 25, None, SERVER),
    ("Use SSL/TLS", "smtp.use_ssl", False, None, SERVER),
    ("Use STARTTLS", "smtp.use_starttls", False, None, SERVER),
    ("SMTP Timeout", "smtp.timeout_ms", 10_000, "ms", ADVANCED),
    ("Debug Mode Enabled", "smtp.debug", False, None, ADVANCED),
    # "SSL Protocols" for a classic profile, with the same meaning
    ("SSL/TLS Protocols", "smtp.ssl_protocols", ["TLSv1.2"], None, ADVANCED),
]
SEED = [
    *(("basic", *row) for row in BOTH_KINDS),
    ("basic", "Username", "auth.username", None, None, SERVER),
    ("basic", "Password", "auth.password", NONE, None, SERVER),
    *(("oauth2", *row) for row in BOTH_KINDS),
    ("oauth2", "Username", "auth.username", NONE, None, OAUTH2),
    ("oauth2", "OAuth2 Client", "auth.client", NONE, None, OAUTH2),
    ("oauth2", "Interactive", "auth.interactive", False, None, OAUTH2),
    ("oauth2", "Scope", "auth.scope", "", None, OAUTH2),
    (
        "oauth2",
        "Access Token Timeout",
        "auth.access_token_timeout_s",
        120,
        "s",
        ADVANCED_OAUTH2,
    ),
    (
        "oauth2",
        "Default Access Token Expiration",
        "auth.default_access_token_expiration_s",
        0,
        "s",
        ADVANCED_OAUTH2,
    ),
    (
        "oauth2",
        "Refresh Before Expiration",
        "auth.refresh_before_expiration_s",
        300,
        "s",
        ADVANCED_OAUTH2,
    ),
    (
        "oauth2",
        "Additional Authorization Request Parameters",
        "auth.authorization_params",
        {},
        None,
        ADVANCED_OAUTH2,
    ),
    (
        "oauth2",
        "Additional Authorization Code Access Token Request Parameters",
        "auth.authorization_code_token_params",
        {},
        None,
        ADVANCED_OAUTH2,
    ),
    (
        "oauth2",
        "Additional Client Credentials Access Token Request Parameters",
        "auth.client_credentials_token_params",
        {},
        None,
        ADVANCED_OAUTH2,
    ),
    (
        "oauth2",
        "Additional Refresh Token Access Token Request Parameters",
        "auth.refresh_token_params",
        {},
        None,
        ADVANCED_OAUTH2,
    ),
]


@pytest.mark.parametrize(("mode", "label", "path", "default", "unit", "group"), SEED)
def test_property_of_ignition(
    mode: str, label: str, path: str, default: object, unit: str | None, group: str
) -> None:
    """Each property of both of Ignition's kinds of profile: default, unit, heading."""
    one = at(composed(mode), path)
    assert one["title"] == label
    assert one.get("default", NONE) == default
    assert one.get("x-unit") == unit
    assert one["x-group"] == group


@pytest.mark.parametrize("mode", ["basic", "oauth2"])
def test_order_within_groups(mode: str) -> None:
    """No two properties of a form share a place in their group."""
    places = [
        (one["x-group"], one["x-order"])
        for _, one, _ in properties(composed(mode))
        if "x-group" in one
    ]
    assert len(places) == len(set(places))


def attrs_defaults(value: type, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of *value* that have a default, as JSON has them."""
    defaults: dict[str, Any] = {}
    for one in attrs.fields(value):
        if one.name in skip or one.default is attrs.NOTHING:
            continue
        factory = getattr(one.default, "factory", None)
        plain = factory() if factory else one.default
        defaults[one.name] = list(plain) if isinstance(plain, tuple) else plain
    return defaults


def schema_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """The properties of *schema* that may be left out, a secret being None then."""
    return {
        name: one.get("default")
        for name, one in schema["properties"].items()
        if name not in schema.get("required", ())
    }


@pytest.mark.parametrize(
    ("value", "path"), [(SmtpSettings, "smtp"), (Limits, "limits"), (Policy, "policy")]
)
def test_defaults_of_a_profile_agree(value: type, path: str) -> None:
    """The contract's values and the schema agree on every field and default."""
    schema = at(email_profiles_schemas.load("email_profile"), path)
    assert attrs_defaults(value) == schema_defaults(schema)
    assert {one.name for one in attrs.fields(value)} == set(schema["properties"])


def test_defaults_of_the_profile_itself_agree() -> None:
    """Description and enabled are the same left out in a value and in a document."""
    schema = email_profiles_schemas.load("email_profile")
    expected = {"description": "", "enabled": True}
    assert {k: v for k, v in schema_defaults(schema).items() if v != {}} == expected
    skip = ("auth", "limits", "policy")
    assert attrs_defaults(Profile, skip) == expected


@pytest.mark.parametrize(
    ("value", "name"), [(OAuth2Client, "oauth2_client"), (SendRequest, "send_request")]
)
def test_defaults_of_documents_agree(value: type, name: str) -> None:
    """The contract's values and the schemas agree on every field and default."""
    schema = email_profiles_schemas.load(name)
    assert attrs_defaults(value) == schema_defaults(schema)
    stored = {one.name for one in attrs.fields(value)} - {"id", "revision"}
    assert stored == set(schema["properties"])


def test_defaults_of_timing_agree() -> None:
    """A token's timing is by default what the oauth2 mode's schema says."""
    defaults = schema_defaults(email_profiles_schemas.load("auth_oauth2"))
    timing = attrs_defaults(Timing)
    assert {name: defaults[name] for name in timing} == timing


@pytest.mark.parametrize("mode", ["basic", "oauth2"])
def test_composed_schema_stands_alone(mode: str) -> None:
    """The composed schema validates a document with nothing fetched from elsewhere."""
    schema = json.loads(json.dumps(composed(mode)))
    Draft202012Validator.check_schema(schema)
    blocks: dict[str, dict[str, Any]] = {
        "basic": {"mode": "basic", "username": "u", "password": {"env": "P"}},
        "oauth2": {"mode": "oauth2", "username": "u", "client": "c"},
    }
    auth = blocks[mode]
    good = {"name": "p", "smtp": {"hostname": "mail.example"}, "auth": auth}
    validator = Draft202012Validator(schema)
    assert list(validator.iter_errors(good)) == []
    for wrong in ({"mode": "other"}, {"misspelt": 1}, {"password": {"env": 1}}):
        bad = {**good, "auth": {**auth, **wrong}}
        assert list(validator.iter_errors(bad)) != []
