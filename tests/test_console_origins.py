"""Which names, origins and addresses of browsers are the console's own: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_profiles_plugin.console import origins

BASE = "https://gateway.example/mail"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://login.example/a?b#c", "https://login.example"),
        ("HTTPS://Login.Example:443", "https://login.example"),
        ("http://login.example:80/", "http://login.example"),
        ("http://login.example:443", "http://login.example:443"),
        ("https://[2001:DB8::1]:8443/a", "https://[2001:db8::1]:8443"),
        ("https://auth_server:1/", "https://auth_server:1"),
        ("https://user:word@login.example", "https://login.example"),
        ("https://login.example:99999", ""),
        ("https://", ""),
        ("null", ""),
        ("", ""),
        ("ftp://login.example", ""),
        ("javascript:alert(1)", ""),
        ("https://a;b", ""),
        ("https://a b", ""),
        ("https://'self'", ""),
        ("https://[::1", ""),
    ],
)
def test_the_origin_of_an_address(url: str, origin: str) -> None:
    """As browsers say it; nothing for what has none."""
    assert origin == origins.origin(url)


@given(st.text(), st.text())
def test_any_header_is_judged(host: str, came_from: str) -> None:
    """None raises."""
    assert origins.host_of(host).isascii()
    assert origins.is_own({"host": host, "origin": came_from}, BASE) in (True, False)


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("gateway.example", "https://gateway.example", True),
        ("gateway.example", "https://gateway.example:443", True),
        ("console:8470", "https://gateway.example", True),
        ("localhost:8470", "http://localhost:8470", True),
        ("127.0.0.1:8470", "http://127.0.0.1:8470", True),
        ("[::1]:8470", "http://[::1]:8470", True),
        ("gateway.example", "http://gateway.example", False),
        ("localhost:8470", "http://localhost:8471", False),
        ("localhost:8470", "http://127.0.0.1:8470", False),
        ("evil.example", "http://evil.example", False),
        ("gateway.example", "https://gateway.example.evil.example", False),
        ("gateway.example", "", False),
    ],
)
def test_an_origin_is_ours_by_configuration(host: str, origin: str, own: bool) -> None:
    """Or it is this machine's own name, by which the call came."""
    assert own == origins.is_own({"host": host, "origin": origin}, BASE)


def test_names_are_those_of_this_machine_and_of_the_base_url() -> None:
    """And what the host adds, in any letters."""
    found = origins.allowed_hosts(BASE, ["Console"])

    assert {"localhost", "127.0.0.1", "::1", "gateway.example", "console"} == found
