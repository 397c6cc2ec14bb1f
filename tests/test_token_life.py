"""A token's life beyond one fetch: lost answers, new grants, renewal, who waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import define, evolve, field

from email_profiles_hookspecs import (
    Authenticator,
    Profile,
    Reply,
    SendRequest,
    SmtpSettings,
    Timing,
    Token,
)
from email_profiles_hookspecs.errors import (
    GrantRefused,
    HttpError,
    NeedsGrant,
    TokenError,
)
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.clock import SystemClock
from email_profiles_plugin.oauth.grants import HalfAnswer
from email_profiles_plugin.outbox.delivery import Pace
from email_profiles_plugin.renewal import Renewal
from email_profiles_plugin.secrets import Keyring
from email_profiles_plugin.store import health
from email_profiles_plugin.store import tokens as statements
from email_profiles_plugin.store.database import Database
from email_profiles_plugin.token_acquisition import AGAIN_S
from email_profiles_plugin.token_vault import LEASE_S, REJECTED
from email_profiles_plugin.tokens import ProfileTokens, TokenKeeper

SOON = 1e9
REFUSED = GrantRefused(
    "the authorization server refused: invalid_grant", "invalid_grant"
)
BUSY = HttpError("the authorization server answered 503")


@define
class FakeClock:
    """Stands still until it is told to go on."""

    seconds: float = 0

    def now(self) -> datetime:
        return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def forward(self, seconds: float) -> None:
        self.seconds += seconds


@define
class Bench:
    """A store, a clock, and a server whose next answers are `answers`."""

    database: Database
    keyring: Keyring
    clock: FakeClock
    answers: list[Exception | Token] = field(factory=list)
    asked: list[str | None] = field(factory=list)

    def tokens(self, pause: Callable[[float], None] | None = None) -> ProfileTokens:
        keeper = TokenKeeper(
            self.database,
            self.keyring,
            self.clock,
            spawn=lambda run: run(),
            pause=pause or self.clock.forward,
        )
        return keeper.of("p1", "f1")

    def fetch(self, previous: Token | None, deadline: float) -> Token:
        self.asked.append(previous.refresh_token if previous else None)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def token(self, name: str, refresh: str | None = None) -> Token:
        return Token(
            access_token=name,
            refresh_token=refresh,
            expires_at=self.clock.now() + timedelta(seconds=60),
        )

    def granted(self) -> ProfileTokens:
        """Access was granted, and the access token has expired since."""
        self.answers = [self.token("a1", "r1")]
        tokens = self.tokens()
        tokens.grant(self.fetch, SOON)
        self.clock.forward(61)
        self.asked.clear()
        return tokens

    def row(self) -> statements.TokenRow:
        with self.database.read() as connection:
            return statements.read(connection, "p1")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    database = Database.open(f"sqlite:///{tmp_path / 'store.db'}")
    yield Bench(database, Keyring(tmp_path / "key"), FakeClock())
    database.close()


def test_a_lost_answer_is_asked_for_once_more(bench: Bench) -> None:
    """Within seconds, with the same refresh token, under the same lease."""
    tokens = bench.granted()
    bench.answers = [BUSY, bench.token("a2", "r2")]
    before = bench.clock.seconds
    token = tokens.current(bench.fetch, SOON, Timing())

    assert ("a2", ["r1", "r1"]) == (token.access_token, bench.asked)
    assert AGAIN_S == bench.clock.seconds - before


def test_a_server_that_is_down_costs_no_grant(bench: Bench) -> None:
    """The refresh token is kept, and tried again later."""
    tokens = bench.granted()
    bench.answers = [BUSY, BUSY, bench.token("a2", "r2")]
    with pytest.raises(HttpError):
        tokens.current(bench.fetch, SOON, Timing())
    assert ("error", True) == (bench.row().state, bench.row().has_refresh_token)

    assert "a2" == tokens.current(bench.fetch, SOON, Timing()).access_token
    assert ["r1", "r1", "r1"] == bench.asked


def half(refresh_token: str) -> HalfAnswer:
    error = HalfAnswer("the authorization server answered 200 with no access token")
    error.refresh_token = refresh_token
    return error


def test_a_useless_answer_costs_no_grant(bench: Bench) -> None:
    """The refresh token in it is saved first, and sent next."""
    tokens = bench.granted()
    bench.answers = [half("r2"), half("r3"), bench.token("a4"), bench.token("a5")]
    with pytest.raises(HttpError, match="no access token"):
        tokens.current(bench.fetch, SOON, Timing())
    assert ("error", 1) == (bench.row().state, bench.row().generation)

    assert "a4" == tokens.current(bench.fetch, SOON, Timing()).access_token
    bench.clock.forward(61)
    assert "a5" == bench.tokens().current(bench.fetch, SOON, Timing()).access_token
    assert ["r1", "r2", "r3", "r3"] == bench.asked


def test_a_refusal_after_a_useless_answer(bench: Bench) -> None:
    """No answer was lost: it was read, and of no use."""
    tokens = bench.granted()
    bench.answers = [half("r2"), REFUSED]
    with pytest.raises(GrantRefused):
        tokens.current(bench.fetch, 0, Timing())

    assert "needs grant" == bench.row().state
    assert "answer lost" not in bench.row().error


def test_a_refusal_after_a_lost_answer_says_so(bench: Bench) -> None:
    """The refresh token was spent, and the next one went with the answer."""
    tokens = bench.granted()
    bench.answers = [BUSY, REFUSED]
    with pytest.raises(NeedsGrant, match="answer lost"):
        tokens.current(bench.fetch, 0, Timing())

    assert "needs grant" == bench.row().state
    assert "answer lost" in tokens.status().error


def test_a_refusal_after_a_dead_holder_says_so(bench: Bench) -> None:
    """A process was killed between the server's rotation and the commit."""
    bench.granted()

    _, mine = bench.tokens().vault.take("dead", None)
    assert mine
    bench.clock.forward(LEASE_S + 1)
    bench.answers = [REFUSED]
    with pytest.raises(NeedsGrant, match="answer lost"):
        bench.tokens().current(bench.fetch, 0, Timing())
    assert ["r1"] == bench.asked


def test_a_person_is_needed_after_a_lost_answer(bench: Bench) -> None:
    """Which the server says itself: nothing was lost."""
    tokens = bench.granted()
    bench.answers = [BUSY, GrantRefused("sign in", "interaction_required")]
    with pytest.raises(GrantRefused):
        tokens.current(bench.fetch, 0, Timing())

    assert ("needs grant", "sign in") == (bench.row().state, bench.row().error)


def test_a_plain_refusal_does_not_say_so(bench: Bench) -> None:
    """Somebody took the access away; the server answered."""
    tokens = bench.granted()
    bench.answers = [REFUSED]
    with pytest.raises(TokenError):
        tokens.current(bench.fetch, 0, Timing())

    assert "needs grant" == bench.row().state
    assert "answer lost" not in bench.row().error


def test_client_credentials_can_not_be_spent(bench: Bench) -> None:
    """So there is nothing to ask for twice."""
    bench.answers = [BUSY]
    with pytest.raises(HttpError):
        bench.tokens().current(bench.fetch, SOON, Timing())

    assert [None] == bench.asked


def test_a_sender_waits_for_a_grant(bench: Bench) -> None:
    """Somebody may be granting right now, in another process."""
    bench.answers = [NeedsGrant("nobody has granted access")]
    pauses = 0

    def pause(seconds: float) -> None:
        nonlocal pauses
        bench.clock.forward(seconds)
        pauses += 1
        if pauses == 4:
            bench.answers = [bench.token("a1", "r1")]
            bench.tokens().grant(bench.fetch, SOON)

    token = bench.tokens(pause).current(bench.fetch, SOON, Timing())

    assert ("a1", 4) == (token.access_token, pauses)


@pytest.mark.parametrize(("timeout", "waited"), [(7, 7), (0, 0), (-1, 0)])
def test_the_wait_for_a_grant_ends(bench: Bench, timeout: int, waited: int) -> None:
    """After access_token_timeout_s; at once where that is 0 or less."""
    bench.answers = [NeedsGrant("nobody has granted access")]
    timing = Timing(access_token_timeout_s=timeout)
    with pytest.raises(TokenError, match="nobody has granted access"):
        bench.tokens().current(bench.fetch, SOON, timing)

    assert waited == bench.clock.seconds


def test_a_new_grant_is_a_new_grant(bench: Bench) -> None:
    """Nothing of the old one is kept; sessions that it opened are of no more use."""
    tokens = bench.granted()
    before = bench.row().grant_generation
    bench.answers = [bench.token("a2", "r2")]
    tokens.current(bench.fetch, SOON, Timing())
    assert before == bench.row().grant_generation

    bench.answers = [bench.token("a3", "r3")]
    tokens.grant(bench.fetch, SOON)
    assert [None] == bench.asked[-1:]
    assert bench.row().generation == bench.row().grant_generation


def test_a_grant_without_a_refresh_token(bench: Bench) -> None:
    """The old one of the same account is kept, and it is said, till it was of use."""
    tokens = bench.granted()
    bench.answers = [bench.token("a2"), bench.token("a3")]
    tokens.grant(bench.fetch, SOON)
    status = tokens.status()
    assert ("valid", True) == (status.state, status.has_refresh_token)
    assert "without a refresh token" in status.error
    bench.clock.forward(61)

    assert "a3" == tokens.current(bench.fetch, SOON, Timing()).access_token
    assert [None, "r1"] == bench.asked
    assert "" == tokens.status().error


@pytest.mark.parametrize(("state", "account"), [("needs grant", ""), ("valid", "b@x")])
def test_a_grant_without_the_old_refresh_token(
    bench: Bench, state: str, account: str
) -> None:
    """One that was refused, or another account's, is dropped."""
    tokens = bench.granted()
    bench.database.write(lambda c: statements._put(c, "p1", state=state))
    bench.answers = [evolve(bench.token("a2"), account=account)]
    tokens.grant(bench.fetch, SOON)

    assert not tokens.status().has_refresh_token


def test_a_grant_that_inherits_leaves_a_refresh_alone(bench: Bench) -> None:
    """Which may be about to bring the next refresh token."""
    tokens = bench.granted()

    def overtaken(previous: Token | None, deadline: float) -> Token:
        bench.answers = [bench.token("a3")]
        bench.tokens().grant(bench.fetch, SOON)
        return bench.token("a2", "r2")

    assert "a2" == tokens.current(overtaken, SOON, Timing()).access_token
    assert (3, 2) == (bench.row().generation, bench.row().grant_generation)
    bench.clock.forward(61)
    bench.answers = [bench.token("a4")]
    tokens.current(bench.fetch, SOON, Timing())
    assert "r2" == bench.asked[-1]


def test_a_grant_waits_for_nobody(bench: Bench) -> None:
    """Whoever holds the lease, alive or dead, has nothing that it spends."""
    bench.granted()
    bench.tokens().vault.take("dead", None)
    before = bench.clock.seconds
    bench.answers = [bench.token("a2", "r2")]
    assert "a2" == bench.tokens().grant(bench.fetch, SOON).access_token

    assert (before, None) == (bench.clock.seconds, bench.row().lease_owner)


def test_a_grant_overtakes_a_refresh(bench: Bench) -> None:
    """Of a refresh that was under way the token is not kept; the new grant's serves."""
    tokens = bench.granted()

    def overtaken(previous: Token | None, deadline: float) -> Token:
        bench.answers = [bench.token("a3", "r3")]
        bench.tokens().grant(bench.fetch, SOON)
        return bench.token("a2", "r2")

    assert "a3" == tokens.current(overtaken, SOON, Timing()).access_token
    assert (2, 2) == (bench.row().generation, bench.row().grant_generation)


@pytest.mark.parametrize("error", [REFUSED, BUSY])
def test_a_grant_overtakes_a_refusal(bench: Bench, error: Exception) -> None:
    """The old grant's end is no news where there is a new one."""
    tokens = bench.granted()

    def overtaken(previous: Token | None, deadline: float) -> Token:
        if bench.row().generation == 1:
            bench.answers = [bench.token("a3", "r3")]
            bench.tokens().grant(bench.fetch, SOON)
        raise error

    assert "a3" == tokens.current(overtaken, SOON, Timing()).access_token
    assert "valid" == tokens.status().state


def test_a_grant_that_fails_changes_nothing(bench: Bench) -> None:
    """Neither the old grant, nor what is known of it, nor a refresh under way."""
    bench.granted()
    bench.tokens().vault.take("another", None)
    before = bench.row()
    bench.answers = [REFUSED]
    with pytest.raises(GrantRefused):
        bench.tokens().grant(bench.fetch, SOON)

    assert before == bench.row()


@pytest.mark.parametrize(("error", "rests"), [("no answer", False), (REJECTED, True)])
def test_a_token_ends_the_pause(bench: Bench, error: str, rests: bool) -> None:
    """Waiting mail goes on at once; unless it was the mail server that said no."""
    tokens = bench.granted()
    now = bench.clock.now().timestamp()

    def fails(connection: Any) -> None:
        health.failed(connection, "p1", revision=1, reason="x", remedy="", now=now)
        statements._put(connection, "p1", state="error", error=error)

    bench.database.write(fails)
    bench.answers = [bench.token("a2", "r2")]
    tokens.current(bench.fetch, SOON, Timing())

    with bench.database.read() as connection:
        assert rests == (health.read(connection, "p1").failures > 0)


@pytest.mark.parametrize("life", [-5, 0, 1, 10, 299])
def test_an_idle_gateway_with_short_lived_tokens(bench: Bench, life: float) -> None:
    """It asks every five minutes, and not at each look."""
    tokens = bench.tokens()
    asked = 0

    class Idle:
        def acquire(self, deadline: float) -> Any:
            return tokens.current(fetch, deadline, Timing())

    def fetch(previous: Token | None, deadline: float) -> Token:
        nonlocal asked
        asked += 1
        end = bench.clock.now() + timedelta(seconds=life)
        return evolve(bench.token("a"), expires_at=end)

    tokens.current(fetch, SOON, Timing())
    renewal = Renewal(
        database=bench.database,
        clock=bench.clock,
        profile=lambda id: Profile(
            id=id,
            revision=1,
            name="plant",
            smtp=SmtpSettings(hostname="mail.example"),
            mode="oauth2",
            auth={},
        ),
        authenticator=lambda profile: cast(Authenticator, Idle()),
    )
    for _ in range(160):
        bench.clock.forward(7.5)
        renewal.look()

    assert 1 + 4 == asked


# With the whole house


class Ahead(SystemClock):
    """The time of day, moved by a test."""

    def __init__(self) -> None:
        object.__setattr__(self, "shift", [timedelta()])

    def now(self) -> datetime:
        shift: timedelta = self.shift[0]  # type: ignore[attr-defined]
        return datetime.now(UTC) + shift


def apply_oauth2(
    profiles: EmailProfiles,
    smtp: Any,
    server: Any,
    document: Any,
    scope: str = "",
    issuer: str | None = None,
) -> None:
    client = {
        "issuer": issuer,
        "name": "login",
        "client_id": server.client.client_id,
        "client_secret": server.client.client_secret,
        "token_endpoint": server.token_endpoint,
        "ca_file": str(server.ca_file),
    }
    profiles.clients.apply(client, actor="test")
    auth = {
        "mode": "oauth2",
        "username": "gateway@plant.example",
        "client": "login",
        "scope": scope,
    }
    profiles.profiles.apply(document(smtp, auth=auth), actor="test")


def request(profile: str = "plant") -> SendRequest:
    return SendRequest(
        profile=profile,
        from_address="gateway@plant.example",
        to=["operator@plant.example"],
        text="Level is 92 %.",
    )


def token_requests(server: Any) -> int:
    return sum(one.path == "/token" for one in server.requests)


def test_an_idle_gateway_renews_its_token(
    open_profiles: Callable[..., EmailProfiles],
    smtp_server_factory: Callable[..., Any],
    authorization_server: Any,
    profile_document: Any,
) -> None:
    """Ahead of the expiry, with nobody sending; once."""
    clock = Ahead()
    smtp = smtp_server_factory(tls="starttls", accept_token=lambda *_: True)
    profiles = open_profiles(deliver=False, clock=clock)
    apply_oauth2(profiles, smtp, authorization_server, profile_document)
    profiles.tokens.refresh("plant")
    heart = profiles.outbox.heart

    heart.beat()
    assert 1 == token_requests(authorization_server)
    clock.shift[0] = timedelta(seconds=3600 - 200)  # type: ignore[attr-defined]
    assert "expiring" == profiles.tokens.status("plant").state
    heart.beat()
    profiles._keeper.close()
    heart.beat()
    profiles._keeper.close()
    assert ("valid", 2) == (
        profiles.tokens.status("plant").state,
        token_requests(authorization_server),
    )


@pytest.mark.parametrize("edited", ["scope", "issuer"])
def test_a_sender_from_before_an_edit(
    open_profiles: Callable[..., EmailProfiles],
    smtp_server_factory: Callable[..., Any],
    authorization_server: Any,
    profile_document: Any,
    edited: str,
) -> None:
    """It fails alone: the token of the profile as it is now stays."""
    smtp = smtp_server_factory(tls="starttls", accept_token=lambda *_: True)
    profiles = open_profiles(deliver=False)
    apply_oauth2(profiles, smtp, authorization_server, profile_document)
    old = profiles.resolve("plant")
    assert old is not None
    authenticator = profiles.outbox.delivery.submitter.authenticator(old)
    credential = authenticator.acquire(SOON)
    change = {"scope": "mail.send", "issuer": authorization_server.issuer}[edited]
    apply_oauth2(
        profiles,
        smtp,
        authorization_server,
        profile_document,
        **{edited: change},
    )
    status = profiles.tokens.refresh("plant")

    assert not authenticator.rejected(credential, Reply(code=535, text="no"))
    with pytest.raises(TokenError, match="changed meanwhile"):
        authenticator.acquire(SOON)
    assert ("valid", status) == (status.state, profiles.tokens.status("plant"))


def test_a_slow_token_keeps_nobody_else_waiting(
    open_profiles: Callable[..., EmailProfiles],
    smtp_server_factory: Callable[..., Any],
    smtp_server: Any,
    authorization_server: Any,
    profile_document: Any,
) -> None:
    """One thread, two profiles: it turns to the other, and comes back."""
    smtp = smtp_server_factory(tls="starttls", accept_token=lambda *_: True)
    profiles = open_profiles(deliver=False, pace=Pace(threads=1, look_s=0.05))
    apply_oauth2(profiles, smtp, authorization_server, profile_document)
    profiles.profiles.apply(profile_document(smtp_server, "other"), actor="test")
    slow = profiles.send(request())
    other = profiles.send(request("other"))
    authorization_server.hold.close()
    profiles.start()

    outcome = profiles.outcome(other.id, wait=20)
    assert outcome is not None
    assert "accepted" == outcome.state
    assert profiles.outcome(slow.id) is None
    assert 0 == profiles.health("plant").failures
    authorization_server.hold.open()
    outcome = profiles.outcome(slow.id, wait=20)
    assert outcome is not None
    assert "accepted" == outcome.state
    assert 1 == token_requests(authorization_server)


def test_an_idle_gateway_gets_over_an_outage(
    open_profiles: Callable[..., EmailProfiles],
    smtp_server_factory: Callable[..., Any],
    authorization_server: Any,
    profile_document: Any,
) -> None:
    """The server was down while the token expired; later it is asked again."""
    clock = Ahead()
    smtp = smtp_server_factory(tls="starttls", accept_token=lambda *_: True)
    profiles = open_profiles(deliver=False, clock=clock)
    apply_oauth2(profiles, smtp, authorization_server, profile_document)
    profiles.tokens.refresh("plant")

    def beat(seconds: float) -> str:
        clock.shift[0] = timedelta(seconds=seconds)  # type: ignore[attr-defined]
        profiles.outbox.heart.beat()
        profiles._keeper.close()
        return profiles.tokens.status("plant").state

    authorization_server.stop()
    assert ["expiring", "error"] == [beat(3500), beat(3700)]
    authorization_server.start()
    assert "valid" == beat(86_400)


def test_mail_that_is_gone_waits_for_no_token(
    open_profiles: Callable[..., EmailProfiles],
    smtp_server_factory: Callable[..., Any],
    authorization_server: Any,
    profile_document: Any,
) -> None:
    """The next mail that waits has the whole time of its profile."""
    smtp = smtp_server_factory(tls="starttls", accept_token=lambda *_: True)
    profiles = open_profiles(deliver=False, pace=Pace(threads=1, look_s=0.05))
    apply_oauth2(profiles, smtp, authorization_server, profile_document)
    authorization_server.hold.close()
    sent = profiles.send(request())
    delivery = profiles.outbox.delivery
    assert not delivery._once()
    assert delivery._asked
    profiles.outbox.cancel(sent.id, actor="test")
    assert not delivery._once()

    assert not delivery._asked
    authorization_server.hold.open()


def test_after_a_535_a_slow_token_keeps_nobody_else_waiting(
    open_profiles: Callable[..., EmailProfiles],
    smtp_server_factory: Callable[..., Any],
    smtp_server: Any,
    authorization_server: Any,
    profile_document: Any,
) -> None:
    """The profile rests; the new token is for the next attempt."""
    smtp = smtp_server_factory(tls="starttls", accept_token=lambda *_: False)
    profiles = open_profiles(deliver=False, pace=Pace(threads=1, look_s=0.05))
    apply_oauth2(profiles, smtp, authorization_server, profile_document)
    profiles.profiles.apply(profile_document(smtp_server, "other"), actor="test")
    profiles.tokens.refresh("plant")
    authorization_server.hold.close()
    profiles.send(request())
    profiles.start()
    smtp.wait_until(lambda server: "AUTH" in server.commands)
    other = profiles.send(request("other"))
    outcome = profiles.outcome(other.id, wait=20)
    authorization_server.hold.open()

    assert outcome is not None
    assert "accepted" == outcome.state
