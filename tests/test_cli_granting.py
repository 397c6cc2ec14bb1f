"""`email-profiles token grant`, live: by a browser, by pasting, from a device."""

from __future__ import annotations

import io
import json
import logging
import socket
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from attrs import define, field
from click.testing import CliRunner, Result

from email_profiles_hookspecs import Device, TokenStatus
from email_profiles_hookspecs.errors import HttpError, NeedsGrant, SlowDown
from email_profiles_plugin import EmailProfiles, grant_rules
from email_profiles_plugin.cli import files, granting, main
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.testing import AuthorizationServer

SECRET = "c4n4ry-secret"


@define
class Shifted:
    """The machine's clock, set forward by `seconds`."""

    seconds: float = 0

    def now(self) -> datetime:
        return SystemClock().now() + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@define(eq=False)
class Bench:
    """A home with the profile `cloud`, and a browser that `--open` opens."""

    profiles: EmailProfiles
    clock: Shifted
    server: AuthorizationServer
    home: Path
    threads: ThreadPoolExecutor
    urls: list[str] = field(factory=list)
    pages: list[Future[Any]] = field(factory=list)
    browse: Callable[[str], Any] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.browse = self.get

    def run(self, *words: str, input: Any = None) -> Result:
        def opener(*settings: object) -> AbstractContextManager[EmailProfiles]:
            return nullcontext(self.profiles)

        words = ("token", "grant", *words)
        done = CliRunner().invoke(main, words, obj=opener, input=input)
        assert "c4n4ry" not in done.output
        return done

    def open(self, url: str) -> bool:
        self.urls.append(url)
        self.pages.append(self.threads.submit(self.browse, url))
        return True

    def get(self, url: str) -> requests.Response:
        return requests.get(url, verify=str(self.server.ca_file), timeout=30)

    def callback(self, url: str) -> str:
        """Where the authorization server sends the browser to."""
        ca_file = str(self.server.ca_file)
        answer = requests.get(url, verify=ca_file, timeout=30, allow_redirects=False)
        return answer.headers["Location"]

    @property
    def page(self) -> str:
        text: str = self.pages[-1].result(10).text
        return text


@pytest.fixture
def bench(
    open_profiles: Callable[..., EmailProfiles],
    authorization_server: AuthorizationServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    clock = Shifted()
    profiles = open_profiles(deliver=False, clock=clock)
    client = {
        "name": "plant-login",
        "client_id": "gateway",
        "client_secret": SECRET,
        "issuer": authorization_server.issuer,
        "ca_file": str(authorization_server.ca_file),
    }
    uid = profiles.clients.apply(client, actor="test").stored.id
    authorization_server.register("gateway", SECRET)
    profiles.profiles.apply(profile(), actor="test")
    monkeypatch.setenv("DISPLAY", ":0")
    with ThreadPoolExecutor() as threads:
        home = tmp_path / "home"
        bench = Bench(profiles, clock, authorization_server, home, threads)
        monkeypatch.setattr(webbrowser, "open", bench.open)
        yield bench
    assert all(uid in url for url in bench.urls)


def profile(**auth: Any) -> dict[str, Any]:
    return {
        "name": "cloud",
        "smtp": {"hostname": "localhost"},
        "auth": {
            "mode": "oauth2",
            "username": "gateway@plant.example",
            "client": "plant-login",
            "scope": "mail.send",
            "interactive": True,
            **auth,
        },
    }


def state_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]


def test_by_a_browser(bench: Bench) -> None:
    """An address to open, a page that says what happened, and the token's status."""
    done = bench.run("cloud", "--open")

    assert (0, "") == (done.exit_code, done.stderr)
    assert "<h1>Access granted</h1>" in bench.page
    lines = done.stdout.splitlines()
    assert [f"  {bench.urls[0]}"] == [one for one in lines if "https:" in one]
    assert ["state              valid"] == [one for one in lines if one[:6] == "state "]
    assert "has refresh token  yes" in lines
    redirect_uri = parse_qs(urlsplit(bench.urls[0]).query)["redirect_uri"][0]
    assert f"it comes back to {redirect_uri}" in lines
    entry = bench.profiles.trail(limit=1)[0]
    assert ("grant", "cli:") == (entry.action, entry.actor[:4])


def test_json_is_all_of_standard_output(bench: Bench) -> None:
    """What a person has to know is on standard error."""
    done = bench.run("cloud", "--open", "--json")
    found = json.loads(done.stdout)

    assert ("cloud", "valid", 1) == (
        found["profile"],
        found["state"],
        found["generation"],
    )
    assert bench.urls[0] in done.stderr


def test_a_port_of_ones_own(bench: Bench, free_port: int) -> None:
    """For a server that wants the redirect URI to the letter."""
    uri = bench.profiles.tokens.redirect_uri("cloud", f"http://127.0.0.1:{free_port}")
    bench.server.register("gateway", SECRET, redirect_uris=(uri,))
    done = bench.run("cloud", "--open", "--port", str(free_port))

    assert 0 == done.exit_code
    assert f"it comes back to {uri}" in done.stdout


def test_a_redirect_uri_that_was_registered(bench: Bench, free_port: int) -> None:
    """With a name, a port and a path of its own."""
    uid = bench.profiles.clients.get("plant-login").id
    uri = f"http://localhost:{free_port}/signed/in/{uid}"
    bench.server.register("gateway", SECRET, redirect_uris=(uri,))
    done = bench.run("cloud", "--open", "--redirect-uri", uri)

    assert 0 == done.exit_code, done.output
    assert "Access granted" in bench.page


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def test_a_port_that_is_taken(bench: Bench) -> None:
    """Nobody is sent anywhere; it says what else to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = bench.run("cloud", "--open", "--port", str(port))

    assert (1, []) == (done.exit_code, bench.urls)
    assert f"port {port} can't be listened at" in done.stderr
    assert "--paste" in done.stderr


def test_strange_answers_do_not_end_it(bench: Bench) -> None:
    """Forged, malformed, another session's: told so, and the right one is taken."""
    other = bench.profiles.tokens.begin("cloud", "http://127.0.0.1/", "another")
    titles: list[str] = []

    def browse(url: str) -> requests.Response:
        right = bench.callback(url)
        base = right.partition("?")[0]
        for query in ("code=1&state=forged", "", f"code=1&state={state_of(other)}"):
            answer = requests.get(f"{base}?{query}", timeout=30)
            titles.append(f"{answer.status_code} {answer.text.split('h1>')[1][:11]}")
        assert 404 == requests.get(base + "/x", timeout=30).status_code
        strange = {"Host": "gateway.example"}
        assert 421 == requests.get(right, headers=strange, timeout=30).status_code
        assert 0 == bench.server.token_requests
        return requests.get(right, timeout=30)

    bench.browse = browse
    done = bench.run("cloud", "--open")

    assert ["400 Not granted"] * 3 == titles
    assert 0 == done.exit_code
    assert "Access granted" in bench.page
    assert 1 == bench.server.token_requests


def test_a_double_redirect(bench: Bench) -> None:
    """Both are answered alike; the code is redeemed once."""
    answers: list[requests.Response] = []

    def browse(url: str) -> requests.Response:
        right = bench.callback(url)
        bench.server.hold.close()
        with ThreadPoolExecutor() as tabs:
            both = [tabs.submit(requests.get, right, timeout=30) for _ in range(2)]
            bench.server.hold.wait_held()
            bench.server.hold.open()
            answers.extend(one.result(30) for one in both)
        return answers[0]

    bench.browse = browse
    done = bench.run("cloud", "--open")

    assert 0 == done.exit_code
    assert bench.page
    assert [True, True] == ["Access granted" in one.text for one in answers]
    assert 1 == bench.server.token_requests


def test_a_callback_of_another_grant(bench: Bench, free_port: int) -> None:
    """A reload of yesterday's address: it ends nothing, and asks nobody."""
    port = str(free_port)
    callbacks: list[str] = []

    def browse(url: str) -> requests.Response:
        if callbacks:
            old = requests.get(callbacks[0], timeout=30)
            assert "another session" in old.text
        callbacks.append(bench.callback(url))
        return requests.get(callbacks[-1], timeout=30)

    bench.browse = browse
    for generation in (1, 2):
        done = bench.run("cloud", "--open", "--json", "--port", port)
        assert generation == json.loads(done.stdout)["generation"]
        assert "Access granted" in bench.page
    assert 2 == bench.server.token_requests


def test_the_user_refuses(bench: Bench) -> None:
    """The server's own words, on the page and on standard error; exit code 1."""

    def browse(url: str) -> requests.Response:
        base = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        words = "error=access_denied&error_description=Ask+%3Cb%3Eanna%3C/b%3E"
        answer = f"{words}&state={state_of(url)}&iss={bench.server.issuer}"
        return requests.get(f"{base}?{answer}", timeout=30)

    bench.browse = browse
    done = bench.run("cloud", "--open")

    assert 1 == done.exit_code
    assert "access_denied (Ask <b>anna</b>)" in done.stderr
    assert "remedy: " in done.stderr
    assert "Ask &lt;b&gt;anna&lt;/b&gt;" in bench.page
    assert "Access was not granted" in bench.page
    assert 0 == bench.server.token_requests


def test_a_callback_after_ten_minutes(bench: Bench) -> None:
    """It is told, and the code is not redeemed."""

    def browse(url: str) -> requests.Response:
        right = bench.callback(url)
        bench.clock.seconds = grant_rules.LIFETIME_S + 1
        return requests.get(right, timeout=30)

    bench.browse = browse
    done = bench.run("cloud", "--open")

    assert 1 == done.exit_code
    assert "later than 10 minutes" in done.stderr
    assert "later than 10 minutes" in bench.page
    assert 0 == bench.server.token_requests


def test_nobody_comes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends by itself, and says so."""
    monkeypatch.setattr(grant_rules, "LIFETIME_S", 0.0)
    done = bench.run("cloud")

    assert 1 == done.exit_code
    assert "error: nobody granted access within 10 minutes" in done.stderr
    assert [] == bench.urls


def test_garbage_on_the_port_ends_nothing(bench: Bench) -> None:
    """Whoever else talks to it."""

    def browse(url: str) -> requests.Response:
        right = bench.callback(url)
        place = urlsplit(right)
        for octets in (b"\0\xff\r\n\r\n", b"GET " + b"x" * 10_000, b""):
            with socket.create_connection((place.hostname or "", place.port)) as raw:
                raw.sendall(octets)
        return requests.get(right, timeout=30)

    bench.browse = browse

    assert 0 == bench.run("cloud", "--open").exit_code


def test_no_desktop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is printed all the same."""
    monkeypatch.setattr(grant_rules, "LIFETIME_S", 0.0)
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    done = bench.run("cloud", "--open")

    assert [] == bench.urls
    assert "warning: there is no desktop here" in done.stderr
    assert "https://" in done.stdout


class Typed(io.RawIOBase):
    """Standard input on which a person pastes, when it is read."""

    def __init__(self, paste: Iterator[str]) -> None:
        self.paste = paste

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        octets = next(self.paste, "").encode()
        buffer[: len(octets)] = octets
        return len(octets)


@pytest.mark.parametrize("whole", [True, False])
def test_by_pasting(bench: Bench, whole: bool) -> None:
    """For a browser elsewhere: the address, or its query."""
    uri = f"https://gateway.example/{bench.profiles.clients.get('plant-login').id}"
    bench.server.register("gateway", SECRET, redirect_uris=(uri,))
    places: Future[str] = Future()
    bench.browse = lambda url: places.set_result(bench.callback(url))

    def paste() -> Iterator[str]:
        place = places.result(10)
        yield (place if whole else urlsplit(place).query) + "\n"

    words = ("cloud", "--paste", "--open", "--redirect-uri", uri)
    done = bench.run(*words, input=io.BufferedReader(Typed(paste())))

    assert 0 == done.exit_code, done.output
    assert "state              valid" in done.stdout.splitlines()
    assert f"it comes back to {uri}" in done.stdout
    assert places.result() not in done.output


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "no address was pasted"),
        ("\n", "no address was pasted"),
        ("hello\n", "no answer of an authorization server"),
        ("http://127.0.0.1/?code=1&state=2\n", "no grant that was begun here"),
        ("https://x/?error=access_denied\n", "no answer of an authorization server"),
    ],
)
def test_what_is_pasted_wrongly(bench: Bench, typed: str, said: str) -> None:
    """A sentence, and nothing is asked of the server."""
    done = bench.run("cloud", "--paste", input=typed)

    assert 1 == done.exit_code
    assert said in done.stderr
    assert ("pasted in part" in done.stderr) == (typed.strip() != "")
    assert 0 == bench.server.token_requests


def test_a_slip_is_asked_for_again(bench: Bench) -> None:
    """Three times at most, and as long as there is input; then it is granted."""
    whole: list[str] = []

    def lines() -> Iterator[str]:
        whole.append(bench.callback(bench.urls[0]))
        yield "hello\n"
        yield whole[0].partition("&state")[0] + "\n"
        yield whole[0] + "\n"

    bench.browse = lambda url: None
    typed = io.BufferedReader(Typed(lines()))
    done = bench.run("cloud", "--paste", "--open", input=typed)

    assert 0 == done.exit_code, done.output
    assert 2 == done.stdout.count("was it pasted whole?")
    assert "state              valid" in done.stdout.splitlines()


def test_an_address_without_its_end(bench: Bench) -> None:
    """It is said to be cut off; nobody is suspected."""

    def lines() -> Iterator[str]:
        query = bench.callback(bench.urls[0])
        yield query[: query.index("iss=") + 12] + "\n"

    bench.browse = lambda url: None
    typed = io.BufferedReader(Typed(lines()))
    done = bench.run("cloud", "--paste", "--open", input=typed)

    assert 1 == done.exit_code
    assert "the answer is cut off" in done.stderr
    assert "somebody" not in done.stderr


def test_a_missing_client_secret_is_told_first(bench: Bench) -> None:
    """Nobody is sent to a browser for a code that can't be traded in."""
    bench.profiles.clients.unset_secret("plant-login", "client_secret", actor="test")
    for way in ((), ("--paste",), ("--device",)):
        done = bench.run("cloud", "--open" if not way else way[0])

        assert (1, "") == (done.exit_code, done.stdout)
        assert "'plant-login' has no client secret" in done.stderr
    assert [] == bench.urls


def test_a_refusal_is_kept_where_there_is_no_token(bench: Bench) -> None:
    """The status says who refused; a token that is there is left alone."""
    bench.server.rules.approves = False
    bench.run("cloud", "--open")
    refused = bench.profiles.tokens.status("cloud")
    assert "said no" in bench.page
    bench.server.rules.approves = True
    bench.run("cloud", "--open")
    bench.server.rules.approves = False
    again = bench.run("cloud", "--open")
    kept = bench.profiles.tokens.status("cloud")

    assert ("needs grant", True) == (refused.state, "access_denied" in refused.error)
    assert "the person who was asked, or their organisation, said no" in again.stderr
    assert ("valid", "") == (kept.state, kept.error)
    bench.profiles.tokens.revoke("cloud")
    assert "access was given up" in bench.profiles.tokens.status("cloud").error


def test_nothing_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input that is closed is an empty one."""
    monkeypatch.setattr("sys.stdin", None)

    assert "" == files.read_line()


def test_from_a_device(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code and the address; then it asks till somebody typed it."""
    pauses: list[float] = []
    monkeypatch.setattr(granting.time, "sleep", pauses.append)
    bench.server.rules.device_interval_s = 2
    bench.server.rules.device_answers = ["authorization_pending", "slow_down"]
    done = bench.run("cloud", "--device")

    assert 0 == done.exit_code, done.output
    assert f"  {bench.server.issuer}/device" in done.stdout.splitlines()
    assert [2, 2, 7] == pauses
    assert "state              valid" in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("answer", "said"),
    [("access_denied", "access_denied"), ("expired_token", "expired_token")],
)
def test_a_device_that_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, answer: str, said: str
) -> None:
    """It ends at once, in the server's words."""
    monkeypatch.setattr(granting.time, "sleep", lambda seconds: None)
    bench.server.rules.device_answers = [answer]
    done = bench.run("cloud", "--device")

    assert 1 == done.exit_code
    assert said in done.stderr


@define
class Ticking:
    """A clock that goes on only while somebody pauses."""

    moment: float = 0
    pauses: list[float] = field(factory=list)

    def now(self) -> datetime:
        raise NotImplementedError

    def monotonic(self) -> float:
        return self.moment

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.moment += seconds


GRANTED = TokenStatus(state="valid")


@pytest.mark.parametrize(
    ("answers", "pauses"),
    [
        ([GRANTED], [5]),
        ([None, None, GRANTED], [5, 5, 5]),
        ([SlowDown("x", 10), None, SlowDown("x", 15), GRANTED], [5, 10, 10, 15]),
        ([SlowDown("x", 1), GRANTED], [5, 5]),
        ([HttpError("x"), HttpError("x"), GRANTED], [5, 10, 20]),
        ([None] * 20, [5] * 11),
        ([HttpError("x")] * 20, [5, 10, 20]),
    ],
)
def test_how_a_device_is_polled(answers: list[Any], pauses: list[float]) -> None:
    """At the interval, slower when told or when nobody answers, till it expires."""
    clock, left = Ticking(), list(answers)
    device = Device(
        user_code="A",
        verification_uri="https://x",
        device_code="c4n4ry",
        expires_in=60,
        interval=5,
    )

    def poll(now: Device) -> TokenStatus | None:
        assert clock.pauses[-1] == now.interval  # the next slow_down adds to it
        answer: TokenStatus | Exception | None = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    if GRANTED in answers:
        found = granting.await_device(poll, device, clock, clock.pause)
        assert (GRANTED, []) == (found, left)
    else:
        with pytest.raises(NeedsGrant, match="while the code was good"):
            granting.await_device(poll, device, clock, clock.pause)
    assert pauses == clock.pauses


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cloud", "--device", "--paste"], "--device takes none"),
        (["cloud", "--device", "--open"], "--device takes none"),
        (["cloud", "--port", "1", "--redirect-uri", "http://127.0.0.1/"], "no --port"),
        (["cloud", "--redirect-uri", "https://gateway.example/"], "add --paste"),
        (["cloud", "--port", "0"], "range"),
        (["cloud", "--port", "x"], "integer"),
        ([], "NAME"),
    ],
)
def test_wrong_usage(bench: Bench, words: list[str], said: str) -> None:
    """Exit code 2, before anything is begun."""
    done = bench.run(*words)

    assert 2 == done.exit_code
    assert said in done.stderr


def test_what_can_not_be_granted(bench: Bench) -> None:
    """No such profile, none with a token, none that needs a person, a bad address."""
    plain = {**profile(), "name": "plain", "auth": {"mode": "basic"}}
    alone = {**profile(interactive=False), "name": "alone"}
    for document in (plain, alone):
        bench.profiles.profiles.apply(document, actor="test")

    for name, said in [
        ("nobody", "there is no email profile"),
        ("plain", "has no token: its mode is basic"),
        ("alone", "can't be granted now: no person grants it access"),
    ]:
        for way in ((), ("--paste",), ("--device",)):
            done = bench.run(name, *way)
            assert 1 == done.exit_code
            assert said.split(" now")[0] in done.stderr.replace(
                " from another device", ""
            )
    done = bench.run("cloud", "--paste", "--redirect-uri", "http://gateway.example/")
    assert (1, "$: has to be an https address\n") == (done.exit_code, done.stderr)


def test_interrupted(bench: Bench) -> None:
    """Ctrl-C ends it at once, without a traceback; nothing listens any more."""
    bench.profiles.close()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "email_profiles_plugin.cli"),
            *("--home", str(bench.home), "--no-plugins", "token", "grant", "cloud"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    assert "Ctrl-C ends it\n" == lines[-1]
    place = urlsplit(lines[-2].split()[-1])
    process.send_signal(2)
    out, err = process.communicate(timeout=30)

    assert (1, "", "Aborted!") == (process.returncode, out, err.strip())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((place.hostname or "", place.port))


def test_two_processes(bench: Bench) -> None:
    """The same answer in two processes at once: one request at the server."""
    tokens, uri = bench.profiles.tokens, "http://127.0.0.1/"
    answer = bench.callback(tokens.begin("cloud", uri, "cookie", actor="anna"))
    query = urlsplit(answer).query
    program = (
        "import sys\n"
        "from email_profiles_plugin import EmailProfiles\n"
        "with EmailProfiles.open(sys.argv[1], only=(), deliver=False) as profiles:\n"
        "    print('ready', flush=True)\n"
        "    done = profiles.tokens.complete(sys.stdin.readline().strip(), 'cookie')\n"
        "    print(done)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(bench.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        for _ in range(2)
    ]
    bench.server.hold.close()
    for process in processes:
        assert process.stdin is not None
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        process.stdin.write(query + "\n")
        process.stdin.flush()
    bench.server.hold.wait_held()
    bench.server.hold.open()
    said = [process.communicate(timeout=30)[0] for process in processes]

    assert said[0] == said[1]
    assert "state='valid'" in said[0]
    assert 1 == bench.server.token_requests


def test_status_says_why_nothing_is_sent(bench: Bench) -> None:
    """A profile that rests, with its reason, beside its token."""
    from email_profiles_plugin.store import health

    stored = bench.profiles.profiles.get("cloud")
    bench.profiles.database.write(
        lambda connection: health.failed(
            connection,
            stored.id,
            revision=1,
            reason="no access was granted",
            remedy="grant it",
            now=SystemClock().now().timestamp(),
        )
    )

    def opener(*settings: object) -> AbstractContextManager[EmailProfiles]:
        return nullcontext(bench.profiles)

    text, found = (
        CliRunner().invoke(main, ["token", "status", "cloud", *more], obj=opener).stdout
        for more in ([], ["--json"])
    )
    assert "paused because     no access was granted" in text
    assert "no access was granted" == json.loads(found)["paused_because"]
    assert json.loads(found)["paused_until"] > "2"


def test_nothing_secret_shows_anywhere(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Code, session and tokens are on no page, in no output, log or file."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "oauthlib.oauth2.rfc6749.grant_types")
    caplog.set_level(logging.INFO, "urllib3")  # the browser's own
    callbacks: list[str] = []

    def browse(url: str) -> requests.Response:
        callbacks.append(bench.callback(url))
        return requests.get(callbacks[-1], timeout=30)

    bench.browse = browse
    done = bench.run("cloud", "--open")
    refusal = {"error": "invalid_grant", "error_description": "bad"}
    bench.server.answer_next(400, refusal)
    failed = bench.run("cloud", "--open")
    pages = [one.result(10).text for one in bench.pages]
    bench.profiles.close()

    assert [0, 1] == [done.exit_code, failed.exit_code]
    queries = [parse_qs(urlsplit(one).query) for one in callbacks]
    codes = [query["code"][0] for query in queries]
    states = [query["state"][0] for query in queries]
    tokens = list(bench.server._validator.tokens)
    said = [done.output, failed.output, caplog.text, *pages]
    files = [path for path in bench.home.rglob("*") if path.is_file()]
    kept = [path.read_bytes().decode("latin-1") for path in files]
    assert [] == [one for one in codes + tokens for text in said + kept if one in text]
    assert [] == [one for one in states for text in pages + kept if one in text]
    assert threading.active_count() < 50
