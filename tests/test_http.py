"""HTTPS for providers, asked of live servers on loopback, good ones and bad ones."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from attrs import define, field

from email_profiles_hookspecs import HttpReply
from email_profiles_hookspecs.errors import HttpError
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.http import Answer, HttpClient, Watch
from email_profiles_plugin.http_failures import Target
from email_profiles_plugin.testing import CertificateAuthority
from email_profiles_plugin.testing.https import Answer as Said
from email_profiles_plugin.testing.https import HttpsListener

CANARY = "canary+s3cret/%&= ü"
CLOCK = SystemClock()


@define
class Server:
    """Says `answer` to everything, and keeps what it was asked."""

    answer: Said = field(factory=lambda: Said(status=200, body=b"{}"))
    asked: list[tuple[str, str, Mapping[str, str], bytes]] = field(factory=list)
    url: str = ""
    ca_file: str = ""

    def respond(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Said:
        self.asked.append((method, target, headers, body))
        return self.answer


@pytest.fixture
def server(certificate_authority: CertificateAuthority) -> Iterator[Server]:
    """A server with a good certificate."""
    with serving(certificate_authority, certificate_authority.server_context()) as one:
        yield one


@contextmanager
def serving(
    authority: CertificateAuthority, context: ssl.SSLContext
) -> Iterator[Server]:
    server = Server(ca_file=str(authority.ca_file))
    listener = HttpsListener(context, 0, server.respond)
    server.url = f"https://127.0.0.1:{listener.server_port}/token"
    listener.start()
    try:
        yield server
    finally:
        listener.stop()


def ask(url: str, **options: Any) -> HttpReply:
    """A POST with a client secret, which has ten seconds unless *options* say."""
    options.setdefault("deadline", CLOCK.monotonic() + 10)
    options.setdefault("form", {"grant_type": "client_credentials", "code": CANARY})
    options.setdefault("auth", ("me", CANARY))
    return HttpClient(CLOCK).request("POST", url, **options)


def trouble(url: str, **options: Any) -> HttpError:
    """The error that asking *url* ends in; it must not hold what was sent."""
    with pytest.raises(HttpError) as caught:
        ask(url, **options)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "canary" not in told
    context = type(caught.value.__context__).__module__
    assert not context.startswith(("requests", "urllib3"))
    return caught.value


@contextmanager
def talking(
    context: ssl.SSLContext, talk: Callable[[Any, threading.Event], None]
) -> Iterator[str]:
    """A TLS server that lets *talk* answer one request; yields its URL."""

    def run() -> None:
        with suppress(OSError):
            raw, _ = listener.accept()
            with context.wrap_socket(raw, server_side=True) as wire:
                wire.recv(65536)
                talk(wire, over)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/token"
        over.set()
        thread.join()


def drip(
    prefix: bytes, octet: bytes, rest: bytes
) -> Callable[[Any, threading.Event], None]:
    """Sends an octet every 20 ms, 250 times, and then a good end."""

    def talk(wire: Any, over: threading.Event) -> None:
        wire.sendall(prefix)
        for _ in range(250):
            if over.wait(0.02):
                return
            wire.sendall(octet)
        wire.sendall(rest)

    return talk


def test_form_is_posted_and_the_answer_read_whole(server: Server) -> None:
    """A form goes out form-encoded; status, lower-case headers and body come back."""
    server.answer = Said(status=400, headers={"X-Plant": "7"}, body=b'{"error":"no"}')

    reply = ask(server.url, form={"a": "b c&d", "ü": "="}, ca_file=server.ca_file)

    assert (400, "7", b'{"error":"no"}') == (
        reply.status,
        reply.headers["x-plant"],
        reply.body,
    )
    method, target, headers, body = server.asked[0]
    assert ("POST", "/token") == (method, target)
    assert "application/x-www-form-urlencoded" == headers["Content-Type"]
    assert [("a", "b c&d"), ("ü", "=")] == parse_qsl(body.decode())


def test_json_is_posted(server: Server) -> None:
    """A JSON body goes out as one."""
    ask(server.url, form=None, json={"a": [1]}, ca_file=server.ca_file)

    _, _, headers, body = server.asked[0]
    assert "application/json" == headers["Content-Type"]
    assert {"a": [1]} == json.loads(body)


def test_basic_credentials_are_form_encoded_first(server: Server) -> None:
    """Id and secret are encoded before they are joined (RFC 6749, 2.3.1)."""
    ask(server.url, auth=("a:b c", "a+b c%41&=:/"), ca_file=server.ca_file)

    scheme, _, encoded = server.asked[0][2]["Authorization"].partition(" ")
    assert "Basic" == scheme
    assert b"a%3Ab+c:a%2Bb+c%2541%26%3D%3A%2F" == base64.b64decode(encoded)


def test_redirect_is_an_answer(server: Server) -> None:
    """A redirect is returned, and nobody goes where it leads."""
    server.answer = Said(status=307, headers={"Location": server.url})

    assert 307 == ask(server.url, ca_file=server.ca_file).status
    assert 1 == len(server.asked)


def test_environment_is_not_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither .netrc nor proxies nor CA bundles of the environment change a request."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(netrc))

    ask(server.url, auth=("me", "mine"), ca_file=server.ca_file)

    expected = base64.b64encode(b"me:mine").decode()
    assert f"Basic {expected}" == server.asked[0][2]["Authorization"]


def test_bundle_of_the_environment_is_not_trusted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An authority that only REQUESTS_CA_BUNDLE names is not trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca_file)

    error = trouble(server.url)

    assert "is not to be trusted" in error.message
    assert "CA file" in error.remedy


def test_machine_authorities_are_trusted_by_default(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a CA file, what OpenSSL trusts on this machine counts."""
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)

    assert 200 == ask(server.url).status


def test_certificate_for_another_host(
    certificate_authority: CertificateAuthority,
) -> None:
    """A certificate for another name is refused, before anything is sent."""
    context = certificate_authority.server_context("elsewhere.example")
    with serving(certificate_authority, context) as server:
        error = trouble(server.url, ca_file=server.ca_file)

    assert "127.0.0.1" in error.message
    assert "use the name that is in the certificate" == error.remedy
    assert [] == server.asked


def test_expired_certificate(certificate_authority: CertificateAuthority) -> None:
    """A certificate that has expired is refused."""
    past = datetime.now(UTC) - timedelta(days=1)
    context = certificate_authority.server_context(
        not_before=past - timedelta(days=9), not_after=past
    )
    with serving(certificate_authority, context) as server:
        error = trouble(server.url, ca_file=server.ca_file)

    assert "expired" in error.message
    assert "renewed" in error.remedy


def test_nobody_listens() -> None:
    """A refused connection names host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    error = trouble(f"https://127.0.0.1:{port}/token?{CANARY}")

    assert f"no connection to 127.0.0.1:{port}: Connection refused" == error.message


def test_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads nowhere is told as such."""

    def nothing(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)

    error = trouble("https://nowhere.invalid/token")

    assert "the name nowhere.invalid does not resolve" == error.message


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/token",
        "http://169.254.169.254/token",
        "https://[fe80::1]/token",
        "https://[::ffff:169.254.169.254]/token",
    ],
)
def test_link_local_is_never_asked(url: str) -> None:
    """An address where a cloud keeps its metadata is refused."""
    assert "link-local" in trouble(url).message


@pytest.mark.parametrize(
    ("scheme", "peer", "said"),
    [
        ("https", "169.254.169.254", "link-local"),
        ("https", "::ffff:169.254.1.1", "link-local"),
        ("http", "192.0.2.1", "in clear"),
    ],
)
def test_peer_behind_a_name_is_looked_at(scheme: str, peer: str, said: str) -> None:
    """A harmless name that leads to such an address is refused all the same."""

    class Wire:
        def getpeername(self) -> tuple[str, int]:
            return peer, 443

    target = Target(scheme=scheme, host="localhost", place="localhost:443")
    with pytest.raises(HttpError, match=said):
        Watch(target).admit(Wire())


@pytest.mark.parametrize(
    "url",
    [
        f"http://login.example/{CANARY}",
        "ftp://login.example/",
        "https:///token",
        "login.example/token",
        "https://login.example:port/",
        f"https://me:{CANARY}@login.example/token",
        "",
    ],
)
def test_address_that_may_not_be_asked(url: str) -> None:
    """Only https URLs without credentials are asked."""
    trouble(url)


def test_plain_http_on_loopback() -> None:
    """This machine itself may be asked in clear."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        reply = ask(f"http://127.0.0.1:{server.server_port}/", deadline=far())
        thread.join()

    assert 204 == reply.status


def far() -> float:
    return CLOCK.monotonic() + 10


def test_no_time_left(server: Server) -> None:
    """After the deadline nothing is asked."""
    error = trouble(server.url, ca_file=server.ca_file, deadline=CLOCK.monotonic())

    assert "no time left" in error.message
    assert [] == server.asked


def test_nothing_is_asked_after_the_deadline(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a name, or a connection, takes: a refresh token may be in it."""
    looked_up, over = socket.getaddrinfo, threading.Event()
    cut = Watch.cut

    def late(*args: Any, **options: Any) -> Any:
        assert over.wait(10)
        return looked_up(*args, **options)

    def pass_by(watch: Watch) -> None:
        cut(watch)
        over.set()

    monkeypatch.setattr(Watch, "cut", pass_by)
    monkeypatch.setattr(socket, "getaddrinfo", late)
    url = server.url.replace("127.0.0.1", "localhost")
    error = trouble(url, ca_file=server.ca_file, deadline=CLOCK.monotonic() + 0.05)

    assert "timed out" in error.message
    assert [] == server.asked


def test_too_big_an_answer(server: Server) -> None:
    """An answer over a mebibyte is not read to its end."""
    server.answer = Said(status=200, body=b" " * ((1 << 20) + 1))

    assert "too big" in trouble(server.url, ca_file=server.ca_file).message


def test_largest_answer(server: Server) -> None:
    """An answer of a mebibyte is read."""
    server.answer = Said(status=200, body=b" " * (1 << 20))

    assert 1 << 20 == len(ask(server.url, ca_file=server.ca_file).body)


BAD_TALK: list[Any] = [
    pytest.param(
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 250\r\n\r\n", b" ", b""),
        id="drip in the body",
    ),
    pytest.param(
        drip(b"HTTP/1.1 200 OK\r\nX: ", b"x", b"\r\nContent-Length: 0\r\n\r\n"),
        id="drip in a header",
    ),
    pytest.param(
        drip(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" ", b""),
        id="drip without a length",
    ),
    pytest.param(drip(b"", b"", b"HTTP/1.1 204 No\r\n\r\n"), id="silence"),
]


@pytest.mark.parametrize("talk", BAD_TALK)
def test_deadline_holds(
    certificate_authority: CertificateAuthority,
    talk: Callable[[Any, threading.Event], None],
) -> None:
    """However slowly an answer drips, the deadline ends it."""
    with talking(certificate_authority.server_context(), talk) as url:
        error = trouble(
            url,
            ca_file=str(certificate_authority.ca_file),
            deadline=CLOCK.monotonic() + 0.4,
        )

    assert "timed out" in error.message


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_unusable_answer(
    certificate_authority: CertificateAuthority, said: bytes
) -> None:
    """No answer, half an answer, and what is no HTTP end in an HttpError."""

    def talk(wire: Any, over: threading.Event) -> None:
        wire.sendall(said)

    with talking(certificate_authority.server_context(), talk) as url:
        trouble(url, ca_file=str(certificate_authority.ca_file))


def test_no_tls_at_all() -> None:
    """A server without TLS is told apart from an untrusted one."""

    def run() -> None:
        wire, _ = listener.accept()
        with wire:
            wire.recv(65536)
            wire.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        error = trouble(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()

    assert "no TLS connection" in error.message
    assert "that port speaks no TLS: look at the address" == error.remedy


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_bad_ca_file(server: Server, tmp_path: Path, content: str | None) -> None:
    """A CA file that is missing, or none, is named."""
    ca_file = tmp_path / "authority.pem"
    if content is not None:
        ca_file.write_text(content)

    error = trouble(server.url, ca_file=str(ca_file))

    assert str(ca_file) in error.message
    assert [] == server.asked


def test_header_with_a_line_break(server: Server) -> None:
    """A header can't smuggle in another one."""
    headers = {"X-Key": f"{CANARY}\r\nX-Other: 1".replace("ü", "")}

    trouble(server.url, ca_file=server.ca_file, headers=headers)

    assert [] == server.asked


def test_answer_knows_what_was_sent_and_shows_none_of_it(server: Server) -> None:
    """The reply carries the secrets for masking, and its repr does not."""
    reply = ask(server.url, ca_file=server.ca_file)

    assert isinstance(reply, Answer)
    assert CANARY in reply.sent
    assert "client_credentials" not in reply.sent
    assert "canary" not in repr(reply)
