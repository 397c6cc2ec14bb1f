"""Trials of OAuth2 clients: one token request, told without the token, never kept."""

from __future__ import annotations

import json
import logging
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from click.testing import CliRunner, Result

import email_profiles_schemas
from email_profiles_hookspecs.errors import Invalid, NotFound
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.cli import main
from email_profiles_plugin.client_trial import ClientReport
from email_profiles_plugin.testing import AuthorizationServer, SmtpServer

SECRET = "c4n4ry+cl1ent-secret/%& ü"
PARAMETER = "c4n4ry-p4rameter"

Document = Callable[..., dict[str, Any]]
Open = Callable[..., EmailProfiles]


def part(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


SAID = {
    "aud": "https://outlook.office365.com",
    "iss": "https://sts.example/5d4c/",
    "sub": "0a1b2c3d",
    "roles": ["SMTP.SendAsApp"],
    "exp": 1_900_000_000,
}
JWT = f"{part({'alg': 'RS256'})}.{part(SAID)}.c4n4ry-signature"


@pytest.fixture
def document(authorization_server: AuthorizationServer) -> Document:
    """The document of a client that the server knows; None: without that member."""
    authorization_server.register("gateway", SECRET)

    def made(**changes: Any) -> dict[str, Any]:
        members = {
            "name": "plant-login",
            "client_id": "gateway",
            "client_secret": SECRET,
            "token_endpoint": authorization_server.token_endpoint,
            "ca_file": str(authorization_server.ca_file),
            **changes,
        }
        return {name: value for name, value in members.items() if value is not None}

    return made


@pytest.fixture
def tested(open_profiles: Open, document: Document) -> Callable[..., ClientReport]:
    """Store a client with these changes, and test it."""
    profiles = open_profiles(deliver=False)

    def test(
        scope: str = "", params: dict[str, str] | None = None, **changes: Any
    ) -> ClientReport:
        profiles.clients.apply(document(**changes), actor="test")
        return profiles.clients.test("plant-login", scope=scope, params=params)

    return test


def test_a_good_client(
    tested: Callable[..., ClientReport], authorization_server: AuthorizationServer
) -> None:
    """One request, and what it granted: type, expiry, scopes, no refresh token."""
    report = tested(scope="mail.send other")

    assert report.passed
    assert ("plant-login", "client_credentials", 200, "", "", "") == (
        report.client,
        report.grant,
        report.status,
        report.code,
        report.error,
        report.remedy,
    )
    granted = report.granted
    assert granted is not None
    assert ("Bearer", 3600, ("mail.send", "other"), False, None) == (
        granted.token_type,
        granted.expires_in,
        granted.scopes,
        granted.has_refresh_token,
        granted.claims,
    )
    assert granted.expires_at is not None
    assert 1 == authorization_server.token_requests


def test_found_by_its_issuer(
    tested: Callable[..., ClientReport], authorization_server: AuthorizationServer
) -> None:
    """The token endpoint is discovered, as for a profile."""
    report = tested(token_endpoint=None, issuer=authorization_server.issuer)

    assert (True, 200) == (report.passed, report.status)


def test_a_jwt(
    tested: Callable[..., ClientReport], authorization_server: AuthorizationServer
) -> None:
    """The claims of a token that is a JWT are told; and a refresh token, if any."""
    body = {"access_token": JWT, "refresh_token": "c4n4ry", "token_type": "Bearer"}
    authorization_server.answer_next(200, body)

    granted = tested(scope="https://outlook.office365.com/.default").granted

    assert granted is not None
    assert (None, None, True) == (
        granted.expires_in,
        granted.expires_at,
        granted.has_refresh_token,
    )
    assert ("https://outlook.office365.com/.default",) == granted.scopes
    claims = granted.claims
    assert claims is not None
    assert (("https://outlook.office365.com",), "https://sts.example/5d4c/") == (
        claims.audience,
        claims.issuer,
    )
    assert ("0a1b2c3d", ("SMTP.SendAsApp",)) == (claims.subject, claims.roles)
    assert "c4n4ry" not in repr(granted)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_way_of_a_profile(
    open_profiles: Open,
    authorization_server: AuthorizationServer,
    document: Document,
    method: str,
) -> None:
    """A profile with the same scope and parameters makes the same request."""
    profiles = open_profiles(deliver=False)
    client = document(token_endpoint_auth_method=method)
    profiles.clients.apply(client, actor="test")
    profiles.profiles.apply(cloud(), actor="test")

    profiles.tokens.refresh("cloud")
    profiles.clients.test("plant-login", scope="a b", params={"audience": "mail"})

    of_the_profile, of_the_test = authorization_server.requests
    assert of_the_profile == of_the_test
    assert "mail" == of_the_test.form["audience"]


def cloud() -> dict[str, Any]:
    return {
        "name": "cloud",
        "smtp": {"hostname": "localhost"},
        "auth": {
            "mode": "oauth2",
            "username": "gateway@plant.example",
            "client": "plant-login",
            "scope": "a b",
            "client_credentials_token_params": {"audience": "mail"},
        },
    }


def test_nothing_is_kept(open_profiles: Open, document: Document) -> None:
    """The profiles of a client have the tokens that they had before: none, or one."""
    profiles = open_profiles(deliver=False)
    profiles.clients.apply(document(), actor="test")
    profiles.profiles.apply(cloud(), actor="test")

    assert profiles.clients.test("plant-login").passed
    assert ("none", 0) == state(profiles)

    before = profiles.tokens.refresh("cloud")
    trail = profiles.trail()
    assert profiles.clients.test("plant-login").passed
    assert before == profiles.tokens.status("cloud")
    assert trail == profiles.trail()


def state(profiles: EmailProfiles) -> tuple[str, int]:
    status = profiles.tokens.status("cloud")
    return status.state, status.generation


@pytest.mark.parametrize(
    ("status", "body", "code", "said", "remedy"),
    [
        (401, {"error": "invalid_client"}, "invalid_client", "refused", "secret"),
        (400, {"error": "invalid_scope"}, "invalid_scope", "refused", "scope"),
        (
            400,
            {"error": "unauthorized_client", "error_description": "not you"},
            "unauthorized_client",
            "unauthorized_client (not you)",
            "allow this client the grant",
        ),
        (400, {"error": "invalid_request"}, "invalid_request", "refused", "scope"),
        (200, b"<html>Sign in</html>", "", "200 with no JSON", "endpoint's address"),
        (200, b"[1]", "", "200 with no JSON object", "endpoint's address"),
        (200, {"token": "c4n4ry"}, "", "no access token", "endpoint's address"),
        (302, b"", "", "answered 302", "correct the address"),
        (404, b"not here", "", "404 with no JSON object (not here)", "address"),
        (503, b"busy", "", "503 with no JSON object (busy)", "server"),
    ],
)
def test_refusals(
    tested: Callable[..., ClientReport],
    authorization_server: AuthorizationServer,
    status: int,
    body: Any,
    code: str,
    said: str,
    remedy: str,
) -> None:
    """The server's words, its status, and what to do."""
    authorization_server.answer_next(status, body)

    report = tested()

    assert (False, status, code) == (report.passed, report.status, report.code)
    assert said in report.error
    assert remedy in report.remedy
    assert "c4n4ry" not in repr(report)


def test_a_wrong_secret(tested: Callable[..., ClientReport]) -> None:
    """A real server's refusal of the client."""
    report = tested(client_secret="c4n4ry-another")

    assert (401, "invalid_client") == (report.status, report.code)
    assert "id and secret" in report.remedy


def test_a_scope_that_is_not_allowed(
    tested: Callable[..., ClientReport], authorization_server: AuthorizationServer
) -> None:
    """A real server's refusal of the scope."""
    authorization_server.rules.scopes = {"mail.send"}

    report = tested(scope="everything")

    assert (400, "invalid_scope") == (report.status, report.code)


@pytest.mark.parametrize(
    ("changes", "said", "remedy"),
    [
        ({"ca_file": None}, "is not to be trusted", "CA file"),
        ({"ca_file": "/no/such/file"}, "can't be read", "CA file"),
        ({"client_secret": {"env": "NOT_SET_AT_ALL"}}, "is not set", "set it"),
        (
            {"client_secret": None, "token_endpoint_auth_method": "none"},
            "refused: invalid_client",
            "how it authenticates",
        ),
        (
            {"token_endpoint_auth_method": "private_key_jwt", "private_key": "k"},
            "the private key is no key in PEM form",
            "BEGIN PRIVATE KEY",
        ),
    ],
)
def test_what_the_client_lacks(
    tested: Callable[..., ClientReport], changes: dict[str, Any], said: str, remedy: str
) -> None:
    """What is wrong with the client itself is told, with the remedy."""
    report = tested(**changes)

    assert not report.passed
    assert said in report.error
    assert remedy in report.remedy


def test_no_secret(tested: Callable[..., ClientReport]) -> None:
    """A client that was stored without its secret says so, and asks nobody."""
    report = tested(client_secret=None)

    assert "has no client secret" in report.error
    assert report.status is None


def test_a_port_without_tls(
    tested: Callable[..., ClientReport], smtp_server: SmtpServer
) -> None:
    """A server of another kind is told apart from one that is not trusted."""
    report = tested(token_endpoint=f"https://localhost:{smtp_server.port}/token")

    assert "no TLS connection to localhost" in report.error
    assert "that port speaks no TLS: look at the address" == report.remedy


def test_nobody_there(
    tested: Callable[..., ClientReport], authorization_server: AuthorizationServer
) -> None:
    """A server that is down, or hangs up, has no status."""
    authorization_server.answer_next(0)
    hung_up = tested()
    authorization_server.stop()
    down = tested()

    assert (None, None) == (hung_up.status, down.status)
    assert "ended the connection without an answer" in hung_up.error
    assert "Connection refused" in down.error
    assert hung_up.remedy == down.remedy == "look at the address, and at the server"


def test_silence(
    tested: Callable[..., ClientReport], authorization_server: AuthorizationServer
) -> None:
    """A silent server has the time that the client's document gives it."""
    authorization_server.hold.close()

    report = tested(request_timeout_ms=100)

    assert (False, None) == (report.passed, report.status)
    assert "timed out" in report.error
    assert "way there" in report.remedy


def test_the_metadata_was_found(
    tested: Callable[..., ClientReport], authorization_server: AuthorizationServer
) -> None:
    """The status is the token endpoint's; where that hung up there is none."""
    authorization_server.answer_next(0)

    report = tested(token_endpoint=None, issuer=authorization_server.issuer)

    assert report.status is None


AUTH = email_profiles_schemas.load("auth_oauth2")
OWNED = AUTH["$defs"]["parameter_name"]["not"]["enum"]


@pytest.mark.parametrize("name", OWNED)
def test_what_the_protocol_owns(
    tested: Callable[..., ClientReport],
    authorization_server: AuthorizationServer,
    name: str,
) -> None:
    """The names that a document may not set can't be set here either."""
    with pytest.raises(Invalid) as caught:
        tested(params={name: PARAMETER})

    (problem,) = caught.value.problems
    assert f"$.params.{name}" == problem.path
    assert "the protocol sets it itself" in problem.message
    assert PARAMETER not in repr(caught.value)
    assert 0 == authorization_server.token_requests


def test_all_mistakes_at_once(tested: Callable[..., ClientReport]) -> None:
    """Each is told with its place, and without its value."""
    with pytest.raises(Invalid) as caught:
        tested(scope=f'"{PARAMETER}', params={"": "x", "a": "x" * 5000, "b": "\0"})

    places = [problem.path for problem in caught.value.problems]
    assert ["$.scope", "$.params['']", "$.params.a", "$.params.b"] == places
    assert PARAMETER not in str(caught.value)


def test_no_such_client(open_profiles: Open) -> None:
    """There is nothing to test under a name that nothing has."""
    with pytest.raises(NotFound, match="OAuth2 client 'nobody'"):
        open_profiles(deliver=False).clients.test("nobody")


TOKENS = ("c4n4ry-access/t0ken+1=", "c4n4ry-refresh/t0ken+2=", JWT, "c4n4ry-signature")


def spellings(secret: str) -> list[str]:
    """The secret as it might be written: plain, escaped, in Base64, in a URL."""
    return [
        secret,
        json.dumps(secret)[1:-1],
        ascii(secret)[1:-1],
        b64encode(secret.encode()).decode().rstrip("="),
        quote(secret, safe=""),
        quote_plus(secret),
    ]


ALL = [form for one in (SECRET, PARAMETER, *TOKENS) for form in spellings(one)]
JSON = ("--json",)
CREDENTIALS = b64encode(f"gateway:{quote_plus(SECRET)}".encode()).decode()


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"access_token": TOKENS[0], "refresh_token": TOKENS[1]}),
        (
            200,
            {
                "access_token": JWT,
                "refresh_token": TOKENS[1],
                "token_type": JWT,
                "scope": f"a {TOKENS[1]}",
            },
        ),
        (
            200,
            {
                "access_token": f"{part({'alg': 'x'})}.{part({'sub': SECRET})}.",
                "token_type": SECRET,
                "scope": quote(SECRET),
            },
        ),
        (400, {"error": SECRET, "error_description": f"{CREDENTIALS} {PARAMETER}"}),
        (500, f"<html>{SECRET} {quote_plus(SECRET)} {JWT}".encode()),
        (200, {"no_token": [JWT, SECRET]}),
    ],
    ids=["tokens", "repeated tokens", "repeated secret", "refusal", "page", "none"],
)
def test_canaries(
    open_profiles: Open,
    document: Document,
    authorization_server: AuthorizationServer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    method: str,
    status: int,
    body: Any,
) -> None:
    """No log at DEBUG, repr, output, error or file holds a token, or what was sent."""
    caplog.set_level(logging.DEBUG)
    profiles = open_profiles(deliver=False)
    client = document(token_endpoint_auth_method=method)
    profiles.clients.apply(client, actor="test")
    given = ["--param", f"tenant={PARAMETER}", "--scope", "a"]
    authorization_server.answer_next(status, body, count=3)
    report = profiles.clients.test("plant-login", params={"tenant": PARAMETER})
    shown = [run(tmp_path, "--debug", *given, *more).output for more in ((), JSON)]
    with pytest.raises(Invalid) as caught:
        profiles.clients.test("plant-login", params={"code": PARAMETER})
    shown += traceback.format_exception(caught.value)
    shown += [repr(report), str(report), repr(caught.value), caplog.text]
    profiles.close()

    told = "\n".join([*shown, *capfd.readouterr()])
    assert [] == [form for form in [*ALL, CREDENTIALS] if form in told]
    assert "plant-login" in told
    for path in (tmp_path / "home").rglob("*"):
        assert [] == [one for one in ALL if one.encode() in path.read_bytes()]


def run(tmp_path: Path, *words: str) -> Result:
    """`client test plant-login` on the command line."""
    options = [word for word in words if word == "--debug"]
    rest = [word for word in words if word != "--debug"]
    given = ["--home", str(tmp_path / "home"), "--no-plugins", *options]
    return CliRunner().invoke(main, [*given, "client", "test", "plant-login", *rest])


@pytest.fixture
def stored(open_profiles: Open, document: Document) -> None:
    """The client is in the home."""
    open_profiles(deliver=False).clients.apply(document(), actor="test")


@pytest.mark.usefixtures("stored")
def test_on_the_command_line(
    tmp_path: Path, authorization_server: AuthorizationServer
) -> None:
    """What was granted, a line each; the claims of a JWT below."""
    body = {"access_token": JWT, "token_type": "Bearer", "expires_in": 3600}
    authorization_server.answer_next(200, body)

    done = run(tmp_path, "--scope", "a", "--scope", "b", "--param", "tenant=x=y")

    assert (0, "") == (done.exit_code, done.stderr)
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    at = next(one for one in done.stdout.splitlines() if one.startswith("expires at"))
    assert at.endswith("Z")
    for name, value in (("client", "plant-login"), ("grant", "client_credentials")):
        assert [name, value] in lines
    for line in (
        "HTTP status    200",
        "token type     Bearer",
        "expires in     3600 s",
        "scopes         a, b",
        "refresh token  no",
        "access token   a JWT, not verified",
        "  audience     https://outlook.office365.com",
        "  issuer       https://sts.example/5d4c/",
        "  subject      0a1b2c3d",
        "  roles        SMTP.SendAsApp",
        "  expires at   2030-03-17 17:46:40Z",
    ):
        assert line in done.stdout.splitlines()
    (asked,) = authorization_server.requests
    assert ("a b", "x=y") == (asked.form["scope"], asked.form["tenant"])


@pytest.mark.usefixtures("stored")
def test_for_programs(
    tmp_path: Path, authorization_server: AuthorizationServer
) -> None:
    """The same as JSON; what there is none of is null."""
    body = {"access_token": JWT, "token_type": "Bearer"}
    authorization_server.answer_next(200, body)

    found = json.loads(run(tmp_path, "--json", "--scope", "a").stdout)

    assert {
        "client": "plant-login",
        "grant": "client_credentials",
        "passed": True,
        "status": 200,
        "token_type": "Bearer",
        "expires_in": None,
        "expires_at": None,
        "scopes": ["a"],
        "has_refresh_token": False,
        "claims": {
            "audience": ["https://outlook.office365.com"],
            "issuer": "https://sts.example/5d4c/",
            "subject": "0a1b2c3d",
            "roles": ["SMTP.SendAsApp"],
            "scopes": [],
            "expires_at": "2030-03-17T17:46:40+00:00",
        },
        "code": "",
        "error": "",
        "remedy": "",
    } == found


@pytest.mark.usefixtures("stored")
def test_failures_on_the_command_line(
    tmp_path: Path, authorization_server: AuthorizationServer
) -> None:
    """Why, and what to do, on standard error; exit code 1, in JSON too."""
    refusal = {"error": "invalid_client", "error_description": "unknown"}
    authorization_server.answer_next(401, refusal, count=2)
    text, program = run(tmp_path), run(tmp_path, "--json")

    assert [1, 1] == [text.exit_code, program.exit_code]
    assert text.stderr == program.stderr
    assert [
        "error: the test of plant-login failed: the authorization server refused: "
        "invalid_client (unknown)",
        "remedy: look at the OAuth2 client's id and secret, and at how it "
        "authenticates",
    ] == text.stderr.splitlines()
    assert "HTTP status  401" in text.stdout.splitlines()
    found = json.loads(program.stdout)
    assert (False, 401, "invalid_client", None, None) == (
        found["passed"],
        found["status"],
        found["code"],
        found["scopes"],
        found["claims"],
    )


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--param", PARAMETER], 2, "is not of the form KEY=VALUE"),
        (["--param", f"={PARAMETER}"], 2, "is not of the form KEY=VALUE"),
        (["--param", "a=1", "--param", f"a={PARAMETER}"], 2, "is given twice"),
        (["--param", f"code={PARAMETER}"], 1, "$.params.code: may not be given"),
        (["--scope", f'"{PARAMETER}'], 1, "$.scope: may only hold printable ASCII"),
    ],
)
def test_wrong_input(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    """What was typed wrongly is told, not repeated."""
    done = run(tmp_path, *words)

    assert (code, "") == (done.exit_code, done.stdout)
    assert said in done.stderr
    assert PARAMETER not in done.output
