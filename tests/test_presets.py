"""Presets: whatever is chosen, valid documents or every reason why not."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import email_profiles_schemas
from email_profiles_hookspecs import Limits, OAuth2Client
from email_profiles_hookspecs.errors import Invalid, NotFound
from email_profiles_plugin import linter
from email_profiles_plugin.documents import (
    client_from_document,
    client_warnings,
    validate_client,
    validate_profile,
    warnings,
)
from email_profiles_plugin.presets import (
    PLACEHOLDERS,
    PRESETS,
    SERVERS,
    Choices,
    Made,
    Preset,
    find,
    make,
    near,
    preset_of,
    server_of,
)

SCHEMAS = {
    mode: email_profiles_schemas.load(f"auth_{mode}") for mode in ("basic", "oauth2")
}
NAMES = [preset.name for preset in PRESETS]

CASES = [
    (preset, mode, interactive)
    for preset in PRESETS
    for mode in preset.modes
    for interactive in (True, False)
    if mode == "oauth2" or interactive
    if interactive or (preset.access and preset.access.application_scopes)
]


def name_of(case: object) -> str:
    return case.name if isinstance(case, Preset) else str(case)


def filled(preset: Preset, mode: str, interactive: bool = True, **more: Any) -> Made:
    """What is made when a person leaves nothing open, secrets included."""
    address = preset.username_form != "no address"
    choices: dict[str, Any] = {
        "mode": mode,
        "interactive": interactive,
        "username": "alarms@plant.example" if address else "AKIA4711",
        "hostname": "mail.plant.example" if preset.name == "relay" else None,
    }
    if "{region}" in preset.hostname:
        choices["region"] = "eu-west-1"
    if mode == "oauth2":
        choices["client_id"] = "4711"
        if preset.access and preset.access.server.tenants and not interactive:
            choices["tenant"] = "plant.example"
    made = make(preset, Choices(**(choices | more)))
    for secret in made.secrets:
        if secret.document == "client" and made.client is not None:
            made.client[secret.field] = "s3cret"
        else:
            made.profile["auth"][secret.field] = "s3cret"
    return made


def value_of(client: dict[str, Any] | None) -> OAuth2Client | None:
    return client and client_from_document(client, id="1", revision=1)


@pytest.mark.parametrize(("preset", "mode", "interactive"), CASES, ids=name_of)
def test_a_presets_documents_are_valid(
    preset: Preset, mode: str, interactive: bool
) -> None:
    """With placeholders as well as filled in."""
    open_ = make(preset, Choices(mode=mode, interactive=interactive))

    for made in (open_, filled(preset, mode, interactive)):
        assert [] == validate_profile(made.profile, SCHEMAS)
        assert made.client is None or [] == validate_client(made.client)
        assert (mode == "oauth2") == (made.client is not None)


@pytest.mark.parametrize(("preset", "mode", "interactive"), CASES, ids=name_of)
def test_the_linter_is_silent_on_what_a_preset_makes(
    preset: Preset, mode: str, interactive: bool
) -> None:
    """Filled in, on every port; nothing that we write ourselves deserves a warning."""
    for port in {one.number for one in preset.ports}:
        made = filled(preset, mode, interactive, port=port)
        client = value_of(made.client)

        assert () == made.blanks
        lint = linter.of_profile(made.profile, client)
        assert [] == warnings(made.profile, lint)
        if made.client is not None:
            lint = linter.of_client(made.client)
            assert [] == client_warnings(made.client, lint)


@pytest.mark.parametrize(("preset", "mode", "interactive"), CASES, ids=name_of)
def test_what_is_left_open_is_told_and_warned_of(
    preset: Preset, mode: str, interactive: bool
) -> None:
    """Each placeholder in the documents is a blank, and a warning if it is stored."""
    made = make(preset, Choices(mode=mode, interactive=interactive))
    for name, document in (("profile", made.profile), ("client", made.client)):
        if document is None:
            continue
        left = {one.path for one in made.blanks if one.document == name}
        look = linter.of_profile if name == "profile" else linter.of_client
        told = warnings(document, look(document))

        assert left == {one.path for one in told if "placeholder" in one.message}
        assert left == {
            f"$.{path}" for path, value in flat(document) if holds_placeholder(value)
        }


def flat(document: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in document.items():
        inner = isinstance(value, dict)
        found += flat(value, f"{prefix}{key}.") if inner else [(prefix + key, value)]
    return found


def holds_placeholder(value: object) -> bool:
    return any(one in str(value) for one in PLACEHOLDERS)


texts = st.none() | st.text(max_size=20) | st.sampled_from(["eu", "common", "a@b.c"])


@given(
    st.sampled_from(PRESETS),
    st.builds(
        Choices,
        name=texts,
        username=texts,
        mode=st.sampled_from([None, "basic", "oauth2", "ntlm"]),
        interactive=st.booleans(),
        tenant=texts,
        region=texts,
        hostname=texts,
        port=st.none() | st.sampled_from([25, 465, 587, 2525]),
        client=texts,
        client_id=texts,
        from_addresses=st.lists(st.text(max_size=20), max_size=2).map(tuple),
    ),
)
def test_any_choice_makes_valid_documents_or_says_why_not(
    preset: Preset, choices: Choices
) -> None:
    """Nothing that `apply` would refuse comes out of it, and no other error either."""
    try:
        made = make(preset, choices)
    except Invalid:
        return
    assert [] == validate_profile(made.profile, SCHEMAS)
    assert made.client is None or [] == validate_client(made.client)


def test_choices_go_where_they_belong() -> None:
    """What a person says is in the documents, and nothing else is asked of them."""
    made = make(
        find("m365"),
        Choices(
            name="alarms",
            username="alarms@plant.example",
            interactive=False,
            tenant="plant.example",
            client="entra",
            client_id="4711",
            from_addresses=("plant.example",),
        ),
    )

    assert {
        "name": "alarms",
        "description": "Microsoft 365 (Exchange Online)",
        "smtp": {"hostname": "smtp.office365.com", "port": 587, "use_starttls": True},
        "auth": {
            "mode": "oauth2",
            "username": "alarms@plant.example",
            "client": "entra",
            "interactive": False,
            "scope": "https://outlook.office365.com/.default",
        },
        "limits": {
            "max_connections": 3,
            "messages_per_minute": 30,
            "recipients_per_day": 10_000,
        },
        "policy": {"from_addresses": ["plant.example"]},
    } == made.profile
    assert made.client is not None
    assert ("entra", "4711") == (made.client["name"], made.client["client_id"])
    assert (
        "https://login.microsoftonline.com/plant.example/oauth2/v2.0/token"
        == made.client["token_endpoint"]
    )


def test_a_grant_by_a_person_asks_for_a_refresh_token() -> None:
    """Google by its two parameters, Microsoft by a scope."""
    google = make(find("gmail"), Choices()).profile["auth"]
    microsoft = make(find("outlook"), Choices())

    assert {"access_type": "offline", "prompt": "consent"} == (
        google["authorization_params"]
    )
    assert "https://mail.google.com/" == google["scope"]
    assert (
        "https://outlook.office.com/SMTP.Send offline_access"
        == microsoft.profile["auth"]["scope"]
    )
    assert microsoft.client is not None
    assert "/consumers/" in microsoft.client["token_endpoint"]


@pytest.mark.parametrize(
    ("name", "choices", "paths"),
    [
        ("gmail", {"interactive": False}, ["$.interactive"]),
        ("microsoft365", {"mode": "basic"}, ["$.mode"]),
        (
            "microsoft365",
            {"interactive": False, "tenant": "common"},
            ["$.tenant"],
        ),
        ("microsoft365", {"tenant": "a/../b"}, ["$.tenant"]),
        ("fastmail", {"mode": "oauth2", "tenant": "x"}, ["$.tenant"]),
        ("ses", {"region": "eu west"}, ["$.region"]),
        ("gmail", {"region": "eu"}, ["$.region"]),
        ("zoho", {"region": "mars", "port": 25}, ["$.region", "$.port"]),
        ("postmark", {"port": 465}, ["$.port"]),
        ("sendgrid", {"client_id": "4711"}, ["$.client_id"]),
        ("gmail", {"name": "a/b"}, ["$.name"]),
        ("relay", {"username": "gateway", "port": 25, "hostname": "-"}, ["$.smtp"]),
    ],
)
def test_what_does_not_go_together_is_told(
    name: str, choices: dict[str, Any], paths: list[str]
) -> None:
    """All of it at once, by what was chosen."""
    with pytest.raises(Invalid) as caught:
        make(find(name), Choices(**choices))

    assert paths == [one.path.replace(".hostname", "") for one in caught.value.problems]


def test_the_day_is_told_on_which_passwords_end() -> None:
    """Who asks for basic is not told that there is none, but why, and until when."""
    with pytest.raises(Invalid) as caught:
        make(find("microsoft365"), Choices(mode="basic"))

    assert "December 2026" in caught.value.problems[0].message
    assert "second half of 2027" in caught.value.problems[0].message


def test_a_relay_of_ones_own_is_plain_until_somebody_signs_in() -> None:
    """Port 25 as it is; with a username TLS comes with it. Any port may be named."""
    plain = make(find("relay"), Choices(hostname="mail.plant.example"))
    signed = make(find("relay"), Choices(hostname="m.example", username="gateway"))
    other = make(find("relay"), Choices(hostname="m.example", port=2526))

    assert {"hostname": "mail.plant.example", "port": 25} == plain.profile["smtp"]
    assert {"mode": "basic"} == plain.profile["auth"]
    assert (587, True) == (
        signed.profile["smtp"]["port"],
        signed.profile["smtp"]["use_starttls"],
    )
    assert {"hostname": "m.example", "port": 2526} == other.profile["smtp"]


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_found_by_its_names(name: str) -> None:
    """In any case, by other usual names, and by its mail server."""
    preset = find(name)
    hostname = make(preset, Choices()).profile["smtp"]["hostname"]

    for one in (name, *preset.aliases):
        assert preset is find(one.upper())
    assert preset_of(hostname.upper()) is (preset if name != "relay" else None)


def test_names_are_nobody_elses() -> None:
    """No two presets have a name in common, nor a mail server."""
    known = [one for preset in PRESETS for one in (preset.name, *preset.aliases)]

    assert sorted(set(known)) == sorted(known)
    for preset in PRESETS:
        for host in preset.regions.values():
            assert preset is preset_of(host)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("gmial", "gmail"), ("offic365", "microsoft365"), ("hotmial", "outlook")],
)
def test_near_names_are_offered(typed: str, meant: str) -> None:
    """A slip of the finger, and the name that one knows a provider by."""
    with pytest.raises(NotFound):
        find(typed)

    assert meant == near(typed)[0]
    assert () == near("x" * 100_000)


def test_servers_are_known_by_their_endpoints() -> None:
    """And by nothing that only looks like one."""
    for server in SERVERS:
        assert server is server_of(server.token_endpoint.replace("{tenant}", "t"))
    assert server_of("https://evil.example/oauth2.googleapis.com/token") is None
    assert server_of("https://[") is None


def test_limits_are_those_of_the_contract() -> None:
    """A preset sets no limit that there is not."""
    names = set(attrs.fields_dict(Limits))

    for preset in PRESETS:
        assert set(preset.limits) <= names
