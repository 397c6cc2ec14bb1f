"""Tests of profiles and of OAuth2 clients, by HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pluggy
import pytest
import requests
from attrs import define, field
from console_client import Browser, ConsoleServer, forms
from console_pages import acting_as, browser_of, served
from oauth2_bench import jwt_of
from test_provider_examples import Site, refuse
from test_provider_examples import keys as keys

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console import Role
from email_profiles_plugin.console.pages.trial import from_address, recipients
from email_profiles_plugin.testing import AuthorizationServer, SmtpServer

PASSWORD = "c4n4ry-passw0rd"
SECRET = "c4n4ry-cl1ent-secret"
TYPED = {
    "from": "gateway@plant.example",
    "to": "operator@plant.example, Second <b@plant.example>",
    "subject": "It <works>",
    "body": "Does it?",
}


@define(eq=False)
class Bench:
    """A mail server with a user, an authorization server, and the console."""

    profiles: EmailProfiles
    smtp: SmtpServer
    server: AuthorizationServer
    console: ConsoleServer
    document: dict[str, Any]
    pages: list[str] = field(factory=list)
    """All that browsers have seen."""

    def browser(self, role: Role = Role.OPERATOR, name: str = "bert") -> Browser:
        browser = browser_of(self.console, role, name)

        def keep(response: requests.Response, *args: Any, **more: Any) -> None:
            self.pages.append(response.text + str(response.headers))

        browser.hooks["response"].append(keep)
        return browser

    def profile(self, name: str = "plant") -> str:
        return f"/profiles/{self.profiles.profiles.get(name).id}/test"

    @property
    def client(self) -> str:
        return f"/clients/{self.profiles.clients.get('login').id}/test"

    def consent(self, page: requests.Response) -> str:
        """Go where the page sends the browser; the path where that sends it back."""
        url = page.headers["Refresh"].partition("; url=")[2]
        ca_file = str(self.server.ca_file)
        answer = requests.get(url, verify=ca_file, allow_redirects=False, timeout=30)
        return answer.headers["Location"].removeprefix(self.console.url)


@pytest.fixture
def bench(
    open_profiles: Callable[..., EmailProfiles],
    smtp_server_factory: Callable[..., SmtpServer],
    authorization_server: AuthorizationServer,
    profile_document: Callable[..., dict[str, Any]],
) -> Iterator[Bench]:
    users = {"gateway@plant.example": PASSWORD, "apikey": PASSWORD}
    smtp = smtp_server_factory(
        tls="starttls", users=users, accept_token=authorization_server.accepts
    )
    manager = pluggy.PluginManager("email_profiles")
    manager.register(Site(refuse), "site")
    profiles = open_profiles(deliver=False, plugin_manager=manager)
    document = profile_document(smtp)
    profiles.profiles.apply(document, actor="test")
    authorization_server.register("gateway", SECRET)
    client = {
        "name": "login",
        "client_id": "gateway",
        "client_secret": SECRET,
        "issuer": authorization_server.issuer,
        "ca_file": str(authorization_server.ca_file),
    }
    profiles.clients.apply(client, actor="test")
    with served(profiles) as console:
        bench = Bench(profiles, smtp, authorization_server, console, document)
        yield bench
    seen, issued = "".join(bench.pages), authorization_server._validator
    secret = ["c4n4ry", *issued.tokens, *issued.codes]
    assert [] == [one for one in secret if one in seen]


def test_a_test_email(bench: Bench) -> None:
    """From is filled in; the result is below the button, with the session."""
    bert = bench.browser()
    page = bert.get(bench.profile())
    assert 'name="from" value="gateway@plant.example"' in page.text
    assert "Send Test Email" in page.text

    sent = bert.post(bench.profile(), TYPED)
    text = unescape(sent.text)
    assert 200 == sent.status_code
    assert text.index("Send Test Email") < text.index("The server accepted it")
    for wanted in (
        "<dd>operator@plant.example</dd>",
        "<dd>b@plant.example</dd>",
        "the profile as it is saved",
        "MAIL FROM:<gateway@plant.example>",
        "Queue id at the server",
        'value="It <works>"',
        "Does it?",
    ):
        assert wanted in text
    assert 1 == len(bench.smtp.messages)
    assert [] == bench.profiles.outbox.list()


def test_what_the_server_refuses(bench: Bench) -> None:
    """By recipient; and the whole, with what to do, and the session open."""
    bench.smtp.refuse["b@plant.example"] = "550 5.1.1 <nobody>"
    bert = bench.browser()
    page = bert.post(bench.profile(), TYPED)
    assert "The server accepted a part of it" in page.text
    assert "b@plant.example: 550 5.1.1 &lt;nobody&gt;" in page.text

    bench.smtp.users["gateway@plant.example"] = "another"
    page = bert.post(bench.profile(), TYPED)
    assert "It was not sent" in page.text
    assert "<strong>AUTH:</strong>" in page.text
    assert "What to do" in page.text
    assert "<details open>" in page.text


def test_mistakes_are_told_beside_their_field(bench: Bench) -> None:
    """Nothing is sent, what was typed stays, and the focus is on the first."""
    bert = bench.browser()
    for changes, name, said in (
        ({"to": "nobody"}, "to", "nobody"),
        ({"from": "<script>"}, "from", "&lt;script&gt;"),
        ({"subject": "a\r\nb"}, "subject", "control character"),
    ):
        page = bert.post(bench.profile(), {**TYPED, **changes})
        assert (422, True) == (page.status_code, "Does it?" in page.text)
        wrong = re.search(rf'id="wrong-{name}">(.*?)</small>', page.text, re.DOTALL)
        assert wrong is not None, name
        assert said in wrong[1]
        assert re.search(rf'name="{name}"[^>]*autofocus', page.text, re.DOTALL)
    page = bert.post(bench.profile(), {**TYPED, "to": ""})
    assert (422, True) == (page.status_code, "recipient" in page.text)
    assert [] == bench.smtp.messages


def test_a_long_list_of_recipients_is_refused(bench: Bench) -> None:
    """Before anybody reads it."""
    sent = {**TYPED, "to": "," * 4001}
    answer = bench.browser().submit(bench.profile(), sent)

    assert 422 == answer.status_code
    assert "is longer than 4000 characters" in answer.text


def test_as_whom_a_profile_may_send(bench: Bench) -> None:
    """Told beside From, which is filled in from what it may."""
    document = {**bench.document, "policy": {"from_addresses": ["plant.example"]}}
    document["policy"]["from_addresses"] += ["alarms@plant.example"]
    bench.profiles.profiles.apply(document, actor="test")
    bert = bench.browser()

    assert 'value="alarms@plant.example"' in bert.get(bench.profile()).text
    page = bert.post(bench.profile(), {**TYPED, "from": "x@else.example"})
    assert 422 == page.status_code
    assert "may not send as x@else.example" in page.text


def try_these(browser: Browser, path: str, **changes: Any) -> Any:
    """Press *Test These Values* on the form at *path*, after these changes."""
    page = browser.get(path)
    (form,) = [one for one in forms(page) if "revision" in one.fields]
    action = re.search(r'formaction="(.*?)" formtarget="_blank"', page.text)
    assert action is not None
    names = {f"/{name.replace('__', '/')}": value for name, value in changes.items()}
    sent = {**form.fields, **names}
    return browser.post(
        unescape(action[1]), {k: v for k, v in sent.items() if v is not None}
    )


def test_values_that_are_not_saved(bench: Bench) -> None:
    """They are tested as they are, and nothing is changed; no page holds a secret."""
    anna = bench.browser(Role.ADMIN, "anna")
    bench.smtp.users["gateway@plant.example"] = "c4n4ry-new"
    before = bench.profiles.profiles.get("plant")
    page = try_these(
        anna,
        f"/profiles/{before.id}",
        auth__password="c4n4ry-new",
        **{"auth__password#again": "c4n4ry-new"},
        policy__from_addresses="alarms@plant.example",
    )
    assert 200 == page.status_code
    assert "not saved" in page.text
    assert "retype" in page.text
    assert 'name="from" value="alarms@plant.example"' in page.text
    path = page.url.removeprefix(bench.console.url)
    sent = anna.post(path, {**TYPED, "from": "alarms@plant.example"})
    assert "The server accepted it" in sent.text
    assert "the values of the form, which are not saved" in sent.text
    assert before == bench.profiles.profiles.get("plant")

    other = bench.browser(Role.ADMIN, "bert")
    assert 404 == other.get(path).status_code
    assert 404 == other.post(path, TYPED).status_code
    assert 403 == acting_as(anna, Role.OPERATOR).get(path).status_code


def test_a_stored_secret_is_used_where_it_would_go_anyway(bench: Bench) -> None:
    """Not with another server, where it has to be retyped; nor where it is given up."""
    anna = bench.browser(Role.ADMIN, "anna")
    form = f"/profiles/{bench.profiles.profiles.get('plant').id}"

    def came_of(page: Any) -> str:
        found: str = anna.post(page.url.removeprefix(bench.console.url), TYPED).text
        return found

    kept = try_these(anna, form, smtp__timeout_ms="5000")
    assert "The server accepted it" in came_of(kept)
    moved = try_these(anna, form, smtp__hostname="127.0.0.1")
    assert 422 == moved.status_code
    assert "a stored secret does not follow to another smtp.hostname" in moved.text
    assert "type it anew" in moved.text
    given_up = try_these(anna, form, **{"auth__password#remove": "on"})
    assert "The server accepted it" not in came_of(given_up)


def test_values_with_mistakes_are_not_tested(bench: Bench) -> None:
    """They are told by the names of their fields."""
    anna = bench.browser(Role.ADMIN, "anna")
    form = f"/profiles/{bench.profiles.profiles.get('plant').id}"
    page = try_these(anna, form, smtp__port="70000", smtp__timeout_ms="soon")
    assert 422 == page.status_code
    assert "<strong>Port</strong> 70000 is more than 65535" in unescape(page.text)
    assert "Timeout" in page.text
    page = try_these(anna, form, auth__password="c4n4ry-once")
    assert 422 == page.status_code


def test_a_new_profile_is_tested_before_it_is_saved(bench: Bench) -> None:
    """Of any mode, with no name yet; under the name of another it gets no secret."""
    anna = bench.browser(Role.ADMIN, "anna")
    smtp = bench.document["smtp"]
    changes = {
        "smtp__hostname": smtp["hostname"],
        "smtp__port": str(smtp["port"]),
        "smtp__use_starttls": "on",
        "smtp__ca_file": smtp["ca_file"],
        "smtp__ssl_protocols": smtp["ssl_protocols"],
        "auth__key": PASSWORD,
        "auth__key#again": PASSWORD,
    }
    page = try_these(anna, "/profiles/new/api_key", **changes)
    assert 200 == page.status_code, page.text
    sent = anna.post(page.url.removeprefix(bench.console.url), TYPED)
    assert "The server accepted it" in sent.text
    assert "apikey" == bench.smtp.messages[-1].identity
    assert ["plant"] == [one.name for one in bench.profiles.profiles.list()]

    taken = try_these(anna, "/profiles/new/api_key", **{**changes, "name": "plant"})
    assert (422, True) == (taken.status_code, "is the name of another" in taken.text)
    assert 404 == anna.post("/tests?mode=nonsense").status_code


def test_a_mode_of_a_third_party(bench: Bench) -> None:
    """Its test works, and no line here knows it; a token's failure has a remedy."""
    auth = {"mode": "api_key", "key": PASSWORD}
    document = {**bench.document, "name": "keyed", "auth": auth}
    bench.profiles.profiles.apply(document, actor="test")
    bert = bench.browser()
    assert "The server accepted it" in bert.post(bench.profile("keyed"), TYPED).text
    assert "apikey" == bench.smtp.messages[-1].identity

    auth = {"mode": "vault", "username": "gateway@plant.example", "path": "p"}
    document = {**bench.document, "name": "vaulted", "auth": auth}
    bench.profiles.profiles.apply(document, actor="test")
    page = bert.post(bench.profile("vaulted"), TYPED)
    assert "the vault has no p" in page.text


def test_a_service_account_of_a_third_party(
    bench: Bench, keys: tuple[str, bytes]
) -> None:
    """Its token page offers what it can do, and its test goes out by its token."""
    private, public = keys
    bench.server.register("robot@plant.example", public_key=public)
    auth = {
        "mode": "service_account",
        "account": "robot@plant.example",
        "mailbox": "gateway@plant.example",
        "token_endpoint": bench.server.token_endpoint,
        "ca_file": str(bench.server.ca_file),
        "private_key": private,
    }
    document = {**bench.document, "name": "robot", "auth": auth}
    bench.profiles.profiles.apply(document, actor="test")
    anna = bench.browser(Role.ADMIN, "anna")
    manage = bench.profile("robot").removesuffix("test") + "token"
    page = anna.get(manage)
    assert ("Refresh Token" in page.text, "Grant" in page.text) == (True, False)
    assert "The next message fetches a new token" in page.text

    page = anna.post(bench.profile("robot"), TYPED)
    assert "The server accepted it" in page.text
    assert "gateway@plant.example" == bench.smtp.messages[-1].identity
    assert ">valid<" in anna.get(manage).text
    assert ">valid<" in anna.post(f"{manage}/refresh").text
    assert 2 == bench.profiles.tokens.status("robot").generation
    assert ">none<" in anna.post(f"{manage}/revoke").text
    assert "PRIVATE KEY" not in "".join(bench.pages)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({}, ""),
        ({"auth": {"username": "gateway"}}, ""),
        ({"auth": {"username": "g@plant.example"}}, "g@plant.example"),
        (
            {
                "auth": {"username": "g@plant.example"},
                "policy": {"from_addresses": ["plant.example", "a@plant.example"]},
            },
            "a@plant.example",
        ),
        ({"policy": {"from_addresses": ["@plant.example"]}}, ""),
        ({"policy": 1, "auth": 2}, ""),
    ],
)
def test_what_from_is_filled_in_with(body: dict[str, Any], wanted: str) -> None:
    """The first that it may send as and is an address, else the user if it is one."""
    assert wanted == from_address(body)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        (" a@b.example ", ["a@b.example"]),
        ("a@b.example,c@b.example;\nd@b.example", list("acd")),
        ('"Doe, J" <a@b.example>, c@b.example', ["J", "c"]),
    ],
)
def test_several_recipients(text: str, wanted: list[str]) -> None:
    """Commas, semicolons and lines between, but in quotes."""
    found = recipients(text)
    assert len(wanted) == len(found)
    assert all(one in other for one, other in zip(wanted, found, strict=True))


def test_a_client_gets_a_token(bench: Bench) -> None:
    """Told without the token: status, type, expiry, scopes; and the claims of a JWT."""
    bert = bench.browser()
    asked = {"grant": "client_credentials", "scope": "mail.send"}
    page = bert.post(bench.client, asked)
    for wanted in ("A token was granted", '<dd class="words">200</dd>', "3600 seconds"):
        assert wanted in page.text
    assert 'name="scope" value="mail.send"' in page.text

    token = jwt_of(
        aud=["https://mail.example"], iss="https://sts.example/", roles=["S"]
    )
    token = token.replace("canary", "c4n4ry")
    bench.server.answer_next(200, {"access_token": token, "token_type": "Bearer"})
    page = bert.post(bench.client, asked)
    for wanted in (
        "a JWT, not verified",
        "https://mail.example",
        "https://sts.example/",
    ):
        assert wanted in page.text
    assert [] == [one for one in bench.profiles.trail() if one.actor == "console:bert"]


def test_a_client_that_is_refused(bench: Bench) -> None:
    """The server's words, its code, and the remedy."""
    refusal = {"error": "invalid_client", "error_description": "AADSTS7000222: <old>"}
    bench.server.answer_next(401, refusal)
    page = bench.browser().post(bench.client, {"grant": "client_credentials"})
    for wanted in ("No token was granted", "401", "invalid_client", "&lt;old&gt;"):
        assert wanted in page.text
    assert "make a new one at Microsoft Entra" in page.text


def test_a_client_in_the_browser_and_its_refresh_token(bench: Bench) -> None:
    """By the callback of all grants; the refresh token is tested, and never shown."""
    bert = bench.browser()
    asked = {
        "grant": "authorization_code",
        "scope": "mail offline",
        "authorization_params": "access_type=offline",
    }
    away = bert.post(bench.client, asked)
    assert "access_type=offline" in away.headers["Refresh"]
    back = bench.consent(away)
    page = bert.get(back)
    assert "access that a person granted" in page.text
    assert page.url.startswith(bench.console.url + bench.client + "?of=")
    assert "code=" not in page.url
    assert "access_type=offline" in page.text
    assert page.url == bert.get(back).url
    assert 1 == bench.server.token_requests

    for count in (2, 3):
        page = bert.submit(page, {"grant": "refresh_token"}, to="#result")
        assert "the refresh token" in page.text
        assert ("A token was granted" in page.text, count) == (
            True,
            bench.server.token_requests,
        )
    assert 0 == bench.server.reuses
    assert "none" == bench.profiles.profiles.get("plant").body.get("token", "none")


def test_a_client_that_a_person_refuses(bench: Bench) -> None:
    """It is told, at an address without the answer."""
    bench.server.rules.approves = False
    bert = bench.browser()
    page = bert.get(
        bench.consent(bert.post(bench.client, {"grant": "authorization_code"}))
    )
    assert "access_denied" in page.text
    assert (
        "Test Refresh Token"
        not in page.text.partition("</form>")[0].partition(
            "Test Authorization</button>"
        )[2]
    )


def test_answers_to_a_clients_test_that_are_not_taken(bench: Bench) -> None:
    """Those of others, or at another client's address."""
    bert = bench.browser()
    back = bench.consent(bert.post(bench.client, {"grant": "authorization_code"}))
    for browser, address, why in (
        (bench.browser(name="carl"), back, "no grant that was begun"),
        (bert, back.replace("?", "x?", 1), "another redirect URI"),
    ):
        page = browser.get(address)
        assert (409, True) == (page.status_code, why in page.text), why
    assert "may not do this" in acting_as(bert, Role.VIEWER).get(back).text
    acting_as(bert, Role.OPERATOR)
    assert "A token was granted" in bert.get(back).text


def test_what_is_asked_for_wrongly(bench: Bench) -> None:
    """Nobody is asked; parameters are not repeated in what is said."""
    bert, own = bench.browser(), {"grant": "client_credentials"}
    for sent, said in (
        ({"grant": "refresh_token"}, "there is no refresh token"),
        ({**own, "params": "s3cret"}, "line 1"),
        ({**own, "params": "a=1\na=s3cret"}, "is there twice"),
        ({**own, "params": "state=1"}, "state"),
        ({"grant": "authorization_code", "authorization_params": "=1"}, "line 1"),
    ):
        page = bert.post(bench.client, sent)
        problems = page.text.partition('id="mistakes"')[2].partition("</div>")[0]
        assert (422, True) == (page.status_code, said in problems), said
        assert "s3cret" not in problems
    assert 0 == bench.server.token_requests


def test_a_client_that_is_not_there(bench: Bench) -> None:
    """Said, and no more; a viewer tests nothing."""
    assert 404 == bench.browser().get("/clients/nothing/test").status_code
    viewer = bench.browser(Role.VIEWER)
    assert 403 == viewer.get(bench.client).status_code
    assert 403 == viewer.get(bench.profile()).status_code
