"""What is wrong with a document: every mistake at once, told without its secrets."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import email_profiles_schemas
from email_profiles_plugin.documents import (
    client_warnings,
    validate_client,
    validate_profile,
    validate_request_document,
    warnings,
)

CANARY = "c4n4ry-hunter2"
SECRET = {"$ref": "urn:email-profiles:secret", "writeOnly": True}
API_KEY = {
    "type": "object",
    "required": ["key"],
    "properties": {
        "key": SECRET,
        "region": {"type": "string", "maxLength": 5},
        "vault": {"$ref": "#/$defs/vault"},
        "spare": {"type": "array", "items": {"anyOf": [SECRET, {"type": "null"}]}},
        "pin": {"type": "integer", "maximum": 9, "writeOnly": True},
    },
    "$defs": {
        "vault": {
            "type": "object",
            "properties": {"token": SECRET, "depth": {"type": "integer", "minimum": 1}},
            "additionalProperties": False,
        }
    },
}
SCHEMAS = {
    "basic": email_profiles_schemas.load("auth_basic"),
    "oauth2": email_profiles_schemas.load("auth_oauth2"),
    "api_key": API_KEY,
}
OAUTH2 = {"mode": "oauth2", "username": "u@plant.example", "client": "google"}
SIGNED_IN = {"mode": "basic", "username": "u", "password": CANARY}
CLIENT = {"name": "c", "client_id": "id", "issuer": "https://login.example"}
REQUEST = {"profile": "p", "from_address": "a@plant.example"}


def profile(
    smtp: dict[str, Any] | None = None,
    auth: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A valid profile with these changes."""
    return {
        "name": "plant-alerts",
        "smtp": {"hostname": "mail.example", "use_starttls": True, **(smtp or {})},
        "auth": {"mode": "basic"} if auth is None else auth,
        **more,
    }


def told(document: object) -> list[tuple[str, str]]:
    """The problems of a profile, as path and message."""
    return [(one.path, one.message) for one in validate_profile(document, SCHEMAS)]


def told_of_client(**changes: Any) -> list[tuple[str, str]]:
    """The problems of a valid client with these changes."""
    problems = validate_client({**CLIENT, **changes})
    return [(one.path, one.message) for one in problems]


def told_of_request(**changes: Any) -> list[tuple[str, str]]:
    """The problems of a valid request with these changes."""
    problems = validate_request_document({**REQUEST, **changes})
    return [(one.path, one.message) for one in problems]


@pytest.mark.parametrize(
    "document",
    [
        profile(),
        profile(auth=SIGNED_IN),
        profile(auth=OAUTH2),
        profile(auth={"mode": "api_key", "key": {"env": "KEY"}, "spare": ["x", None]}),
        profile(description="", enabled=False, limits={}, policy={}),
        profile({"hostname": "bücher.example", "helo_name": "[IPv6:2001:db8::1]"}),
        profile({"hostname": "2001:db8::1", "ca_file": "/etc/ca.pem"}),
        profile({"hostname": "mail_relay", "helo_name": None}),
        profile(policy={"from_addresses": ["a@plant.example", "plant.example"]}),
    ],
)
def test_valid_profile(document: dict[str, Any]) -> None:
    """A valid profile, with as little or as much as there can be, has no problems."""
    assert told(document) == []


def test_all_mistakes_in_document_order() -> None:
    """Every mistake is told at once, in the document's order, missing ones last."""
    document = {
        "nam": "x",
        "name": "a/b",
        "smtp": {"port": 70000, "hostnam": "h", "timeout_ms": "10", "pipelining": "on"},
        "auth": {"mode": "oauth2", "client": "", "interactiv": True},
        "limits": [],
    }
    assert told(document) == [
        ("$.nam", "is not a property here; did you mean 'name'?"),
        ("$.name", "may not hold control characters or slashes"),
        ("$.smtp.port", "70000 is more than 65535"),
        ("$.smtp.hostnam", "is not a property here; did you mean 'hostname'?"),
        ("$.smtp.timeout_ms", "has to be a whole number, not a string"),
        ("$.smtp.pipelining", "has to be one of auto, off"),
        ("$.smtp.hostname", "is required"),
        ("$.auth.client", "is empty"),
        ("$.auth.interactiv", "is not a property here; did you mean 'interactive'?"),
        ("$.auth.username", "is required"),
        ("$.limits", "has to be an object, not a list"),
    ]


@pytest.mark.parametrize("document", [None, 5, "x", [], True, 1.5])
def test_document_that_is_no_object(document: object) -> None:
    """What is not an object at all is one problem, at the root."""
    for problems in (
        validate_profile(document, SCHEMAS),
        validate_client(document),
        validate_request_document(document),
    ):
        assert [one.path for one in problems] == ["$"]
        assert problems[0].message.startswith("has to be an object, not ")


def test_empty_document() -> None:
    """What is required is named, one problem for each property."""
    expected = [(f"$.{name}", "is required") for name in ("name", "smtp", "auth")]
    assert told({}) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is empty"),
        ("x" * 64, None),
        ("x" * 65, "has 65 characters; 64 are allowed"),
        ("a/b", "may not hold control characters or slashes"),
        ("a\\b", "may not hold control characters or slashes"),
        ("a\n", "may not hold control characters or slashes"),
        ("a\x7f", "may not hold control characters or slashes"),
        ("a\x85", "may not hold control characters or slashes"),
        (" a", "may not begin or end with a space, nor be . or .."),
        ("a\u00a0", "may not begin or end with a space, nor be . or .."),
        (" ", "may not begin or end with a space, nor be . or .."),
        (".", "may not begin or end with a space, nor be . or .."),
        ("..", "may not begin or end with a space, nor be . or .."),
        (".a..", None),
        ("Größe 4 📣", None),
        (7, "has to be a string, not a whole number"),
        (None, "has to be a string, not null"),
    ],
)
def test_names(name: object, message: str | None) -> None:
    """A name has 1 to 64 characters, none of them a control or a slash."""
    expected = [("$.name", message)] if message else []
    assert told(profile() | {"name": name}) == expected
    assert told_of_client(name=name) == expected


@pytest.mark.parametrize(
    ("path", "low", "high"),
    [
        ("smtp.port", 1, 65535),
        ("smtp.timeout_ms", 1, 600_000),
        ("smtp.final_reply_timeout_ms", 1, 3_600_000),
        ("limits.max_connections", 1, 100),
        ("limits.messages_per_minute", 1, 1_000_000),
        ("limits.recipients_per_day", 1, 100_000_000),
        ("limits.recipients_per_message", 1, 10_000),
        ("policy.max_attempts", 1, 1000),
        ("policy.max_age_s", 1, 2_592_000),
        ("auth.access_token_timeout_s", -(2**31), 86_400),
        ("auth.default_access_token_expiration_s", -(2**31), 315_360_000),
        ("auth.refresh_before_expiration_s", -(2**31), 315_360_000),
    ],
)
def test_ranges(path: str, low: int, high: int) -> None:
    """Each number has a range; its ends are inside, the next are not."""
    block, name = path.split(".")

    def messages(value: object) -> list[tuple[str, str]]:
        document: dict[str, Any] = profile(auth=OAUTH2)
        document[block] = {**document.get(block, {}), name: value}
        return told(document)

    assert messages(low) == messages(high) == []
    assert messages(low - 1) == [(f"$.{path}", f"{low - 1} is less than {low}")]
    assert messages(high + 1) == [(f"$.{path}", f"{high + 1} is more than {high}")]
    for wrong in (float(high), 1e300, str(high), True):
        ((where, message),) = messages(wrong)
        assert where == f"$.{path}"
        assert message.startswith("has to be a whole number")


def test_huge_number() -> None:
    """A number too long to print is told without it, wherever it is."""
    expected = "is a number of more than 40 digits"
    assert told(profile({"port": 10**5000})) == [("$.smtp.port", expected)]
    assert told(profile(auth={"mode": "basic", "username": [10**5000]})) == [
        ("$.auth.username[0]", expected)
    ]


def test_deep_nesting() -> None:
    """A document as deep as a parser allows is told to be, and ends no recursion."""
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    ((path, message),) = told(profile() | {"name": deep})
    assert path.startswith("$.name[0][0]")
    assert message == "is nested too deeply"


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("smtp.pipelining", ["auto", "off"]),
        ("policy.on_unknown", ["auto", "hold", "retry"]),
        ("auth.mechanism", ["automatic", "XOAUTH2", "OAUTHBEARER"]),
    ],
)
def test_choices(path: str, values: list[str]) -> None:
    """Each choice takes its values, and the problem names them."""
    block, name = path.split(".")
    document = profile(auth=OAUTH2)
    for value in values:
        changed = {**document, block: {**document.get(block, {}), name: value}}
        assert told(changed) == []
    wrong = {**document, block: {**document.get(block, {}), name: "none"}}
    assert told(wrong) == [(f"$.{path}", f"has to be one of {', '.join(values)}")]


def test_type_mistakes_come_with_a_remedy() -> None:
    """A number in quotes, and a text for a list, are mistakes with known remedies."""
    document = profile({"port": "25", "ssl_protocols": "TLSv1.2"})
    remedies = [one.remedy for one in validate_profile(document, SCHEMAS)]
    assert remedies == ["write it without quotes", "write a list: [...]"]


def test_unknown_mode_names_those_there_are() -> None:
    """A mode that nobody offers is told with the modes there are, and nothing else."""
    assert told(profile(auth={"mode": "ntlm", "password": CANARY})) == [
        ("$.auth.mode", "there is no mode 'ntlm'; there are: api_key, basic, oauth2")
    ]


def test_missing_mode() -> None:
    """The mode is required."""
    assert told(profile(auth={})) == [("$.auth.mode", "is required")]


@pytest.mark.parametrize("described", [None, False, True, {}])
def test_auth_is_closed_by_the_core(described: object) -> None:
    """Whatever a provider's schema leaves open, a misspelt secret is an error."""
    schema: dict[str, Any] = {
        k: v for k, v in API_KEY.items() if k != "additionalProperties"
    }
    if described is not None:
        schema["additionalProperties"] = described
    auth = {"mode": "api_key", "key": "k", "kee": CANARY}
    problems = validate_profile(profile(auth=auth), {"api_key": schema})
    assert [(one.path, one.message) for one in problems] == [
        ("$.auth.kee", "is not a property here; did you mean 'key'?")
    ]


def test_auth_may_describe_its_other_properties() -> None:
    """A provider that says what its other properties are gets them, checked."""
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    auth = {"mode": "api_key", "a": "x", "b": 1}
    problems = validate_profile(profile(auth=auth), {"api_key": schema})
    assert [(one.path, one.message) for one in problems] == [
        ("$.auth.b", "has to be a string, not a whole number")
    ]


def test_branches_of_a_provider() -> None:
    """Of several forms the one of the right type is explained, else that none fits."""
    schema = {
        "type": "object",
        "properties": {
            "a": {"anyOf": [{"type": "string", "minLength": 3}, {"type": "null"}]},
            "b": {"oneOf": [{"type": "string"}, {"maxLength": 5}]},
        },
    }

    def messages(**auth: object) -> list[tuple[str, str]]:
        problems = validate_profile(profile(auth={"mode": "x", **auth}), {"x": schema})
        return [(one.path, one.message) for one in problems]

    assert messages(a="ab") == [("$.auth.a", "has 2 characters; 3 are needed")]
    assert messages(a=5) == [
        ("$.auth.a", "does not have any of the forms allowed here")
    ]
    assert messages(b="ab") == [
        ("$.auth.b", "does not have exactly one of the forms allowed here")
    ]


@pytest.mark.parametrize(
    "secret",
    [
        5,
        None,
        [CANARY],
        {},
        {"evn": CANARY},
        {"env": CANARY, "file": CANARY},
        {"env": 5},
        {"env": f"{CANARY} x"},
        {CANARY: "x"},
    ],
)
def test_secret_that_is_none(secret: object) -> None:
    """A secret has one of four forms; anything else is told once, without it."""
    expected = "has to be text, or an object with exactly one of env, file, sealed"
    problems = validate_profile(
        profile(auth={"mode": "api_key", "key": secret}), SCHEMAS
    )
    assert [(one.path, one.message) for one in problems] == [("$.auth.key", expected)]
    assert CANARY not in str(problems)


def test_empty_secret() -> None:
    """An empty password is no password."""
    auth = {"mode": "basic", "username": "u", "password": ""}
    assert told(profile(auth=auth)) == [("$.auth.password", "is empty")]


def test_write_only_value_is_not_shown() -> None:
    """A provider's write-only value is not printed, whatever its type."""
    auth = {"mode": "api_key", "key": "k", "pin": 4711}
    assert told(profile(auth=auth)) == [("$.auth.pin", "is more than 9")]


@pytest.mark.parametrize(
    ("protocols", "message"),
    [
        (["TLSv1.2", "TLSv1.3"], None),
        (["TLSv1.3", "TLSv1.2"], None),
        (["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"], None),
        (
            ["TLSv1", "TLSv1.3"],
            "leaves out TLSv1.1, TLSv1.2: it has to be a range without gaps",
        ),
        (
            ["TLSv1.3", "TLSv1.1"],
            "leaves out TLSv1.2: it has to be a range without gaps",
        ),
        ([], "is empty"),
        (["TLSv1.2", "TLSv1.2"], "holds the same entry twice"),
    ],
)
def test_protocols_are_a_range(protocols: list[str], message: str | None) -> None:
    """The TLS versions are a range without gaps, in whatever order they are given."""
    expected = [("$.smtp.ssl_protocols", message)] if message else []
    assert told(profile({"ssl_protocols": protocols})) == expected


def test_protocols_have_known_names() -> None:
    """A protocol that is none of the four is told at its place in the list."""
    assert told(profile({"ssl_protocols": ["TLSv1.2", "SSLv3"]})) == [
        (
            "$.smtp.ssl_protocols[1]",
            "has to be one of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3",
        )
    ]


@pytest.mark.parametrize(
    ("hostname", "message"),
    [
        ("smtp://mail.example", "has to be a host name, not a URL"),
        ("mail.example:587", "has to be a host name without a port"),
        ("[2001:db8::1]", "has to be an address without brackets"),
        ("mail example", "is not a host name or IP address"),
        ("-mail.example", "is not a host name or IP address"),
        ("mail..example", "is not a host name or IP address"),
        ("192.0.2.300", "is not a host name or IP address"),
        ("x" * 64 + ".example", "is not a host name or IP address"),
        ("bü cher.example", "is not a host name or IP address"),
        ("mail.example\n", "may not hold control characters"),
        ("", "is empty"),
    ],
)
def test_hostnames(hostname: str, message: str) -> None:
    """What is not a host name is told, the usual mistakes by what they are."""
    assert ("$.smtp.hostname", message) in told(profile({"hostname": hostname}))


@pytest.mark.parametrize("name", ["192.0.2.1", "2001:db8::1", "[x]", "a b", "[]"])
def test_helo_name(name: str) -> None:
    """EHLO takes a host name or an address literal, no bare address."""
    assert [path for path, _ in told(profile({"helo_name": name}))] == [
        "$.smtp.helo_name"
    ]


def test_password_needs_a_username() -> None:
    """A password alone is an error."""
    assert told(profile(auth={"mode": "basic", "password": CANARY})) == [
        ("$.auth.username", "is required where there is a password")
    ]


IN_CLEAR = {"hostname": "mail.example", "use_starttls": False}
LOOPBACK = ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.9.1", "::1"]


def test_credentials_in_clear() -> None:
    """Credentials without TLS are refused, with the remedy."""
    (problem,) = validate_profile(profile(IN_CLEAR, SIGNED_IN), SCHEMAS)
    assert problem.path == "$.smtp"
    assert problem.message == "would send credentials in clear"
    for name in ("use_starttls", "use_ssl", "allow_plaintext_auth"):
        assert name in problem.remedy


@pytest.mark.parametrize(
    ("smtp", "auth"),
    [
        ({"use_ssl": True}, SIGNED_IN),
        ({"use_starttls": True}, SIGNED_IN),
        ({"allow_plaintext_auth": True}, SIGNED_IN),
        ({}, {"mode": "basic"}),
        ({}, {"mode": "basic", "username": "u"}),
        *(({"hostname": host}, SIGNED_IN) for host in LOOPBACK),
        *(({"hostname": host}, OAUTH2) for host in LOOPBACK),
        ({"use_ssl": True}, OAUTH2),
    ],
)
def test_credentials_where_they_may_go(
    smtp: dict[str, Any], auth: dict[str, Any]
) -> None:
    """TLS, loopback, permission, or nothing to hide: each is enough."""
    assert told(profile({**IN_CLEAR, **smtp}, auth)) == []


def test_third_party_mode_in_clear() -> None:
    """Any mode but basic counts as credentials."""
    auth = {"mode": "api_key", "key": "k"}
    assert told(profile(IN_CLEAR, auth)) == [
        ("$.smtp", "would send credentials in clear")
    ]
    assert told(profile({**IN_CLEAR, "allow_plaintext_auth": True}, auth)) == []


def test_bearer_token_never_in_clear() -> None:
    """No permission lets an access token travel in clear, in no mode with a client."""
    allowed = {**IN_CLEAR, "allow_plaintext_auth": True}
    expected = [("$.smtp", "would send an access token in clear")]
    assert told(profile(allowed, OAUTH2)) == expected
    jwt = {
        "type": "object",
        "properties": {"client": {"type": "string", "x-references": "oauth2_client"}},
    }
    document = profile(allowed, {"mode": "jwt", "client": "c"})
    problems = validate_profile(document, {"jwt": jwt})
    assert [(one.path, one.message) for one in problems] == expected


PARAMS = (
    "authorization_params",
    "authorization_code_token_params",
    "client_credentials_token_params",
    "refresh_token_params",
)
OWNED = [
    *("state", "code", "redirect_uri", "response_type", "response_mode", "grant_type"),
    *("client_id", "client_secret", "client_assertion", "client_assertion_type"),
    *("assertion", "code_verifier", "code_challenge", "code_challenge_method"),
    *("refresh_token", "device_code", "request", "request_uri", "iss"),
]


@pytest.mark.parametrize("params", PARAMS)
def test_params_may_not_override_the_protocol(params: str) -> None:
    """None of the names that the protocol sets itself may be given."""
    auth = {**OAUTH2, params: dict.fromkeys(OWNED, CANARY)}
    message = "may not be given: the protocol sets it itself"
    assert told(profile(auth=auth)) == [
        (f"$.auth.{params}.{name}", message) for name in OWNED
    ]


@pytest.mark.parametrize("params", PARAMS)
def test_params_are_strings(params: str) -> None:
    """Other parameters are free, and their values strings, which are not shown."""
    auth = {**OAUTH2, params: {"prompt": "consent", "max age": 5, "": "x"}}
    assert told(profile(auth=auth)) == [
        (f"$.auth.{params}['max age']", "has to be a string, not a whole number"),
        (f"$.auth.{params}['']", "is empty"),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        "a@plant.example",
        "plant.example",
        "a@bücher.example",
        '"a b"@x.example',
        "ä@x.de",
    ],
)
def test_from_addresses(entry: str) -> None:
    """A profile may send as addresses and as domains, in any script."""
    assert told(profile(policy={"from_addresses": [entry]})) == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "Plant <a@plant.example>",
            "has to be the bare address, without a name and angle brackets",
        ),
        ("a b@plant.example", "is not an address: look at what is before the @"),
        ("@plant.example", "is not an address: look at what is before the @"),
        ("a@", "is not an address or a domain"),
        ("plant example", "is not an address or a domain"),
        ("a@192.0.2.1", "has to be an address or a domain, not an IP address"),
        ("", "is empty"),
        ("a@x\r\ny", "may not hold control characters"),
    ],
)
def test_wrong_from_addresses(entry: str, message: str) -> None:
    """What is neither an address nor a domain is told at its place in the list."""
    policy = {"from_addresses": ["good.example", entry]}
    assert ("$.policy.from_addresses[1]", message) in told(profile(policy=policy))


@pytest.mark.parametrize("text", ["x\0", "\ud800"])
def test_strings_are_text(text: str) -> None:
    """NUL and half a surrogate pair are refused, in secrets too, and can be printed."""
    auth = {**OAUTH2, "authorization_params": {f"n{text}": "x"}}
    problems = [
        *validate_profile(profile(description=text), SCHEMAS),
        *validate_profile(profile(auth={**SIGNED_IN, "password": text}), SCHEMAS),
        *validate_profile(profile(auth=auth), SCHEMAS),
    ]
    assert [one.path for one in problems[:2]] == ["$.description", "$.auth.password"]
    assert problems[2].path.startswith("$.auth.authorization_params['n")
    assert all(str(one).isprintable() for one in problems)


@pytest.mark.parametrize(
    ("smtp", "auth", "expected"),
    [
        ({}, {"mode": "basic"}, []),
        ({}, {"mode": "basic", "username": "u"}, ["$.auth.password"]),
        ({"use_ssl": True}, {"mode": "basic"}, ["$.smtp.use_starttls"]),
        ({"port": 465}, {"mode": "basic"}, ["$.smtp.port"]),
        (
            {"port": 587, "use_ssl": True, "use_starttls": False},
            {"mode": "basic"},
            ["$.smtp.port"],
        ),
        ({"port": 587}, {"mode": "basic"}, []),
        (
            {"verify_certificate": False},
            {"mode": "basic"},
            ["$.smtp.verify_certificate"],
        ),
    ],
)
def test_warnings(
    smtp: dict[str, Any], auth: dict[str, Any], expected: list[str]
) -> None:
    """What is allowed but hardly meant is a warning, and no error."""
    document = profile(smtp, auth)
    assert [one.path for one in warnings(document)] == expected
    assert told(document) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["$.client_secret"]),
        ({"client_secret": "s"}, []),
        ({"token_endpoint_auth_method": "client_secret_post"}, ["$.client_secret"]),
        ({"token_endpoint_auth_method": "none"}, []),
        ({"token_endpoint_auth_method": "private_key_jwt"}, []),
    ],
)
def test_client_warnings(changes: dict[str, Any], expected: list[str]) -> None:
    """A client without the secret that its method needs is a warning."""
    assert [one.path for one in client_warnings({**CLIENT, **changes})] == expected


def test_client_needs_a_token_endpoint_or_issuer() -> None:
    """One of the two is enough, none is an error."""
    assert told_of_client() == []
    assert told_of_client(issuer=None, token_endpoint="https://login.example/t") == []
    assert told_of_client(issuer=None) == [
        ("$.token_endpoint", "is required where there is no issuer")
    ]


ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "issuer",
)


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://login.example/x", None),
        ("https://[2001:db8::1]:8443/x", None),
        ("http://127.0.0.1:8080/x", None),
        ("http://[::1]/x", None),
        ("http://localhost/x", None),
        ("http://login.example/x", "has to be an https address"),
        ("ftp://localhost/x", "has to be an https address"),
        ("https://u:p@login.example/x", "may not hold a user name or password"),
        ("https://login.example/x#y", "may not have a fragment (#...)"),
        ("login.example/x", "is not a URL"),
        ("https:///x", "is not a URL"),
        ("https://login.example:99999/x", "is not a URL"),
        ("https://[x/", "is not a URL"),
        ("https://login.example/a b", "is not a URL"),
    ],
)
def test_endpoints(name: str, url: str, message: str | None) -> None:
    """Endpoints are https, or this machine's; nothing of a URL is shown."""
    expected = [(f"$.{name}", message)] if message else []
    assert told_of_client(**{name: url}) == expected


def test_query_of_an_endpoint() -> None:
    """An endpoint may have a query, an issuer may not (RFC 8414, 2)."""
    url = "https://login.example/x?y=1"
    assert told_of_client(token_endpoint=url) == []
    assert told_of_client(issuer=url) == [("$.issuer", "may not have a query (?...)")]


def test_private_key_jwt_needs_a_private_key() -> None:
    """A client that signs its assertions needs what to sign them with."""
    method = {"token_endpoint_auth_method": "private_key_jwt"}
    assert told_of_client(**method) == [
        ("$.private_key", "is required for private_key_jwt")
    ]
    assert told_of_client(**method, private_key={"file": "key.pem"}) == []


def test_valid_request() -> None:
    """A request with as little or as much as there can be has no problems."""
    assert told_of_request() == []
    assert (
        told_of_request(
            to=["a@b.example"],
            attachments=[{"name": "a.txt", "data": "aGk="}],
            headers={"X-Site": "north"},
            not_after="2026-11-23T08:00:00Z",
            priority=1,
            lane="alarm",
        )
        == []
    )


def test_mistakes_in_a_request() -> None:
    """All mistakes of a request are told, attachments by their place."""
    mistakes = told_of_request(
        to="a@b.example",
        priority=6,
        lane="slow",
        not_after="2026-11-23T08:00:00",
        attachments=[{"name": "a", "data": "%"}, {"data": "aGk="}, 5],
        headers={"X-Site": 5},
        body="x",
    )
    assert mistakes == [
        ("$.to", "has to be a list, not a string"),
        ("$.priority", "6 is more than 5"),
        ("$.lane", "has to be one of alarm, normal, bulk"),
        ("$.not_after", "is not a date and time with its time zone"),
        ("$.attachments[0].data", "is not base64"),
        ("$.attachments[1].name", "is required"),
        ("$.attachments[2]", "has to be an object, not a whole number"),
        ("$.headers['X-Site']", "has to be a string, not a whole number"),
        ("$.body", "is not a property here"),
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def paths(value: object, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in *value*, the root too."""
    found = [place]
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for key, member in pairs:
        found.extend(paths(member, (*place, key)))
    return found


def put(document: Any, place: tuple[Any, ...], value: object) -> Any:
    """A copy of *document* with *value* at *place*."""
    if not place:
        return value
    changed = copy.deepcopy(document)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return changed


FULL = {
    "profile": profile(
        {"ssl_protocols": ["TLSv1.2"], "helo_name": "x", "port": 25},
        {**OAUTH2, "authorization_params": {"a": "b"}, "interactive": True},
        limits={"max_connections": 3},
        policy={"from_addresses": ["a@b.example"]},
    ),
    "third": profile(
        auth={"mode": "api_key", "key": "k", "spare": ["x"], "vault": {"token": "t"}}
    ),
    "client": {**CLIENT, "client_secret": {"env": "X"}, "private_key": "k"},
    "request": {**REQUEST, "attachments": [{"name": "a", "data": ""}], "to": ["x"]},
}


def validate(kind: str, document: object) -> list[Any]:
    """The problems and warnings of *document*, of one of the four kinds above."""
    if kind == "client":
        return validate_client(document) + client_warnings(document)
    if kind == "request":
        return validate_request_document(document)
    return validate_profile(document, SCHEMAS) + warnings(document)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(FULL)), JSON, st.data())
def test_any_json_is_answered(kind: str, value: object, data: st.DataObject) -> None:
    """Whatever JSON stands in for a document, or in one, problems are all that come."""
    places = paths(FULL[kind])
    place = data.draw(st.sampled_from(places))
    for document in (value, put(FULL[kind], place, value)):
        for one in validate(kind, document):
            assert one.path.startswith("$")
            assert one.message
            assert len(str(one)) < 500


SECRET_PLACES = [
    ("third", ("auth", "key")),
    ("third", ("auth", "vault", "token")),
    ("third", ("auth", "spare", 0)),
    ("third", ("auth", "pin")),
    ("third", ("auth", "kye")),
    ("third", ("auth", "password")),
    ("third", ("auth", "vault", "tokn")),
    ("profile", ("auth", "password")),
    ("profile", ("auth", "client_secret")),
    ("profile", ("auth", "authorization_params", "client_secret")),
    ("profile", ("auth", "authorization_params", "x")),
    ("profile", ("password",)),
    ("profile", ("smtp", "pasword")),
    ("profile", ("auth",)),
    ("client", ("client_secret",)),
    ("client", ("private_key",)),
    ("client", ("clientsecret",)),
]
WRAPPED = st.recursive(
    st.sampled_from([CANARY, f"x\n{CANARY}", CANARY + "\0", CANARY * 9]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=2)
        | st.dictionaries(
            st.sampled_from(["env", "file", "sealed", "mode", "key", "username", "x"]),
            inner,
            min_size=1,
            max_size=2,
        )
    ),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SECRET_PLACES), WRAPPED)
def test_no_secret_is_told(where: tuple[str, tuple[Any, ...]], value: object) -> None:
    """A secret, in its place or a misspelt one, whole or in pieces, is never shown."""
    kind, place = where
    if place == ("auth",) and isinstance(value, dict):
        value.pop("mode", None)  # a mode is no secret, and an unknown one is named
    problems = validate(kind, put(FULL[kind], place, value))
    for one in problems:
        assert CANARY not in f"{one.path} {one.message} {one.remedy}"
