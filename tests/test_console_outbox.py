"""The console's outbox, audit trail and plugins, by HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pluggy
import pytest
from console_client import Browser, ConsoleServer
from console_pages import browser_of, served

from email_profiles_hookspecs import SendRequest, hookimpl
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console import Role

Open = Callable[..., EmailProfiles]


def request(**changes: Any) -> SendRequest:
    given: dict[str, Any] = {
        "profile": "plant",
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
        "subject": "Tank <4> high",
        "text": "Level is 92 %.",
        **changes,
    }
    return SendRequest(**given)


@pytest.fixture
def plant(open_profiles: Open, smtp_server: Any, profile_document: Any) -> Any:
    """A store with one profile, from which nothing goes out by itself."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    return profiles


@pytest.fixture
def console(plant: EmailProfiles) -> Iterator[ConsoleServer]:
    with served(plant) as running:
        yield running


@pytest.fixture
def operator(console: ConsoleServer) -> Browser:
    return browser_of(console, Role.OPERATOR, "bert")


@pytest.fixture
def viewer(console: ConsoleServer) -> Browser:
    return browser_of(console, Role.VIEWER)


@pytest.fixture
def admin(console: ConsoleServer) -> Browser:
    return browser_of(console, Role.ADMIN)


def lose_the_reply(server: Any) -> None:
    """The server takes the next message, and hangs up instead of saying so."""

    def hang_up(verb: str, reply: str) -> str | None:
        return None if verb == "." else reply

    server.before_reply = hang_up


def subjects(page: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'/outbox/\w{32}">(.*?)</a>', page)]


def test_messages_are_listed_and_found(plant: EmailProfiles, viewer: Browser) -> None:
    """Escaped; by state, profile, recipient and id; counted by state."""
    first = plant.send(request(subject="<b>one</b>"))
    plant.send(request(subject="two", to=["else@plant.example"]))
    plant.outbox.cancel(first.id, "anna")
    profile = plant.profiles.get("plant").id

    page = viewer.get("/outbox").text
    assert ["two", "<b>one</b>"] == subjects(page)
    assert "<b>one" not in page
    assert re.search(r"cancelled <strong>1</strong>", page)
    for query, wanted in (
        ("state=cancelled", ["<b>one</b>"]),
        ("text=ELSE@", ["two"]),
        (f"text={first.id[:8]}", ["<b>one</b>"]),
        (f"profile={profile}", ["two", "<b>one</b>"]),
        ("profile=another", []),
        ("state=nonsense", []),
        ("text=%00%ff", []),
        (f"text={'x' * 20_000}", []),
        ("after=%00gone", []),
    ):
        assert wanted == subjects(viewer.get(f"/outbox?{query}").text), query


def test_the_list_goes_on_on_another_page(
    plant: EmailProfiles, viewer: Browser
) -> None:
    """With the same filter."""
    for number in range(52):
        plant.send(request(subject=f"m{number}"))
    page = viewer.get("/outbox?state=queued").text
    following = re.search(r'rel="next" href="(.*?)"', page)
    assert following is not None
    rest = viewer.get(unescape(following[1])).text

    assert [f"m{number}" for number in range(51, 1, -1)] == subjects(page)
    assert ["m1", "m0"] == subjects(rest)
    assert 'rel="next"' not in rest


def test_a_message_tells_all_but_its_text(
    plant: EmailProfiles, viewer: Browser, admin: Browser, smtp_server: Any
) -> None:
    """Recipients, attempts with their session, the header; the text to admins."""
    smtp_server.refuse = {"bad@plant.example": "550 5.1.1 nobody here"}
    sent = plant.deliver(request(to=["operator@plant.example", "bad@plant.example"]))
    page = viewer.get(f"/outbox/{sent.id}")
    text = unescape(page.text)

    assert 200 == page.status_code
    for wanted in (
        "partly accepted",
        "550 5.1.1 nobody here",
        "RCPT TO:<bad@plant.example>",
        "Subject: Tank <4> high",
        sent.message_id,
        "Nobody: it went its way.",
    ):
        assert wanted in text
    assert "Level is 92 %." not in text
    assert "Level is 92 %." in admin.get(f"/outbox/{sent.id}").text
    assert smtp_server.users["gateway"] not in text


def test_what_waits_is_cancelled_and_sent_again(
    plant: EmailProfiles, operator: Browser, viewer: Browser
) -> None:
    """By an operator, who is named in the trail; a viewer has no buttons."""
    id = plant.send(request()).id
    assert "/cancel" not in viewer.get(f"/outbox/{id}").text
    assert "/cancel" in operator.get(f"/outbox/{id}").text

    page = operator.post(f"/outbox/{id}/cancel")
    assert "cancelled" == plant.outbox.show(id).state
    assert "<strong>cancel</strong> by console:bert" in page.text
    assert 409 == operator.post(f"/outbox/{id}/cancel").status_code

    operator.post(f"/outbox/{id}/retry")
    assert "queued" == plant.outbox.show(id).state


def test_a_person_decides_on_what_is_unknown(
    plant: EmailProfiles, operator: Browser, viewer: Browser, smtp_server: Any
) -> None:
    """It is explained first; it is never sent again by one click."""
    lose_the_reply(smtp_server)
    outcome = plant.deliver(request(), timeout=20)
    assert "unknown" == outcome.state
    id = outcome.id

    assert "Nobody can tell" in viewer.get(f"/outbox/{id}").text
    assert f"/outbox/{id}/settle" not in viewer.get(f"/outbox/{id}").text
    assert f"/outbox/{id}/settle" in operator.get(f"/outbox/{id}").text
    assert 409 == operator.post(f"/outbox/{id}/retry").status_code
    assert "could arrive twice" in operator.get(f"/outbox/{id}/settle").text
    undecided = operator.post(f"/outbox/{id}/settle", data={"decision": "maybe"})
    assert (422, True) == (undecided.status_code, "Choose one" in undecided.text)

    page = operator.post(f"/outbox/{id}/settle", data={"decision": "accepted"})
    assert "accepted" == plant.outbox.show(id).state
    assert "settle: accepted" in page.text
    again = operator.post(f"/outbox/{id}/settle", data={"decision": "accepted"})
    assert 409 == again.status_code


def test_there_is_no_such_message(viewer: Browser) -> None:
    """Said, and no more."""
    assert 404 == viewer.get("/outbox/nothing").status_code


def test_the_audit_trail(plant: EmailProfiles, viewer: Browser) -> None:
    """Who did what, to what; of one subject; with a word; page by page."""
    for number in range(51):
        client = {
            "name": f"login {number}",
            "client_id": "x",
            "token_endpoint": "https://login.example/token",
        }
        plant.clients.apply(client, actor=f"cli:{number}")
    page = viewer.get("/audit").text
    id = plant.clients.get("login 7").id

    assert "login 50" in page
    assert "cli:0<" not in page
    following = re.search(r'rel="next" href="(.*?)"', page)
    assert following is not None
    assert "cli:0<" in viewer.get(unescape(following[1])).text
    one = viewer.get(f"/audit?subject_id={id}").text
    assert ("login 7" in one, "login 8" in one) == (True, False)
    found = viewer.get("/audit?text=CLI:8").text
    assert ("login 8" in found, "login 7" in found) == (True, False)
    assert 200 == viewer.get("/audit?after=99999999999999999999").status_code


def test_plugins_in_use_and_left_out(open_profiles: Open) -> None:
    """Modes by their titles; a plugin that failed with its reason, escaped."""

    class Broken:
        @hookimpl
        def email_profiles_auth_providers(self) -> object:
            raise RuntimeError("<third-party> trouble")

    manager = pluggy.PluginManager("email_profiles")
    manager.register(Broken(), "broken")
    profiles = open_profiles(deliver=False, plugin_manager=manager)
    with served(profiles) as console:
        page = browser_of(console, Role.VIEWER).get("/plugins").text

    assert profiles.plugins.providers["oauth2"].title in page
    assert "RuntimeError: &lt;third-party&gt; trouble" in page
