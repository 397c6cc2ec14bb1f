"""Documents to values and back; their secrets, references, defaults and schemas."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import email_profiles_schemas
from email_profiles_hookspecs import (
    Attachment,
    Limits,
    OAuth2Client,
    Policy,
    Profile,
    SecretRef,
    SendRequest,
    SmtpSettings,
)
from email_profiles_hookspecs.errors import Invalid
from email_profiles_plugin.documents import (
    Reference,
    changed_client_place,
    changed_place,
    check_auth_schema,
    client_from_document,
    client_schema,
    document_from_profile,
    document_from_request,
    is_loopback,
    json_path,
    map_secrets,
    profile_from_document,
    profile_schema,
    protocols_from_text,
    references,
    rename_reference,
    request_from_document,
    secret_pointers,
    secret_reference,
    validate_profile,
    validate_request_document,
    with_defaults,
)

SECRET = {"$ref": "urn:email-profiles:secret", "writeOnly": True}
VAULT: dict[str, Any] = {
    "type": "object",
    "required": ["client"],
    "properties": {
        "client": {"type": "string", "x-references": "oauth2_client"},
        "key": {"$ref": "#/$defs/key"},
        "keys": {"type": "array", "items": SECRET},
        "box": {
            "type": "object",
            "default": {},
            "properties": {"pin": SECRET, "depth": {"type": "integer", "default": 3}},
            "additionalProperties": False,
        },
        "maybe": {"anyOf": [SECRET, {"type": "null"}]},
        "more": {"type": "object", "patternProperties": {"^s_": SECRET}},
    },
    "allOf": [{"properties": {"colour": {"type": "string", "default": "red"}}}],
    "$defs": {"key": SECRET},
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "basic": email_profiles_schemas.load("auth_basic"),
    "oauth2": email_profiles_schemas.load("auth_oauth2"),
    "vault": VAULT,
}
BASIC: dict[str, Any] = {
    "name": "plant-alerts",
    "smtp": {"hostname": "mail.example", "use_starttls": True},
    "auth": {"mode": "basic", "username": "u", "password": "s3cret"},
}
OAUTH2: dict[str, Any] = {
    **BASIC,
    "auth": {"mode": "oauth2", "username": "u", "client": "google"},
}
THIRD: dict[str, Any] = {
    **BASIC,
    "auth": {
        "mode": "vault",
        "client": "google",
        "key": "k",
        "keys": ["a", {"env": "B"}],
        "box": {"pin": "p"},
        "maybe": "m",
        "more": {"s_1": "x", "t": "y"},
    },
}
CLIENT: dict[str, Any] = {
    "name": "google",
    "client_id": "id",
    "client_secret": {"env": "SECRET"},
    "private_key": {"file": "key.pem"},
    "issuer": "https://login.example",
}
REQUEST: dict[str, Any] = {"profile": "p", "from_address": "a@plant.example"}


def profile(document: dict[str, Any]) -> Profile:
    """The profile that *document* describes."""
    return profile_from_document(document, id="7", revision=3, schemas=SCHEMAS)


def test_importing_loads_no_validator() -> None:
    """Importing the package loads none of jsonschema, referencing and idna."""
    code = (
        "import sys, email_profiles_plugin.documents\n"
        "print({'jsonschema', 'referencing', 'idna'} & sys.modules.keys())"
    )
    path = [entry for entry in sys.path if entry]
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "set()"


def test_smallest_profile() -> None:
    """What a document leaves out is in its profile as the defaults say."""
    found = profile(
        {
            "name": "relay",
            "smtp": {"hostname": "mail.example"},
            "auth": {"mode": "basic"},
        }
    )
    assert (found.id, found.revision, found.name) == ("7", 3, "relay")
    assert found.smtp == SmtpSettings(hostname="mail.example")
    assert found.limits == Limits()
    assert found.policy == Policy()
    assert (found.description, found.enabled, found.mode) == ("", True, "basic")
    assert found.auth == {"username": None, "mechanism": "automatic"}


def test_secrets_of_a_profile_are_references() -> None:
    """A profile holds where its secrets come from, never in its repr."""
    found = profile(BASIC)
    assert found.auth["password"] == SecretRef(
        kind="plain", place="7#/auth/password", value="s3cret"
    )
    assert "s3cret" not in repr(found)


def test_profile_of_an_unknown_mode() -> None:
    """A profile whose plugin is not loaded is Invalid, with the modes there are."""
    document = {**BASIC, "auth": {"mode": "ntlm"}}
    with pytest.raises(Invalid) as raised:
        profile(document)
    (problem,) = raised.value.problems
    assert problem.path == "$.auth.mode"
    assert "basic, oauth2, vault" in problem.message


@pytest.mark.parametrize("document", [BASIC, OAUTH2, THIRD])
def test_profile_to_document_and_back(document: dict[str, Any]) -> None:
    """A profile's document says what the first did, with its defaults written out."""
    schema = profile_schema(document, SCHEMAS)
    again = document_from_profile(profile(document))
    assert again == with_defaults(document, schema)
    assert json.loads(json.dumps(again)) == again
    assert validate_profile(again, SCHEMAS) == []
    assert document_from_profile(profile(again)) == again


def test_profile_of_a_site_plugin() -> None:
    """A profile that was made by hand can be validated as a document."""
    made = Profile(
        id="x",
        revision=1,
        name="site/a",
        smtp=SmtpSettings(hostname="mail.example", use_ssl=True, port=0),
        mode="basic",
        auth={
            "username": "u",
            "password": SecretRef(kind="env", place="x", value="PW"),
        },
    )
    document = document_from_profile(made)
    assert document["auth"]["password"] == {"env": "PW"}
    problems = validate_profile(document, SCHEMAS)
    assert [one.path for one in problems] == ["$.name", "$.smtp.port"]


def test_client() -> None:
    """A client's document as a value: defaults filled in, secrets as references."""
    assert client_from_document(CLIENT, id="c1", revision=2) == OAuth2Client(
        id="c1",
        revision=2,
        name="google",
        client_id="id",
        client_secret=SecretRef(kind="env", place="c1#/client_secret", value="SECRET"),
        private_key=SecretRef(kind="file", place="c1#/private_key", value="key.pem"),
        issuer="https://login.example",
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("s", "plain"),
        ({"env": "s"}, "env"),
        ({"file": "s"}, "file"),
        ({"sealed": "s"}, "sealed"),
    ],
)
def test_secret_reference(value: object, kind: Any) -> None:
    """Each form of a secret has its kind."""
    expected = SecretRef(kind=kind, place="7#/x", value="s")
    assert secret_reference("7#/x", value) == expected


def test_what_is_no_secret_reference() -> None:
    """What is no secret is refused without being shown."""
    with pytest.raises(ValueError, match="what stands at 7#/x is no secret") as raised:
        secret_reference("7#/x", {"evn": "hunter2"})
    assert "hunter2" not in str(raised.value)


def test_smallest_request() -> None:
    """A request's defaults are the contract's."""
    expected = SendRequest(profile="p", from_address="a@plant.example")
    assert request_from_document(REQUEST) == expected


def test_request_to_document_and_back() -> None:
    """A request survives JSON, attachments' bytes and time zone included."""
    request = SendRequest(
        profile="p",
        from_address="a@plant.example",
        to=["b@plant.example"],
        subject="Größe",
        text="x",
        attachments=[Attachment(name="a.bin", data=bytes(range(256)), content_id="c")],
        headers={"X-Site": "north"},
        not_after=datetime(2026, 11, 23, 8, tzinfo=UTC),
        lane="alarm",
        max_attempts=2,
    )
    document = json.loads(json.dumps(document_from_request(request)))
    assert validate_request_document(document) == []
    assert request_from_document(document) == request


def test_request_without_its_bytes() -> None:
    """A request can be kept without its attachments' bytes, all else in place."""
    request = SendRequest(
        profile="p",
        from_address="a@plant.example",
        attachments=[Attachment(name="a", data=b"x", content_type="text/x")],
    )
    document = document_from_request(request, with_data=False)
    assert document["attachments"] == [
        {"name": "a", "data": "", "content_type": "text/x", "content_id": None}
    ]
    assert document == {
        **document_from_request(request),
        "attachments": document["attachments"],
    }


THIRD_SECRETS = (
    "/auth/key",
    "/auth/keys/0",
    "/auth/keys/1",
    "/auth/box/pin",
    "/auth/maybe",
    "/auth/more/s_1",
)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (BASIC, ("/auth/password",)),
        (OAUTH2, ()),
        (THIRD, THIRD_SECRETS),
        ({**BASIC, "auth": {"mode": "basic"}}, ()),
    ],
)
def test_secret_pointers(document: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Every secret that is there is found: in objects, lists, references, branches."""
    schema = profile_schema(document, SCHEMAS)
    assert secret_pointers(document, schema) == expected


def test_secret_pointers_of_a_client() -> None:
    """A client's secrets are its secret and its key."""
    expected = ("/client_secret", "/private_key")
    assert secret_pointers(CLIENT, client_schema()) == expected


def test_all_is_secret_in_an_unknown_mode() -> None:
    """Where the plugin is missing, all of auth but its mode counts as secret."""
    document = {**BASIC, "auth": {"mode": "ntlm", "user": "u", "hash": {"a": "b"}}}
    schema = profile_schema(document, SCHEMAS)
    assert secret_pointers(document, schema) == ("/auth/user", "/auth/hash")


def test_pointers_are_escaped() -> None:
    """A JSON pointer escapes ~ and / (RFC 6901, 3)."""
    schema = {"type": "object", "additionalProperties": SECRET}
    assert secret_pointers({"a/b~c": "x"}, schema) == ("/a~1b~0c",)


def test_map_secrets() -> None:
    """Each secret is changed where it stands; the document itself is not."""
    before = copy.deepcopy(THIRD)
    schema = profile_schema(THIRD, SCHEMAS)
    masked = map_secrets(THIRD, schema, lambda pointer, value: f"<{pointer}>")
    auth = masked.pop("auth")
    assert auth == {
        "mode": "vault",
        "client": "google",
        "key": "</auth/key>",
        "keys": ["</auth/keys/0>", "</auth/keys/1>"],
        "box": {"pin": "</auth/box/pin>"},
        "maybe": "</auth/maybe>",
        "more": {"s_1": "</auth/more/s_1>", "t": "y"},
    }
    assert masked == {k: v for k, v in THIRD.items() if k != "auth"}
    assert before == THIRD
    masked["smtp"]["hostname"] = "other"
    assert before == THIRD


@pytest.mark.parametrize("document", [OAUTH2, THIRD])
def test_references(document: dict[str, Any]) -> None:
    """What a profile refers to is found, for third-party modes as for ours."""
    schema = profile_schema(document, SCHEMAS)
    expected = (Reference(pointer="/auth/client", kind="oauth2_client", name="google"),)
    assert references(document, schema) == expected
    assert references(BASIC, profile_schema(BASIC, SCHEMAS)) == ()


def test_rename_reference() -> None:
    """A renamed client is renamed where it is referred to, and nowhere else."""
    document = {**OAUTH2, "name": "google"}
    schema = profile_schema(document, SCHEMAS)
    renamed = rename_reference(document, schema, "oauth2_client", "google", "work")
    expected = {**document, "auth": {**OAUTH2["auth"], "client": "work"}}
    assert renamed == expected
    assert document["auth"]["client"] == "google"
    for kind, old in (("oauth2_client", "other"), ("email_profile", "google")):
        assert rename_reference(document, schema, kind, old, "work") == document


def test_with_defaults() -> None:
    """Defaults are filled in at every depth, and nothing that is there is changed."""
    document = {**THIRD, "limits": {"max_connections": 1}}
    before = copy.deepcopy(document)
    full = with_defaults(document, profile_schema(document, SCHEMAS))
    assert full["limits"]["max_connections"] == 1
    assert full["limits"]["recipients_per_message"] == 100
    assert full["policy"]["max_attempts"] == 8
    assert full["auth"]["box"] == {"pin": "p", "depth": 3}
    assert full["auth"]["colour"] == "red"
    assert document == before


VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["basic", "oauth2", "vault", "ntlm"]),
    st.dictionaries(
        st.sampled_from(["name", "smtp", "limits", "policy", "enabled", "x"]),
        VALUES
        | st.dictionaries(
            st.sampled_from(["port", "hostname", "max_attempts", "box"]), VALUES
        ),
    ),
    st.dictionaries(
        st.sampled_from(["username", "password", "client", "box", "keys", "y"]),
        VALUES | st.lists(VALUES, max_size=2) | st.just({}),
    ),
)
def test_with_defaults_is_idempotent(
    mode: str, core: dict[str, Any], auth: dict[str, Any]
) -> None:
    """Filling in defaults twice is filling them in once, whatever the document."""
    document = {**core, "auth": {**auth, "mode": mode}}
    schema = profile_schema(document, SCHEMAS)
    once = with_defaults(document, schema)
    assert with_defaults(once, schema) == once


@settings(max_examples=60, deadline=None)
@given(
    name=st.from_regex(r"[a-zäöü]([a-zäöü .-]{0,62}[a-zäöü.-])?", fullmatch=True),
    smtp=st.fixed_dictionaries(
        {"hostname": st.sampled_from(["mail.example", "::1", "bücher.example"])},
        optional={
            "port": st.integers(1, 65535),
            "use_ssl": st.just(True),
            "timeout_ms": st.integers(1, 600_000),
            "ssl_protocols": st.sampled_from(
                [["TLSv1.3"], ["TLSv1.2", "TLSv1.3"], ["TLSv1", "TLSv1.1"]]
            ),
            "ca_file": st.none() | st.just("/etc/ca.pem"),
            "pipelining": st.sampled_from(["auto", "off"]),
        },
    ),
    secret=st.sampled_from(["s", {"env": "E"}, {"file": "f"}, {"sealed": "gAAA"}]),
    policy=st.fixed_dictionaries(
        {},
        optional={
            "max_attempts": st.integers(1, 1000),
            "from_addresses": st.just(["plant.example"]),
        },
    ),
)
def test_any_valid_profile_survives(
    name: str, smtp: dict[str, Any], secret: object, policy: dict[str, Any]
) -> None:
    """Document, profile, document: nothing is lost, in whatever valid profile."""
    document = {
        "name": name,
        "smtp": {"use_starttls": True, **smtp},
        "auth": {"mode": "basic", "username": "u", "password": secret},
        "policy": policy,
    }
    assert validate_profile(document, SCHEMAS) == []
    full = with_defaults(document, profile_schema(document, SCHEMAS))
    assert document_from_profile(profile(document)) == full


@pytest.mark.parametrize("schema", [*SCHEMAS.values(), {"type": "object"}])
def test_good_auth_schemas(schema: dict[str, Any]) -> None:
    """Our own schemas, and all that a third party may write, pass the check."""
    assert check_auth_schema(schema) == []


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (5, "the schema is not an object"),
        ({}, "the schema's type is not object"),
        ({"type": "array"}, "the schema's type is not object"),
        (
            {"type": "object", "properties": {"a": {"type": "text"}}},
            "the schema is not a valid JSON Schema at #/properties/a/type",
        ),
        (
            {"type": "object", "properties": {"a": {"pattern": "("}}},
            "the schema is not a valid JSON Schema at #/properties/a/pattern",
        ),
        (
            {"type": "object", "patternProperties": {"(": {}}},
            "the schema is not a valid JSON Schema at #/patternProperties",
        ),
        (
            {"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"},
            "the schema is not of draft 2020-12",
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}},
            "the schema's $ref '#/$defs/a' does not resolve",
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "https://x.example/a"}}},
            "the schema's $ref 'https://x.example/a' does not resolve",
        ),
        (
            {"type": "object", "allOf": [{"$ref": "#"}]},
            "the schema's $ref '#' leads back to itself",
        ),
        (
            {"type": "object", "properties": {"a": {"$id": "urn:x"}}},
            "a part of the schema has an $id of its own",
        ),
        (
            {"type": "object", "properties": {"a": {"$dynamicRef": "#a"}}},
            "the schema uses $dynamicRef, which is not supported",
        ),
        (
            {"type": "object", "properties": {"mode": {}}},
            "the schema names mode, which the core adds",
        ),
        (
            {"type": "object", "required": ["mode"]},
            "the schema names mode, which the core adds",
        ),
        (
            {"type": "object", "anyOf": [{"properties": {"mode": {}}}]},
            "the schema names mode, which the core adds",
        ),
    ],
)
def test_bad_auth_schemas(schema: object, reason: str) -> None:
    """A schema that can't be used is told by its one reason."""
    assert check_auth_schema(schema) == [reason]


def test_recursive_auth_schema() -> None:
    """A schema may refer to itself for what is inside: a tree of any depth."""
    schema = {
        "type": "object",
        "properties": {"kid": {"$ref": "#"}, "pin": SECRET},
    }
    assert check_auth_schema(schema) == []
    auth = {"mode": "tree", "kid": {"kid": {"pin": "x"}}}
    document = {**BASIC, "auth": auth}
    assert validate_profile(document, {"tree": schema}) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TLSv1.2", ["TLSv1.2"]),
        ("TLSv1.2, TLSv1.3", ["TLSv1.2", "TLSv1.3"]),
        (" tlsv1.0 ,TLSV1.1,", ["TLSv1", "TLSv1.1"]),
        ("", []),
        ("SSLv3", ["SSLv3"]),
    ],
)
def test_protocols_from_text(text: str, expected: list[str]) -> None:
    """Comma text as forms and imports have it becomes a list of protocols."""
    assert protocols_from_text(text) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost.plant.example", False),
        ("127.0.0.1.example", False),
        ("192.0.2.1", False),
        ("", False),
    ],
)
def test_is_loopback(host: str, expected: bool) -> None:
    """Loopback is this machine by its usual names, and nothing that looks alike."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((), "$"),
        (("smtp", "port"), "$.smtp.port"),
        (("to", 0), "$.to[0]"),
        (("headers", "X-Site"), "$.headers['X-Site']"),
        (("a\n",), "$['a\\n']"),
        (("x" * 50,), "$['" + "x" * 39 + "…']"),
    ],
)
def test_json_path(place: tuple[str | int, ...], expected: str) -> None:
    """Places are told as JSON paths that can be printed."""
    assert json_path(place) == expected


@pytest.mark.parametrize(
    ("block", "field", "value"),
    [
        ("smtp", "hostname", "evil.example"),
        ("smtp", "port", 26),
        ("smtp", "use_ssl", True),
        ("smtp", "use_starttls", False),
        ("smtp", "ssl_protocols", ["TLSv1"]),
        ("smtp", "ca_file", "/tmp/ca.pem"),
        ("smtp", "verify_certificate", False),
        ("smtp", "allow_plaintext_auth", True),
        ("auth", "username", "v"),
        ("auth", "client", "other"),
    ],
)
def test_changed_place(block: str, field: str, value: object) -> None:
    """Each field that says where secrets go is named when it changes, either way."""
    new = {**OAUTH2, block: {**OAUTH2[block], field: value}}
    assert changed_place(OAUTH2, new) == (f"{block}.{field}",)
    assert changed_place(new, OAUTH2) == (f"{block}.{field}",)


@pytest.mark.parametrize("document", [BASIC, OAUTH2, THIRD])
def test_same_place(document: dict[str, Any]) -> None:
    """Defaults written out, a new name, and other settings lead nowhere else."""
    full = with_defaults(document, email_profiles_schemas.load("email_profile"))
    full["name"] = "other"
    full["smtp"]["timeout_ms"] = 5
    assert changed_place(document, full) == ()


def test_new_password_is_no_new_place() -> None:
    """A retyped or resealed password changes no place, a new mode does."""
    sealed = {**BASIC, "auth": {**BASIC["auth"], "password": {"sealed": "x"}}}
    assert changed_place(BASIC, sealed) == ()
    assert changed_place(BASIC, OAUTH2) == ("auth.mode", "auth.client")


def test_changed_place_of_a_third_party() -> None:
    """All that a plugin's mode has may be a place, but references to secrets."""
    old = {**BASIC, "auth": {"mode": "vault", "url": "a", "key": {"env": "A"}}}
    new = {**BASIC, "auth": {"mode": "vault", "url": "b", "key": {"env": "B"}}}
    assert changed_place(old, new) == ("auth.url",)


@pytest.mark.parametrize(
    "field",
    [
        "client_id",
        "authorization_endpoint",
        "token_endpoint",
        "device_authorization_endpoint",
        "revocation_endpoint",
        "issuer",
        "assertion_audience",
        "ca_file",
    ],
)
def test_changed_client_place(field: str) -> None:
    """Each field of a client that says where its secrets go is named."""
    assert changed_client_place(CLIENT, {**CLIENT, field: "x"}) == (field,)
    assert changed_client_place(CLIENT, {**CLIENT, "description": "x"}) == ()
