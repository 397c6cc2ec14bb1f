"""What tests of the console stand on: a real server, and browsers signed in to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
import uvicorn
from attrs import define, field
from itsdangerous import URLSafeSerializer
from starlette.types import ASGIApp

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console import Role
from email_profiles_plugin.console.application import ALONE, PLACES, assembled
from email_profiles_plugin.console.places import Place
from email_profiles_plugin.console.sessions import Visit

Fields = Mapping[str, Any]


def listener() -> socket.socket:
    """
    A socket that listens on loopback.

    It is said to be TCP, or asyncio would not switch Nagle's delay off: 40 ms a call.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    return bound


class Served:
    """
    An ASGI application, run by uvicorn on a free port of loopback while it is entered.

    *make* is given the base URL and makes the application.
    """

    def __init__(self, make: Any) -> None:
        self.make = make

    def __enter__(self) -> Self:
        bound = listener()  # who comes early waits
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        app: ASGIApp = self.make(self.url)
        self.server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=3)
        )
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [bound]}, daemon=True
        )
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.should_exit = True  # it takes 0.2 s, and nobody waits for it


class ConsoleServer(Served):
    """
    The console on *profiles*, alone; *options* are those of `create_app`.

    *places* are served besides its own.
    """

    def __init__(
        self, profiles: EmailProfiles, *, places: Iterable[Place] = (), **options: Any
    ) -> None:
        served = (*PLACES, *ALONE, *places)
        super().__init__(
            lambda url: assembled(profiles, served, **{"base_url": url, **options})
        )
        self.profiles = profiles

    def browser(self) -> Browser:
        """A browser in which nobody is signed in."""
        return Browser(self.url)

    def signed_in(self, role: Role | str = Role.ADMIN) -> Browser:
        """A browser in which a person called `pat` is signed in, by a link."""
        wanted = Role.named(role) if isinstance(role, str) else role
        code = self.profiles.sign_ins.invite("pat", wanted, self.url, actor="test")
        browser = self.browser()
        page = browser.get(f"/sign-in?link={code}")
        entered = browser.submit(page)
        assert 200 == entered.status_code, entered.text
        return browser

    def api(self, role: Role | str = Role.ADMIN) -> Browser:
        """A program with an API token of that role, and no cookies."""
        wanted = Role.named(role) if isinstance(role, str) else role
        names = {one.name for one in self.profiles.access.list()}
        name = next(f"{wanted}-{n}" for n in range(99) if f"{wanted}-{n}" not in names)
        made = self.profiles.access.make(name, wanted, actor="test")
        browser = self.browser()
        browser.headers["Authorization"] = f"Bearer {made.secret}"
        return browser


class Browser(requests.Session):
    """
    Does what a browser does: keeps cookies, says where a form comes from.

    Addresses are paths below the console's. `submit` sends a form of a page as a person
    would who fills in *fields* and leaves the rest; `post` sends what it is given, with
    the form token of the session, unless that is *json* or the caller a program.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.trust_env = False

    def request(self, method: Any, url: Any, *args: Any, **more: Any) -> Any:
        more.setdefault("timeout", 30)
        if str(url).startswith("/"):
            url = self.url + str(url)
        return super().request(method, url, *args, **more)

    def post(self, url: Any, data: Any = None, json: Any = None, **more: Any) -> Any:
        if json is None and "Authorization" not in self.headers:
            data = {"csrf": self.csrf(), **(data or {})}
            more["headers"] = {"Origin": origin(self.url), **more.get("headers", {})}
        return super().post(url, data, json, **more)

    def csrf(self) -> str:
        """The token that this session's forms have."""
        self.get("/", allow_redirects=False)
        return form_token(self)

    def submit(
        self, page: Any, fields: Fields | None = None, *, to: str = "", **more: Any
    ) -> Any:
        """
        Send a form of *page* (a response, or a path); the one whose action ends with
        *to*, else the last. A field given as None is left out, as an unchecked box is.
        """
        response = self.get(page) if isinstance(page, str) else page
        form = [one for one in forms(response) if one.action.endswith(to)][-1]
        sent = {**form.fields, **(fields or {})}
        more["headers"] = {"Origin": origin(response.url), **more.get("headers", {})}
        data = {name: value for name, value in sent.items() if value is not None}
        return super().post(urljoin(response.url, form.action), data, **more)


def form_token(browser: requests.Session) -> str:
    """The token that forms have in the session that is in the browser's cookie."""
    for cookie in browser.cookies:
        if cookie.name.startswith("email_profiles_") and cookie.value:
            payload = cookie.value.rpartition(".")[0].encode()
            held = URLSafeSerializer("nobody's").load_payload(payload)
            return Visit(**held).csrf
    return ""


def origin(url: str) -> str:
    """Scheme, host and port of *url*."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@define
class PostedForm:
    """A form of a page that posts: where to, and what its fields hold."""

    action: str
    fields: dict[str, Any] = field(factory=dict)

    def add(self, name: str | None, value: str) -> None:
        """One more value; a field with several has a list of them."""
        if name is None:
            return
        before = self.fields.get(name)
        if before is None:
            self.fields[name] = value
        else:
            self.fields[name] = [*before, value] if _many(before) else [before, value]


def _many(value: object) -> bool:
    return isinstance(value, list)


def forms(response: requests.Response) -> list[PostedForm]:
    """The forms of a page that post, in their order."""
    reader = _Forms()
    reader.feed(response.text)
    return reader.found


class _Forms(HTMLParser):
    """Reads forms as a browser does that nobody has touched."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[PostedForm] = []
        self.form: PostedForm | None = None
        self.text: list[str] | None = None
        self.area = self.choice = self.first = None

    def handle_starttag(self, tag: str, pairs: Iterable[Any]) -> None:
        given = dict(pairs)
        if tag == "form" and given.get("method", "get").lower() == "post":
            self.form = PostedForm(given.get("action", ""))
            self.found.append(self.form)
        elif self.form is not None and "disabled" not in given:
            self._field(tag, given)

    def _field(self, tag: str, given: dict[str, Any]) -> None:
        assert self.form is not None
        kind = given.get("type", "text").lower()
        if tag == "input" and kind in ("checkbox", "radio"):
            if "checked" in given:
                self.form.add(given.get("name"), given.get("value") or "on")
        elif tag == "input" and kind not in ("submit", "button", "image", "file"):
            self.form.add(given.get("name"), given.get("value") or "")
        elif tag == "textarea":
            self.area, self.text = given.get("name"), []
        elif tag == "select":
            self.choice, self.first = given.get("name"), None
        elif tag == "option" and self.choice is not None:
            if "selected" in given:
                self.form.add(self.choice, given.get("value", ""))
                self.choice = None
            elif self.first is None:
                self.first = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self.text is not None:
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        elif tag == "textarea" and self.form is not None and self.text is not None:
            self.form.add(self.area, "".join(self.text).removeprefix("\n"))
            self.text = None
        elif tag == "select" and self.form is not None and self.choice is not None:
            if self.first is not None:
                self.form.add(self.choice, self.first)
            self.choice = None
