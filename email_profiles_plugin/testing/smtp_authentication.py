"""
The server's side of the SASL mechanisms, one generator each (RFC 4422).

Each yields its challenges, is sent the client's responses, both decoded, and
returns who the client is. The first challenge of a mechanism in which the client
goes first is empty, and an initial response answers it.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Generator, Mapping

Exchange = Generator[bytes, bytes, str]

PASSWORD_MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256")
TOKEN_MECHANISMS = ("XOAUTH2", "OAUTHBEARER")
SERVER_FIRST = ("CRAM-MD5",)


class Refused(Exception):
    """The credentials are wrong: 535."""


class Malformed(Exception):
    """The response isn't what the mechanism asks for: 501."""


def open_exchange(
    mechanism: str,
    users: Mapping[str, str],
    accept_token: Callable[[str, str], bool],
) -> Exchange:
    """The exchange for *mechanism*, a name in capitals; KeyError for another."""
    exchanges: dict[str, Callable[[], Exchange]] = {
        "PLAIN": lambda: _plain(users),
        "LOGIN": lambda: _login(users),
        "CRAM-MD5": lambda: _cram_md5(users),
        "SCRAM-SHA-256": lambda: _scram_sha_256(users),
        "XOAUTH2": lambda: _xoauth2(accept_token),
        "OAUTHBEARER": lambda: _oauthbearer(accept_token),
    }
    return exchanges[mechanism]()


def _plain(users: Mapping[str, str]) -> Exchange:
    parts = (yield b"").split(b"\0")
    if len(parts) != 3:
        raise Malformed("PLAIN takes three parts")
    return _check(users, _text(parts[1]), _text(parts[2]))


def _login(users: Mapping[str, str]) -> Exchange:
    username = yield b"Username:"
    password = yield b"Password:"
    return _check(users, _text(username), _text(password))


def _cram_md5(users: Mapping[str, str]) -> Exchange:
    challenge = f"<{secrets.token_hex(8)}@localhost>".encode()
    username, _, digest = _text((yield challenge)).rpartition(" ")
    key = users.get(username, "").encode()
    expected = hmac.new(key, challenge, "md5").hexdigest()
    if username not in users or not hmac.compare_digest(expected, digest.lower()):
        raise Refused
    return username


def _scram_sha_256(users: Mapping[str, str]) -> Exchange:
    """RFC 7677; the server's proof goes in a challenge of its own (RFC 4954, 4)."""
    from scramp import ScramException, ScramMechanism

    mechanism = ScramMechanism("SCRAM-SHA-256")
    names: list[str] = []

    def verifier(username: str) -> tuple[bytes, bytes, bytes, int] | None:
        names.append(username)
        password = users.get(username)
        return None if password is None else mechanism.make_auth_info(password)

    server = mechanism.make_server(verifier)
    try:
        server.set_client_first(_text((yield b"")))
        server.set_client_final(_text((yield server.get_server_first().encode())))
        yield server.get_server_final().encode()
    except ScramException as error:
        raise Refused from error
    return names[0]


def _xoauth2(accept_token: Callable[[str, str], bool]) -> Exchange:
    fields = _text((yield b"")).split("\1")
    if len(fields) != 4 or fields[2:] != ["", ""]:
        raise Malformed("XOAUTH2 takes a user and a token")
    username = fields[0].removeprefix("user=")
    if accept_token(username, _bearer(fields[1])):
        return username
    yield _refusal(status="401", schemes="bearer", scope="https://mail.example/")
    raise Refused


def _oauthbearer(accept_token: Callable[[str, str], bool]) -> Exchange:
    header, *fields = _text((yield b"")).split("\1")
    authorization = [f for f in fields if f.startswith("auth=")]
    parts = header.split(",")
    if len(parts) != 3 or len(authorization) != 1 or fields[-2:] != ["", ""]:
        raise Malformed("OAUTHBEARER takes a GS2 header and key-value pairs")
    username = parts[1].removeprefix("a=").replace("=2C", ",").replace("=3D", "=")
    if accept_token(username, _bearer(authorization[0])):
        return username
    dummy = yield _refusal(status="invalid_token", scope="https://mail.example/")
    if dummy != b"\1":
        raise Malformed("RFC 7628, 3.2.3 asks for %x01")
    raise Refused


def _check(users: Mapping[str, str], username: str, password: str) -> str:
    expected = users.get(username)
    if expected is None or expected != password:
        raise Refused
    return username


def _bearer(field: str) -> str:
    scheme, _, token = field.removeprefix("auth=").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Malformed("not a bearer token")
    return token


def _refusal(**reason: str) -> bytes:
    return json.dumps(reason).encode()


def _text(response: bytes) -> str:
    try:
        return response.decode()
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error
