"""Email Settings by HTTP: the list, the form, its refusals, and what else is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest
from console_client import Browser, ConsoleServer, forms

from email_profiles_hookspecs import (
    AuthProvider,
    Problem,
    Profile,
    SendRequest,
    Services,
    hookimpl,
)
from email_profiles_hookspecs.errors import Invalid
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console import Role, sources
from email_profiles_plugin.documents.shapes import SECRET
from email_profiles_plugin.store import health

Open = Callable[..., EmailProfiles]

CANARY = "c4n4ry-p4ssw0rd"
PLANT: dict[str, Any] = {
    "name": "plant",
    "description": "Alarms & more",
    "smtp": {"hostname": "mail.plant.example", "port": 587, "use_starttls": True},
    "auth": {"mode": "basic", "username": "gateway", "password": CANARY},
}
CLIENT: dict[str, Any] = {
    "name": "entra",
    "client_id": "4711",
    "client_secret": CANARY,
    "authorization_endpoint": "https://login.example/authorize",
    "token_endpoint": "https://login.example/token",
}
CLOUD: dict[str, Any] = {
    "name": "cloud",
    "smtp": {"hostname": "smtp.example", "use_starttls": True},
    "auth": {
        "mode": "oauth2",
        "username": "gateway@plant.example",
        "client": "entra",
        "interactive": True,
    },
}
KEYED: dict[str, Any] = {
    "type": "object",
    "required": ["key"],
    "properties": {
        "key": {"$ref": SECRET, "writeOnly": True, "title": "API key"},
        "region": {"enum": ["eu", "us"], "title": "Region", "default": "eu"},
    },
}


@pytest.fixture
def profiles(open_profiles: Open) -> EmailProfiles:
    """A store with two kinds of profile, and a third party's mode."""

    @hookimpl
    def email_profiles_auth_providers() -> Iterator[AuthProvider]:
        yield AuthProvider(
            mode="keyed",
            title="API key",
            schema=KEYED,
            build=lambda p, s: _Key(),
            check=checked,
        )

    manager = pluggy.PluginManager("email_profiles")
    plugin = SimpleNamespace(
        email_profiles_auth_providers=email_profiles_auth_providers
    )
    manager.register(plugin, "keyed")
    opened = open_profiles(deliver=False, plugin_manager=manager)
    opened.profiles.apply(PLANT, actor="test")
    opened.clients.apply(CLIENT, actor="test")
    opened.profiles.apply(CLOUD, actor="test")
    return opened


def checked(profile: Profile, services: Services) -> list[Problem]:
    """What the third party checks; its code has a fault in it."""
    if profile.description == "fault":
        raise RuntimeError(CANARY)
    return []


class _Key:
    """An authenticator that no test asks for a credential."""

    def acquire(self, deadline: float) -> Any:
        raise NotImplementedError

    def rejected(self, credential: Any, reply: Any) -> bool:
        return False


@pytest.fixture
def server(profiles: EmailProfiles) -> Iterator[ConsoleServer]:
    with ConsoleServer(profiles) as running:
        yield running


@pytest.fixture
def admin(server: ConsoleServer) -> Browser:
    return server.signed_in(Role.ADMIN)


def at(profiles: EmailProfiles, name: str = "plant") -> str:
    """Where the page of a profile is."""
    return f"/profiles/{profiles.profiles.get(name).id}"


def text(response: Any) -> str:
    """What a person reads on a page, in one line."""
    bare = re.sub(r"<[^>]*>", " ", response.text)
    return re.sub(r"\s+", " ", unescape(bare))


def test_the_list(profiles: EmailProfiles, admin: Browser) -> None:
    """Kind, server, state, token, last success, last failure and its cause."""
    id = profiles.profiles.get("plant").id
    profiles.database.write(lambda c: health.refused(c, id, "554 <no> thanks", 1e9))
    profiles.profiles.apply({**PLANT, "name": "off", "enabled": False}, actor="test")

    read = text(admin.get("/profiles"))

    for row in (
        "cloud OAuth2 SMTP smtp.example:25 STARTTLS enabled needs grant",
        "off Alarms & more Classic SMTP mail.plant.example:587 STARTTLS disabled",
        "plant Alarms & more Classic SMTP mail.plant.example:587 STARTTLS enabled",
        "554 <no> thanks",
    ):
        assert row in read
    assert CANARY not in admin.get("/profiles").text


def test_the_list_of_many(profiles: EmailProfiles, admin: Browser) -> None:
    """A page has 25, and what is looked for by a word is found."""
    for number in range(30):
        profiles.profiles.apply({**PLANT, "name": f"p{number:02}"}, actor="test")

    pages = [admin.get(f"/profiles?page={one}") for one in ("1", "2", "99", "x")]
    found = admin.get("/profiles?text=P07")

    assert [25, 7, 7, 25] == [page.text.count("<tr>") - 1 for page in pages]
    assert [at(profiles, "p07")] == re.findall(
        r'th scope="row"><a href="([^"]*)', found.text
    )


def test_an_empty_list(open_profiles: Open) -> None:
    """Says what a profile is, and how to begin."""
    with ConsoleServer(open_profiles(deliver=False)) as server:
        admin, viewer = server.signed_in(Role.ADMIN), server.signed_in(Role.VIEWER)
        pages = [one.get("/profiles").text for one in (admin, viewer)]

    assert ["There is no email profile yet" in page for page in pages] == [True, True]
    assert ["/profiles/new" in page for page in pages] == [True, False]


def test_what_a_viewer_sees(profiles: EmailProfiles, server: ConsoleServer) -> None:
    """A form that can't be sent, and nothing that changes anything."""
    viewer = server.signed_in(Role.VIEWER)
    listed, page = viewer.get("/profiles"), viewer.get(at(profiles))
    sent = viewer.post(at(profiles), {"/name": "plant"})

    assert ([200, 200], 403) == (
        [listed.status_code, page.status_code],
        sent.status_code,
    )
    assert '<fieldset class="whole" disabled>' in page.text
    assert "Save Changes" not in page.text
    assert not re.search("rename|delete|duplicate", listed.text + page.text)
    assert 1 == profiles.profiles.get("plant").revision


def test_kinds_to_choose_from(admin: Browser) -> None:
    """The seed's two, a plugin's mode, and the presets."""
    page = admin.get("/profiles/new")

    for link in (
        'href="/profiles/new/basic">Classic SMTP',
        'href="/profiles/new/oauth2">OAuth2 SMTP',
        'href="/profiles/new/keyed">API key',
        "/profiles/new/oauth2?preset=gmail",
        "/profiles/new/oauth2?preset=microsoft365&amp;interactive=off",
    ):
        assert link in page.text


def test_a_new_profile(profiles: EmailProfiles, admin: Browser) -> None:
    """The form's defaults are not stored; what was typed is."""
    page = admin.submit(
        "/profiles/new/basic",
        {
            "/name": " relay ",
            "/smtp/hostname": "relay.plant.example",
            "/smtp/use_ssl": "on",
            "/smtp/port": "465",
            "/auth/username": "gateway",
            "/auth/password": CANARY,
            "/auth/password#again": CANARY,
        },
    )
    stored = profiles.profiles.get("relay")

    assert (200, True) == (page.status_code, "relay was created" in text(page))
    assert {
        "name": "relay",
        "smtp": {"hostname": "relay.plant.example", "port": 465, "use_ssl": True},
        "auth": {
            "mode": "basic",
            "username": "gateway",
            "password": stored.body["auth"]["password"],
        },
    } == stored.body
    assert "console:pat" == profiles.trail(subject_id=stored.id)[0].actor
    assert CANARY not in page.text


def test_three_mistakes_at_once(profiles: EmailProfiles, admin: Browser) -> None:
    """Each is told beside its field and in the summary; what was typed stays."""
    page = admin.submit(
        "/profiles/new/basic",
        {
            "/name": "a/b",
            "/description": "<kept>",
            "/smtp/hostname": "https://mail",
            "/smtp/port": "ten",
            "/smtp/timeout_ms": "0",
            "/auth/password": CANARY,
            "/auth/password#again": CANARY + "2",
        },
    )
    fields = forms(page)[-1].fields
    summary = re.findall(r'<li><a href="#([^"]*)">', page.text)
    invalid = re.findall(r'id="([^"]*)" aria-describedby="([^"]*)" aria-inv', page.text)

    assert 422 == page.status_code
    assert [
        "at-name",
        "at-smtp-hostname",
        "at-smtp-port",
        "at-auth-password",
        "at-smtp-timeout_ms",
    ] == summary
    assert {one: f"{one}-help" for one in summary} == {
        one: help for one, help in invalid if not one.endswith("again")
    }
    assert ["at-name"] == re.findall(r'id="([^"]*)"[^>]*autofocus', page.text)
    assert ("a/b", "<kept>", "https://mail", "ten", "", "") == tuple(
        fields[name]
        for name in (
            "/name",
            "/description",
            "/smtp/hostname",
            "/smtp/port",
            "/auth/password",
            "/auth/password#again",
        )
    )
    assert "type it again" in text(page)
    assert '<details class="group" open>' in page.text
    assert CANARY not in page.text
    assert 2 == len(profiles.profiles.list())


def test_in_clear_is_refused_at_its_group(admin: Browser) -> None:
    """A mistake across fields is told in the summary, with its remedy."""
    page = admin.submit(
        "/profiles/new/basic",
        {
            "/name": "clear",
            "/smtp/hostname": "mail.plant.example",
            "/auth/username": "gateway",
            "/auth/password": CANARY,
            "/auth/password#again": CANARY,
        },
    )

    assert 422 == page.status_code
    assert "would send credentials in clear: set use_starttls" in text(page)


def test_a_name_is_not_taken_over(profiles: EmailProfiles, admin: Browser) -> None:
    """A new profile does not replace one of that name."""
    fields = {"/name": "plant", "/smtp/hostname": "localhost"}
    page = admin.submit("/profiles/new/basic", fields)

    assert 422 == page.status_code
    assert "Is the name of another email profile" in text(page)
    assert 1 == profiles.profiles.get("plant").revision


def test_nothing_changed(profiles: EmailProfiles, admin: Browser) -> None:
    """A form that nobody touched stores nothing, of whatever mode."""
    pages = [admin.submit(at(profiles, name)) for name in ("plant", "cloud")]

    assert ["nothing to change" in text(page) for page in pages] == [True, True]
    assert [1, 1] == [
        profiles.profiles.get(name).revision for name in ("plant", "cloud")
    ]


def test_a_change(profiles: EmailProfiles, admin: Browser) -> None:
    """What was typed is stored, and the secret is kept."""
    before = profiles.profiles.get("plant").body
    page = admin.submit(at(profiles), {"/smtp/timeout_ms": "9", "/description": ""})
    stored = profiles.profiles.get("plant")

    assert (200, True) == (page.status_code, "plant was changed" in text(page))
    assert {**before["smtp"], "timeout_ms": 9} == stored.body["smtp"]
    assert before["auth"] == stored.body["auth"]
    assert "description" not in stored.body


def test_warnings_after_saving(admin: Browser) -> None:
    """What a linter says is shown once it is stored, beside its field too."""
    fields = {"/name": "r", "/smtp/hostname": "r.example", "/smtp/port": "465"}
    page = admin.submit("/profiles/new/basic", fields)

    assert 200 == page.status_code
    assert "Most likely not meant" in text(page)
    assert 2 == text(page).count("465 is usually SSL/TLS from the start: set use_ssl")


def test_another_name(profiles: EmailProfiles, admin: Browser) -> None:
    """A name that was changed in the form renames."""
    id = profiles.profiles.get("plant").id
    page = admin.submit(at(profiles), {"/name": "works", "/smtp/timeout_ms": "9"})
    taken = admin.submit(f"/profiles/{id}", {"/name": "cloud"})

    assert (200, 422) == (page.status_code, taken.status_code)
    assert "Is the name of another email profile" in text(taken)
    assert (id, 9) == (
        profiles.profiles.get("works").id,
        profiles.profiles.get("works").body["smtp"]["timeout_ms"],
    )


def test_a_secret_does_not_follow_to_another_server(
    profiles: EmailProfiles, admin: Browser
) -> None:
    """Where the server changes, the password has to be typed anew, or given up."""
    page = admin.submit(at(profiles), {"/smtp/hostname": "evil.example"})
    given_up = admin.submit(page, {"/auth/password#remove": "on"})
    stored = profiles.profiles.get("plant")

    assert (422, 200) == (page.status_code, given_up.status_code)
    assert "A stored secret does not follow to another smtp.hostname" in text(page)
    assert ("evil.example", {"mode": "basic", "username": "gateway"}) == (
        stored.body["smtp"]["hostname"],
        stored.body["auth"],
    )


@pytest.mark.parametrize(
    ("reference", "allowed"),
    [
        ({"env": "EMAIL_PROFILES_SECRET_RELAY"}, True),
        ({"env": "EMAIL_PROFILES_KEY"}, False),
        ({"env": "AWS_SECRET_ACCESS_KEY"}, False),
        ({"file": "{home}/secrets/relay"}, True),
        ({"file": "{home}/secrets/a/b"}, True),
        ({"file": "{home}/secrets"}, False),
        ({"file": "{home}/secrets/../key"}, False),
        ({"file": "{home}/key"}, False),
        ({"file": "/etc/shadow"}, False),
        ({"file": "relay"}, False),
        ({"file": "\0"}, False),
    ],
)
def test_where_secrets_may_come_from(
    profiles: EmailProfiles, reference: dict[str, str], allowed: bool
) -> None:
    """Over HTTP, only variables of a certain name, and files of one folder."""
    given = {key: one.format(home=profiles.home) for key, one in reference.items()}
    document = {**PLANT, "auth": {**PLANT["auth"], "password": given}}

    found = sources.mistakes(profiles.profiles, document, None, home=profiles.home)

    assert ([] if allowed else ["$.auth.password"]) == [one.path for one in found]


def test_a_secret_from_elsewhere(profiles: EmailProfiles, admin: Browser) -> None:
    """A reference that is allowed is stored; another is told, and nothing stored."""
    page = admin.submit(at(profiles), {"/auth/password#env": "HOME"})
    kept = profiles.profiles.get("plant").body["auth"]["password"]
    name = "EMAIL_PROFILES_SECRET_RELAY"
    done = admin.submit(page, {"/auth/password#env": name})

    assert (422, 200) == (page.status_code, done.status_code)
    assert "variable that begins with EMAIL_PROFILES_SECRET_" in text(page)
    assert {"sealed"} == kept.keys()
    assert {"env": name} == profiles.profiles.get("plant").body["auth"]["password"]


def test_a_link_out_of_the_secrets_folder(
    profiles: EmailProfiles, tmp_path: Path
) -> None:
    """A link in the folder that leads out of it is no way out."""
    folder = sources.folder(profiles.home)
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    reference = {"file": str(folder / "link")}
    document = {**PLANT, "auth": {**PLANT["auth"], "password": reference}}

    with pytest.raises(Invalid, match="may only name a file in"):
        sources.insist(profiles.profiles, document, None, home=profiles.home)


def test_what_a_command_stored_may_stay(
    profiles: EmailProfiles, admin: Browser
) -> None:
    """A reference from elsewhere stays, but does not go to another server."""
    auth = {**PLANT["auth"], "password": {"env": "PLANT_PASSWORD"}}
    profiles.profiles.apply({**PLANT, "auth": auth}, actor="test")

    kept = admin.submit(at(profiles), {"/description": "new"})
    moved = admin.submit(at(profiles), {"/smtp/hostname": "evil.example"})

    assert (200, 422) == (kept.status_code, moved.status_code)
    assert "From the environment variable PLANT_PASSWORD" in text(kept)
    assert auth == profiles.profiles.get("plant").body["auth"]


def test_a_stale_edit(profiles: EmailProfiles, admin: Browser) -> None:
    """It is refused with what was typed, shows theirs, and can be sent on top."""
    page = admin.get(at(profiles))
    smtp = {**PLANT["smtp"], "timeout_ms": 2525}
    profiles.profiles.apply({**PLANT, "smtp": smtp}, actor="console:anna")

    stale = admin.submit(page, {"/description": "mine", "/auth/password": CANARY})

    assert 412 == stale.status_code
    assert "Somebody else changed this meanwhile" in text(stale)
    assert re.search(r"console:anna, .* UTC : SMTP Timeout", text(stale))
    assert "Stored now: 2525" in text(stale)
    assert "Stored now: Alarms & more" in text(stale)
    assert "type those again" in text(stale)
    assert CANARY not in stale.text
    assert 2 == profiles.profiles.get("plant").revision

    again = admin.submit(stale)
    stored = profiles.profiles.get("plant")

    assert 200 == again.status_code
    assert (3, "mine", 10000) == (
        stored.revision,
        stored.body["description"],
        stored.body["smtp"]["timeout_ms"],
    )


def test_a_third_partys_mode(profiles: EmailProfiles, admin: Browser) -> None:
    """Its form, with no page written for it; its secret is sealed."""
    page = admin.submit(
        "/profiles/new/keyed",
        {
            "/name": "keyed",
            "/smtp/hostname": "localhost",
            "/auth/key": CANARY,
            "/auth/key#again": CANARY,
            "/auth/region": "us",
        },
    )
    auth = profiles.profiles.get("keyed").body["auth"]

    assert 200 == page.status_code
    assert {"mode", "key", "region"} == auth.keys()
    assert ({"sealed"}, "us") == (auth["key"].keys(), auth["region"])
    assert "API key" in text(page)
    assert "token" not in text(admin.get("/profiles")).lower().split("keyed")[1][:60]


def test_a_fault_of_a_plugin_loses_nothing(admin: Browser) -> None:
    """What was typed stays, and the page says whose fault it is."""
    page = admin.submit(
        "/profiles/new/keyed",
        {
            "/name": "keyed",
            "/description": "fault",
            "/smtp/hostname": "localhost",
            "/auth/key": CANARY,
            "/auth/key#again": CANARY,
        },
    )

    assert 502 == page.status_code
    assert "keyed" == forms(page)[-1].fields["/name"]
    assert "It could not be stored the plugin of mode 'keyed' failed" in text(page)
    assert CANARY not in page.text


def test_a_mode_whose_plugin_is_gone(open_profiles: Open, tmp_path: Path) -> None:
    """The profile is shown, says so, and is neither changed nor leaked."""

    @hookimpl
    def email_profiles_auth_providers() -> Iterator[AuthProvider]:
        yield AuthProvider(
            mode="keyed", title="API key", schema=KEYED, build=lambda p, s: _Key()
        )

    manager = pluggy.PluginManager("email_profiles")
    manager.register(
        SimpleNamespace(email_profiles_auth_providers=email_profiles_auth_providers)
    )
    document = {
        "name": "keyed",
        "smtp": {"hostname": "localhost"},
        "auth": {"mode": "keyed", "key": CANARY},
    }
    with EmailProfiles.open(
        tmp_path / "home", plugin_manager=manager, deliver=False, only=()
    ) as before:
        before.profiles.apply(document, actor="test")

    profiles = open_profiles(deliver=False)
    with ConsoleServer(profiles) as server:
        admin = server.signed_in()
        listed, page = admin.get("/profiles"), admin.get(at(profiles, "keyed"))
        sent = admin.post(at(profiles, "keyed"), {"/name": "keyed", "revision": "1"})

    assert "no plugin" in text(listed)
    assert "No plugin adds the mode keyed" in text(page)
    assert "disabled" in page.text
    assert 422 == sent.status_code
    assert "sealed" not in page.text


@pytest.mark.parametrize("what", ["rename", "delete", "duplicate"])
def test_pages_of_what_is_gone(admin: Browser, what: str) -> None:
    """A profile that there is not."""
    assert 404 == admin.get(f"/profiles/nobody/{what}").status_code
    assert 404 == admin.get("/profiles/nobody").status_code
    assert 404 == admin.get(f"/clients/nobody/{what}").status_code


def test_a_mode_that_there_is_not(admin: Browser) -> None:
    """Says so, and stores nothing."""
    page = admin.get("/profiles/new/nothing")

    assert 404 == page.status_code


def test_a_preset(profiles: EmailProfiles, admin: Browser) -> None:
    """Prefilled, with what only a person knows left empty and told."""
    page = admin.get("/profiles/new/oauth2?preset=gmail")
    fields = forms(page)[-1].fields
    sent = admin.submit(page, {"/auth/username": "a@plant.example"})

    assert ("smtp.gmail.com", "587", "on", "", "", "gmail") == tuple(
        fields[name]
        for name in (
            "/smtp/hostname",
            "/smtp/port",
            "/smtp/use_starttls",
            "/auth/username",
            "/auth/client",
            "preset",
        )
    )
    assert "Write the mailbox's address." in text(page)
    assert "There is no OAuth2 client" in text(page)
    assert 422 == sent.status_code

    done = admin.submit(sent, {"/auth/client": "entra"})

    assert 200 == done.status_code
    auth = profiles.profiles.get("gmail").body["auth"]
    assert "https://mail.google.com/" == auth["scope"]
    assert {"access_type": "offline", "prompt": "consent"} == (
        auth["authorization_params"]
    )


def test_a_word_of_a_preset_may_not_be_left(admin: Browser) -> None:
    """What stands for something that only a person knows is not stored."""
    page = admin.submit(
        "/profiles/new/basic?preset=ses",
        {
            "/auth/username": "AKIA",
            "/auth/password": CANARY,
            "/auth/password#again": CANARY,
        },
    )

    assert 422 == page.status_code
    assert "Still has REGION in it: Write the region, as in eu-west-1" in text(page)


def test_a_preset_that_there_is_not(admin: Browser) -> None:
    """Is told; so is one of another mode."""
    assert 404 == admin.get("/profiles/new/basic?preset=nobody").status_code
    assert 422 == admin.get("/profiles/new/oauth2?preset=zoho").status_code


def test_a_duplicate(profiles: EmailProfiles, admin: Browser) -> None:
    """All but the secrets, and it says so."""
    page = admin.get(f"{at(profiles)}/duplicate")
    typed = {"/auth/password": "n3w", "/auth/password#again": "n3w"}
    done = admin.submit(page, typed)
    one, other = (profiles.profiles.get(name) for name in ("plant", "plant copy"))

    assert "Its secrets were not copied" in text(page)
    assert "Not set." in text(page)
    assert 200 == done.status_code
    assert one.body["smtp"] == other.body["smtp"]
    assert one.body["auth"]["password"] != other.body["auth"]["password"]


def test_rename(profiles: EmailProfiles, admin: Browser) -> None:
    """Asked for on a page of its own, with its refusals."""
    where = f"{at(profiles)}/rename"
    refused = [admin.submit(where, {"name": name}) for name in ("cloud", "a/b", "")]
    done = admin.submit(where, {"name": " works "})

    assert [409, 422, 422] == [page.status_code for page in refused]
    assert "The name 'cloud' is taken: choose another" in text(refused[0])
    assert "plant is now called works." in text(done)
    assert "works" == profiles.profiles.get("works").name


def test_delete(profiles: EmailProfiles, admin: Browser) -> None:
    """Asks first; then it is gone."""
    where = f"{at(profiles, 'cloud')}/delete"
    asked = admin.get(where)
    done = admin.submit(asked)

    assert "there is no way back" in text(asked)
    assert "force" not in asked.text
    assert "cloud was deleted." in text(done)
    assert ["plant"] == [one.name for one in profiles.profiles.list()]


def test_delete_with_messages_that_wait(
    profiles: EmailProfiles, admin: Browser
) -> None:
    """Refused, unless it is asked for with a box of its own."""
    request = SendRequest(
        profile="plant",
        from_address="gateway@plant.example",
        to=["operator@plant.example"],
        text="Level is 92 %.",
    )
    receipt = profiles.send(request)
    where = f"{at(profiles)}/delete"
    refused = admin.submit(where)
    done = admin.submit(refused, {"force": "on"})

    assert 409 == refused.status_code
    assert "Messages wait for email profile 'plant': 1" in text(refused)
    assert "Refuse the 1 message that waits for it" in text(refused)
    assert 200 == done.status_code
    outcome = profiles.outcome(receipt.id)
    assert outcome is not None
    assert "refused" == outcome.state
