"""One text is one address, or a sentence says why not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from email_profiles_plugin.addresses import matches, parse, separate, shown


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("user@example.com", "", "user@example.com"),
        ("  user@example.com ", "", "user@example.com"),
        ("<user@example.com>", "", "user@example.com"),
        ("Plant Gateway <a@b.example>", "Plant Gateway", "a@b.example"),
        ("J. Doe<j@b.example>", "J. Doe", "j@b.example"),
        ('"Doe, Jane" <j@b.example>', "Doe, Jane", "j@b.example"),
        ('"a \\"b\\" <c@d> \\\\" <j@b.example>', 'a "b" <c@d> \\', "j@b.example"),
        ('"" <j@b.example>', "", "j@b.example"),
        ("Jürgen Müller <j@b.example>", "Jürgen Müller", "j@b.example"),
        ("警報 <j@b.example>", "警報", "j@b.example"),
        ("=?utf-8?q?x?= <j@b.example>", "=?utf-8?q?x?=", "j@b.example"),
        ("a@localhost", "", "a@localhost"),
        ("ops@plant.local", "", "ops@plant.local"),
        ("ops@my_host.plant", "", "ops@my_host.plant"),
        ("a+b/c=d@Example.COM", "", "a+b/c=d@Example.COM"),
        ('"a b"@example.com', "", '"a b"@example.com'),
        ('"plain"@example.com', "", "plain@example.com"),
        ('"a@b,c"@example.com', "", '"a@b,c"@example.com'),
        ('"q\\"\\\\"@example.com', "", '"q\\"\\\\"@example.com'),
        ("a@bücher.example", "", "a@xn--bcher-kva.example"),
        ("a@BÜCHER.example", "", "a@xn--bcher-kva.example"),
        ("a@_x.bücher.example", "", "a@_x.xn--bcher-kva.example"),
        ("a@例え。テスト", "", "a@xn--r8jz45g.xn--zckzah"),
        ("a@xn--bcher-kva.example", "", "a@xn--bcher-kva.example"),
        ("a@[192.0.2.1]", "", "a@[192.0.2.1]"),
        ("a@[IPv6:2001:db8::1]", "", "a@[IPv6:2001:db8::1]"),
        ("x" * 64 + "@example.com", "", "x" * 64 + "@example.com"),
    ],
)
def test_parse(text: str, name: str, spec: str) -> None:
    """What plants and people write as one address is read as they mean it."""
    address = parse(text)

    assert (name, spec) == (address.name, address.spec)
    assert address.ascii


def test_parse_keeps_the_parts_as_written() -> None:
    """Local part and domain are there as they were written, without quotes."""
    address = parse('Ops <"night shift"@Bücher.Example>')

    assert (
        address.name,
        address.local,
        address.domain,
    ) == ("Ops", "night shift", "Bücher.Example")


def test_a_local_part_that_is_not_ascii() -> None:
    """It is kept, and known to need SMTPUTF8."""
    address = parse("Jürgen <jürgen@bücher.example>")

    assert address.spec == "jürgen@xn--bcher-kva.example"
    assert not address.ascii


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("user", "no at sign"),
        ("Name <user>", "no at sign"),
        ("Name <>", "no at sign"),
        ("@example.com", "nothing before"),
        ('""@example.com', "nothing before"),
        ("user@", "no domain"),
        ("a@b, c@d", "more than one"),
        ("a@b; c@d", "more than one"),
        ("a@b@c", "more than one"),
        ("Doe, Jane <j@b>", "more than one"),
        ("A <a@b>, C <c@d>", "more than one"),
        ("Name <a@b> <c@d>", "more than one"),
        ("Plant (north) <a@b>", "needs double quotes"),
        ('Jane "J" Doe <j@b>', "not of the form"),
        ("a@b (comment)", "illegal characters"),
        ("a b@c", "illegal characters before"),
        (".a@b", "illegal characters before"),
        ("a..b@c", "illegal characters before"),
        ("a\u200bb@c", "illegal characters before"),
        ("a\u00a0b@c", "illegal characters before"),
        ("Name < a@b>", "illegal characters before"),
        ("a@b..c", "empty label"),
        ("a@b.c.", "empty label"),
        ("a@.b", "empty label"),
        ("a@-b.c", "illegal characters"),
        ("a@b!c", "illegal characters"),
        ("a@b c", "illegal characters"),
        ("a@" + "x" * 64 + ".c", "63 octets"),
        ("a@" + "x." * 127 + "xx", "255 octets"),
        ("a@" + "ü." * 127 + "xx", "255 octets"),
        ("x" * 65 + "@b", "64 octets"),
        ("ü" * 33 + "@b", "64 octets"),
        ("N" * 900 + " <a@b>", "longer than 900"),
        ("a@ü\u2028.c", "international"),
        ("a@\U0001f600.c", "international"),
        ("a@[192.0.2.256]", "address literal"),
        ("a@[2001:db8::1]", "address literal"),
        ("a@[IPv6:fe80::1%eth0]", "address literal"),
        ("a@[192.0.2.1", "address literal"),
        ("a\ud800@b", "surrogate"),
        ("a@b\r\nBcc: c@d", r"U\+000D"),
        ("a@b\nBcc: c@d", r"U\+000A"),
        ("a\x00@b", r"U\+0000"),
        ('"a\tb"@c', r"U\+0009"),
        ("N\x7f <a@b>", r"U\+007F"),
        ("N\x85 <a@b>", r"U\+0085"),
    ],
)
def test_parse_refuses(text: str, reason: str) -> None:
    """Whatever is not exactly one address is refused, with the reason."""
    with pytest.raises(ValueError, match=reason):
        parse(text)


def test_a_refusal_quotes_little() -> None:
    """An error holds at most 40 characters of what was given."""
    with pytest.raises(ValueError, match="no at sign") as caught:
        parse("secret" * 50)

    assert len(str(caught.value)) < 60
    assert repr("x" * 37 + "...") == shown("x" * 41)


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_parse_never_lets_anything_else_out(text: str) -> None:
    """Any text gives an address that is safe in a command, or ValueError."""
    try:
        address = parse(text)
    except ValueError:
        return

    assert not set("\r\n\0") & set(address.spec)
    assert parse(address.spec).spec == address.spec


@pytest.mark.parametrize(
    ("text", "allowed", "expected"),
    [
        ("a@plant.example", "a@plant.example", True),
        ("A <a@plant.example>", "a@PLANT.example", True),
        ("a@plant.example", "A@plant.example", False),
        ("a@plant.example", "b@plant.example", False),
        ("a@plant.example", "plant.example", True),
        ("a@Plant.Example", "PLANT.example", True),
        ("a@sub.plant.example", "plant.example", False),
        ("a@xplant.example", "plant.example", False),
        ("a@plant.example", "example", False),
        ("a@bücher.example", "xn--bcher-kva.example", True),
        ("a@XN--BCHER-KVA.example", "Bücher.example", True),
        ('"a"@plant.example', "a@plant.example", True),
        ('"x@plant.example"@evil.example', "plant.example", False),
        ("a@plant.example", "", False),
        ("a@plant.example", "@plant.example", False),
        ("a@plant.example", "not a domain", False),
    ],
)
def test_matches(text: str, allowed: str, expected: bool) -> None:
    """Addresses match to the letter, domains as A-labels; nothing else does."""
    assert expected is matches(parse(text), allowed)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (" a@b , c@d;; ", ["a@b", "c@d"]),
        ('"One, two" <a@b>; c@d', ['"One, two" <a@b>', "c@d"]),
        ('"open, <a@b>', ['"open, <a@b>']),
        ("," * 200_000, []),
        ("a," * 100_000 + '"', [*["a"] * 100_000, '"']),
    ],
    ids=["both", "quoted", "open", "marks", "long"],
)
def test_several_addresses(text: str, wanted: list[str]) -> None:
    """Marks within double quotes part nothing; a long text is no trouble."""
    assert wanted == separate(text)
