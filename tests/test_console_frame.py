"""The console's frame: what it refuses, and what every answer has."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator

import pytest
import requests
from console_client import Browser, ConsoleServer
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console import Role, create_app
from email_profiles_plugin.console.application import ALONE, PLACES
from email_profiles_plugin.console.calls import Call
from email_profiles_plugin.console.headers import ALWAYS
from email_profiles_plugin.console.places import Place

Open = Callable[..., EmailProfiles]
Serve = Callable[..., ConsoleServer]

EVERY = (*PLACES, *ALONE)


def fall_over(call: Call) -> Response:
    raise RuntimeError("c4n4ry: nobody expected this")


def take(call: Call) -> Response:
    return JSONResponse({"form": dict(call.form)})


def mistake(call: Call) -> Response:
    raise Invalid("it", [Problem(path="$.a", message="is wrong", remedy="mend it")])


EXTRA = (
    Place("GET", "/trouble", "trouble", Role.VIEWER, fall_over),
    Place("GET", "/api/v1/trouble", "api_trouble", Role.VIEWER, fall_over, api=True),
    Place("POST", "/take", "take", Role.VIEWER, take, most=3000),
    Place("GET", "/api/v1/plain", "api_plain", Role.VIEWER, take, api=True),
    Place("POST", "/api/v1/plain", "api_plain", Role.OPERATOR, take, api=True),
    Place("POST", "/api/v1/wrong", "api_wrong", Role.VIEWER, mistake, api=True),
)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """One console for all tests here, with places of their own."""
    home = tmp_path_factory.mktemp("home")
    with (
        EmailProfiles.open(home, only=(), deliver=False) as profiles,
        ConsoleServer(profiles, places=EXTRA) as served,
    ):
        yield served


def path_of(place: Place) -> str:
    """The place's path, with something in it that is not there."""
    parts = place.path.split("/")
    return "/".join("nothing" if part.startswith("{") else part for part in parts)


def test_no_route_is_without_a_rule(open_profiles: Open) -> None:
    """Every route is a place's, but static files; none is open that is not meant."""
    app = create_app(open_profiles(deliver=False), base_url="http://localhost")
    routed = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    open_to_all = {(one.method, one.path) for one in EVERY if one.rule is None}

    assert {(one.method, one.path) for one in EVERY} == routed
    assert ["/static"] == [one.path for one in app.routes if isinstance(one, Mount)]
    assert {
        ("GET", "/sign-in"),
        ("POST", "/sign-in"),
        ("GET", "/oauth2/callback/{uid}"),  # it looks at the session itself
        ("GET", "/oauth2/refused/{reason}"),
    } == open_to_all


def test_paths_have_one_name_each() -> None:
    """And a name has one path, so that `Call.url` can't be mistaken."""
    assert len({one.path for one in EVERY}) == len({one.name for one in EVERY})
    assert len({(one.path, one.name) for one in EVERY}) == len(
        {one.name for one in EVERY}
    )
    assert len(EVERY) == len({(one.method, one.path) for one in EVERY})


def test_each_role_is_refused_what_it_may_not_do(console: ConsoleServer) -> None:
    """On pages and in the API alike; nobody is refused everything but signing in."""
    by_role = {role: console.signed_in(role) for role in Role}
    by_token = {role: console.api(role) for role in Role}
    unlike = {}
    for place in (*EVERY, *EXTRA):
        if place.rule is None:
            continue
        for role in Role:
            browser = (by_token if place.api else by_role)[role]
            allowed = role >= place.rule
            if allowed and (place.method != "GET" or "trouble" in place.path):
                continue
            status = ask(browser, place)
            if (status != 403) != allowed or (allowed and status in (401, 500)):
                unlike[place.method, place.path, str(role)] = status

    assert {} == unlike


def test_nobody_gets_nowhere(console: ConsoleServer) -> None:
    """Whoever wants a page is led to where to sign in; all else is refused."""
    stranger = console.browser()
    unlike = {}
    for place in (*EVERY, *EXTRA):
        if place.rule is not None:
            status = ask(stranger, place)
            expected = 303 if place.method == "GET" and not place.api else 401
            if status != expected:
                unlike[place.method, place.path] = status

    assert {} == unlike


def ask(browser: Browser, place: Place) -> int:
    """The status of a call at *place*, as a form of the console would make it."""
    if place.method == "GET" or place.api:
        given = {"allow_redirects": False, "timeout": 30}
        answer = browser.request(place.method, path_of(place), **given)
    else:
        answer = browser.post(path_of(place), {}, allow_redirects=False)
    return int(answer.status_code)


def test_every_answer_has_its_headers(console: ConsoleServer) -> None:
    """Pages, redirects, refusals, files, and what failed."""
    admin, stranger = console.signed_in(), console.browser()
    paths = [path_of(one) for one in (*EVERY, *EXTRA) if one.method == "GET"]
    answers = [admin.get(path, allow_redirects=False) for path in paths]
    answers += [
        admin.get("/nowhere"),
        admin.get("/api/nowhere"),
        admin.put("/plugins"),
        admin.get("/static/console.css"),
        admin.get("/static/nothing.css"),
        admin.get("/plugins", headers={"Host": "evil.example"}),
        admin.post("/take", {"a": "x" * 4000}),
        stranger.get("/plugins", allow_redirects=False),
        stranger.get("/api/v1/plain"),
    ]
    without = [
        (answer.url, name)
        for answer in answers
        for name in ALWAYS
        if name not in answer.headers
    ]

    assert [] == without
    assert {"no-store"} == {
        one.headers["Cache-Control"] for one in answers if "/static/" not in one.url
    }
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'"), (answer.url, policy)


def test_files_are_kept_by_browsers(console: ConsoleServer) -> None:
    """And asked for anew only where they have changed."""
    browser = console.browser()
    first = browser.get("/static/pico.min.css")
    tag = {"If-None-Match": first.headers["ETag"]}
    second = browser.get("/static/pico.min.css", headers=tag)

    assert [200, 304] == [first.status_code, second.status_code]
    assert ["no-cache"] * 2 == [one.headers["Cache-Control"] for one in (first, second)]
    assert "Set-Cookie" not in first.headers


def test_pages_have_nothing_inline(console: ConsoleServer) -> None:
    """No script, no style, no handler: the policy would refuse each."""
    admin = console.signed_in()
    for place in PLACES:
        if place.method == "GET" and not place.api:
            text = admin.get(path_of(place)).text
            found = [word for word in ("<script", "<style", " style=") if word in text]
            assert [] == found, place.path


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "HERE"}, 200),
        ({"Origin": "HERE", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 200),
        ({}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "HERE.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "HERE", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
def test_another_site_writes_nothing(
    console: ConsoleServer, headers: dict[str, str], status: int
) -> None:
    """Neither by a form nor by the API; also where the browser is signed in."""
    admin = console.signed_in()
    sent = {name: text.replace("HERE", console.url) for name, text in headers.items()}
    form = {"csrf": admin.csrf(), "a": "b"}
    page = requests.Session.post(admin, f"{console.url}/take", form, headers=sent)
    api = admin.request("POST", "/api/v1/plain", json={}, headers=sent)

    assert [status, status] == [page.status_code, api.status_code]


def test_a_form_has_its_sessions_token(console: ConsoleServer) -> None:
    """None, another session's, and one that is no text are refused."""
    admin, other = console.signed_in(), console.signed_in()
    for token in ("", other.csrf(), "\x00", "ü" * 64):
        answer = admin.post("/take", {"csrf": token, "a": "b"})
        assert (403, True) == (answer.status_code, "load the page anew" in answer.text)

    assert 200 == admin.post("/take", {"a": "b"}).status_code


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:1", 200),
        ("[::1]:80", 200),
        ("LOCALHOST", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:80", 421),
        ("localhost@evil.example", 421),
        ("", 421),
    ],
)
def test_a_strange_name_is_refused(
    console: ConsoleServer, host: str, status: int
) -> None:
    """Somebody's DNS may lead a browser here: by that name there is nothing."""
    answer = console.signed_in().get("/plugins", headers={"Host": host})

    assert status == answer.status_code


def test_bodies_are_bounded(console: ConsoleServer) -> None:
    """Whether their length is said before, or they just go on."""
    admin = console.signed_in()
    long = admin.post("/take", {"a": "x" * 3000})
    form = f"csrf={admin.csrf()}&a=".encode()
    chunks = (chunk for chunk in [form, *[b"x" * 1000] * 9])
    content = {"Content-Type": "application/x-www-form-urlencoded"}
    endless = admin.request(
        "POST", "/take", data=chunks, headers={"Origin": console.url, **content}
    )
    api = admin.request("POST", "/api/v1/plain", data=b"x" * 1_100_000)

    assert [413] * 3 == [one.status_code for one in (long, endless, api)]
    assert "application/problem+json" == api.headers["Content-Type"]


def test_no_file_is_taken(console: ConsoleServer) -> None:
    """A form that brings one is refused; one of several parts is a form like any."""
    admin = console.signed_in()
    file = {"file": ("a.txt", b"text", "text/plain")}
    part = {"b": (None, "c")}

    assert 400 == admin.post("/take", {"a": "b"}, files=file).status_code
    taken = admin.post("/take", {"a": "b"}, files=part).json()["form"]
    assert ("b", "c") == (taken["a"], taken["b"])


def test_what_fails_shows_nothing(
    console: ConsoleServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither traceback nor words: they are in the log, without the query."""
    admin = console.signed_in()
    page = admin.get("/trouble?q=c4n4ry-query")
    api = admin.get("/api/v1/trouble?q=c4n4ry-query")

    assert [500, 500] == [page.status_code, api.status_code]
    assert "c4n4ry" not in page.text + api.text
    assert "Something went wrong" in page.text
    assert (500, "Internal error") == (api.json()["status"], api.json()["title"])
    assert "nobody expected this" in caplog.text
    assert "c4n4ry-query" not in caplog.text


def test_calls_are_logged_without_their_query(
    console: ConsoleServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A code, a state or a search is nobody's business."""
    caplog.set_level(logging.INFO, "email_profiles_plugin.console.frame.access")
    admin = console.signed_in()
    admin.get("/plugins?q=c4n4ry")
    forged = admin.get("/a%0a127.0.0.1 GET /b 200")
    admin.get("/plugins")  # a call is logged after its answer is sent

    assert 404 == forged.status_code
    assert "127.0.0.1 GET /plugins 200" in caplog.messages
    assert all("\n" not in line for line in caplog.messages)
    assert "c4n4ry" not in caplog.text
    assert "link=" not in caplog.text


def test_what_is_not_there_is_told_in_kind(console: ConsoleServer) -> None:
    """A page for people, problem details for programs; 405 says what there is."""
    admin, program = console.signed_in(), console.api()
    nowhere, api = admin.get("/nowhere"), program.get("/api/v1/nowhere")
    wrong, api_wrong = admin.put("/access"), program.put("/api/v1/plain")
    invalid = program.post("/api/v1/wrong", json={})

    assert [404, 404, 405, 405] == [
        one.status_code for one in (nowhere, api, wrong, api_wrong)
    ]
    assert "There is nothing here" in nowhere.text
    assert 404 == api.json()["status"]
    assert {"GET", "HEAD", "POST"} == set(wrong.headers["Allow"].split(", "))
    assert 405 == api_wrong.json()["status"]
    assert [{"path": "$.a", "message": "is wrong", "remedy": "mend it"}] == (
        invalid.json()["problems"]
    )


def test_whoever_is_not_let_in_is_told_how(console: ConsoleServer) -> None:
    """RFC 9110: a 401 says by what to sign in."""
    answer = console.browser().get("/api/v1/plain")

    assert "Bearer" == answer.headers["WWW-Authenticate"]
    assert "API token" in answer.json()["remedy"]


def test_no_address_ends_with_a_slash_twice(console: ConsoleServer) -> None:
    """A redirect that is made of the Host header would believe it."""
    answer = console.signed_in().get("/plugins/", allow_redirects=False)

    assert 404 == answer.status_code


def test_a_socket_that_says_nothing_costs_nothing(console: ConsoleServer) -> None:
    """And one that asks for a WebSocket gets none."""
    address = console.url.partition("//")[2].split(":")
    with socket.create_connection((address[0], int(address[1]))):
        pass
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x" * 22 + "==",
    }

    assert console.browser().get("/sign-in", headers=upgrade).status_code < 500


def test_the_page_says_where_one_is(console: ConsoleServer) -> None:
    """The current entry of the menu, who one is, and the way past the menu."""
    text = console.signed_in("operator").get("/outbox").text

    assert 1 == text.count('aria-current="page"')
    assert 'href="#main">Skip' in text
    assert ">operator<" in text
    assert "Sign out" in text
    assert "/access" not in text  # an operator has no business there
