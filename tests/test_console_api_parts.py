"""The parts of the JSON API that need no server: JSON, patches, schemas, OpenAPI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

import pluggy
import pytest
import schemathesis
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from email_profiles_hookspecs import AuthProvider, Credential, errors, hookimpl
from email_profiles_hookspecs.errors import EmailProfilesError
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console.api import PLACES, bodies, values
from email_profiles_plugin.console.api.openapi import OPERATIONS, document
from email_profiles_plugin.console.api.operations import PageOf
from email_profiles_plugin.console.problems import ProblemDetails, details_of, kind_of
from email_profiles_plugin.console.refusals import status_of
from email_profiles_plugin.console.rendering import octets

URL = "https://mail.plant.example/console/api/v1"

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


def refused(octets: bytes) -> str:
    with pytest.raises(ProblemDetails) as caught:
        bodies.read(octets)
    assert (400, "malformed-json") == (caught.value.status, caught.value.kind)
    return caught.value.detail.partition(": ")[2]


@given(JSON)
def test_json_is_read_as_it_was_written(value: Any) -> None:
    """Whatever JSON says, and text in any language."""
    assert value == bodies.read(json.dumps(value).encode())
    assert value == bodies.read(octets(value))


@given(st.binary(max_size=60))
def test_no_octets_upset_the_reader(raw: bytes) -> None:
    """They are read, or refused by problem details."""
    with suppress(ProblemDetails):
        bodies.read(raw)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "line 1, column 1: Expecting value"),
        (b'{"a": 1,}', "line 1, column "),
        (b'\xef\xbb\xbf{"a": 1}', "line 1, column 1: "),
        (b'{"a": "\xff"}', "octet 7 is not UTF-8"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' is there twice in one object"),
        (b'[{"x": {"k": 1, "k": 1}}]', "'k' is there twice in one object"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b"[-Infinity]", "-Infinity is no JSON"),
        (b"[1e999]", "it has a number that is too large"),
        (b"[" + b"9" * 41 + b"]", "it has a number of more than 40 digits"),
        (b"[" + b"0," * 100_000 + b"0]", "it has more than 100000 values"),
        (
            b"{" + b",".join(b'"%d":0' % n for n in range(1001)) + b"}",
            "an object in it has more than 1000 properties",
        ),
        (b"[" * 65 + b"]" * 65, "it is nested deeper than 64 levels"),
        (b"[" * 100_000, "it is nested deeper than 64 levels"),
        (b'{"\\ud800": 1}', "it has half of a surrogate pair, which is no text"),
        (b'["\\udc00"]', "it has half of a surrogate pair, which is no text"),
    ],
)
def test_what_is_no_json_is_refused(octets: bytes, why: str) -> None:
    """Also what other readers let pass, each in its own way."""
    assert refused(octets).startswith(why)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ('application/json; charset="utf-8"', True),
        ("application/json; charset=iso-8859-1", False),
        ("application/merge-patch+json", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("json", False),
        ("", False),
        (None, False),
    ],
)
def test_the_content_type_counts(given: str | None, taken: bool) -> None:
    """A form of another site can't say application/json; 415 for anything else."""
    if taken:
        bodies.check_type(given, (bodies.JSON,))
        return
    with pytest.raises(ProblemDetails) as caught:
        bodies.check_type(given, (bodies.JSON,))
    assert 415 == caught.value.status
    assert {"Accept": "application/json"} == caught.value.headers


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    """As the RFC's examples have it."""
    assert result == bodies.merged(target, patch)


@frozen(kw_only=True)
class Part:
    """A part."""

    at: datetime


@frozen(kw_only=True)
class Whole:
    """A whole."""

    name: str | None
    kind: Literal["a", "b"] = "a"
    parts: tuple[Part, ...] = ()
    counts: Mapping[str, int] = field(factory=dict)
    secret: str = field(default="s3cret", repr=False)

    @property
    def empty(self) -> bool:
        """Nothing in it."""
        return not self.parts


def test_values_and_their_schemas_go_together() -> None:
    """Both come from the class; what is hidden in a repr is in neither."""
    moment = datetime(2026, 11, 24, 8, tzinfo=UTC)
    shown = values.as_json(Whole(name=None, parts=(Part(at=moment),), counts={"x": 1}))
    schemas = values.components_of(tuple[Whole, ...])

    assert {
        "name": None,
        "kind": "a",
        "parts": [{"at": "2026-11-24T08:00:00+00:00"}],
        "counts": {"x": 1},
        "empty": False,
    } == shown
    assert {"Part", "Whole"} == schemas.keys()
    assert list(shown) == schemas["Whole"]["required"]
    assert {
        "name": {"type": ["string", "null"]},
        "kind": {"enum": ["a", "b"]},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        "empty": {"type": "boolean"},
    } == schemas["Whole"]["properties"]


def test_half_a_character_is_still_json() -> None:
    """What a store of old holds comes out escaped, and not as a failure."""
    assert b'{"a": "\\ud800 \xc3\xbc"}' == octets({"a": "\ud800 ü"})


ERRORS = [
    one
    for name, one in vars(errors).items()
    if isinstance(one, type)
    and issubclass(one, EmailProfilesError)
    and one is not EmailProfilesError
    and not name.startswith("_")
]


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_has_a_kind_and_a_state(error: Any) -> None:
    """An error of the contract is told by its own type, with its remedy."""
    made = made_of(error)
    details = details_of(made, status_of(made))

    assert 400 <= details.status < 600
    assert 500 != details.status
    told = details.document()
    assert f"urn:email-profiles:problem:{kind_of(made)}" == told["type"]
    assert told["detail"]
    assert made.remedy == told.get("remedy", "")


def made_of(error: Any) -> EmailProfilesError:
    from email_profiles_hookspecs import Reply

    arguments: dict[str, tuple[Any, ...]] = {
        "Invalid": ("document", ()),
        "NotFound": ("email profile", "plant"),
        "StateRefused": ("no", "unknown", "anew"),
        "Unknown": ("who knows", "4711", "look"),
        "GrantRefused": ("no", "invalid_grant", "anew"),
        "SlowDown": ("later", 5, "wait"),
        "Refused": ("AUTH", Reply(code=535), "look"),
    }
    if issubclass(error, errors.SubmissionError) and error is not errors.Refused:
        made: EmailProfilesError = error("connect", "nobody answers", "look")
        return made
    made = error(*arguments.get(error.__name__, ("what", "remedy")))
    return made


def test_an_error_of_a_plugin_is_told_as_its_next_of_kin() -> None:
    """Types of problems are few, and known."""

    class Mine(errors.Vetoed):
        pass

    assert "vetoed" == kind_of(Mine("no"))


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The OpenAPI document of an installation with a mode of a third party."""
    schema = {
        "type": "object",
        "required": ["key"],
        "properties": {
            "key": {"$ref": "urn:email-profiles:secret", "writeOnly": True},
            "region": {"$ref": "#/$defs/region"},
        },
        "$defs": {"region": {"type": "string", "enum": ["eu", "us"]}},
    }

    class ThirdParty:
        @hookimpl
        def email_profiles_auth_providers(self) -> list[AuthProvider]:
            def build(profile: Any, services: Any) -> Any:
                return Credential(offers=[], identity="")

            return [
                AuthProvider(
                    mode="api_key", title="API key", schema=schema, build=build
                )
            ]

    manager = pluggy.PluginManager("email_profiles")
    manager.register(ThirdParty(), "third-party")
    home = tmp_path_factory.mktemp("described") / "home"
    options: dict[str, Any] = {"plugin_manager": manager, "only": (), "deliver": False}
    with EmailProfiles.open(home, **options) as profiles:
        return document(profiles, url=URL)


def test_the_openapi_document_is_valid(described: dict[str, Any]) -> None:
    """By the OpenAPI Initiative's own schema of 3.1, and by each schema's dialect."""
    from jsonschema import Draft202012Validator

    schemathesis.openapi.from_dict(described).validate()
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_references_lead_somewhere(described: dict[str, Any]) -> None:
    """Each `$ref` resolves in the document itself; nothing else has to be fetched."""
    waiting: list[Any] = [described]
    found = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("$ref"), str):
                found.add(one["$ref"])
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    for reference in found:
        target: Any = described
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
    assert "#/components/schemas/EmailProfile.api_key/properties/auth/$defs/region" in (
        found
    )


def test_a_third_partys_mode_is_described(described: dict[str, Any]) -> None:
    """Its properties, its secret, its place among the modes; nothing was written."""
    schemas = described["components"]["schemas"]
    auth = schemas["EmailProfile.api_key"]["properties"]["auth"]

    assert {"$ref": "#/components/schemas/EmailProfile.api_key"} in (
        schemas["EmailProfile"]["oneOf"]
    )
    assert {"$ref": "#/components/schemas/Secret"} == auth["properties"]["key"]
    assert "api_key" == auth["properties"]["mode"]["const"]


def test_every_place_is_described(described: dict[str, Any]) -> None:
    """Each operation has its id, its role, and the refusals that it may answer."""
    ids = [one.id for one in OPERATIONS]
    assert sorted(set(ids)) == sorted(ids)
    told = {
        (method.upper(), path): operation
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }
    for place in PLACES:
        path = place.path.removeprefix("/api/v1")
        if place.name in ("api", "api/openapi.json"):
            continue
        operation = told.pop((place.method, path))
        assert str(place.rule) == operation["x-role"]
        assert {"400", "401", "403"} <= operation["responses"].keys()
        assert place.api
    assert {} == told


def test_nothing_can_be_done_without_a_role() -> None:
    """Viewers read, operators send and decide, admins change."""
    for one in OPERATIONS:
        pure = one.id == "make_documents_of_preset"
        assert one.rule >= (1 if one.method == "GET" or pure else 2), one.id
        if one.method in ("PUT", "PATCH", "DELETE"):
            assert 3 == one.rule, one.id


def test_a_name_stands_for_one_schema() -> None:
    """Two classes of the same name would hide each other in the document."""
    found: dict[str, Any] = {}
    for operation in OPERATIONS:
        for answer in operation.answers:
            kind = answer.kind.kind if isinstance(answer.kind, PageOf) else answer.kind
            for name, schema in values.components_of(kind).items():
                assert schema == found.setdefault(name, schema), name
