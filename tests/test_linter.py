"""The linter: what a provider will not take is told when the profile is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_profiles_plugin import EmailProfiles, linter
from email_profiles_plugin.documents import client_from_document, warnings
from email_profiles_plugin.presets import Choices, find, make

GOOGLE = "https://oauth2.googleapis.com/token"
ENTRA = "https://login.microsoftonline.com/{}/oauth2/v2.0/token"


def lint(document: dict[str, Any], token_endpoint: str = "") -> dict[str, str]:
    """What is told of a profile, by path; remedies are there too."""
    client = None
    if token_endpoint:
        made = {"name": "c", "client_id": "4711", "token_endpoint": token_endpoint}
        client = client_from_document(made, id="1", revision=1)
    found = warnings(document, linter.of_profile(document, client))
    assert all(one.remedy for one in found)
    assert len(found) == len({one.path for one in found})
    return {one.path: f"{one.message} ({one.remedy})" for one in found}


def profile(
    hostname: str, smtp: dict[str, Any] | None = None, **auth: Any
) -> dict[str, Any]:
    block = {"port": 587, "use_starttls": True} if smtp is None else smtp
    return {
        "name": "p",
        "smtp": {"hostname": hostname, **block},
        "auth": {"mode": "basic", "username": "a@b.example", "password": "x", **auth},
    }


def tokens(
    hostname: str, scope: str, *, interactive: bool = True, **params: str
) -> dict[str, Any]:
    auth = {
        "mode": "oauth2",
        "username": "a@b.example",
        "client": "c",
        "interactive": interactive,
        "scope": scope,
        "authorization_params": params,
    }
    document = {**profile(hostname), "auth": auth}
    return {**document, "policy": {"from_addresses": ["a@b.example"]}}


OFFLINE = {"access_type": "offline", "prompt": "consent"}
SEND = "https://outlook.office.com/SMTP.Send"
GRAPH = "https://graph.microsoft.com/Mail.Send"
ALL = "https://outlook.office365.com/.default"


@pytest.mark.parametrize(
    ("scope", "interactive", "said"),
    [
        ("https://www.googleapis.com/auth/gmail.send", True, "Gmail's API"),
        ("openid email", True, "asks for nothing that SMTP takes"),
        ("", True, "asks for nothing that SMTP takes"),
    ],
)
def test_google_takes_one_scope_for_smtp(
    scope: str, interactive: bool, said: str
) -> None:
    """gmail.send is for the API, whatever some pages say."""
    document = tokens("smtp.gmail.com", scope, interactive=interactive, **OFFLINE)
    found = lint(document, GOOGLE)

    assert ["$.auth.scope"] == list(found)
    assert said in found["$.auth.scope"]
    assert "ask for https://mail.google.com/" in found["$.auth.scope"]


@pytest.mark.parametrize(
    ("scope", "interactive", "said"),
    [
        ("https://graph.microsoft.com/Mail.Send offline_access", True, "Graph"),
        ("Mail.Send offline_access", True, "Microsoft Graph"),
        ("https://graph.microsoft.com/.default", False, "Microsoft Graph"),
        ("offline_access", True, "asks for nothing that SMTP takes"),
        (SEND, True, "lacks offline_access"),
        (SEND, False, f"ask for {ALL}"),
        (f"{SEND} offline_access {GRAPH}", True, f"leave {GRAPH} out"),
    ],
)
def test_microsoft_takes_other_scopes_of_a_person_than_of_a_client(
    scope: str, interactive: bool, said: str
) -> None:
    """SMTP.Send and offline_access, or .default of Outlook; never Graph's."""
    document = tokens("smtp.office365.com", scope, interactive=interactive)
    found = lint(document, ENTRA.format("plant.example"))

    assert ["$.auth.scope"] == list(found)
    assert said in found["$.auth.scope"]


@pytest.mark.parametrize(
    ("params", "paths"),
    [
        ({}, ["access_type", "prompt"]),
        ({"access_type": "offline"}, ["prompt"]),
        ({"access_type": "online", "prompt": "consent"}, ["access_type"]),
        ({**OFFLINE, "prompt": "select_account consent"}, []),
    ],
)
def test_google_gives_a_refresh_token_to_who_asks_for_it(
    params: dict[str, str], paths: list[str]
) -> None:
    """By both parameters; prompt may have more in it."""
    document = tokens("smtp.gmail.com", "https://mail.google.com/", **params)

    expected = [f"$.auth.authorization_params.{path}" for path in paths]
    assert expected == list(lint(document, GOOGLE))


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers", "Common"])
def test_nobodys_tenant_gives_a_client_no_token(tenant: str) -> None:
    """A person may sign in there."""
    endpoint = ENTRA.format(tenant)
    alone = lint(tokens("smtp.office365.com", ALL, interactive=False), endpoint)
    person = tokens("smtp.office365.com", f"{SEND} offline_access")

    assert ["$.auth.client"] == list(alone)
    assert tenant in alone["$.auth.client"]
    assert {} == lint(person, endpoint)


def test_google_gives_no_mail_token_for_a_client_secret() -> None:
    """Also where the mail server is nobody's that we know."""
    for hostname in ("smtp.gmail.com", "mail.plant.example"):
        document = tokens(hostname, "https://mail.google.com/", interactive=False)
        found = lint(document, GOOGLE)

        assert ["$.auth.interactive"] == list(found)
        assert "service account" in found["$.auth.interactive"]


def test_a_mail_server_of_ones_own_may_take_scopes_of_its_own() -> None:
    """Of those we know nothing; what authorization servers ask for holds there too."""
    custom = tokens("mail.plant.example", "api://mail/.default", interactive=False)
    person = tokens("mail.plant.example", "api://mail/send")
    graph = tokens("mail.plant.example", "mail.send", interactive=False)

    assert {} == lint(custom, ENTRA.format("plant.example"))
    assert {} == lint(custom, "https://login.plant.example/token")
    assert ["$.auth.scope"] == list(lint(person, ENTRA.format("plant.example")))
    assert ["$.auth.scope"] == list(lint(graph, ENTRA.format("plant.example")))


def test_a_client_of_another_provider_is_told() -> None:
    """A token of Microsoft's is nothing to Gmail."""
    document = tokens("smtp.gmail.com", "https://mail.google.com/", **OFFLINE)
    found = lint(document, ENTRA.format("common"))

    assert ["$.auth.client"] == list(found)
    assert "is of Microsoft" in found["$.auth.client"]


def test_one_remedy_where_credentials_get_nothing() -> None:
    """At Outlook.com no other tenant helps."""
    document = tokens("smtp-mail.outlook.com", ALL, interactive=False)
    found = lint(document, ENTRA.format("consumers"))

    assert ["$.auth.interactive"] == list(found)


SSL, STARTTLS = {"use_ssl": True}, {"use_starttls": True}


@pytest.mark.parametrize(
    ("hostname", "smtp", "said"),
    [
        ("smtp.gmail.com", {"port": 465, **STARTTLS}, "set port 465 and use_ssl"),
        ("smtp.gmail.com", {"port": 587, **SSL}, "set port 587 and use_starttls"),
        ("smtp.gmail.com", {"port": 25, **STARTTLS}, "no port of Gmail"),
        ("smtp.postmarkapp.com", {"port": 465, **SSL}, "no port of Postmark"),
        ("smtp.postmarkapp.com", {"port": 465}, "set port 587 and use_starttls"),
        ("smtp.sendgrid.net", {}, "25 would be used without TLS"),
        ("email-smtp.eu-west-1.amazonaws.com", {"port": 2465, **STARTTLS}, "2465"),
        ("mail.plant.example", {"port": 465, **STARTTLS}, "set use_ssl"),
        ("mail.plant.example", {"port": 587, **SSL}, "set use_starttls"),
    ],
)
def test_port_and_tls_have_to_go_together(
    hostname: str, smtp: dict[str, Any], said: str
) -> None:
    """One sentence, the provider's where it is known: no advice that it refuses."""
    username = "apikey" if "sendgrid" in hostname else "AKIA4711"
    if "gmail" in hostname:
        username = "a@b.example"
    found = lint(profile(hostname, smtp, username=username))

    assert ["$.smtp.port"] == list(found)
    assert said in found["$.smtp.port"]


@pytest.mark.parametrize("smtp", [{}, {"port": 2526, **STARTTLS}, {"port": 26, **SSL}])
def test_a_relay_of_ones_own_may_be_anywhere(smtp: dict[str, Any]) -> None:
    """25 without TLS is a choice inside a plant."""
    assert {} == lint(profile("mail.plant.example", smtp))


@pytest.mark.parametrize(
    ("hostname", "when"),
    [
        ("smtp.office365.com", "December 2026"),
        ("smtp-mail.outlook.com", "September 2024"),
    ],
)
def test_passwords_that_end_are_told_with_the_day(hostname: str, when: str) -> None:
    """And which preset has the settings that go on."""
    found = lint(profile(hostname))

    assert ["$.auth.mode"] == list(found)
    assert when in found["$.auth.mode"]
    assert "use oauth2" in found["$.auth.mode"]


@pytest.mark.parametrize(
    ("hostname", "username", "told"),
    [
        ("smtp.sendgrid.net", "a@b.example", True),
        ("smtp.sendgrid.net", "apikey", False),
        ("email-smtp.eu-west-1.amazonaws.com", "a@b.example", True),
        ("email-smtp.eu-west-1.amazonaws.com", "AKIA4711", False),
        ("smtp.postmarkapp.com", "a@b.example", True),
        ("smtp.gmail.com", "gateway", True),
    ],
)
def test_usernames_are_what_the_provider_gives(
    hostname: str, username: str, told: bool
) -> None:
    """Each has a form of its own, that differs from what a person would try first."""
    document = profile(hostname, username=username)

    assert (["$.auth.username"] if told else []) == list(lint(document))


def test_zoho_wants_from_addresses_and_whole_usernames() -> None:
    """It takes mail from the account and its aliases only."""
    document = profile("smtppro.zoho.eu", username="gateway")

    assert {"$.auth.username", "$.policy.from_addresses"} == set(lint(document))


def test_a_client_that_acts_for_itself_is_bound_to_addresses() -> None:
    """Nobody granted its token, so it may be good for every mailbox."""
    document = tokens("smtp.office365.com", ALL, interactive=False)
    free = {**document, "policy": {}}

    assert ["$.policy.from_addresses"] == list(lint(free))


def test_no_access_tokens_where_none_are_taken() -> None:
    """SES, and Microsoft's relay for its tenants."""
    for hostname in (
        "email-smtp.eu-west-1.amazonaws.com",
        "plant-example.mail.protection.outlook.com",
    ):
        found = lint({**tokens(hostname, "x"), "smtp": profile(hostname)["smtp"]})
        assert "$.auth.mode" in found


@pytest.mark.parametrize(
    ("limits", "paths"),
    [
        ({"max_connections": 4}, ["$.limits.max_connections"]),
        ({"messages_per_minute": 31}, ["$.limits.messages_per_minute"]),
        ({"recipients_per_day": 10_001}, ["$.limits.recipients_per_day"]),
        ({"max_connections": 3, "recipients_per_day": None}, []),
    ],
)
def test_limits_above_the_providers_are_told(
    limits: dict[str, Any], paths: list[str]
) -> None:
    """With what it takes."""
    document = tokens("smtp.office365.com", f"{SEND} offline_access")

    found = lint({**document, "limits": limits}, ENTRA.format("common"))
    assert paths == list(found)


def test_endpoints_that_were_mixed_up_are_told() -> None:
    """The page for people is no place to ask for tokens."""
    document = {"token_endpoint": "https://accounts.google.com/o/oauth2/v2/auth"}
    found = list(linter.of_client(document))

    assert [("token_endpoint",)] == [one.place for one in found]
    assert GOOGLE in found[0].remedy
    assert [] == list(linter.of_client({"token_endpoint": GOOGLE}))


words = st.sampled_from(
    ["smtp.gmail.com", "smtp.office365.com", "a", "oauth2", "basic", "TENANT", ""]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | words | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["smtp", "auth", "mode", "scope"]), inner)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(["smtp", "auth", "policy", "limits", "client_id"]),
        values
        | st.dictionaries(
            st.sampled_from(
                [
                    "hostname",
                    "port",
                    "mode",
                    "scope",
                    "username",
                    "authorization_params",
                    "from_addresses",
                    "max_connections",
                ]
            ),
            values,
        ),
    )
)
def test_anything_may_be_looked_at(document: dict[str, Any]) -> None:
    """A form that is half filled in is no reason to fail."""
    list(linter.of_profile(document))
    list(linter.of_client(document))


def test_it_is_told_when_a_profile_is_stored(tmp_path: Path) -> None:
    """The way of all warnings: with the client that is stored beside it."""
    choices = Choices(username="a@b.example", client_id="4711", tenant="plant.example")
    made = make(find("microsoft365"), choices)
    assert made.client is not None
    auth = {**made.profile["auth"], "scope": SEND}
    with EmailProfiles.open(tmp_path, only=(), deliver=False) as profiles:
        client = {**made.client, "client_secret": "s3cret"}
        assert () == profiles.clients.apply(client, actor="t").warnings
        good = profiles.profiles.apply(made.profile, actor="t")
        bad = profiles.profiles.apply({**made.profile, "auth": auth}, actor="t")
        common = {
            name: value.replace("plant.example", "common")
            for name, value in made.client.items()
        }
        profiles.clients.apply({**common, "client_secret": "s3cret"}, actor="t")
        alone = {**auth, "interactive": False, "scope": ALL}
        tenant = profiles.profiles.apply({**made.profile, "auth": alone}, actor="t")

    assert () == good.warnings
    assert ["$.auth.scope"] == [one.path for one in bad.warnings]
    assert ["$.auth.client", "$.policy.from_addresses"] == [
        one.path for one in tenant.warnings
    ]


def test_a_public_client_without_a_person() -> None:
    """It has nothing to show to the authorization server, whoever's that is."""
    made = {
        "name": "c",
        "client_id": "4711",
        "token_endpoint": "https://login.example/token",
        "token_endpoint_auth_method": "none",
    }
    client = client_from_document(made, id="1", revision=1)
    alone = tokens("mail.plant.example", "mail.send", interactive=False)
    person = tokens("mail.plant.example", "mail.send")

    (found,) = warnings(alone, linter.of_profile(alone, client))
    assert ("$.auth.interactive", True) == (found.path, "public one" in found.message)
    assert [] == warnings(person, linter.of_profile(person, client))


@pytest.mark.parametrize(
    ("hostname", "meant"),
    [
        ("smtp.office356.com", "smtp.office365.com"),
        ("smtp.gmial.com", "smtp.gmail.com"),
        ("smtp.mail.com", ""),
        ("mail.plant.example", ""),
    ],
)
def test_a_host_name_with_a_slip(hostname: str, meant: str) -> None:
    """Almost a known provider's: it is asked whether that was meant."""
    found = lint(profile(hostname)).get("$.smtp.hostname", "")

    assert (meant != "", meant in found) == (bool(found), True)


def test_scopes_as_they_are_written() -> None:
    """A slash that is missing is told with the usual form; nothing is told twice."""
    bare = tokens("smtp.gmail.com", "https://mail.google.com", **OFFLINE)
    empty = tokens("smtp.office365.com", "")

    assert {"$.auth.scope"} == set(lint(bare))
    assert "write https://mail.google.com/" in lint(bare)["$.auth.scope"]
    assert "offline_access" in lint(empty)["$.auth.scope"]
