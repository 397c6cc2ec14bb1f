"""Many threads, one profile: few connections, one token, an outcome for each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from email_profiles_hookspecs import Outcome, SendRequest
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.testing import AuthorizationServer, SmtpServer

SENDERS = 64
CONNECTIONS = 3
MAILBOX = "gateway@plant.example"
WAIT_S = 120

Open = Callable[..., EmailProfiles]


def message(number: int) -> SendRequest:
    return SendRequest(
        profile="cloud",
        from_address=MAILBOX,
        to=[f"operator-{number}@plant.example"],
        text=f"Level is {number} %.",
    )


@pytest.fixture
def server(
    smtp_server_factory: Callable[..., SmtpServer],
    authorization_server: AuthorizationServer,
) -> SmtpServer:
    """A mail server that takes the tokens of the authorization server."""
    return smtp_server_factory(
        tls="starttls", accept_token=authorization_server.accepts
    )


@pytest.fixture
def profiles(
    request: pytest.FixtureRequest,
    open_profiles: Open,
    profile_document: Callable[..., dict[str, Any]],
    server: SmtpServer,
    authorization_server: AuthorizationServer,
) -> EmailProfiles:
    """An oauth2 profile without a token yet; a param says who delivers."""
    authorization_server.register("gateway", "s3cret", user=MAILBOX)
    client = {
        "name": "plant-login",
        "client_id": "gateway",
        "client_secret": "s3cret",
        "token_endpoint": authorization_server.token_endpoint,
        "ca_file": str(authorization_server.ca_file),
    }
    auth = {"mode": "oauth2", "username": MAILBOX, "client": "plant-login"}
    limits = {"max_connections": CONNECTIONS}
    document = profile_document(server, name="cloud", auth=auth, limits=limits)
    opened = open_profiles(deliver=request.param)
    opened.clients.apply(client, actor="test")
    opened.profiles.apply(document, actor="test")
    return opened


def all_at_once(send: Callable[[int], Outcome | None]) -> list[Outcome | None]:
    """What each of the threads got, which begin together."""
    start = threading.Barrier(SENDERS)

    def run(number: int) -> Outcome | None:
        start.wait()
        return send(number)

    with ThreadPoolExecutor(SENDERS) as threads:
        return list(threads.map(run, range(SENDERS)))


def look_at(
    outcomes: list[Outcome | None],
    server: SmtpServer,
    issuer: AuthorizationServer,
    tokens: int = 1,
) -> None:
    """Every thread got its own message's outcome; few connections and tokens."""
    told = [one and (one.state, one.accepted, one.error) for one in outcomes]
    recipients = [f"operator-{number}@plant.example" for number in range(SENDERS)]
    received = [one.recipients for one in server.messages]

    assert [("accepted", (one,), "") for one in recipients] == told
    assert sorted((one,) for one in recipients) == sorted(received)
    assert {MAILBOX} == {one.identity for one in server.messages}
    assert server.peak_sessions <= CONNECTIONS
    assert tokens == issuer.token_requests


@pytest.mark.parametrize("profiles", [True, False], indirect=True)
def test_many_deliver(
    profiles: EmailProfiles,
    server: SmtpServer,
    authorization_server: AuthorizationServer,
) -> None:
    """Callers that wait for their own message, with delivery beside them or without."""
    outcomes = all_at_once(lambda number: profiles.deliver(message(number), WAIT_S))

    look_at(outcomes, server, authorization_server)


@pytest.mark.parametrize("profiles", [True], indirect=True)
def test_many_queue(
    profiles: EmailProfiles,
    server: SmtpServer,
    authorization_server: AuthorizationServer,
) -> None:
    """Callers that queue, and ask for the outcome later."""

    def send(number: int) -> Outcome | None:
        receipt = profiles.send(message(number))
        return profiles.outcome(receipt.id, wait=WAIT_S)

    outcomes = all_at_once(send)

    look_at(outcomes, server, authorization_server)


@pytest.mark.parametrize("profiles", [True], indirect=True)
def test_many_wait_for_one_token(
    profiles: EmailProfiles,
    server: SmtpServer,
    authorization_server: AuthorizationServer,
) -> None:
    """Whoever comes while the token is asked for waits for that one request."""
    authorization_server.hold.close()
    begun = threading.Barrier(SENDERS)

    def send(number: int) -> Outcome | None:
        if number:
            begun.wait()
        return profiles.deliver(message(number), WAIT_S)

    with ThreadPoolExecutor(SENDERS) as threads:
        first = threads.submit(send, 0)
        authorization_server.hold.wait_held()
        others = [threads.submit(send, number) for number in range(1, SENDERS)]
        begun.wait()
        authorization_server.hold.open()
        outcomes = [one.result() for one in (first, *others)]

    look_at(outcomes, server, authorization_server)


@pytest.mark.parametrize("profiles", [True, False], indirect=True)
def test_a_refused_token_is_replaced_once(
    profiles: EmailProfiles,
    server: SmtpServer,
    authorization_server: AuthorizationServer,
) -> None:
    """A token that the mail server refuses to all costs one more request, not many."""
    profiles.tokens.refresh("cloud")
    authorization_server.revoke_tokens()

    outcomes = all_at_once(lambda number: profiles.deliver(message(number), WAIT_S))

    assert 2 == profiles.tokens.status("cloud").generation
    look_at(outcomes, server, authorization_server, tokens=2)
