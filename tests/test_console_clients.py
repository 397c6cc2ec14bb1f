"""OAuth2 clients by HTTP: the list, the form, and the redirect URI to register."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pytest
from console_client import Browser, ConsoleServer, forms

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console import Role, User

Open = Callable[..., EmailProfiles]

CANARY = "c4n4ry-s3cr3t"
ENTRA: dict[str, Any] = {
    "name": "entra",
    "client_id": "4711",
    "client_secret": CANARY,
    "authorization_endpoint": "https://login.example/authorize",
    "token_endpoint": "https://login.example/token",
}
CLOUD: dict[str, Any] = {
    "name": "cloud",
    "smtp": {"hostname": "smtp.example", "use_starttls": True},
    "auth": {"mode": "oauth2", "username": "gateway@plant.example", "client": "entra"},
}
KEY = "-----BEGIN PRIVATE KEY-----\nc4n4ry\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def profiles(open_profiles: Open) -> EmailProfiles:
    opened = open_profiles(deliver=False)
    opened.clients.apply(ENTRA, actor="test")
    opened.profiles.apply(CLOUD, actor="test")
    return opened


@pytest.fixture
def server(profiles: EmailProfiles) -> Iterator[ConsoleServer]:
    with ConsoleServer(profiles) as running:
        yield running


@pytest.fixture
def admin(server: ConsoleServer) -> Browser:
    return server.signed_in(Role.ADMIN)


def at(profiles: EmailProfiles, name: str = "entra") -> str:
    """Where the page of a client is."""
    return f"/clients/{profiles.clients.get(name).id}"


def text(response: Any) -> str:
    """What a person reads on a page, in one line."""
    bare = re.sub(r"<[^>]*>", " ", response.text)
    return re.sub(r"\s+", " ", unescape(bare))


def test_the_list(profiles: EmailProfiles, server: ConsoleServer) -> None:
    """Name, id, authorization server, and who uses it; for viewers too."""
    viewer = server.signed_in(Role.VIEWER)
    page = viewer.get("/clients")

    assert "entra 4711 https://login.example/token cloud" in text(page)
    assert f'href="/profiles/{profiles.profiles.get("cloud").id}"' in page.text
    assert CANARY not in page.text
    assert not re.search("rename|delete|/new", page.text)


def test_an_empty_list(open_profiles: Open) -> None:
    """Says what a client is, and how to begin."""
    with ConsoleServer(open_profiles(deliver=False)) as server:
        page = server.signed_in().get("/clients")

    assert "There is no OAuth2 client yet" in page.text


def test_the_redirect_uri(profiles: EmailProfiles, server: ConsoleServer) -> None:
    """By the base URL and the client's lasting id, in a field to copy from."""
    page = server.signed_in(Role.VIEWER).get(at(profiles))
    uri = f"{server.url}/oauth2/callback/{profiles.clients.get('entra').id}"

    assert uri == profiles.tokens.redirect_uri("cloud", server.url)
    assert re.search(rf'value="{re.escape(uri)}" readonly', page.text)


def test_a_base_url_that_no_browser_may_be_sent_to(profiles: EmailProfiles) -> None:
    """There is no redirect URI then, and the page says why."""
    auth = {**CLOUD["auth"], "interactive": True}
    profiles.profiles.apply({**CLOUD, "auth": auth}, actor="test")
    with ConsoleServer(
        profiles,
        base_url="http://plant.example",
        authenticate=lambda request: User("pat", Role.ADMIN),
    ) as server:
        page = server.browser().get(at(profiles))
        trial = server.browser().get(at(profiles) + "/test")
        plant = profiles.profiles.get("cloud").id
        token = server.browser().get(f"/profiles/{plant}/token")

    assert "the console's base URL has to be an https" in text(trial)
    assert "the console's base URL has to be an https" in text(token)
    assert "There is none, as the console's base URL has to be an https" in text(page)


def test_a_new_client(profiles: EmailProfiles, admin: Browser) -> None:
    """What was typed is stored, its secrets sealed, lines as they were pasted."""
    page = admin.submit(
        "/clients/new",
        {
            "/name": "signed",
            "/client_id": "42",
            "/token_endpoint": "https://login.example/token",
            "/token_endpoint_auth_method": "private_key_jwt",
            "/private_key": KEY.replace("\n", "\r\n"),
        },
    )
    stored = profiles.clients.get("signed")
    sealed = stored.body["private_key"]["sealed"]

    assert (200, True) == (page.status_code, "signed was created" in text(page))
    assert KEY == profiles.keyring.open(f"{stored.id}#/private_key", sealed)
    assert {"name", "client_id", "token_endpoint", "private_key"} < stored.body.keys()
    assert "c4n4ry" not in page.text


def test_mistakes(profiles: EmailProfiles, admin: Browser) -> None:
    """Each beside its field; nothing is stored."""
    page = admin.submit(
        "/clients/new",
        {
            "/name": "entra",
            "/authorization_endpoint": "http://login.example",
            "/request_timeout_ms": "soon",
        },
    )
    summary = re.findall(r'<li><a href="#([^"]*)">', page.text)

    assert 422 == page.status_code
    assert [
        "at-name",
        "at-client_id",
        "at-authorization_endpoint",
        "at-token_endpoint",
        "at-request_timeout_ms",
    ] == summary
    assert 1 == len(profiles.clients.list())


def test_a_change(profiles: EmailProfiles, admin: Browser) -> None:
    """Another name too; profiles follow, and the secret stays."""
    before = profiles.clients.get("entra")
    same = admin.submit(at(profiles))
    page = admin.submit(at(profiles), {"/name": "azure", "/description": "new"})
    stored = profiles.clients.get("azure")

    assert ("nothing to change" in text(same), 200) == (True, page.status_code)
    assert (before.id, before.body["client_secret"]) == (
        stored.id,
        stored.body["client_secret"],
    )
    assert "azure" == profiles.profiles.get("cloud").body["auth"]["client"]


def test_a_secret_does_not_follow(profiles: EmailProfiles, admin: Browser) -> None:
    """To another token endpoint it has to be typed anew."""
    where = {"/token_endpoint": "https://evil.example/token"}
    page = admin.submit(at(profiles), where)

    assert 422 == page.status_code
    assert "does not follow to another token_endpoint" in text(page)


def test_a_stale_edit(profiles: EmailProfiles, admin: Browser) -> None:
    """Is refused with what was typed, and can be sent on top."""
    page = admin.get(at(profiles))
    profiles.clients.apply({**ENTRA, "description": "theirs"}, actor="console:anna")
    stale = admin.submit(page, {"/description": "mine"})
    done = admin.submit(stale)

    assert (412, 200) == (stale.status_code, done.status_code)
    assert "console:anna" in text(stale)
    assert "Stored now: theirs" in text(stale)
    assert "mine" == profiles.clients.get("entra").body["description"]


def test_a_preset(profiles: EmailProfiles, admin: Browser) -> None:
    """Endpoints are filled in; what only a person knows may not be left."""
    path = "/clients/new?preset=microsoft365&interactive=off"
    fields = forms(admin.get(path))[-1].fields
    typed = {"/client_id": "42", "/client_secret": "s", "/client_secret#again": "s"}
    page = admin.submit(path, typed)

    assert "" == fields["/client_id"]
    assert "/TENANT/" in fields["/token_endpoint"]
    assert 422 == page.status_code
    assert "Still has TENANT in it" in text(page)
    assert 404 == admin.get("/clients/new?preset=nobody").status_code


def test_rename_and_delete(profiles: EmailProfiles, admin: Browser) -> None:
    """Renamed, it is renamed in its profiles; used, it is not deleted."""
    renamed = admin.submit(f"{at(profiles)}/rename", {"name": "azure"})
    where = f"{at(profiles, 'azure')}/delete"
    asked = admin.get(where)
    sent = admin.post(where)
    profiles.profiles.delete("cloud", actor="test")
    done = admin.submit(where)

    assert "entra is now called azure." in text(renamed)
    assert "can't be deleted while it is used by: email profile cloud" in text(asked)
    assert 409 == sent.status_code
    assert "azure was deleted." in text(done)
    assert [] == profiles.clients.list()


def test_who_may_not(profiles: EmailProfiles, server: ConsoleServer) -> None:
    """Viewers and operators change no client."""
    operator = server.signed_in(Role.OPERATOR)
    where = at(profiles)
    answers = [
        operator.get("/clients/new"),
        operator.post("/clients/new"),
        operator.post(where),
        operator.get(f"{where}/rename"),
        operator.post(f"{where}/rename"),
        operator.get(f"{where}/delete"),
        operator.post(f"{where}/delete"),
    ]

    assert {403} == {one.status_code for one in answers}
