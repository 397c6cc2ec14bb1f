"""Forms: from a schema to fields, filled from a document, and read back into one."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import email_profiles_schemas
from email_profiles_hookspecs import Problem
from email_profiles_plugin.console.forms import (
    ABSENT,
    Field,
    Filled,
    Form,
    Layout,
    Reading,
    draw,
    fill,
    read,
)
from email_profiles_plugin.documents import client_schema, compose_profile_schema
from email_profiles_plugin.documents.shapes import SECRET

SECRET_SCHEMA = {"$ref": SECRET, "writeOnly": True, "title": "Key"}
ODD: dict[str, Any] = {
    "type": "object",
    "title": "Odd Mode",
    "required": ["kind", "region", "agreed"],
    "properties": {
        "kind": {"const": "odd"},
        "region": {"oneOf": [{"const": "eu", "title": "Europe"}, {"const": "us"}]},
        "agreed": {"type": "boolean"},
        "maybe": {"type": ["boolean", "null"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "level": {"enum": [1, 2, None]},
        "text_or_number": {"type": ["string", "integer"]},
        "when": {"type": "string", "format": "date-time"},
        "tls": {
            "type": "object",
            "required": ["mode"],
            "properties": {
                "mode": {"enum": ["strict", "loose"]},
                "key": SECRET_SCHEMA,
                "pin": {"$ref": "#/$defs/pin"},
            },
        },
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"host": {"type": "string"}, "key": SECRET_SCHEMA},
            },
        },
        "tags": {
            "type": "array",
            "items": {"enum": ["a", "b", "c"]},
            "uniqueItems": True,
        },
        "again": {"$ref": "#"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "anything": True,
    },
    "if": {"properties": {"region": {"const": "eu"}}},
    "then": {"properties": {"vat": {"type": "string"}}},
    "patternProperties": {"^x-": {"type": "integer"}},
    "$defs": {"pin": {"type": "string", "pattern": "^[0-9]+$", "title": "PIN"}},
}


def profile_schema(mode: str) -> dict[str, Any]:
    """The whole schema of a profile of *mode*, ours or the odd one."""
    auth = ODD if mode == "odd" else email_profiles_schemas.load(f"auth_{mode}")
    return compose_profile_schema(mode, auth, mode)


SCHEMAS: dict[str, Any] = {
    "basic": profile_schema("basic"),
    "oauth2": profile_schema("oauth2"),
    "odd": profile_schema("odd"),
    "client": client_schema(),
    "alarms": email_profiles_schemas.load("alarm_notification"),
    "reports": email_profiles_schemas.load("report_schedule"),
}
LAYOUTS = {name: draw(schema) for name, schema in SCHEMAS.items()}
BASIC: dict[str, Any] = {
    "name": "plant",
    "smtp": {"hostname": "mail.plant.example", "use_starttls": True},
    "auth": {"mode": "basic", "username": "gateway", "password": {"sealed": "x"}},
}


def field(layout: Layout, name: str) -> Field:
    return next(one for one in layout if one.name == name)


def sent(form: Form) -> dict[str, list[str]]:
    """What a browser sends of a form that nobody touched."""
    data: dict[str, list[str]] = {}
    for one in (one for section in form.sections for one in section.fields):
        data |= sent_of(one)
    return data


def sent_of(one: Filled) -> dict[str, list[str]]:
    widget, name = one.field.widget, one.name
    if widget == "secret":
        return {
            name: [""],
            f"{name}#again": [""],
            f"{name}#env": [one.env],
            f"{name}#file": [one.file],
        }
    if one.as_json or widget in ("area", "lines", "pairs", "json"):
        return {name: [re.sub(r"\r\n|\r|\n", "\r\n", one.text)]}
    if widget == "flag":
        return {name: ["on"]} if one.raw else {}
    if widget == "several":
        return {name: list(one.raw)} if one.raw else {}
    if widget == "choice" and one.radios:
        return {name: list(one.raw)} if one.raw else {}
    if widget == "choice":
        first = [] if one.blank else [one.choices[0].key]
        return {name: list(one.raw) or first or [""]}
    return {name: [re.sub(r"[\r\n]", "", one.text)]}


def send(name: str, base: dict[str, Any], changes: dict[str, str]) -> Reading:
    """Fill the form of *base*, type *changes*, and read it back."""
    layout = LAYOUTS[name]
    data = sent(fill(layout, base, stored=base))
    data |= {key: [one] for key, one in changes.items()}
    return read(layout, data, base)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of the type that *schema* asks for, of whatever content."""
    if schema.get("$ref") == SECRET:
        forms = [{"env": "E"}, {"file": "/f"}, {"sealed": "s"}, "plain"]
        return st.sampled_from(forms)
    if "$ref" in schema or not schema or schema.get("type") == ["string", "integer"]:
        return st.none() | st.integers() | st.text(max_size=5)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for keyword in ("oneOf", "anyOf"):
        if keyword in schema:
            return st.one_of([values(one) for one in schema[keyword]])
    kind = schema["type"]
    if isinstance(kind, list):
        return st.one_of([values({**schema, "type": one}) for one in kind])
    return of_kind(kind, schema)


def of_kind(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind == "object" and "properties" not in schema:
        return st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3)
    if kind == "object":
        required = schema.get("required", [])
        members = {
            key: values(one if one is not True else {})
            for key, one in schema["properties"].items()
        }
        return st.fixed_dictionaries(
            {key: members[key] for key in required},
            optional={key: one for key, one in members.items() if key not in required},
        )
    if kind == "array":
        least = schema.get("minItems", 0)
        return st.lists(values(schema["items"]), min_size=least, max_size=3)
    scalars: dict[str, st.SearchStrategy[Any]] = {
        "string": st.text(max_size=6) | st.sampled_from(["\r\n", " a ", "\n", "a\rb"]),
        "integer": st.integers(),
        "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return scalars[kind]


DOCUMENTS = {name: values(schema) for name, schema in SCHEMAS.items()}
FEW = settings(max_examples=15, deadline=None)


@FEW
@given(st.data())
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_form_that_nobody_touched_changes_nothing(name: str, data: Any) -> None:
    """Document to form to document is the same, for any document of any mode."""
    document = data.draw(DOCUMENTS[name])
    before = copy.deepcopy(document)

    reading = send(name, document, {})

    assert (before, (), ()) == (reading.document, reading.problems, reading.without)
    assert before == document


@FEW
@given(st.data())
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_form_sent_twice_says_the_same(name: str, data: Any) -> None:
    """What was typed is shown again as it was typed, so that it can be sent again."""
    document = data.draw(DOCUMENTS[name])
    layout = LAYOUTS[name]
    first = sent(fill(layout, document, stored=document))
    reading = read(layout, first, document)

    again = sent(fill(layout, document, stored=document, reading=reading))

    assert first == again


@FEW
@given(st.data())
@pytest.mark.parametrize("name", ["basic", "oauth2", "client"])
def test_the_same_may_be_typed_into_an_empty_form(name: str, data: Any) -> None:
    """What one form shows, sent with another, makes the same but for what is usual."""
    document = data.draw(DOCUMENTS[name])
    layout = LAYOUTS[name]
    typed = sent(fill(layout, document))

    reading = read(layout, typed, {})

    assert () == reading.problems
    assert typed == sent(fill(layout, reading.document))


def test_the_seeds_groups_in_its_order() -> None:
    """Headings are the seed's, then ours; what few people need is folded."""
    assert [
        ("Main", False),
        ("SMTP Server Settings", False),
        ("OAuth2 Settings", False),
        ("Advanced", True),
        ("Advanced OAuth2 Settings", True),
        ("Limits", True),
        ("Policy", True),
    ] == [(group.title, group.folded) for group in LAYOUTS["oauth2"].groups]


def test_the_seeds_fields_in_its_order() -> None:
    """Under a heading, fields are in the order that the seed has."""
    titles = {
        group.title: [one.title for one in group.fields]
        for group in LAYOUTS["basic"].groups
    }

    assert [
        "Hostname",
        "Port",
        "Use SSL/TLS",
        "Use STARTTLS",
        "Username",
        "Password",
    ] == (titles["SMTP Server Settings"])
    assert ["SMTP Timeout", "Debug Mode Enabled", "SSL/TLS Protocols"] == (
        titles["Advanced"][:3]
    )


@pytest.mark.parametrize(
    ("name", "widget"),
    [
        ("/auth/kind", "fixed"),
        ("/auth/region", "choice"),
        ("/auth/agreed", "flag"),
        ("/auth/maybe", "choice"),
        ("/auth/note", "text"),
        ("/auth/share", "number"),
        ("/auth/level", "choice"),
        ("/auth/text_or_number", "json"),
        ("/auth/when", "text"),
        ("/auth/tls/mode", "choice"),
        ("/auth/tls/key", "secret"),
        ("/auth/tls/pin", "text"),
        ("/auth/rows", "json"),
        ("/auth/tags", "several"),
        ("/auth/labels", "pairs"),
        ("/auth/anything", "json"),
        ("/auth/vat", "text"),
        ("/auth/*", "json"),
    ],
)
def test_a_third_partys_schema_is_drawn(name: str, widget: str) -> None:
    """Whatever a schema says, its form has a field for it; JSON where need be."""
    assert widget == field(LAYOUTS["odd"], name).widget


def test_a_schema_that_holds_itself_is_drawn() -> None:
    """Recursion ends, in JSON."""
    names = [one.name for one in LAYOUTS["odd"] if one.name.startswith("/auth/again")]

    assert "/auth/again" in names or "/auth/again/again" in names
    assert len(names) < 100


def test_titles_of_choices_are_shown() -> None:
    """A choice has its title from the schema, else its value."""
    region = field(LAYOUTS["odd"], "/auth/region")

    assert [("eu", "Europe"), ("us", "us")] == [
        (one.key, one.label) for one in region.choices
    ]


def test_null_is_told_as_empty() -> None:
    """A form has no null."""
    text = field(LAYOUTS["basic"], "/smtp/ca_file").help

    assert text.endswith("Empty: the system's.")


def test_only_what_was_changed_is_stored() -> None:
    """A default that nobody changed is left out, also where it is shown."""
    reading = send("basic", BASIC, {"/smtp/port": "587"})

    assert {**BASIC["smtp"], "port": 587} == reading.document["smtp"]
    assert "limits" not in reading.document


def test_a_default_that_was_given_stays_given() -> None:
    """What a document says in its own words stays, though it is the default."""
    base = {**BASIC, "smtp": {**BASIC["smtp"], "port": 587, "timeout_ms": 10000}}

    reading = send("basic", base, {"/smtp/port": "25"})

    assert (25, 10000) == (
        reading.document["smtp"]["port"],
        reading.document["smtp"]["timeout_ms"],
    )


def test_empty_is_left_out() -> None:
    """Emptied, an optional property is gone; so is one that has to be given."""
    base = {**BASIC, "description": "old", "smtp": {**BASIC["smtp"], "port": 587}}
    changes = {"/description": "", "/smtp/port": "", "/smtp/hostname": ""}

    reading = send("basic", base, changes)

    assert "description" not in reading.document
    assert {"use_starttls": True} == reading.document["smtp"]


def test_needed_objects_are_there() -> None:
    """An empty form makes a document of which each missing property can be told."""
    reading = send("basic", {}, {})

    assert {"smtp": {}, "auth": {"mode": "basic"}} == {
        key: one for key, one in reading.document.items() if key in ("smtp", "auth")
    }


@pytest.mark.parametrize(
    "typed", ["1e3", "25.0", "ten", "1_000", "10,000", "٣", "9" * 41]
)
def test_a_wrong_number_is_told_and_kept(typed: str) -> None:
    """What is no whole number stays as it was typed, and says so."""
    reading = send("basic", BASIC, {"/smtp/port": typed})
    form = fill(LAYOUTS["basic"], BASIC, reading=reading, problems=reading.problems)

    assert ["$.smtp.port"] == [one.path for one in reading.problems]
    assert "is not a whole number" in reading.problems[0].message
    assert typed == filled(form, "/smtp/port").text
    assert "port" not in reading.document["smtp"]


def filled(form: Form, name: str) -> Filled:
    fields = [one for section in form.sections for one in section.fields]
    return next(one for one in fields if one.field.name == name)


@pytest.mark.parametrize("number", [0, -5, 2**53 + 1, 10**39])
def test_whole_numbers_are_exact(number: int) -> None:
    """No number goes through floating point."""
    reading = send("basic", BASIC, {"/smtp/port": f" {number} "})

    assert number == reading.document["smtp"]["port"]
    assert int is type(reading.document["smtp"]["port"])


def test_protocols_by_commas() -> None:
    """TLS versions are a text with commas, in whatever case."""
    reading = send("basic", BASIC, {"/smtp/ssl_protocols": "tlsv1.2 , TLSV1.3"})

    assert ["TLSv1.2", "TLSv1.3"] == reading.document["smtp"]["ssl_protocols"]


def test_a_list_by_lines() -> None:
    """One entry a line; empty lines and blanks around are nothing."""
    reading = send(
        "basic", BASIC, {"/policy/from_addresses": " a@b.example\r\n\r\nc.example "}
    )

    assert {"from_addresses": ["a@b.example", "c.example"]} == reading.document[
        "policy"
    ]


def test_pairs_by_lines() -> None:
    """A value may hold the sign that separates it from its name."""
    text = "prompt = consent\r\n\r\nlogin_hint=a=b"
    reading = send("oauth2", {}, {"/auth/authorization_params": text})

    assert {"prompt": "consent", "login_hint": "a=b"} == (
        reading.document["auth"]["authorization_params"]
    )


@pytest.mark.parametrize(
    ("text", "said"), [("a=1\nb", "line 2"), ("=1", "line 1"), ("a=1\na=2", "'a'")]
)
def test_pairs_that_are_none(text: str, said: str) -> None:
    """What is no pair is told by its line."""
    reading = send("oauth2", {}, {"/auth/authorization_params": text})

    assert [said in one.message for one in reading.problems] == [True]


def test_values_that_a_field_can_not_hold_are_json() -> None:
    """A name with a line end or an equals sign is edited as JSON, and comes back."""
    value = {"a=b": "c\nd"}
    base = {"auth": {"authorization_params": value}}
    form = fill(LAYOUTS["oauth2"], base)

    one = filled(form, "/auth/authorization_params")

    assert (True, value) == (one.as_json, json.loads(one.text))


@pytest.mark.parametrize("text", ["{", '{"a": 1, "a": 2}', "NaN", "[" * 100_000])
def test_json_that_is_none(text: str) -> None:
    """What is not JSON, or says something twice, is told."""
    reading = send("odd", {}, {"/auth/anything": text})

    assert ["$.auth.anything"] == [one.path for one in reading.problems]


def test_a_secret_is_kept_unless_something_is_typed() -> None:
    """Nothing typed keeps what is stored; typed twice the same, it is replaced."""
    kept = send("basic", BASIC, {})
    typed = {"/auth/password": "n3w", "/auth/password#again": "n3w"}
    changed = send("basic", BASIC, typed)

    assert BASIC["auth"]["password"] == kept.document["auth"]["password"]
    assert "n3w" == changed.document["auth"]["password"]
    assert ("/auth/password",) == changed.secrets


def test_a_secret_not_typed_the_same_twice() -> None:
    """Retype for verification: the two have to be equal, and what was stored stays."""
    typed = {"/auth/password": "n3w", "/auth/password#again": "new"}
    reading = send("basic", BASIC, typed)

    assert ["was not typed the same twice"] == [one.message for one in reading.problems]
    assert BASIC["auth"]["password"] == reading.document["auth"]["password"]


def test_a_secret_is_removed() -> None:
    """The box gives it up; what is stored is not kept in its place."""
    reading = send("basic", BASIC, {"/auth/password#remove": "on"})

    assert ("/auth/password",) == reading.without
    assert "password" not in reading.document["auth"]


def test_a_secret_from_elsewhere() -> None:
    """A variable or a file can be named instead; not both."""
    env = send("basic", BASIC, {"/auth/password#env": "EMAIL_PROFILES_SECRET_X"})
    both = {"/auth/password#env": "A", "/auth/password#file": "b"}

    assert {"env": "EMAIL_PROFILES_SECRET_X"} == env.document["auth"]["password"]
    assert 1 == len(send("basic", BASIC, both).problems)


def test_a_secret_is_never_shown() -> None:
    """Neither what is stored nor what was typed is in a form."""
    base = {**BASIC, "auth": {**BASIC["auth"], "password": "c4n4ry"}}
    typed = {"/auth/password": "c4n4ry-2", "/auth/password#again": "c4n4ry-3"}
    reading = send("basic", base, typed)
    form = fill(
        LAYOUTS["basic"],
        base,
        stored=base,
        reading=reading,
        problems=reading.problems,
    )
    one = filled(form, "/auth/password")

    assert ("sealed", (), True) == (one.stored, one.raw, form.retype)
    assert "c4n4ry" not in str(sent(form)) + repr(form) + repr(reading)


def test_secrets_within_json_are_kept_by_a_word() -> None:
    """In JSON, a stored secret is a word that stands for it."""
    base = {"auth": {"rows": [{"host": "a", "key": {"sealed": "s3al3d"}}]}}
    form = fill(LAYOUTS["odd"], base)
    text = filled(form, "/auth/rows").text
    reading = send("odd", base, {"/auth/rows": text.replace('"a"', '"b"')})
    moved = send("odd", base, {"/auth/rows": f"[{{}}, {text.strip()[1:]}"})

    assert "s3al3d" not in text
    assert [{"host": "b", "key": {"sealed": "s3al3d"}}] == reading.document["auth"][
        "rows"
    ]
    assert ["is not stored, so it can't be kept"] == [
        one.message for one in moved.problems
    ]


def test_json_with_a_secret_typed_is_not_shown_again() -> None:
    """Where a secret may be within, what was typed is not shown after a mistake."""
    typed = {"/auth/rows": '[{"key": "c4n4ry"}]'}
    reading = send("odd", {}, typed)

    assert "c4n4ry" not in str(sent(fill(LAYOUTS["odd"], {}, reading=reading)))


def test_references_are_chosen() -> None:
    """Documents that there are can be chosen; one that is gone stays, and says so."""
    base = {"auth": {"client": "old"}}
    form = fill(LAYOUTS["oauth2"], base, names={"oauth2_client": ["entra", "google"]})

    assert ["entra", "google", "old (there is none)"] == [
        one.label for one in filled(form, "/auth/client").choices
    ]


def test_problems_stand_beside_their_fields() -> None:
    """Each problem is told at its field, in the summary, and opens what is folded."""
    problems = [
        Problem(path="$.smtp.ssl_protocols[1]", message="no"),
        Problem(path="$.smtp", message="in clear"),
        Problem(path="$", message="all of it"),
    ]
    form = fill(LAYOUTS["basic"], BASIC, problems=problems)
    sections = {section.title: section.open for section in form.sections}

    assert [
        ("", ""),
        ("SMTP Server Settings", "at-smtp-hostname"),
        ("SSL/TLS Protocols", "at-smtp-ssl_protocols"),
    ] == [(one.title, one.anchor) for one in form.told]
    assert "at-smtp-hostname" == form.first
    assert (problems[0],) == filled(form, "/smtp/ssl_protocols").problems
    assert sections["Advanced"]
    assert not sections["Limits"]


def test_what_is_not_usual_is_open() -> None:
    """A folded group is open where it holds something other than the default."""
    base = {**BASIC, "limits": {"max_connections": 4}}
    form = fill(LAYOUTS["basic"], base)

    assert {"Limits"} == {one.title for one in form.sections if one.folded and one.open}


def test_what_somebody_else_stored_is_shown_beside() -> None:
    """After a stale edit, what is stored now stands where it is something else."""
    reading = send("basic", BASIC, {"/smtp/port": "587"})
    theirs = {**BASIC, "smtp": {**BASIC["smtp"], "port": 465}}
    form = fill(LAYOUTS["basic"], theirs, reading=reading, theirs=True)

    assert ("587", "465") == (
        filled(form, "/smtp/port").text,
        filled(form, "/smtp/port").theirs,
    )
    assert None is filled(form, "/smtp/hostname").theirs


def test_the_default_is_told() -> None:
    """As a person would write it, with its bounds."""
    form = fill(LAYOUTS["basic"], BASIC)
    told = {
        name: (filled(form, name).usual, filled(form, name).range)
        for name in ("/smtp/timeout_ms", "/smtp/use_ssl", "/smtp/ca_file", "/smtp/port")
    }

    assert {
        "/smtp/timeout_ms": ("10,000", "1 to 600,000"),
        "/smtp/use_ssl": ("off", ""),
        "/smtp/ca_file": ("", ""),
        "/smtp/port": ("25", "1 to 65,535"),
    } == told
    assert ABSENT is not field(LAYOUTS["basic"], "/smtp/port").default
