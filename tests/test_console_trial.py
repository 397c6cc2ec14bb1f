"""Tests of profiles and of OAuth2 clients, by HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import pluggy
import pytest
import requests
from attrs import define, field
from console_client import Browser, ConsoleServer
from console_pages import acting_as, browser_of, served
from oauth2_bench import jwt_of
from test_provider_examples import Site, refuse

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
    assert "c4n4ry" not in "".join(bench.pages)


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


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"to": "nobody"}, "to", "nobody"),
        ({"to": ""}, "", "recipient"),
        ({"from": "<script>"}, "from", "&lt;script&gt;"),
        ({"subject": "a\r\nb"}, "subject", "control character"),
    ],
)
def test_mistakes_are_told_beside_their_field(
    bench: Bench, changes: dict[str, str], field: str, said: str
) -> None:
    """Nothing is sent, what was typed stays, and the focus is on the first."""
    page = bench.browser().post(bench.profile(), {**TYPED, **changes})
    assert 422 == page.status_code
    assert "Does it?" in page.text
    assert [] == bench.smtp.messages
    if field:
        wrong = re.search(rf'id="wrong-{field}">(.*?)</small>', page.text, re.DOTALL)
        assert wrong is not None
        assert said in wrong[1]
        assert re.search(rf'name="{field}"[^>]*autofocus', page.text, re.DOTALL)
    else:
        assert said in page.text


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


def test_values_that_are_not_saved(bench: Bench) -> None:
    """They are tested as they are, and nothing is changed; no page holds a secret."""
    anna = bench.browser(Role.ADMIN, "anna")
    bench.smtp.users["gateway@plant.example"] = "c4n4ry-new"
    document = json.loads(json.dumps(bench.document))
    document["auth"]["password"] = "c4n4ry-new"
    before = bench.profiles.profiles.get("plant")
    page = anna.post(f"/tests?of={before.id}", {"document": json.dumps(document)})
    assert 200 == page.status_code
    assert "not saved" in page.text
    assert "retype" in page.text
    assert 'name="from" value="gateway@plant.example"' in page.text
    path = page.url.removeprefix(bench.console.url)
    sent = anna.post(path, TYPED)
    assert "The server accepted it" in sent.text
    assert "the values of the form, which are not saved" in sent.text
    assert before == bench.profiles.profiles.get("plant")

    other = bench.browser(Role.ADMIN, "bert")
    assert 404 == other.get(path).status_code
    assert 404 == other.post(path, TYPED).status_code
    assert 403 == acting_as(anna, Role.OPERATOR).get(path).status_code


def test_a_stored_secret_is_not_used_elsewhere(bench: Bench) -> None:
    """With another server it has to be retyped, and that is said."""
    anna = bench.browser(Role.ADMIN, "anna")
    document = json.loads(json.dumps(bench.document))
    del document["auth"]["password"]
    document["smtp"]["hostname"] = "127.0.0.1"
    id = bench.profiles.profiles.get("plant").id
    page = anna.post(f"/tests?of={id}", {"document": json.dumps(document)})
    assert "the stored secret was dropped" in page.text
    assert "c4n4ry" not in str(bench.smtp.messages)


def test_a_draft_with_mistakes_is_not_tested(bench: Bench) -> None:
    """They are told; a secret among them is not."""
    anna = bench.browser(Role.ADMIN, "anna")
    document = json.loads(json.dumps(bench.document))
    document["smtp"]["port"] = 70000
    page = anna.post("/tests", {"document": json.dumps(document)})
    assert (422, True) == (page.status_code, "70000 is more than 65535" in page.text)
    assert 422 == anna.post("/tests", {"document": "[]"}).status_code


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


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"grant": "refresh_token"}, "there is no refresh token"),
        ({"grant": "client_credentials", "params": "c4n4ry"}, "line 1"),
        ({"grant": "client_credentials", "params": "a=1\na=c4n4ry2"}, "is there twice"),
        ({"grant": "client_credentials", "params": "state=1"}, "state"),
        ({"grant": "authorization_code", "authorization_params": "=1"}, "line 1"),
    ],
)
def test_what_is_asked_for_wrongly(
    bench: Bench, sent: dict[str, str], said: str
) -> None:
    """Nobody is asked; parameters are not repeated in what is said."""
    page = bench.browser().post(bench.client, sent)
    problems = page.text.partition('id="mistakes"')[2].partition("</div>")[0]
    assert (422, True) == (page.status_code, said in problems)
    assert "c4n4ry" not in problems
    assert 0 == bench.server.token_requests
    bench.pages.clear()


def test_a_client_that_is_not_there(bench: Bench) -> None:
    """Said, and no more; a viewer tests nothing."""
    assert 404 == bench.browser().get("/clients/nothing/test").status_code
    viewer = bench.browser(Role.VIEWER)
    assert 403 == viewer.get(bench.client).status_code
    assert 403 == viewer.get(bench.profile()).status_code
