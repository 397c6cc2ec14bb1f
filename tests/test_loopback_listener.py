"""The listener that a browser comes back to: pages, refusals, and who is let go."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPResponse

import pytest
from attrs import define, field

from email_profiles_plugin import loopback_listener
from email_profiles_plugin.loopback_listener import HEAD_LIMIT, LoopbackListener, Page

PATH = "/oauth2/callback/4711"
LAST = Page(title="Done", last=True)


@define(eq=False)
class Bench:
    """A listener in a thread of its own; `seen` are the queries that it was asked."""

    answer: Callable[[str], Page]
    timeout: float = 30
    seen: list[str] = field(factory=list)
    body: str = ""
    uri: Future[str] = field(factory=Future)
    served: Future[bool] = field(factory=Future)
    listener: LoopbackListener = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.listener = LoopbackListener(path=PATH, answer=self._answer)
        threading.Thread(target=self._run).start()

    def _run(self) -> None:
        try:
            self.served.set_result(
                self.listener.serve(self.uri.set_result, self.timeout)
            )
        except BaseException as error:
            self.served.set_exception(error)

    def _answer(self, query: str) -> Page:
        self.seen.append(query)
        return self.answer(query)

    @property
    def port(self) -> int:
        self.uri.result(10)
        return self.listener.port

    def get(self, target: str, method: str = "GET", host: str = "") -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Host": host} if host else {}
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        self.body = response.read().decode()
        connection.close()
        return response

    def send(self, octets: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as raw:
            raw.sendall(octets)
            raw.shutdown(socket.SHUT_WR)
            received = b""
            while piece := raw.recv(65_536):
                received += piece
        return received


@pytest.fixture
def listening() -> Iterator[Callable[..., Bench]]:
    """Start listeners; each is ended by a last page."""
    with ExitStack() as running:

        def start(answer: Callable[[str], Page] = lambda query: LAST) -> Bench:
            bench = Bench(answer)
            running.callback(end, bench)
            return bench

        yield start


def end(bench: Bench) -> None:
    if not bench.served.done():
        bench.answer = lambda query: LAST
        with suppress(ConnectionError, TimeoutError):  # it is over already
            bench.get(PATH)
    bench.served.exception(10)


def test_the_last_page_ends_it(listening: Callable[..., Bench]) -> None:
    """The query arrives as it was sent; then nobody listens any more."""
    bench = listening()
    response = bench.get(f"{PATH}?code=a%20b&state=c")

    assert f"http://127.0.0.1:{bench.port}{PATH}" == bench.uri.result()
    assert (200, ["code=a%20b&state=c"]) == (response.status, bench.seen)
    assert bench.served.result(10)
    with pytest.raises(ConnectionRefusedError):
        bench.get(PATH)


def test_a_page_shows_text_and_runs_nothing(listening: Callable[..., Bench]) -> None:
    """Whatever is in it; it loads, frames, sends, keeps and refers to nothing."""
    text = "<script>alert('c4n4ry')</script> & é\ud800"
    bench = listening(lambda query: Page(title="<b>", text=text, last=True))
    response = bench.get(f"{PATH}?code=1")

    assert "<h1>&lt;b&gt;</h1>" in bench.body
    assert "&lt;script&gt;alert(&#x27;c4n4ry&#x27;)" in bench.body
    assert "<script" not in bench.body
    policy = "default-src 'none'; base-uri 'none'; form-action 'none'; "
    assert policy + "frame-ancestors 'none'" == response.getheader(
        "Content-Security-Policy"
    )
    found = {name.lower(): value for name, value in response.getheaders()}
    assert ("no-referrer", "no-store", "nosniff") == (
        found["referrer-policy"],
        found["cache-control"],
        found["x-content-type-options"],
    )


@pytest.mark.parametrize(
    ("target", "method", "host", "status"),
    [
        ("/", "GET", "", 404),
        ("/favicon.ico", "GET", "", 404),
        (f"{PATH}/x?code=1", "GET", "", 404),
        (f"//127.0.0.1{PATH}?code=1", "GET", "", 400),
        (f"{PATH}?code=1", "POST", "", 405),
        (f"{PATH}?code=1", "HEAD", "", 405),
        (f"{PATH}?code=1", "GET", "evil.example", 421),
        (f"{PATH}?code=1", "GET", "127.0.0.1", 421),
        (f"{PATH}?code=1", "GET", "127.0.0.1:1", 421),
    ],
)
def test_what_is_not_the_callback_is_refused(
    listening: Callable[..., Bench], target: str, method: str, host: str, status: int
) -> None:
    """Another path, method, or name for this machine; and it goes on listening."""
    bench = listening()

    assert status == bench.get(target, method, host).status
    assert [] == bench.seen
    assert 200 == bench.get(f"{PATH}?state=1").status


@pytest.mark.parametrize(
    ("octets", "answered"),
    [
        (b"", b""),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET\r\n\r\n", b"HTTP/1.1 400"),
        (f"GET {PATH}?code=1\r\n\r\n".encode(), b"HTTP/1.1 400"),
        (f"GET {PATH}?code=1 HTTP/1.1\r\n\r\n".encode(), b"HTTP/1.1 421"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"HTTP/1.1 421"),
        (b"GET / HTTP/1.1\r\nHost: ", b""),
        (b"\xff\xfe\x00" * 100, b""),
    ],
)
def test_garbage_ends_nothing(
    listening: Callable[..., Bench], octets: bytes, answered: bytes
) -> None:
    """It is refused, or cut, and asks nobody."""
    bench = listening()

    assert answered == bench.send(octets)[: len(answered) or None]
    assert [] == bench.seen


def test_a_request_without_end_is_cut(listening: Callable[..., Bench]) -> None:
    """Its head is bounded."""
    bench = listening()
    with socket.create_connection(("127.0.0.1", bench.port), timeout=10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n" + b"x" * HEAD_LIMIT)
        received = raw.recv(100)

    assert received.startswith(b"HTTP/1.1 431")


def test_more_connections_than_a_browser_has_are_not_heard(
    listening: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who came first keep their places."""
    monkeypatch.setattr(loopback_listener, "MOST", 1)
    bench = listening()
    place = ("127.0.0.1", bench.port)
    with socket.create_connection(place, timeout=10) as first:
        first.sendall(b"G")
        with socket.create_connection(place, timeout=10) as more:
            assert b"" == heard(more)
        first.sendall(b"ET /x HTTP/1.1\r\n\r\n")
        assert first.recv(12) == b"HTTP/1.1 421"


def heard(raw: socket.socket) -> bytes:
    """What comes before the end, however that is made."""
    try:
        return raw.recv(100)
    except ConnectionResetError:
        return b""


def test_who_only_holds_a_connection_keeps_nobody(
    listening: Callable[..., Bench],
) -> None:
    """Browsers connect ahead of time; the end does not wait for such."""
    bench = listening()
    with socket.create_connection(("127.0.0.1", bench.port), timeout=10) as idle:
        idle.sendall(b"GET ")
        assert 200 == bench.get(PATH).status
        assert bench.served.result(5)  # less than REQUEST_S
        assert idle.recv(1) == b""


def test_two_who_ask_at_once_are_both_answered(
    listening: Callable[..., Bench],
) -> None:
    """A double redirect: the second page may come after the last one."""
    entered, first_done = threading.Barrier(2), threading.Event()

    def answer(query: str) -> Page:
        entered.wait(10)
        if query == "second":
            first_done.wait(10)
            return Page(title="Again", last=True)
        return LAST

    bench = listening(answer)
    with ThreadPoolExecutor() as browsers:
        second = browsers.submit(
            bench.send,
            f"GET {PATH}?second HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{bench.port}\r\n\r\n".encode(),
        )
        first = bench.get(f"{PATH}?first")
        first_done.set()

        assert (200, "Again") == (first.status, title(second.result(10)))
    assert bench.served.result(10)


def title(octets: bytes) -> str:
    return octets.decode().partition("<title>")[2].partition("</title>")[0]


def test_it_ends_when_its_time_is_over() -> None:
    """And says that nobody came."""
    listener = LoopbackListener(path=PATH, answer=lambda query: LAST)

    assert not listener.serve(lambda uri: None, timeout=0)


def test_what_an_answer_raises_is_raised(listening: Callable[..., Bench]) -> None:
    """The browser learns only that something is wrong."""

    def answer(query: str) -> Page:
        raise LookupError("c4n4ry")

    bench = listening(answer)

    assert 500 == bench.get(f"{PATH}?code=1").status
    assert "c4n4ry" not in bench.body
    with pytest.raises(LookupError):
        bench.served.result(10)


def test_a_port_that_is_taken_is_an_error() -> None:
    """At once, and nobody is sent anywhere."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        listener = LoopbackListener(path=PATH, answer=lambda query: LAST, port=port)
        with pytest.raises(OSError, match="in use"):
            listener.serve(lambda uri: pytest.fail(uri), timeout=0)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("http://localhost", "http://localhost:{}"),
        ("http://LOCALHOST/cb", "http://LOCALHOST:{}/cb"),
        ("http://127.0.0.1/a%20b;x=1", "http://127.0.0.1:{}/a%20b;x=1"),
    ],
)
def test_a_registered_uri_is_kept_to_the_letter(uri: str, told: str) -> None:
    """Only the port is put in, where it names none."""
    seen: list[str] = []
    listener = LoopbackListener.at(uri, lambda query: LAST)
    listener.serve(seen.append, timeout=0)

    assert [told.format(listener.port)] == seen


def test_a_registered_port_is_kept() -> None:
    """Nothing is put in, not even a slash."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    seen: list[str] = []
    uri = f"http://localhost:{port}"
    LoopbackListener.at(uri, lambda query: LAST).serve(seen.append, timeout=0)

    assert [uri] == seen


def test_the_host_of_port_80_has_no_port() -> None:
    """A browser leaves it out there."""
    listener = LoopbackListener.at("http://localhost:80/cb", lambda query: LAST)
    request = b"GET /cb?code=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"

    assert "code=1" == listener._target(request)
