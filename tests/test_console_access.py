"""Who is let in to the console: links, sessions, API tokens, and those who guess."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from attrs import define
from console_client import Browser, ConsoleServer, form_token

from email_profiles_hookspecs.errors import Invalid, NameTaken, NotFound
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.console import Role, User, limits
from email_profiles_plugin.console.calls import Call
from email_profiles_plugin.console.limits import Attempts, network_of
from email_profiles_plugin.console.places import Place
from email_profiles_plugin.console.sessions import IDLE_S
from email_profiles_plugin.sign_ins import LINK_S, SESSION_S

Open = Callable[..., EmailProfiles]
Serve = Callable[..., ConsoleServer]


@define
class Shifted:
    """The machine's clock, set forward by `seconds`."""

    seconds: float = 0

    def now(self) -> datetime:
        return SystemClock().now() + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return SystemClock().monotonic() + self.seconds


@pytest.fixture
def clock() -> Shifted:
    return Shifted()


def who(call: Call) -> Any:
    from starlette.responses import JSONResponse

    return JSONResponse({"actor": call.actor, "session": bool(call.session)})


API = Place("GET", "/api/v1/who", "api_who", Role.VIEWER, who, api=True)


@pytest.fixture
def console(open_profiles: Open, serve_console: Serve, clock: Shifted) -> ConsoleServer:
    """The console, whose clock can be set forward, with a place of the API."""
    return serve_console(open_profiles(deliver=False, clock=clock), places=[API])


def signed_in(browser: Browser) -> bool:
    return browser.get("/plugins", allow_redirects=False).status_code == 200


def invited(console: ConsoleServer, role: Role = Role.ADMIN) -> str:
    return console.profiles.sign_ins.invite("pat", role, console.url, actor="cli:pat")


def actions(console: ConsoleServer) -> list[tuple[str, str, str]]:
    trail = console.profiles.trail()
    return [(one.actor, one.action, one.subject) for one in reversed(trail)]


def test_a_link_signs_in_once(console: ConsoleServer) -> None:
    """Whoever presses the button; who only looks, as previews do, spends nothing."""
    code = invited(console)
    console.browser().get(f"/sign-in?link={code}")
    first, second = console.browser(), console.browser()
    pages = [one.get(f"/sign-in?link={code}") for one in (first, second)]
    entered = [
        one.submit(page) for one, page in zip((first, second), pages, strict=True)
    ]

    assert [200, 403] == [one.status_code for one in entered]
    assert "Signed in as pat." in entered[0].text
    assert "was used before" in entered[1].text
    assert [True, False] == [signed_in(first), signed_in(second)]
    expected = [
        ("cli:pat", "make sign-in link", "pat"),
        ("console:pat", "sign in", "pat"),
    ]
    assert expected == actions(console)


def test_a_double_click_signs_in(console: ConsoleServer, clock: Shifted) -> None:
    """Whichever answer the browser keeps; a late one fails, and takes nothing away."""
    browser = console.browser()
    page = browser.get(f"/sign-in?link={invited(console)}")
    before = dict(browser.cookies)
    second, late = console.browser(), console.browser()
    for one in (second, late):
        one.cookies.update(before)
    entered = [browser.submit(page).status_code, second.submit(page).status_code]
    clock.seconds = 11
    failed = late.submit(page)

    assert [200, 200, 403] == [*entered, failed.status_code]
    assert [True, True, False] == [signed_in(one) for one in (browser, second, late)]
    assert "Set-Cookie" not in failed.headers
    assert 1 == [action for _, action, _ in actions(console)].count("sign in")


def test_what_is_pasted_comes_before_a_link_that_waits(console: ConsoleServer) -> None:
    """Such as an old one in another tab."""
    browser = console.browser()
    page = browser.get("/sign-in")
    browser.get("/sign-in?link=old")
    browser.submit(page, {"link": invited(console)})

    assert signed_in(browser)


def test_a_link_is_good_for_five_minutes(
    console: ConsoleServer, clock: Shifted
) -> None:
    """To the second."""
    early, late = invited(console), invited(console)
    clock.seconds = LINK_S - 5
    first, second = console.browser(), console.browser()
    entered = first.submit(first.get(f"/sign-in?link={early}"))
    page = second.get(f"/sign-in?link={late}")
    clock.seconds = LINK_S + 1

    assert [200, 403] == [entered.status_code, second.submit(page).status_code]


def test_a_link_leaves_the_address_at_once(console: ConsoleServer) -> None:
    """It is in no history, no Referer, and no page."""
    code = invited(console)
    browser = console.browser()
    answer = browser.get(f"/sign-in?link={code}", allow_redirects=False)
    page = browser.get(answer.headers["Location"])

    assert (303, "no-referrer") == (
        answer.status_code,
        answer.headers["Referrer-Policy"],
    )
    assert "/sign-in" == answer.headers["Location"]
    assert code not in page.text


@pytest.mark.parametrize("pasted", ["{code}", "  {url}/sign-in?link={code}\n"])
def test_a_link_may_be_pasted(console: ConsoleServer, pasted: str) -> None:
    """The whole of it, or what is secret in it."""
    browser = console.browser()
    link = pasted.format(code=invited(console), url=console.url)
    browser.submit("/sign-in", {"link": link})

    assert signed_in(browser)


def test_neither_links_nor_sessions_nor_tokens_are_stored(
    console: ConsoleServer,
) -> None:
    """Only hashes: who reads the database gets in nowhere."""
    code = invited(console)
    admin = console.signed_in()
    made = console.profiles.access.make("nightly", Role.VIEWER)
    cookie = next(iter(admin.cookies)).value or ""
    session = _held(cookie)["id"]
    with sqlite3.connect(console.profiles.home / "email_profiles.db") as database:
        kept = "\n".join(database.iterdump())
    database.close()

    assert [] == [one for one in (code, session, made.secret) if one in kept]
    assert made.secret not in repr(made)


def _held(cookie: str) -> dict[str, Any]:
    from itsdangerous import URLSafeSerializer

    payload = cookie.rpartition(".")[0].encode()
    held: dict[str, Any] = URLSafeSerializer("nobody's").load_payload(payload)
    return held


def test_the_role_of_a_link_is_the_sessions(console: ConsoleServer) -> None:
    """A viewer's link opens no page of an admin."""
    viewer = console.signed_in(Role.VIEWER)

    assert 403 == viewer.get("/access").status_code
    assert "viewer" in viewer.get("/access").text


def test_who_signs_in_has_a_session_that_nobody_gave(console: ConsoleServer) -> None:
    """What stood in the browser before does not become a session (fixation)."""
    browser = console.browser()
    page = browser.get(f"/sign-in?link={invited(console)}")
    before = dict(browser.cookies)
    browser.submit(page)
    other = console.browser()
    other.cookies.update(before)

    assert [True, False] == [signed_in(browser), signed_in(other)]


def test_signing_out_ends_every_copy(console: ConsoleServer) -> None:
    """Also one that somebody kept."""
    admin, copy = console.signed_in(), console.browser()
    copy.cookies.update(admin.cookies)
    assert signed_in(copy)
    left = admin.submit("/plugins", to="/sign-out")

    assert "Signed out." in left.text
    assert [False, False] == [signed_in(admin), signed_in(copy)]
    assert ("console:pat", "sign out", "pat") == actions(console)[-1]


@pytest.mark.parametrize("change", ["role", "flip", "other", "none", "huge"])
def test_a_cookie_that_was_tampered_with_is_none(
    console: ConsoleServer, change: str
) -> None:
    """Whatever is changed in it, and by whichever key it is signed."""
    from itsdangerous import URLSafeSerializer

    admin = console.signed_in()
    name, value = next((one.name, one.value or "") for one in admin.cookies)
    forged = {
        "role": URLSafeSerializer("guess").dumps(_held(value)),
        "flip": value[:-2] + ("A" if value[-2] != "A" else "B") + value[-1],
        "other": "." + value,
        "none": "",
        "huge": "x" * 20_000,
    }[change]
    browser = console.browser()
    browser.cookies.set(name, str(forged), domain="127.0.0.1", path="/")

    assert not signed_in(browser)


def test_a_session_ends_when_nobody_uses_it(
    console: ConsoleServer, clock: Shifted
) -> None:
    """Within an hour; whoever goes on is let in for twelve hours."""
    busy, idle = console.signed_in(), console.signed_in()
    for minute in range(30, 12 * 60, 30):
        clock.seconds = minute * 60
        assert signed_in(busy), minute
    assert not signed_in(idle)
    clock.seconds = SESSION_S + 1

    assert not signed_in(busy)
    assert IDLE_S < SESSION_S


def test_a_session_outlives_the_rotation_of_the_key(console: ConsoleServer) -> None:
    """While the old key is kept; with `key retire` it goes."""
    admin = console.signed_in()
    console.profiles.rotate_key()
    rotated = signed_in(admin)
    kept = console.browser()
    kept.cookies.update(admin.cookies)
    console.profiles.retire_key()

    assert [True, False] == [rotated, signed_in(kept)]


@pytest.mark.parametrize(
    ("base_url", "name", "attributes"),
    [
        (
            "https://gateway.example/mail",
            "email_profiles_443_aa537b28",
            {"HttpOnly", "SameSite=lax", "Path=/mail", "Secure"},
        ),
        (
            "http://127.0.0.1:8470",
            "email_profiles_8470",
            {"HttpOnly", "SameSite=lax", "Path=/"},
        ),
    ],
)
def test_the_cookie_is_kept_close(
    open_profiles: Open,
    serve_console: Serve,
    base_url: str,
    name: str,
    attributes: set[str],
) -> None:
    """No script reads it, no other site sends it, no other path or port has it."""
    served = serve_console(open_profiles(deliver=False), base_url=base_url)
    cookie = requests.get(f"{served.url}/sign-in", timeout=30).headers["Set-Cookie"]
    first, *rest = cookie.split("; ")

    assert name == first.partition("=")[0]
    assert attributes == set(rest)


def test_what_was_said_is_told_once(console: ConsoleServer) -> None:
    """In a live region, by the next page, and by no other browser's."""
    admin = console.signed_in()
    console.profiles.access.make("nightly", Role.VIEWER)
    other = console.signed_in()
    told = admin.post("/access/revoke", {"name": "nightly"})
    said = "The API token nightly was revoked."

    assert 'aria-live="polite"><p>' + said in told.text
    assert said not in admin.get("/access").text
    assert said not in other.get("/access").text


def test_guessing_is_slowed_down(console: ConsoleServer, clock: Shifted) -> None:
    """Ten wrong tries in five minutes; the right link is let in all the same."""
    browser = console.browser()
    seen = [
        browser.submit("/sign-in", {"link": f"guess-{n}"}).status_code
        for n in range(limits.MOST)
    ]
    refused = browser.submit("/sign-in", {"link": "one more"})
    browser.submit("/sign-in", {"link": invited(console)})

    assert [403] * limits.MOST == seen
    assert 429 == refused.status_code
    assert 0 < int(refused.headers["Retry-After"]) <= limits.WINDOW_S + 1
    assert signed_in(browser)


def test_attempts_are_counted_by_address_and_in_all(clock: Shifted) -> None:
    """Neither one address nor many together can go on for long."""
    attempts = Attempts(clock)
    for n in range(limits.MOST_IN_ALL - 1):
        attempts.failed(f"192.0.2.{n % 250}")
    assert 0 == attempts.wait_s("198.51.100.1")
    attempts.failed("192.0.2.250")

    assert 0 < attempts.wait_s("198.51.100.1")
    clock.seconds = limits.WINDOW_S + 2
    assert 0 == attempts.wait_s("198.51.100.1")


def test_attempts_are_forgotten_before_memory_is_full(
    clock: Shifted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the address that was quiet for longest."""
    monkeypatch.setattr(limits, "REMEMBERED", 3)
    attempts = Attempts(clock)
    for _ in range(limits.MOST):
        attempts.failed("192.0.2.1")
    assert 0 < attempts.wait_s("192.0.2.1")
    for n in range(2, 5):
        attempts.failed(f"192.0.2.{n}")

    assert 0 == attempts.wait_s("192.0.2.1")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("unix", "unix"),
    ],
)
def test_a_network_of_ipv6_is_one_party(address: str, network: str) -> None:
    """Who has one address of a /64 has them all."""
    assert network == network_of(address)


def test_a_token_is_for_the_api_alone(console: ConsoleServer) -> None:
    """It opens no page; its name is in the trail; the role is its own."""
    program = console.api(Role.VIEWER)
    page = program.get("/plugins", allow_redirects=False)
    answer = program.get("/api/v1/who")

    assert 303 == page.status_code
    assert {"actor": "console:token:viewer-0", "session": True} == answer.json()
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Bearer ept_nothing", "Basic {}", "{}", "Bearer {}x", "Bearer ü"],
)
def test_what_is_no_token_is_refused(console: ConsoleServer, sent: str) -> None:
    """401, and nothing else is told."""
    secret = console.profiles.access.make("nightly", Role.VIEWER).secret
    header = sent.format(secret).encode()
    answer = console.browser().get("/api/v1/who", headers={"Authorization": header})

    assert 401 == answer.status_code


def test_a_token_that_is_revoked_opens_nothing(console: ConsoleServer) -> None:
    """At once; also where a browser that is signed in sends it."""
    made = console.profiles.access.make("nightly", Role.VIEWER)
    admin = console.signed_in()
    admin.headers["Authorization"] = f"Bearer {made.secret}"
    before = admin.get("/api/v1/who").json()["actor"]
    console.profiles.access.revoke("nightly")

    assert "console:token:nightly" == before
    assert 401 == admin.get("/api/v1/who").status_code


def test_tokens_are_named_used_and_remembered(
    open_profiles: Open, clock: Shifted
) -> None:
    """A name is free again once its token is revoked; when one was used is noted."""
    access = open_profiles(deliver=False, clock=clock).access
    first = access.make(" nightly ", Role.OPERATOR, actor="cli:pat")
    with pytest.raises(NameTaken, match="already"):
        access.make("nightly", Role.VIEWER)
    assert "nightly" == first.token.name
    found = access.authenticate(first.secret)
    used = access.list()[0].used_at
    clock.seconds = 30
    access.authenticate(first.secret)
    again = access.list()[0].used_at
    access.revoke("nightly", actor="cli:pat")
    second = access.make("nightly", Role.VIEWER, actor="cli:pat")

    assert found is not None
    assert ("operator", "cli:pat") == (found.role, found.created_by)
    assert used == again  # a minute is exact enough
    assert access.authenticate(first.secret) is None
    assert access.authenticate(second.secret) is not None
    assert ["viewer", "operator"] == [one.role for one in access.list()]
    with pytest.raises(NotFound, match="no API token 'other'"):
        access.revoke("other")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 81, "\ud800"])
def test_a_token_needs_a_name(open_profiles: Open, name: str) -> None:
    """One that the audit trail can show."""
    with pytest.raises(Invalid, match="1 to 80 characters"):
        open_profiles(deliver=False).access.make(name, Role.VIEWER)


def test_the_page_makes_and_revokes_tokens(console: ConsoleServer) -> None:
    """A new one is shown by the page that made it, and by no other."""
    admin = console.signed_in()
    page = admin.submit("/access", {"name": "nightly", "role": "viewer"}, to="/access")
    secret = page.text.partition('readonly value="')[2].partition('"')[0]
    program = console.browser()
    program.headers["Authorization"] = f"Bearer {secret}"
    assert "console:token:nightly" == program.get("/api/v1/who").json()["actor"]
    assert secret not in admin.get("/access").text

    again = admin.submit("/access", {"name": "nightly", "role": "viewer"}, to="/access")
    assert (422, True) == (again.status_code, "already" in again.text)
    role = admin.post("/access", {"name": "other", "role": "boss"})
    assert (422, True) == (role.status_code, "is no role" in role.text)

    admin.submit("/access", to="/access/revoke")
    assert 401 == program.get("/api/v1/who").status_code
    assert ("console:pat", "revoke API token", "nightly") == actions(console)[-1]


def test_what_one_user_began_another_does_not_go_on_with(
    open_profiles: Open, serve_console: Serve
) -> None:
    """In the same browser, where the host has its own sign-in."""
    served = serve_console(
        open_profiles(deliver=False),
        authenticate=lambda request: User(request.headers["X-Name"], Role.ADMIN),
    )
    browser = served.browser()
    tokens = []
    for name in ("anna", "bert", "bert"):
        browser.get("/plugins", headers={"X-Name": name})
        tokens.append(form_token(browser))

    assert [False, True] == [tokens[0] == tokens[1], tokens[1] == tokens[2]]


def test_a_role_is_one_of_three() -> None:
    """By its name, in any letters."""
    assert [Role.ADMIN, "admin"] == [Role.named("Admin"), str(Role.ADMIN)]
    with pytest.raises(ValueError, match="there are viewer, operator, admin"):
        Role.named("boss")


def test_the_key_of_sessions_is_not_the_key(open_profiles: Open) -> None:
    """Each purpose has its own, of each key; the newest comes first."""
    keyring = open_profiles(deliver=False).keyring
    first = keyring.derived("a")
    keyring.rotate()
    second = keyring.derived("a")

    assert [32] == [len(one) for one in first]
    assert first != keyring.derived("b")[-1:]
    assert (2, first[0]) == (len(second), second[1])
    assert second[0] != second[1]


@pytest.mark.parametrize("secret", ["", "c4n4ry"])
def test_what_was_typed_outlives_the_session(
    console: ConsoleServer, secret: str
) -> None:
    """It can be sent again once somebody is signed in; with a secret it is shown."""
    admin = console.signed_in()
    fields = {"name": "nightly", "role": "viewer", "x": "", "x#again": secret}
    page = admin.get("/access")
    console.profiles.sign_ins.end(_held(next(iter(admin.cookies)).value or "")["id"])
    late = admin.submit(page, fields, to="/access")
    admin.submit(admin.get(f"/sign-in?link={invited(console)}"))

    assert (401, True) == (late.status_code, "Sign in, in another tab" in late.text)
    assert "nightly" in late.text
    assert "c4n4ry" not in late.text
    if not secret:
        again = admin.submit(late)
        assert 403 == again.status_code
        admin.submit(again, to="/access")
        assert ["nightly"] == [one.name for one in console.profiles.access.list()]
