"""The JSON API as programs meet it: by HTTP, on the real facade, with real servers."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from console_client import Browser, ConsoleServer, Served, origin
from starlette.applications import Starlette
from starlette.routing import Mount

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.console import Role, create_app
from email_profiles_plugin.console.api.document_operations import COLLECTIONS
from email_profiles_plugin.console.api.documents import Collection
from email_profiles_plugin.console.api.openapi import OPERATIONS

API = "/api/v1"
CANARY = "c4n4ry-p4ssw0rd"
PLANT: dict[str, Any] = {
    "name": "plant",
    "smtp": {"hostname": "mail.plant.example", "use_starttls": True},
    "auth": {"mode": "basic", "username": "gateway", "password": CANARY},
}
CLIENT: dict[str, Any] = {
    "name": "entra",
    "client_id": "4711",
    "client_secret": CANARY,
    "token_endpoint": "https://login.plant.example/token",
}
MESSAGE: dict[str, Any] = {
    "profile": "plant",
    "from_address": "gateway@plant.example",
    "to": ["operator@plant.example"],
    "subject": "Tank 4 high",
    "text": "Level is 92 %.",
}
MARK = {"stored": True}


@pytest.fixture
def console(open_profiles: Callable[..., EmailProfiles]) -> Iterator[ConsoleServer]:
    """A console of an empty store; nothing is delivered."""
    with ConsoleServer(open_profiles(deliver=False)) as server:
        yield server


@pytest.fixture
def admin(console: ConsoleServer) -> Browser:
    return console.api(Role.ADMIN)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """A console for tests that change nothing but tokens."""
    home = tmp_path_factory.mktemp("reading") / "home"
    with (
        EmailProfiles.open(home, deliver=False, only=()) as profiles,
        ConsoleServer(profiles) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def reader(reading: ConsoleServer) -> Browser:
    """An admin all the same, so that what is refused is so by its mistake."""
    return reading.api(Role.ADMIN)


def problem(response: requests.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem details of *response*, which has to be of this status and kind."""
    assert (status, "application/problem+json") == (
        response.status_code,
        response.headers["Content-Type"],
    ), response.text
    told: dict[str, Any] = response.json()
    assert (f"urn:email-profiles:problem:{kind}", status) == (
        told["type"],
        told["status"],
    ), told
    assert told["title"]
    assert told["detail"]
    return told


def paths(told: dict[str, Any]) -> list[str]:
    return [one["path"] for one in told["problems"]]


def good(response: requests.Response, status: int = 200) -> Any:
    assert status == response.status_code, response.text
    assert "application/json" == response.headers["Content-Type"]
    return response.json()


def store(admin: Browser, *documents: dict[str, Any]) -> None:
    for one in documents:
        where = "clients" if "client_id" in one else "profiles"
        good(admin.post(f"{API}/{where}", json=one), 201)


def test_the_life_of_a_document(console: ConsoleServer, admin: Browser) -> None:
    """Created, read, listed, stored, patched, renamed, deleted; each by its actor."""
    made = admin.post(f"{API}/profiles", json=PLANT)
    change = good(made, 201)
    assert (1, "created", []) == (
        change["revision"],
        change["change"],
        change["warnings"],
    )
    tags = [f'"{change["id"]}-{number}"' for number in range(5)]
    assert tags[1] == made.headers["ETag"]
    where = made.headers["Location"]
    assert f"{API}/profiles/plant" == where

    read = admin.get(where)
    document = good(read)
    assert {**PLANT, "auth": {**PLANT["auth"], "password": MARK}} == document
    assert 304 == admin.get(where, headers={"If-None-Match": tags[1]}).status_code
    assert 200 == admin.get(where, headers={"If-None-Match": '"7"'}).status_code

    document["description"] = "What the plant sends by"
    put = admin.put(where, json=document, headers={"If-Match": read.headers["ETag"]})
    assert "changed" == good(put)["change"]
    again = admin.put(where, json=document, headers={"If-Match": put.headers["ETag"]})
    assert ("unchanged", tags[2]) == (good(again)["change"], again.headers["ETag"])

    patch = admin.patch(
        where,
        json={"description": None, "smtp": {"timeout_ms": 5000}},
        headers={"If-Match": tags[2], "Content-Type": "application/merge-patch+json"},
    )
    assert 3 == good(patch)["revision"]
    assert {**PLANT["smtp"], "timeout_ms": 5000} == good(admin.get(where))["smtp"]

    renamed = admin.post(
        f"{where}/rename", json={"name": "Werk 1 ü"}, headers={"If-Match": tags[3]}
    )
    where = renamed.headers["Location"]
    assert "Werk 1 ü" == good(renamed)["name"] == good(admin.get(where))["name"]
    (listed,) = good(admin.get(f"{API}/profiles"))["items"]
    assert (change["id"], "Werk 1 ü", 4) == (
        listed["id"],
        listed["name"],
        listed["revision"],
    )

    assert 204 == admin.delete(where, headers={"If-Match": tags[4]}).status_code
    problem(admin.get(where), 404, "not-found")
    trail = good(admin.get(f"{API}/audit", params={"subject_id": change["id"]}))
    assert ["delete", "rename", "change", "change", "create"] == [
        one["action"] for one in trail["items"]
    ]
    assert {"console:token:admin-0"} == {one["actor"] for one in trail["items"]}


def test_a_lost_update_is_prevented(console: ConsoleServer, admin: Browser) -> None:
    """Two read, both change: the second is told, and has to read again."""
    store(admin, PLANT)
    where, other = f"{API}/profiles/plant", console.api(Role.ADMIN)
    tag = admin.get(where).headers["ETag"]
    seen = other.get(where)
    good(admin.patch(where, json={"description": "mine"}, headers={"If-Match": tag}))

    now = other.get(where).headers["ETag"]
    theirs = {**seen.json(), "description": "theirs"}
    headers = {"If-Match": seen.headers["ETag"]}
    for refused in (
        other.put(where, json=theirs, headers=headers),
        other.patch(where, json={"description": "x"}, headers=headers),
        other.delete(where, headers=headers),
        other.post(f"{where}/rename", json={"name": "x"}, headers=headers),
        other.put(f"{where}/secrets/password", json={"value": "x"}, headers=headers),
        other.put(where, json=theirs, headers={"If-Match": f"W/{now}"}),
    ):
        assert problem(refused, 412, "stale-revision")["remedy"]
    for refused in (
        other.put(where, json=theirs),
        other.patch(where, json={"description": "x"}),
        other.delete(where),
        other.post(f"{where}/rename", json={"name": "x"}),
    ):
        assert now in problem(refused, 428, "precondition-required")["remedy"]
    assert "mine" == good(admin.get(where))["description"]
    good(other.put(where, json=theirs, headers={"If-Match": f"{tag}, {now}"}))
    good(other.put(where, json=theirs, headers={"If-Match": "*"}))
    problem(
        other.put(where, json=theirs, headers={"If-Match": "7"}),
        400,
        "malformed-header",
    )


def test_a_tag_is_of_one_document(admin: Browser) -> None:
    """What is deleted and made anew under the same name is another."""
    where = f"{API}/profiles/plant"
    tag = admin.put(where, json=PLANT).headers["ETag"]
    admin.delete(where, headers={"If-Match": tag})
    store(admin, PLANT)
    patch = admin.patch(where, json={"enabled": False}, headers={"If-Match": tag})

    problem(patch, 412, "stale-revision")
    assert 200 == admin.get(where, headers={"If-None-Match": tag}).status_code


def test_create_only(admin: Browser) -> None:
    """`If-None-Match: *`, and POST, never change what is there."""
    where, headers = f"{API}/profiles/plant", {"If-None-Match": "*"}
    put = admin.put(where, json=PLANT, headers=headers)
    assert ("created", where) == (good(put, 201)["change"], put.headers["Location"])
    problem(admin.put(where, json=PLANT, headers=headers), 412, "already-there")
    problem(admin.post(f"{API}/profiles", json=PLANT), 409, "name-taken")
    problem(
        admin.put(
            f"{API}/profiles/b",
            json={**PLANT, "name": "b"},
            headers={"If-Match": '"1"'},
        ),
        412,
        "stale-revision",
    )
    assert 1 == len(good(admin.get(f"{API}/profiles"))["items"])


def test_a_stored_secret_is_kept_by_its_mark(
    console: ConsoleServer, admin: Browser
) -> None:
    """Sent back it stays; it follows to no other place, and may be given up."""
    store(admin, PLANT)
    where, documents = f"{API}/profiles/plant", console.profiles.profiles
    sealed = documents.get("plant").body["auth"]["password"]
    document = good(admin.get(where))

    document["description"] = "new"
    good(admin.put(where, json=document, headers={"If-Match": "*"}))
    assert sealed == documents.get("plant").body["auth"]["password"]

    moved = {**document, "smtp": {**document["smtp"], "hostname": "evil.example"}}
    told = problem(
        admin.put(where, json=moved, headers={"If-Match": "*"}), 422, "invalid"
    )
    assert ["$.auth.password"] == paths(told)
    fresh = {**document, "name": "other"}
    told = problem(admin.post(f"{API}/profiles", json=fresh), 422, "invalid")
    assert ["$.auth.password"] == paths(told)

    good(
        admin.put(
            f"{where}/secrets/password",
            json={"value": "another"},
            headers={"If-Match": "*"},
        )
    )
    assert sealed != documents.get("plant").body["auth"]["password"]
    problem(
        admin.put(
            f"{where}/secrets/nonsense", json={"value": "x"}, headers={"If-Match": "*"}
        ),
        422,
        "invalid",
    )

    store(admin, {**CLIENT, "token_endpoint_auth_method": "client_secret_post"})
    gone = {"client_secret": None, "token_endpoint_auth_method": "none"}
    client = f"{API}/clients/entra"
    good(admin.patch(client, json=gone, headers={"If-Match": "*"}))
    assert "client_secret" not in console.profiles.clients.get("entra").body


def test_an_export_is_sealed(console: ConsoleServer, admin: Browser) -> None:
    """It opens in this installation, under this name; for admins alone."""
    store(admin, PLANT)
    exported = good(admin.get(f"{API}/profiles/plant/export"))
    assert {"sealed"} == exported["auth"]["password"].keys()
    good(admin.put(f"{API}/profiles/plant", json=exported, headers={"If-Match": "*"}))
    viewer = console.api(Role.OPERATOR)
    problem(viewer.get(f"{API}/profiles/plant/export"), 403, "forbidden")


def test_every_mistake_in_a_document_is_told(reader: Browser) -> None:
    """With its place and what is allowed there, and nothing is stored."""
    wrong = {
        "name": "plant",
        "smtp": {"hostname": "", "port": 70000},
        "auth": {"mode": "basic", "username": "gateway", "pasword": CANARY},
        "shape": 1,
    }
    told = problem(reader.post(f"{API}/profiles", json=wrong), 422, "invalid")
    assert ["$.smtp.hostname", "$.smtp.port", "$.auth.pasword", "$.shape"] == paths(
        told
    )
    assert CANARY not in json.dumps(told)
    told = problem(reader.put(f"{API}/profiles/else", json=PLANT), 422, "invalid")
    assert ["$.name"] == paths(told)
    problem(reader.post(f"{API}/profiles", json=[PLANT]), 422, "invalid")
    assert [] == good(reader.get(f"{API}/profiles"))["items"]


def test_deleting_what_is_used_is_refused(
    console: ConsoleServer, admin: Browser
) -> None:
    """A client of a profile; a profile with messages, unless by force."""
    cloud = {
        "name": "cloud",
        "smtp": {"hostname": "smtp.plant.example", "use_starttls": True},
        "auth": {"mode": "oauth2", "username": "a@plant.example", "client": "entra"},
    }
    store(admin, PLANT, CLIENT, cloud)
    anyhow = {"If-Match": "*"}
    told = problem(admin.delete(f"{API}/clients/entra", headers=anyhow), 409, "in-use")
    assert "'cloud'" in told["detail"]

    id = good(admin.post(f"{API}/send", json=MESSAGE), 202)["id"]
    problem(admin.delete(f"{API}/profiles/plant", headers=anyhow), 409, "in-use")
    gone = admin.delete(f"{API}/profiles/plant?force=true", headers=anyhow)
    assert 204 == gone.status_code
    assert "refused" == good(admin.get(f"{API}/outbox/{id}"))["state"]


def test_a_message_is_queued_once(console: ConsoleServer, admin: Browser) -> None:
    """By the key in the header or in the body; other content is a conflict."""
    store(admin, PLANT)
    operator = console.api(Role.OPERATOR)
    attached = {"name": "a.csv", "data": b64encode(b"1;2\n").decode()}
    message = {**MESSAGE, "attachments": [attached]}
    key = {"Idempotency-Key": "tank-4"}
    sent = operator.post(f"{API}/send", json=message, headers=key)
    receipt = good(sent, 202)
    assert receipt["duplicate"] is False
    assert f"{API}/outbox/{receipt['id']}" == sent.headers["Location"]

    for again in (
        operator.post(f"{API}/send", json=message, headers=key),
        operator.post(
            f"{API}/send", json=message, headers={"Idempotency-Key": '"tank-4"'}
        ),
        operator.post(f"{API}/send", json={**message, "idempotency_key": "tank-4"}),
    ):
        assert {**receipt, "duplicate": True} == good(again, 202)
    other = {**message, "subject": "Tank 5"}
    problem(
        operator.post(f"{API}/send", json=other, headers=key),
        409,
        "idempotency-conflict",
    )
    twice = {**message, "idempotency_key": "tank-5"}
    told = problem(
        operator.post(f"{API}/send", json=twice, headers=key), 422, "invalid"
    )
    assert ["$.idempotency_key"] == paths(told)
    shown = good(operator.get(sent.headers["Location"]))
    assert ("queued", "console:token:operator-0", "tank-4") == (
        shown["state"],
        shown["origin"],
        shown["idempotency_key"],
    )
    assert "Subject: Tank 4 high" in shown["header"].splitlines()
    assert [("operator@plant.example", "waiting")] == [
        (one["address"], one["state"]) for one in shown["recipients"]
    ]


def test_what_can_never_be_sent_is_refused(admin: Browser) -> None:
    """All mistakes at once; a profile that is not there, or disabled, or bound."""
    store(admin, {**PLANT, "policy": {"from_addresses": ["plant.example"]}})
    wrong = {**MESSAGE, "to": "operator@plant.example", "priority": 9, "cc": []}
    told = problem(admin.post(f"{API}/send", json=wrong), 422, "invalid")
    assert ["$.to", "$.priority"] == paths(told)
    other = {**MESSAGE, "profile": "other"}
    problem(admin.post(f"{API}/send", json=other), 404, "not-found")
    foreign = {**MESSAGE, "from_address": "boss@evil.example"}
    problem(admin.post(f"{API}/send", json=foreign), 422, "from-not-allowed")
    off = admin.patch(
        f"{API}/profiles/plant", json={"enabled": False}, headers={"If-Match": "*"}
    )
    good(off)
    problem(admin.post(f"{API}/send", json=MESSAGE), 409, "disabled")


def test_the_outbox(console: ConsoleServer, admin: Browser) -> None:
    """Filtered, page by page, counted; retried, cancelled and decided."""
    store(admin, PLANT)
    ids = [
        good(
            admin.post(f"{API}/send", json={**MESSAGE, "to": [f"o{n}@x.example"]}), 202
        )["id"]
        for n in range(5)
    ]
    pages, after = [], None
    while after is not None or not pages:
        query = {"limit": 2, "after": after}
        page = good(admin.get(f"{API}/outbox", params=query))
        pages.append([one["id"] for one in page["items"]])
        after = page["next"]
    assert ids[::-1] == [id for page in pages for id in page]
    assert [2, 2, 1] == [len(page) for page in pages]

    (found,) = good(admin.get(f"{API}/outbox", params={"text": "o3@"}))["items"]
    assert ids[3] == found["id"]
    problem(admin.get(f"{API}/outbox?profile=other"), 404, "not-found")
    problem(admin.get(f"{API}/outbox/{ids[0][:8]}"), 404, "not-found")

    cancelled = good(admin.post(f"{API}/outbox/{ids[0]}/cancel"))
    assert "cancelled" == cancelled["state"]
    problem(admin.post(f"{API}/outbox/{ids[0]}/cancel"), 409, "conflict")
    problem(
        admin.post(f"{API}/outbox/{ids[1]}/settle", json={"decision": "accepted"}),
        409,
        "conflict",
    )
    told = problem(
        admin.post(f"{API}/outbox/{ids[1]}/settle", json={"decision": "maybe"}),
        422,
        "invalid",
    )
    assert ["$.decision"] == paths(told)
    assert "queued" == good(admin.post(f"{API}/outbox/{ids[0]}/retry"))["state"]
    only = good(
        admin.get(f"{API}/outbox", params={"state": "queued", "profile": "plant"})
    )
    assert 5 == len(only["items"])
    counts = good(admin.get(f"{API}/stats"))
    assert (5, 0) == (counts["queued"], counts["cancelled"])


def test_outcomes_are_read_on(console: ConsoleServer, admin: Browser) -> None:
    """Oldest first, from where the last page ended, also when more has come."""
    store(admin, PLANT)
    since = {"since": "2026-01-01T00:00:00Z", "limit": 2}
    assert {"items": [], "next": None} == good(
        admin.get(f"{API}/outcomes", params=since)
    )
    ids = [good(admin.post(f"{API}/send", json=MESSAGE), 202)["id"] for _ in range(3)]
    for id in ids:
        good(admin.post(f"{API}/outbox/{id}/cancel"))
    first = good(admin.get(f"{API}/outcomes", params=since))
    query = {**since, "after": first["next"]}
    second = good(admin.get(f"{API}/outcomes", params=query))
    assert ids == [one["id"] for one in first["items"] + second["items"]]
    assert {"cancelled"} == {one["state"] for one in first["items"]}
    rest = good(admin.get(f"{API}/outcomes", params={**query, "after": second["next"]}))
    assert ([], second["next"]) == (rest["items"], rest["next"])
    told = problem(
        admin.get(f"{API}/outcomes", params={**query, "after": "x"}),
        400,
        "invalid-parameter",
    )
    assert ["after"] == paths(told)


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("limit=0", ["limit"]),
        ("limit=501", ["limit"]),
        ("limit=ten", ["limit"]),
        ("limit=1&limit=2", ["limit"]),
        ("limit=", ["limit"]),
        ("state=lost", ["state"]),
        ("colour=red&shape=round", ["colour", "shape"]),
        ("limit=" + "9" * 5000, ["limit"]),
    ],
)
def test_a_query_is_read_strictly(
    reader: Browser, query: str, wrong: list[str]
) -> None:
    """What is misspelt is not passed over."""
    told = problem(reader.get(f"{API}/outbox?{query}"), 400, "invalid-parameter")
    assert wrong == paths(told)


def test_times_need_a_zone(reader: Browser) -> None:
    """And are needed, where they are."""
    for query in ("", "?since=2026-11-24T08:00:00", "?since=noon"):
        told = problem(reader.get(f"{API}/outcomes{query}"), 400, "invalid-parameter")
        assert ["since"] == paths(told)


def test_bodies_are_read_strictly(reader: Browser) -> None:
    """JSON alone, once, whole, and not too much of it."""
    where = f"{API}/profiles"
    form = {"Content-Type": "text/plain"}
    refused = reader.post(where, data=json.dumps(PLANT), headers=form)
    problem(refused, 415, "unsupported-media-type")
    assert "application/json" == refused.headers["Accept"]
    refused = reader.patch(
        f"{where}/plant", data="{}", headers={"If-Match": "*", **form}
    )
    assert "application/merge-patch+json" in refused.headers["Accept-Patch"]
    problem(reader.post(where), 415, "unsupported-media-type")
    asked = {"Content-Type": "application/json"}
    problem(reader.post(where, data="{", headers=asked), 400, "malformed-json")
    twice = '{"name": "a", "name": "b"}'
    problem(reader.post(where, data=twice, headers=asked), 400, "malformed-json")
    much = b" " * 1_048_577
    problem(reader.post(where, data=much, headers=asked), 413, "content-too-large")
    problem(
        reader.post(f"{API}/outbox/4711/retry", json={"at": "noon"}),
        400,
        "unexpected-body",
    )


def test_who_is_not_signed_in_is_told_how(reading: ConsoleServer) -> None:
    """401 with a challenge; a wrong token is no better than none."""
    stranger = reading.browser()
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        refused = stranger.get(f"{API}/profiles", headers=headers)
        problem(refused, 401, "unauthorized")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    problem(stranger.get(f"{API}/openapi.json"), 401, "unauthorized")


def test_places_that_are_not_there(reader: Browser) -> None:
    """404, and 405 with all that is allowed."""
    problem(reader.get(f"{API}/nowhere"), 404, "not-found")
    refused = reader.delete(f"{API}/profiles")
    problem(refused, 405, "method-not-allowed")
    assert {"GET", "HEAD", "POST"} == {
        one.strip() for one in refused.headers["Allow"].split(",")
    }


def test_a_session_of_the_browser_will_do(console: ConsoleServer) -> None:
    """Where the console itself wrote the page that asks; no other site's can."""
    pat = console.signed_in(Role.ADMIN)
    own = {"Origin": origin(console.url)}
    good(pat.post(f"{API}/profiles", json=PLANT, headers=own), 201)
    strange = {"Origin": "https://evil.example"}
    problem(
        pat.post(f"{API}/profiles", json={**PLANT, "name": "x"}, headers=strange),
        403,
        "forbidden",
    )
    (entry,) = good(pat.get(f"{API}/audit", params={"text": "plant"}))["items"]
    assert "console:pat" == entry["actor"]


def test_api_tokens(console: ConsoleServer, admin: Browser) -> None:
    """Made by an admin, told once, and worth nothing once it is revoked."""
    where = f"{API}/access-tokens"
    made = good(admin.post(where, json={"name": "ci", "role": "viewer"}), 201)
    program = console.browser()
    program.headers["Authorization"] = f"Bearer {made['secret']}"
    good(program.get(f"{API}/profiles"))
    problem(program.get(where), 403, "forbidden")
    listed = admin.get(where)
    assert {"admin-0", "ci"} == {one["name"] for one in good(listed)["items"]}
    assert made["secret"] not in listed.text

    again = admin.post(where, json={"name": "ci", "role": "viewer"})
    problem(again, 409, "name-taken")
    wrong = admin.post(where, json={"name": "x", "role": "god"})
    assert ["$.role"] == paths(problem(wrong, 422, "invalid"))
    token = f"{where}/{made['token']['id']}"
    assert 204 == admin.delete(token).status_code
    problem(program.get(f"{API}/profiles"), 401, "unauthorized")
    problem(admin.delete(token), 404, "not-found")


def test_test_messages(
    console: ConsoleServer, admin: Browser, smtp_server: Any, profile_document: Any
) -> None:
    """By what is stored; by a document that is not, for admins; failures are told."""
    document = profile_document(smtp_server)
    store(admin, document)
    where, operator = f"{API}/profiles/plant/test", console.api(Role.OPERATOR)
    message = {name: MESSAGE[name] for name in MESSAGE if name != "profile"}
    report = good(operator.post(where, json={"message": message}))
    assert (True, True, "") == (report["passed"], report["saved"], report["error"])
    assert "Tank 4 high" in smtp_server.messages[-1].octets.decode()
    assert any("EHLO" in line for line in report["transcript"])

    shown = good(admin.get(f"{API}/profiles/plant"))
    unsaved = {"message": message, "document": {**shown, "description": "x"}}
    problem(operator.post(where, json=unsaved), 403, "forbidden")
    report = good(admin.post(where, json=unsaved))
    assert (True, False) == (report["passed"], report["saved"])
    wrong = {**shown, "auth": {**shown["auth"], "password": "wrong"}}
    report = good(admin.post(where, json={"message": message, "document": wrong}))
    assert (False, "AUTH") == (report["passed"], report["stage"])
    assert report["remedy"]

    bad = {"message": {**message, "to": 1, "profile": "other"}}
    told = problem(operator.post(where, json=bad), 422, "invalid")
    assert ["$.message.to", "$.message.profile"] == paths(told)
    problem(operator.post(f"{API}/profiles/x/test", json=bad), 422, "invalid")
    bad = {"message": message}
    problem(operator.post(f"{API}/profiles/x/test", json=bad), 404, "not-found")
    fares = good(admin.get(f"{API}/profiles/plant/health"))
    assert (0, None) == (fares["failures"], fares["paused_until"])


def test_catalogue(reader: Browser) -> None:
    """Plugins, schemas, presets; and what a preset makes."""
    plugins = good(reader.get(f"{API}/plugins"))
    assert {"basic", "oauth2"} <= {one["mode"] for one in plugins["modes"]}
    names = {one["name"] for one in good(reader.get(f"{API}/schemas"))["items"]}
    assert {"email_profile:basic", "oauth2_client", "send_request"} <= names
    schema = reader.get(f"{API}/schemas/email_profile:basic")
    assert "application/schema+json" == schema.headers["Content-Type"]
    assert "basic" == schema.json()["properties"]["auth"]["properties"]["mode"]["const"]
    client = reader.get(f"{API}/schemas/oauth2_client").json()
    assert "urn:email-profiles:secret" == client["$defs"]["secret"]["$id"]
    problem(reader.get(f"{API}/schemas/x"), 404, "not-found")

    assert "gmail" in [
        one["name"] for one in good(reader.get(f"{API}/presets"))["items"]
    ]
    assert "gmail" == good(reader.get(f"{API}/presets/gmail"))["name"]
    made = good(
        reader.post(f"{API}/presets/gmail", json={"username": "a@plant.example"})
    )
    assert "smtp.gmail.com" == made["profile"]["smtp"]["hostname"]
    problem(reader.post(f"{API}/presets/gmail", json={"port": 1}), 422, "invalid")
    problem(reader.post(f"{API}/presets/x"), 404, "not-found")


def test_the_page_shows_every_operation(reading: ConsoleServer) -> None:
    """With its parameters and a command; without a script."""
    page = reading.signed_in(Role.VIEWER).get("/api")
    assert 200 == page.status_code
    for wanted in ("POST /send", "If-Match", "$TOKEN", "EmailProfile.oauth2"):
        assert wanted in page.text
    assert "<script" not in page.text
    found = good(reading.api(Role.VIEWER).get(f"{API}/openapi.json"))
    assert found["servers"] == [{"url": f"{reading.url}{API}"}]
    assert urlsplit(found["servers"][0]["url"]).path == API


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda one: one.path)
def test_each_kind_of_document_goes_the_same_way(
    admin: Browser, collection: Collection
) -> None:
    """Its example is valid; created, read, changed, copied and deleted by one table."""
    store(admin, CLIENT, {**PLANT, "name": "plant-alerts"})
    where = f"{API}/{collection.path}"
    example = {**collection.example, "name": "werk"}
    good(admin.post(where, json=example), 201)
    read = admin.get(f"{where}/werk")
    assert example.keys() == good(read).keys()
    change = {"description": "x"}
    tag = {"If-Match": read.headers["ETag"]}
    assert 2 == good(admin.patch(f"{where}/werk", json=change, headers=tag))["revision"]
    problem(
        admin.patch(f"{where}/werk", json=change, headers=tag), 412, "stale-revision"
    )
    copy = {"name": "werk 2", "changes": {"description": "y"}}
    made = admin.post(f"{where}/werk/duplicate", json=copy)
    assert 1 == good(made, 201)["revision"]
    assert "y" == good(admin.get(made.headers["Location"]))["description"]
    problem(admin.post(f"{where}/werk/duplicate", json=copy), 409, "name-taken")
    gone = admin.delete(f"{where}/werk", headers={"If-Match": "*"})
    assert 204 == gone.status_code


def test_a_copy_has_no_secret_of_the_other(admin: Browser) -> None:
    """They are given with it, or set afterwards."""
    store(admin, PLANT)
    where = f"{API}/profiles/plant/duplicate"
    good(admin.post(where, json={"name": "b"}), 201)
    assert "password" not in good(admin.get(f"{API}/profiles/b"))["auth"]
    changes = {"auth": {"password": "another"}, "name": "ignored"}
    good(admin.post(where, json={"name": "c", "changes": changes}), 201)
    assert MARK == good(admin.get(f"{API}/profiles/c"))["auth"]["password"]


def test_secrets_are_not_taken_from_anywhere(
    console: ConsoleServer, admin: Browser
) -> None:
    """Over HTTP, variables have a prefix and files a folder; also in a test."""
    for reference in ({"env": "HOME"}, {"file": "/etc/passwd"}):
        auth = {**PLANT["auth"], "password": reference}
        document = {**PLANT, "auth": auth}
        told = problem(admin.post(f"{API}/profiles", json=document), 422, "invalid")
        assert ["$.auth.password"] == paths(told)
        message = {"from_address": "a@plant.example", "to": ["b@plant.example"]}
        told = problem(
            admin.post(
                f"{API}/profiles/plant/test",
                json={"message": message, "document": document},
            ),
            422,
            "invalid",
        )
        assert ["$.auth.password"] == paths(told)
    reference = {"env": "EMAIL_PROFILES_SECRET_PLANT"}
    store(admin, {**PLANT, "auth": {**PLANT["auth"], "password": reference}})
    shown = good(admin.get(f"{API}/profiles/plant"))
    assert reference == shown["auth"]["password"]


def test_under_a_path(open_profiles: Callable[..., EmailProfiles]) -> None:
    """Mounted, or behind a proxy: what is answered leads to where it was asked."""
    profiles = open_profiles(deliver=False)

    def mounted(url: str) -> Any:
        console = create_app(profiles, base_url=f"{url}/mail")
        return Starlette(routes=[Mount("/mail", console)])

    with Served(mounted) as server:
        made = profiles.access.make("program", Role.ADMIN, actor="test")
        admin = Browser(server.url)
        admin.headers["Authorization"] = f"Bearer {made.secret}"
        posted = admin.post(f"/mail{API}/profiles", json=PLANT)
        assert f"/mail{API}/profiles/plant" == posted.headers["Location"]
        good(admin.get(posted.headers["Location"]))
        described = good(admin.get(f"/mail{API}/openapi.json"))
        assert [{"url": f"{server.url}/mail{API}"}] == described["servers"]
        problem(admin.get(f"/mail{API}/nowhere"), 404, "not-found")


@pytest.mark.parametrize("role", list(Role))
def test_each_role_is_refused_what_it_may_not_do(
    reading: ConsoleServer, role: Role
) -> None:
    """Before anything is looked at: 403 for those above it, and for those alone."""
    program = reading.api(role)
    for one in OPERATIONS:
        place = one.path.format(name="x", id="x", field="x")
        response = program.request(one.method, f"{API}{place}")
        assert (403 == response.status_code) == (role < one.rule), one.id
        if role < one.rule:
            assert str(one.rule) in problem(response, 403, "forbidden")["detail"]
