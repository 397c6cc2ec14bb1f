"""The console in a host's application, behind the host's own sign-in and path."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from a2wsgi import ASGIMiddleware
from console_client import Browser, ConsoleServer, Served
from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from fastapi.responses import PlainTextResponse
from flask import Flask, redirect, request, session
from itsdangerous import BadSignature, Signer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from email_profiles_hookspecs.errors import StoreUnavailable
from email_profiles_plugin import EmailProfiles, base_urls
from email_profiles_plugin.console import Role, User, create_app
from email_profiles_plugin.console.application import ALONE, PLACES

Open = Callable[..., EmailProfiles]

SIGNER = Signer("the FastAPI host's own")


@pytest.fixture
def profiles(open_profiles: Open) -> EmailProfiles:
    return open_profiles(deliver=False)


def by_cookie(request: Request) -> User | None:
    """How the host of the test knows people: a cookie of its own."""
    try:
        name, _, role = SIGNER.unsign(request.cookies["who"]).decode().partition(":")
    except (BadSignature, KeyError):
        return None
    return User(name, Role.named(role))


async def awaited(request: Request) -> User | None:
    return by_cookie(request)


def fastapi_host(
    profiles: EmailProfiles, url: str, authenticate: Any, root_path: str = ""
) -> FastAPI:
    """A FastAPI application with a sign-in of its own and the console below it."""
    host = FastAPI()

    @host.get("/login")
    def login(name: str, role: str) -> PlainTextResponse:
        response = PlainTextResponse("welcome")
        response.set_cookie("who", SIGNER.sign(f"{name}:{role}").decode())
        return response

    @host.get("/hello")
    def hello(request: FastAPIRequest) -> str:
        return request.url.path

    console = create_app(
        profiles,
        base_url=f"{url}{root_path}/tools/email",
        authenticate=authenticate,
        sign_in_url="/login?next={next}",
    )
    host.mount("/tools/email", console)
    return host


@pytest.mark.parametrize("authenticate", [by_cookie, awaited])
def test_in_a_fastapi_application(profiles: EmailProfiles, authenticate: Any) -> None:
    """Its sign-in is the only one; the rest of the host stays as it is."""
    with Served(lambda url: fastapi_host(profiles, url, authenticate)) as host:
        browser = Browser(f"{host.url}/tools/email")
        stranger = browser.get("/outbox?text=a", allow_redirects=False)
        assert 303 == stranger.status_code
        wanted = f"{host.url}/tools/email/outbox".replace(":", "%3A")
        assert stranger.headers["Location"] == (
            f"/login?next={wanted.replace('/', '%2F')}%3Ftext%3Da"
        )

        browser.get(f"{host.url}/login?name=anna&role=operator")
        page = browser.get("/outbox")
        assert (200, True) == (page.status_code, "<span>anna" in page.text)
        check_addresses(browser, page.text, "/tools/email")
        assert "Sign out" not in page.text
        assert 404 == browser.get("/sign-in").status_code
        assert 403 == browser.get("/access").status_code
        assert f"{host.url}/tools/email/profiles" == browser.get("/").url
        assert '"/hello"' == browser.get(f"{host.url}/hello").text


@pytest.mark.parametrize("known", [True, False])
def test_in_a_fastapi_application_behind_a_proxy(
    profiles: EmailProfiles, known: bool
) -> None:
    """Which takes a path off, whether the host knows it by `root_path` or not."""

    def make(url: str) -> Any:
        host = fastapi_host(profiles, url, by_cookie, "/gate")

        async def called(scope: Any, receive: Any, send: Any) -> None:
            rooted = {**scope, "root_path": "/gate"} if known else scope
            await host(rooted, receive, send)

        return called

    with Served(make) as host:
        browser = Browser(f"{host.url}/tools/email")
        browser.get(f"{host.url}/login?name=anna&role=admin")
        page = browser.get("/plugins")
        sheet = browser.get("/static/console.css")
        nowhere = browser.get("/nowhere")

    assert [200, 200, 404] == [one.status_code for one in (page, sheet, nowhere)]
    assert 'href="/gate/tools/email/outbox"' in page.text


def check_addresses(browser: Browser, text: str, path: str) -> None:
    """Every address on a page is below *path*, and its files are there."""
    links = [part.partition('"')[0] for part in text.split('href="')[1:]]
    actions = [part.partition('"')[0] for part in text.split('action="')[1:]]
    found = [one for one in links + actions if not one.startswith(("#", "?"))]

    assert [] == [one for one in found if not one.startswith(f"{path}/")]
    sheet = next(one for one in found if one.endswith("console.css"))
    root = browser.url.removesuffix(path)
    assert "text/css" in browser.get(root + sheet).headers["Content-Type"]


def flask_host(profiles: EmailProfiles, url: str) -> Any:
    """A Flask application with a sign-in of its own and the console beside it."""
    host = Flask("host")
    host.secret_key = "the Flask host's own"

    @host.get("/login")
    def login() -> Any:
        session["who"] = [request.args["name"], request.args["role"]]
        return redirect("/console/")

    def by_flask_session(request: Request) -> User | None:
        with host.request_context(request.scope["wsgi_environ"]):
            who = session.get("who")
        return User(who[0], Role.named(who[1])) if who else None

    console = create_app(
        profiles, base_url=f"{url}/console", authenticate=by_flask_session
    )
    host.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
        host.wsgi_app, {"/console": ASGIMiddleware(console)}
    )
    return host


class Quiet(WSGIRequestHandler):
    """Without a line for each request."""

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def flask_served(profiles: EmailProfiles) -> Iterator[str]:
    """Where the Flask host listens, by the standard library's WSGI server."""
    holder: list[Any] = []
    server = make_server(
        "127.0.0.1", 0, lambda *call: holder[0](*call), handler_class=Quiet
    )
    url = f"http://127.0.0.1:{server.server_port}"
    holder.append(flask_host(profiles, url))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_in_a_flask_application(profiles: EmailProfiles) -> None:
    """Through a2wsgi, with the session that Flask has."""
    profiles.access.make("nightly", Role.VIEWER)
    with flask_served(profiles) as url:
        browser = Browser(f"{url}/console")
        stranger = browser.get("/outbox", allow_redirects=False)
        assert (401, True) == (stranger.status_code, "Sign in first" in stranger.text)

        page = browser.get(f"{url}/login?name=anna&role=admin")
        assert (200, f"{url}/console/profiles") == (page.status_code, page.url)
        check_addresses(browser, page.text, "/console")
        told = browser.post("/access/revoke", {"name": "nightly"})
        assert "The API token nightly was revoked." in told.text
        assert "console:anna" == profiles.trail(limit=1)[0].actor

        browser.get(f"{url}/login?name=vera&role=viewer")
        assert 403 == browser.get("/access").status_code


@pytest.mark.parametrize("stripped", [True, False])
def test_behind_a_proxy_with_a_path(profiles: EmailProfiles, stripped: bool) -> None:
    """Whether the proxy leaves its path in the request, or takes it off."""

    def make(url: str) -> Any:
        return create_app(profiles, base_url=f"{url}/gate/way")

    with Served(make) as served:
        browser = Browser(served.url if stripped else f"{served.url}/gate/way")
        page = browser.get("/sign-in")
        nowhere = browser.get("/nowhere")

    assert 'action="/gate/way/sign-in"' in page.text
    assert "Path=/gate/way" in page.headers["Set-Cookie"]
    assert (404, True) == (nowhere.status_code, "nothing is at" in nowhere.text.lower())


def test_the_path_alone_is_the_first_page(profiles: EmailProfiles) -> None:
    """Without a slash at its end, too."""

    def make(url: str) -> Any:
        return create_app(profiles, base_url=f"{url}/gateway/")

    with Served(make) as served:
        answers = [
            Browser(served.url).get(path, allow_redirects=False)
            for path in ("/gateway", "/gateway/")
        ]

    assert ["/gateway/sign-in"] * 2 == [one.headers["Location"] for one in answers]


def test_in_a_starlette_application_at_two_paths(
    open_profiles: Open, tmp_path: Any
) -> None:
    """Two installations in one process know nothing of each other."""
    one = open_profiles(deliver=False)
    two = open_profiles(home=tmp_path / "other", deliver=False)

    def make(url: str) -> Any:
        return Starlette(
            routes=[
                Mount("/one", create_app(one, base_url=f"{url}/one")),
                Mount("/two", create_app(two, base_url=f"{url}/two")),
            ]
        )

    with Served(make) as served:
        browser = Browser(f"{served.url}/one")
        code = one.sign_ins.invite("pat", Role.ADMIN, browser.url)
        browser.submit(browser.get(f"/sign-in?link={code}"))
        statuses = [
            browser.get(f"{served.url}{path}", allow_redirects=False).status_code
            for path in ("/one/plugins", "/two/plugins")
        ]

    assert [200, 303] == statuses


@pytest.mark.parametrize(
    ("error", "status"),
    [(RuntimeError("c4n4ry"), 500), (StoreUnavailable("c4n4ry: it is locked"), 503)],
)
@pytest.mark.parametrize("path", ["/plugins", "/api/v1/plugins"])
def test_a_sign_in_that_fails_lets_nobody_in(
    profiles: EmailProfiles,
    serve_console: Callable[..., ConsoleServer],
    error: Exception,
    status: int,
    path: str,
) -> None:
    """And tells nothing; headers and all are as ever."""

    def fail(request: Request) -> User | None:
        raise error

    answer = serve_console(profiles, authenticate=fail).browser().get(path)

    assert (status, False) == (answer.status_code, "c4n4ry" in answer.text)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert ("/api/" in path) == (
        answer.headers["Content-Type"] == "application/problem+json"
    )


def test_more_names_may_be_allowed(
    profiles: EmailProfiles, serve_console: Callable[..., ConsoleServer]
) -> None:
    """Such as the one by which a proxy calls the console."""
    served = serve_console(profiles, allowed_hosts=["console"])
    statuses = [
        served.browser().get("/sign-in", headers={"Host": name}).status_code
        for name in ("console:8470", "other")
    ]

    assert [200, 421] == statuses


@pytest.mark.parametrize(
    "base_url",
    ["", "gateway.example", "ftp://gateway.example", "https://a/b?c", "https://a/api"],
)
def test_a_base_url_is_a_web_address(profiles: EmailProfiles, base_url: str) -> None:
    """Else links and redirect URIs made of it would lead nowhere."""
    with pytest.raises(ValueError, match="say https://host/path"):
        create_app(profiles, base_url=base_url)


def test_the_first_parts_of_paths_are_known() -> None:
    """So that no base path hides a page."""
    places = (*PLACES, *ALONE)
    found = {one.path.split("/")[1] for one in places} - {""} | {"static"}

    assert base_urls.PAGES == found


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"authenticate": "anna"}, TypeError, "has to be a function, not str"),
        ({"sign_in_url": "/login?next={nxt}"}, ValueError, "only {next} is filled in"),
    ],
)
def test_what_a_host_gets_wrong_is_told_at_once(
    open_profiles: Callable[..., EmailProfiles],
    given: dict[str, Any],
    error: type[Exception],
    said: str,
) -> None:
    """And not by a page that fails when somebody asks for it."""
    opened = open_profiles(deliver=False)
    with pytest.raises(error, match=re.escape(said)):
        create_app(opened, base_url="https://gateway.example", **given)


@pytest.mark.parametrize("given", [("", Role.ADMIN), ("anna", "boss"), (7, Role.ADMIN)])
def test_who_asks_has_a_name_and_a_role(given: tuple[Any, Any]) -> None:
    """Nobody is let in under an empty name."""
    with pytest.raises((TypeError, ValueError)):
        User(*given)
