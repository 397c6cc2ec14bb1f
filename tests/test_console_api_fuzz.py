"""The JSON API against its own OpenAPI document: schemathesis calls all operations."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from console_client import Browser, ConsoleServer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    load_all_checks,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.checks import content_type_conformance

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console.api.openapi import OPERATIONS
from email_profiles_plugin.console.api.operations import Operation

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
"""That 5xx is no answer is not among them: what another server did is told as 502."""

EXAMPLES = 4
SMTP = {"hostname": "127.0.0.1", "port": 9}
ALARMS: dict[str, Any] = {
    "name": "there",
    "profile": "there",
    "from_address": "gateway@plant.example",
}
REPORTS: dict[str, Any] = {**ALARMS, "source": {"callable": "there"}}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "clients": {
        "name": "there",
        "client_id": "4711",
        "client_secret": "s",
        "token_endpoint": "http://127.0.0.1:9/token",
    },
    "profiles": {
        "name": "there",
        "smtp": SMTP,
        "auth": {"mode": "oauth2", "username": "a@plant.example", "client": "there"},
    },
    "alarm-notifications": ALARMS,
    "report-schedules": REPORTS,
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """An admin's program; every name of a host leads nowhere."""
    home = tmp_path_factory.mktemp("fuzz") / "home"
    found = socket.getaddrinfo

    def nowhere(host: Any, *args: Any, **more: Any) -> Any:
        if host not in (None, "127.0.0.1", "localhost"):
            raise socket.gaierror(socket.EAI_NONAME, "there is no such host")
        return found(host, *args, **more)

    with (
        pytest.MonkeyPatch.context() as patch,
        EmailProfiles.open(home, deliver=False, only=()) as profiles,
        ConsoleServer(profiles) as server,
    ):
        patch.setattr(socket, "getaddrinfo", nowhere)
        yield server.api()


@pytest.fixture(scope="module")
def schema(browser: Browser) -> Any:
    load_all_checks()
    return schemathesis.openapi.from_dict(browser.get("/api/v1/openapi.json").json())


def there(browser: Browser, path: str) -> dict[str, str]:
    """What stands in *path* for something that is there."""
    for path, document in DOCUMENTS.items():
        browser.put(f"/api/v1/{path}/there", json=document)
    message = {
        "profile": "there",
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
        "idempotency_key": "there",
    }
    sent = browser.post("/api/v1/send", json=message).json()
    known = {"name": "there", "id": sent["id"], "field": "client_secret"}
    if path.startswith("/presets"):
        known["name"] = "gmail"
    if path.startswith("/schemas"):
        known["name"] = "email_profile:basic"
    return {name: value for name, value in known.items() if f"{{{name}}}" in path}


FURTHER = ("/alarm-notifications", "/report-schedules")
"""Kinds of document with the same operations; what differs is what they take."""

CALLED = [
    one
    for one in OPERATIONS
    if not one.path.startswith(FURTHER) or one.method in ("GET", "PUT")
    if not (one.path.startswith(FURTHER) and one.path.count("/") > 2)
]


@pytest.mark.parametrize("operation", CALLED, ids=lambda one: one.id)
def test_what_is_documented_is_so(
    browser: Browser, schema: Any, operation: Operation
) -> None:
    """No failure, no answer and no media type that the document does not have."""
    described = schema[operation.path][operation.method]
    conditional = any(one.name == "If-Match" for one in operation.parameters)
    strategies = [
        described.as_strategy(
            GenerationMode.POSITIVE,
            path_parameters=there(browser, operation.path) or None,
            headers={"If-Match": "*"} if conditional else None,
        ),
        described.as_strategy(GenerationMode.POSITIVE),
        described.as_strategy(GenerationMode.NEGATIVE),
    ]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(strategies))
    def call(case: Any) -> None:
        response = case.call(session=browser, base_url=f"{browser.url}/api/v1")
        assert 500 != response.status_code, response.text
        case.validate_response(response, checks=CHECKS)

    call()
