"""Grants and tokens by the JSON API, at a live server; no secret sings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from attrs import define, field
from console_client import Browser, ConsoleServer, origin

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.testing import AuthorizationServer

API = "/api/v1"
TOKEN = f"{API}/profiles/cloud/token"
SECRET = "c4n4ry-cl1ent-secret"
PASSWORD = "c4n4ry-passw0rd-ü"
BACK = "http://127.0.0.1:9/back"


@define(eq=False)
class Bench:
    """A console, an authorization server, and all that programs were answered."""

    console: ConsoleServer
    server: AuthorizationServer
    answers: list[str] = field(factory=list)

    def program(self, role: str = "admin") -> Browser:
        """A program with a token of that role; what it is told is noted."""
        return self.noting(self.console.api(role))

    def noting(self, browser: Browser) -> Browser:
        def note(response: requests.Response, **more: Any) -> None:
            self.answers.append(f"{response.text}\n{response.headers}")

        browser.hooks["response"].append(note)
        return browser

    def callback(self, url: str) -> str:
        """Where the authorization server sends a browser that opens *url*."""
        ca_file = str(self.server.ca_file)
        answer = requests.get(url, verify=ca_file, timeout=30, allow_redirects=False)
        assert 302 == answer.status_code, answer.text
        return answer.headers["Location"]

    def sings(self, *more: str) -> list[str]:
        """Which secrets are in the answers."""
        secrets = [SECRET, PASSWORD, *self.server._validator.tokens, *more]
        return [one for one in secrets if any(one in text for text in self.answers)]


@pytest.fixture
def bench(
    open_profiles: Callable[..., EmailProfiles],
    authorization_server: AuthorizationServer,
) -> Iterator[Bench]:
    authorization_server.register("gateway", SECRET)
    profiles = open_profiles(deliver=False)
    with ConsoleServer(profiles) as console:
        bench = Bench(console, authorization_server)
        admin = bench.program()
        client = {
            "name": "login",
            "client_id": "gateway",
            "client_secret": SECRET,
            "issuer": authorization_server.issuer,
            "ca_file": str(authorization_server.ca_file),
        }
        cloud = {
            "name": "cloud",
            "smtp": {"hostname": "smtp.plant.example", "use_starttls": True},
            "auth": {
                "mode": "oauth2",
                "username": "gateway@plant.example",
                "client": "login",
                "interactive": True,
            },
        }
        assert 201 == admin.post(f"{API}/clients", json=client).status_code
        assert 201 == admin.post(f"{API}/profiles", json=cloud).status_code
        yield bench


def told(response: requests.Response, status: int = 200) -> Any:
    assert status == response.status_code, response.text
    return response.json()


def test_a_program_has_a_person_grant_access(bench: Bench) -> None:
    """It sends a browser off, listens itself, and completes; then all actions."""
    admin, viewer = bench.program(), bench.program("viewer")
    assert "needs grant" == told(viewer.get(TOKEN))["state"]
    assert 403 == viewer.post(f"{TOKEN}/grant", json={"redirect_uri": BACK}).status_code
    registered = told(viewer.get(f"{API}/clients/login/redirect-uri"))["redirect_uri"]
    assert registered.startswith(f"{bench.console.url}/oauth2/callback/")
    assert {"redirect_uri": registered} == told(viewer.get(f"{TOKEN}/redirect-uri"))

    begun = told(admin.post(f"{TOKEN}/grant", json={"redirect_uri": BACK}))
    assert BACK == begun["redirect_uri"]
    query = urlsplit(bench.callback(begun["url"])).query
    answer = {"query": query, "handle": begun["handle"]}
    done = told(admin.post(f"{API}/grants/complete", json=answer))
    assert ("cloud", "valid") == (done["profile"], done["status"]["state"])
    assert done == told(admin.post(f"{API}/grants/complete", json=answer))

    status = told(viewer.get(TOKEN))
    assert ("valid", True) == (status["state"], status["has_refresh_token"])
    assert {"refresh", "grant", "revoke", "device"} == set(status["actions"])
    refreshed = told(bench.program("operator").post(f"{TOKEN}/refresh"))
    assert status["generation"] + 1 == refreshed["generation"]
    assert "needs grant" == told(admin.post(f"{TOKEN}/revoke"))["state"]
    trail = told(admin.get(f"{API}/audit", params={"text": "cloud"}))["items"]
    assert ["revoke", "refresh", "grant"] == [one["action"] for one in trail[:3]]
    assert "console:token:operator-0" == trail[1]["actor"]
    state = parse_qs(query)["state"][0]
    assert [] == bench.sings()
    assert state in begun["url"]


def test_a_grant_belongs_to_who_began_it(bench: Bench) -> None:
    """Another handle, another answer, or none: nothing changes."""
    admin = bench.program()
    first = told(admin.post(f"{TOKEN}/grant", json={"redirect_uri": BACK}))
    other = told(admin.post(f"{TOKEN}/grant", json={"redirect_uri": BACK}))
    query = urlsplit(bench.callback(first["url"])).query
    where = f"{API}/grants/complete"
    crossed = {"query": query, "handle": other["handle"]}
    refused = told(admin.post(where, json=crossed), 409)
    assert "urn:email-profiles:problem:state-refused" == refused["type"]
    forged = {"query": query, "handle": first["handle"][:-2]}
    assert ["$.handle"] == [
        one["path"] for one in told(admin.post(where, json=forged), 422)["problems"]
    ]
    told(admin.post(where, json={"query": "x", "handle": first["handle"]}), 409)
    assert "needs grant" == told(admin.get(TOKEN))["state"]
    assert (
        200
        == admin.post(
            where, json={"query": query, "handle": first["handle"]}
        ).status_code
    )


def test_where_the_browser_goes_has_to_be_said(bench: Bench) -> None:
    """By a program; a browser that is signed in ends at the console's own page."""
    admin = bench.program()
    refused = told(admin.post(f"{TOKEN}/grant"), 422)
    assert "$.redirect_uri" == refused["problems"][0]["path"]
    plain = {"redirect_uri": "http://plant.example/back"}
    told(admin.post(f"{TOKEN}/grant", json=plain), 422)

    pat = bench.console.signed_in("admin")
    own = {"Origin": origin(bench.console.url)}
    begun = told(pat.post(f"{TOKEN}/grant", json={}, headers=own))
    assert begun["handle"] is None
    assert begun["redirect_uri"].startswith(f"{bench.console.url}/oauth2/callback/")


def test_a_person_grants_access_from_another_device(bench: Bench) -> None:
    """The device code stays here; who polls too often is told how long to wait."""
    admin = bench.program()
    bench.server.rules.device_answers = ["authorization_pending", "slow_down"]
    begun = told(admin.post(f"{TOKEN}/device"))
    assert f"{bench.server.issuer}/device" == begun["verification_uri"]

    handle, waits = begun["handle"], []
    for _ in range(2):
        waiting = admin.post(f"{TOKEN}/device/poll", json={"handle": handle})
        pending = told(waiting, 202)
        assert str(pending["interval"]) == waiting.headers["Retry-After"]
        waits.append(pending["interval"])
        handle = pending["handle"]
    assert waits[0] < waits[1]
    status = told(admin.post(f"{TOKEN}/device/poll", json={"handle": handle}))
    assert "valid" == status["state"]
    other = {"handle": handle}
    refused = admin.post(f"{API}/profiles/other/token/device/poll", json=other)
    assert 422 == refused.status_code
    assert [] == bench.sings(bench.server.requests[-1].form["device_code"])


def test_a_client_is_tested_by_each_grant(bench: Bench) -> None:
    """Told without the token; a refusal is told with its remedy, and is no error."""
    operator, where = bench.program("operator"), f"{API}/clients/login/test"
    report = told(operator.post(where, json={"scope": "mail.send"}))
    assert (True, "client_credentials", ["mail.send"]) == (
        report["passed"],
        report["grant"],
        report["granted"]["scopes"],
    )
    begun = told(operator.post(f"{where}/begin", json={"redirect_uri": BACK}))
    query = urlsplit(bench.callback(begun["url"])).query
    answer = {"query": query, "handle": begun["handle"]}
    report = told(operator.post(f"{where}/complete", json=answer))
    assert (True, True) == (report["passed"], report["granted"]["has_refresh_token"])

    wrong = {"refresh_token": "c4n4ry-wr0ng"}
    report = told(operator.post(where, json=wrong))
    assert (False, "invalid_grant") == (report["passed"], report["code"])
    assert report["remedy"]
    assert [] == bench.sings("c4n4ry-wr0ng")


def test_what_another_server_did_is_no_mistake_of_ours(bench: Bench) -> None:
    """502, with the profile and the remedy; a mode without tokens is a conflict."""
    admin = bench.program()
    bench.server.stop()
    begun = admin.post(f"{TOKEN}/grant", json={"redirect_uri": BACK})
    assert "urn:email-profiles:problem:http-error" == told(begun, 502)["type"]
    basic = {
        "name": "basic",
        "smtp": {"hostname": "127.0.0.1"},
        "auth": {"mode": "basic"},
    }
    told(admin.post(f"{API}/profiles", json=basic), 201)
    told(admin.get(f"{API}/profiles/basic/token"), 409)


def test_no_answer_sings(
    bench: Bench,
    smtp_server: Any,
    profile_document: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every place that reads, and mistakes with secrets in them; the log as well."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # the server's own
    smtp_server.users = {"gateway": PASSWORD}
    admin = bench.program()
    document = profile_document(smtp_server, smtp={"debug": True})
    told(admin.post(f"{API}/profiles", json=document), 201)
    message = {
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
        "text": "x",
    }
    where = f"{API}/profiles/plant"
    assert told(admin.post(f"{where}/test", json={"message": message}))["passed"]
    sent = admin.post(f"{API}/send", json={**message, "profile": "plant"})
    id = told(sent, 202)["id"]
    for path in bench.console.profiles.plugins.providers:
        admin.get(f"{API}/schemas/email_profile:{path}")
    described = told(admin.get(f"{API}/openapi.json"))
    for path, item in described["paths"].items():
        names = ("plant", "cloud", "login", "gmail") if "{name}" in path else ("",)
        for name in names:
            if "get" in item:
                admin.get(f"{API}{path}".format(name=name, id=id, field="password"))
    auth = {**document["auth"], "pasword": PASSWORD, "username": {"x": PASSWORD}}
    told(admin.put(where, json={**document, "auth": auth}), 428)
    given = {"json": {**document, "auth": auth}, "headers": {"If-Match": "*"}}
    told(admin.put(where, **given), 422)
    told(admin.post(f"{API}/profiles", json={**document, "auth": [PASSWORD]}), 422)
    told(admin.post(f"{where}/rename", json={"name": 1, "x": PASSWORD}), 422)
    secret = {"json": {"value": [PASSWORD]}, "headers": {"If-Match": "*"}}
    told(admin.put(f"{where}/secrets/password", **secret), 422)
    headers = {"Content-Type": "application/json"}
    admin.post(f"{API}/profiles", data=f'{{"p": "{PASSWORD}"'.encode(), headers=headers)
    admin.post(f"{API}/profiles", data=PASSWORD.encode(), headers=headers)
    bench.answers.append(caplog.text)
    token = admin.headers["Authorization"].removeprefix("Bearer ")

    assert len(bench.answers) > 50
    assert [] == bench.sings(token)
