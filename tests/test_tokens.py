"""Tokens: one fetch at a time, over threads and processes; kept sealed; never lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from email_profiles_hookspecs import HttpReply, Timing, Token
from email_profiles_hookspecs.errors import (
    GrantRefused,
    HttpError,
    NeedsGrant,
    SecretError,
    StoreUnavailable,
    TokenError,
    TokenTimeout,
)
from email_profiles_plugin.http import Answer
from email_profiles_plugin.secrets import Keyring
from email_profiles_plugin.store import tokens as statements
from email_profiles_plugin.store.database import Database
from email_profiles_plugin.token_vault import LEASE_S, REJECTED
from email_profiles_plugin.tokens import ProfileTokens, TokenKeeper

SOON = 1e9
TIMING = Timing()


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
class Later:
    """Keeps what is to run in the background until a test runs it."""

    waiting: list[Callable[[], None]] = field(factory=list)

    def __call__(self, run: Callable[[], None]) -> None:
        self.waiting.append(run)

    def run(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


@define
class Issuer:
    """A token endpoint: numbers its tokens, or fails with `error`."""

    clock: FakeClock
    life: float | None = 3600
    refresh_token: str | None = None
    error: Exception | None = None
    asked: list[Token | None] = field(factory=list)

    def fetch(self, previous: Token | None, deadline: float) -> Token:
        self.asked.append(previous)
        if self.error is not None:
            raise self.error
        end = None
        if self.life is not None:
            end = self.clock.now() + timedelta(seconds=self.life)
        return Token(
            access_token=f"canary-{len(self.asked)}",
            refresh_token=self.refresh_token,
            expires_at=end,
            scope="mail.send",
        )


@define
class Bench:
    """A store, and what belongs to it."""

    folder: Path
    clock: FakeClock
    database: Database
    keyring: Keyring
    issuer: Issuer

    def keeper(self, **options: Any) -> TokenKeeper:
        """As another process would have it; runs at once what is for the background."""
        options.setdefault("spawn", lambda run: run())
        options.setdefault("pause", self.clock.forward)
        return TokenKeeper(self.database, self.keyring, self.clock, **options)

    def tokens(self, fingerprint: str = "f1", **options: Any) -> ProfileTokens:
        return self.keeper(**options).of("p1", fingerprint)

    def row(self) -> statements.TokenRow:
        with self.database.read() as connection:
            return statements.read(connection, "p1")

    def current(self, tokens: ProfileTokens, timing: Timing = TIMING) -> str:
        return tokens.current(self.issuer.fetch, SOON, timing).access_token


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = FakeClock()
    database = Database.open(f"sqlite:///{tmp_path / 'store.db'}")
    yield Bench(tmp_path, clock, database, Keyring(tmp_path / "key"), Issuer(clock))
    database.close()


def test_fetched_once_and_kept(bench: Bench) -> None:
    """The first caller fetches; the next one, and the next process, find it stored."""
    first = bench.tokens().current(bench.issuer.fetch, SOON, TIMING)
    again = bench.tokens().current(bench.issuer.fetch, SOON, TIMING)

    assert first == again
    assert 1 == first.generation
    assert [None] == bench.issuer.asked


def test_sealed_in_its_row(bench: Bench) -> None:
    """The database holds no token that could be read, and it opens in its row only."""
    bench.issuer.refresh_token = "canary-refresh"
    bench.current(bench.tokens())

    stored = b"".join(path.read_bytes() for path in bench.folder.glob("store.db*"))
    assert b"canary" not in stored
    with bench.database.read() as connection:
        row = statements.read(connection, "p1")
    assert row.sealed is not None
    assert "canary" in bench.keyring.open("token:p1", row.sealed)
    assert "canary" not in repr(row) + repr(bench.tokens().status())


def test_fifty_threads_one_request(bench: Bench) -> None:
    """Fifty threads that need a token at once cause one fetch."""
    start = threading.Barrier(50)
    keeper = TokenKeeper(bench.database, bench.keyring, bench.clock)

    def need(_: int) -> Token:
        start.wait()
        return keeper.of("p1", "f1").current(bench.issuer.fetch, SOON, TIMING)

    with ThreadPoolExecutor(50) as threads:
        got = set(threads.map(need, range(50)))
    keeper.close()

    assert {1} == {token.generation for token in got}
    assert 1 == len(bench.issuer.asked)


def test_waiters_share_a_failure(bench: Bench) -> None:
    """Whoever waited for a fetch that fails gets its error, in a copy of their own."""
    bench.issuer.error = GrantRefused("no", "invalid_client", "look")
    later = Later()
    keeper = bench.keeper(spawn=later)
    entered = threading.Semaphore(0)

    class Waiting(FakeClock):
        def monotonic(self) -> float:
            entered.release()
            return 0

    keeper.clock = Waiting()

    def need(_: int) -> None:
        keeper.of("p1", "f1").current(bench.issuer.fetch, SOON, TIMING)

    with ThreadPoolExecutor(3) as threads:
        needs = [threads.submit(need, number) for number in range(3)]
        for _ in range(6):  # each looks at the clock twice before it waits
            entered.acquire()
        later.run()
        errors = [one.exception() for one in needs]

    assert ["no: look"] * 3 == [str(error) for error in errors]
    assert 3 == len({id(error) for error in errors})
    assert 1 == len(bench.issuer.asked)


def test_two_processes_one_request(bench: Bench) -> None:
    """A second process waits for the first one's fetch, and takes what it brought."""
    fetching, go_on = threading.Event(), threading.Event()

    def slow(previous: Token | None, deadline: float) -> Token:
        fetching.set()
        go_on.wait(10)
        return bench.issuer.fetch(previous, deadline)

    def pause(seconds: float) -> None:
        go_on.set()
        thread.join(10)

    first = bench.tokens()
    thread = threading.Thread(target=first.current, args=(slow, SOON, TIMING))
    thread.start()
    fetching.wait(10)

    second = bench.tokens(pause=pause).current(bench.issuer.fetch, SOON, TIMING)

    assert ("canary-1", 1) == (second.access_token, second.generation)
    assert 1 == len(bench.issuer.asked)


def test_two_processes_one_refusal(bench: Bench) -> None:
    """Who waits for another's refresh, which is refused, does not ask again."""
    bench.issuer.refresh_token = "canary-refresh"
    bench.current(bench.tokens())
    bench.clock.forward(3600)
    bench.issuer.error = GrantRefused("refused", "invalid_grant")
    fetching, go_on = threading.Event(), threading.Event()

    def slow(previous: Token | None, deadline: float) -> Token:
        fetching.set()
        go_on.wait(10)
        return bench.issuer.fetch(previous, deadline)

    def pause(seconds: float) -> None:
        go_on.set()
        refused.join(10)

    def ask() -> None:
        with pytest.raises(GrantRefused):
            first.current(slow, SOON, TIMING)

    first = bench.tokens()
    refused = threading.Thread(target=ask)
    refused.start()
    fetching.wait(10)
    second = bench.tokens(pause=pause)

    with pytest.raises(NeedsGrant, match="refused"):
        second.current(bench.issuer.fetch, SOON, Timing(access_token_timeout_s=0))
    assert 2 == len(bench.issuer.asked)


def test_dead_holder(bench: Bench) -> None:
    """A lease of a process that died runs out; it is given what others got since."""

    def dies(previous: Token | None, deadline: float) -> Token:
        bench.current(bench.tokens(pause=bench.clock.forward))
        return evolve(bench.issuer.fetch(previous, deadline), access_token="late")

    token = bench.tokens().current(dies, SOON, TIMING)

    assert ("canary-1", 1) == (token.access_token, token.generation)
    assert bench.clock.seconds >= LEASE_S
    assert "canary-1" == bench.current(bench.tokens())


@pytest.mark.parametrize(("ahead", "waited"), [(29, 104), (31, 0), (86_400, 0)])
def test_dead_holder_from_the_future(bench: Bench, ahead: float, waited: float) -> None:
    """The clock was set back since; but two clocks may differ by some seconds."""
    bench.clock.forward(ahead)
    bench.tokens().vault.take("dead", 0)
    bench.clock.forward(-ahead)

    assert "canary-1" == bench.current(bench.tokens())
    assert waited == bench.clock.seconds


def test_time_passes_before_the_database_is_free(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever took the lease meanwhile is alive, and no dead holder from the future."""
    write, waits = Database.write, [1]

    def late(database: Database, work: Callable[[Any], Any]) -> Any:
        if waits:
            waits.pop()
            bench.clock.forward(3600)
            assert bench.tokens().vault.take("another", 0)[1]
        return write(database, work)

    monkeypatch.setattr(Database, "write", late)

    assert not bench.tokens().vault.take("late", 0)[1]


def test_lease_that_is_never_free(bench: Bench) -> None:
    """Whoever waits for others for ever is told so in the end."""

    def pause(seconds: float) -> None:
        bench.clock.forward(seconds)
        with bench.database.read() as connection:
            row = statements.read(connection, "p1")
        assert row.lease_owner is not None
        renewed = {"lease_until": bench.clock.now().timestamp() + LEASE_S}
        bench.database.write(lambda c: statements._put(c, "p1", **renewed))

    def fetch(previous: Token | None, deadline: float) -> Token:
        with pytest.raises(TokenTimeout, match="others"):
            bench.current(bench.tokens(pause=pause))
        return bench.issuer.fetch(previous, deadline)

    bench.tokens().current(fetch, SOON, TIMING)


def test_refresh_ahead_keeps_nobody_waiting(bench: Bench) -> None:
    """A token that is due, but good, is returned while the next one is fetched."""
    later = Later()
    tokens = bench.tokens(spawn=later)
    bench.current(bench.tokens())
    bench.clock.forward(3300)

    assert ["canary-1"] * 3 == [bench.current(tokens) for _ in range(3)]
    assert "expiring" == tokens.status().state
    assert 1 == len(later.waiting)

    later.run()

    assert "canary-2" == bench.current(tokens)
    assert "valid" == tokens.status().state


def test_failed_refresh_ahead(bench: Bench) -> None:
    """A network error keeps a good token, is shown, and is not repeated at once."""
    tokens = bench.tokens()
    bench.current(tokens)
    bench.clock.forward(3300)
    bench.issuer.error = HttpError("no connection")

    assert ["canary-1"] * 3 == [bench.current(tokens) for _ in range(3)]
    assert 2 == len(bench.issuer.asked)
    status = tokens.status()
    assert ("expiring", "no connection") == (status.state, status.error)

    bench.clock.forward(75)
    bench.issuer.error = None
    bench.current(tokens)

    assert "canary-3" == bench.current(tokens)
    assert "" == tokens.status().error


def test_failure_in_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A failed refresh ahead warns by the profile's name; who insists is only told."""
    bench.issuer.error = HttpError("no connection")
    tokens = bench.keeper().of("p1", "f1", name="plant")

    with pytest.raises(HttpError):
        tokens.renew(bench.issuer.fetch, SOON)
    assert "" == caplog.text
    with pytest.raises(HttpError):
        bench.current(tokens)
    assert "no new token for profile 'plant': no connection" in caplog.messages


def test_expired_token_is_not_returned(bench: Bench) -> None:
    """After its expiry a token is replaced; where that fails, the error is raised."""
    tokens = bench.tokens()
    bench.current(tokens)
    bench.clock.forward(3600)
    assert "expired" == tokens.status().state
    bench.issuer.error = HttpError("no connection")

    with pytest.raises(HttpError, match="no connection"):
        bench.current(tokens)
    assert ("error", "no connection") == (tokens.status().state, tokens.status().error)

    bench.issuer.error = None
    assert "canary-3" == bench.current(tokens)


def test_no_wait_fails_at_once(bench: Bench) -> None:
    """With a timeout of 0 a send fails at once, and the next one finds a token."""
    later = Later()
    tokens = bench.tokens(spawn=later)
    at_once = Timing(access_token_timeout_s=0)

    for _ in range(2):
        with pytest.raises(TokenTimeout, match="none is waited for"):
            bench.current(tokens, at_once)
    assert 1 == len(later.waiting)
    later.run()

    assert "canary-1" == bench.current(tokens, at_once)


@pytest.mark.parametrize(("deadline", "timeout"), [(0, 120), (SOON, -1)])
def test_wait_ends(bench: Bench, deadline: float, timeout: int) -> None:
    """Nobody waits longer than the deadline, and the profile, allow."""
    tokens = bench.tokens(spawn=Later())

    with pytest.raises(TokenTimeout):
        tokens.current(
            bench.issuer.fetch, deadline, Timing(access_token_timeout_s=timeout)
        )


def test_late_token_is_kept(bench: Bench) -> None:
    """What comes after its caller gave up is there for the next one."""
    later = Later()
    tokens = bench.tokens(spawn=later)
    with pytest.raises(TokenTimeout):
        tokens.current(bench.issuer.fetch, 0, TIMING)

    later.run()

    assert "valid" == tokens.status().state


def test_no_more_threads(bench: Bench) -> None:
    """Where no thread can be had, that is the error, and the next caller tries anew."""

    def refuse(run: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    keeper = bench.keeper(spawn=refuse)
    with pytest.raises(RuntimeError):
        bench.current(keeper.of("p1", "f1"))
    keeper.spawn = lambda run: run()

    assert "canary-1" == bench.current(keeper.of("p1", "f1"))


def test_other_fingerprint(bench: Bench) -> None:
    """A token that was issued for something else is none, and is not shown to fetch."""
    bench.issuer.refresh_token = "canary-refresh"
    bench.current(bench.tokens("f1"))
    changed = bench.tokens("f2")

    assert ("none", False) == (
        changed.status().state,
        changed.status().has_refresh_token,
    )
    token = changed.current(bench.issuer.fetch, SOON, TIMING)

    assert [None, None] == bench.issuer.asked
    assert 2 == token.generation
    assert "none" == bench.tokens("f1").status().state


def test_a_sender_from_before_an_edit(bench: Bench) -> None:
    """It replaces no token that was asked for, or granted, since; nor hears of it."""
    bench.issuer.refresh_token = "canary-refresh"
    before = bench.keeper().of("p1", "f1", current=lambda connection: "f2")
    after = bench.keeper().of("p1", "f2", current=lambda connection: "f2")
    bench.current(before)
    after.grant(bench.issuer.fetch, SOON)
    later = after.status()

    for act in (bench.current, lambda tokens: tokens.renew(bench.issuer.fetch, SOON)):
        with pytest.raises(TokenError, match="changed meanwhile"):
            act(before)
    assert not before.reject(1)
    assert (2, 0) == (later.generation, before.status().generation)
    assert (later, "canary-2") == (after.status(), bench.current(after))


def test_rejected_generation(bench: Bench) -> None:
    """A refused token is not offered again; the next is, and keeps being offered."""
    tokens = bench.tokens()
    bench.current(tokens)

    assert [True, True] == [tokens.reject(1), tokens.reject(1)]
    assert ("error", REJECTED) == (tokens.status().state, tokens.status().error)
    assert "canary-2" == bench.current(tokens)
    assert [True, False] == [tokens.reject(1), tokens.reject(7)]
    assert "canary-2" == bench.current(tokens)


def test_rejection_survives_a_failed_fetch(bench: Bench) -> None:
    """A refused token does not come back because the next one can't be had."""
    tokens = bench.tokens()
    bench.current(tokens)
    tokens.reject(1)
    bench.issuer.error = HttpError("no connection")

    for _ in range(2):
        with pytest.raises(HttpError):
            bench.current(tokens)


def test_rejection_keeps_the_refresh_token(bench: Bench) -> None:
    """A refused access token says nothing about the refresh token."""
    bench.issuer.refresh_token = "canary-refresh"
    tokens = bench.tokens()
    bench.current(tokens)
    tokens.reject(1)
    bench.current(tokens)

    previous = bench.issuer.asked[-1]
    assert previous is not None
    assert "canary-refresh" == previous.refresh_token


def test_second_connection_that_is_refused(bench: Bench) -> None:
    """It is told that there is another token, which stays good."""
    tokens = bench.tokens()
    bench.current(tokens)
    assert tokens.reject(1)
    bench.current(tokens)

    assert tokens.reject(1)
    assert "canary-2" == bench.current(tokens)


def test_nothing_to_reject(bench: Bench) -> None:
    """Where nothing is stored, nothing is rejected."""
    assert not bench.tokens().reject(0)


def test_refused_refresh_token(bench: Bench) -> None:
    """invalid_grant to a refresh token needs a person, and is not tried again."""
    bench.issuer.refresh_token = "canary-refresh"
    tokens = bench.tokens()
    bench.current(tokens)
    bench.clock.forward(3600)
    bench.issuer.error = GrantRefused("refused", "invalid_grant")
    with pytest.raises(GrantRefused):
        bench.current(tokens)

    with pytest.raises(NeedsGrant, match="refused"):
        bench.current(tokens)
    assert 2 == len(bench.issuer.asked)
    assert ("needs grant", True) == (
        tokens.status().state,
        tokens.status().has_refresh_token,
    )

    bench.issuer.error = None
    tokens.renew(bench.issuer.fetch, SOON)
    assert "canary-3" == bench.current(tokens)


def test_refused_client(bench: Bench) -> None:
    """A refused client is an error that is told, and each send asks again."""
    bench.issuer.error = GrantRefused("refused", "invalid_client")
    tokens = bench.tokens()

    for _ in range(2):
        with pytest.raises(GrantRefused):
            bench.current(tokens)

    assert ("error", "refused") == (tokens.status().state, tokens.status().error)
    assert 2 == len(bench.issuer.asked)


def test_unexpected_error(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """What no contract foresees is raised as it is; its name alone is kept."""
    bench.issuer.error = KeyError("canary")
    tokens = bench.tokens()

    with pytest.raises(KeyError):
        bench.current(tokens)

    assert "an unexpected KeyError" == tokens.status().error
    assert "canary" not in caplog.text
    bench.issuer.error = None
    assert "canary-2" == bench.current(tokens)


def test_forget(bench: Bench) -> None:
    """A forgotten token is gone; the next one has a new generation."""
    bench.issuer.refresh_token = "canary-refresh"
    tokens = bench.tokens()
    bench.current(tokens)

    tokens.forget()

    status = tokens.status()
    assert ("none", None, False) == (
        status.state,
        status.expires_at,
        status.has_refresh_token,
    )
    assert 2 == tokens.current(bench.issuer.fetch, SOON, TIMING).generation
    assert [None, None] == bench.issuer.asked


def test_forget_during_a_fetch(bench: Bench) -> None:
    """What was asked for before is not saved after."""
    tokens = bench.tokens()

    def fetch(previous: Token | None, deadline: float) -> Token:
        tokens.forget()
        return bench.issuer.fetch(previous, deadline)

    with pytest.raises(TokenError, match="dropped"):
        tokens.current(fetch, SOON, TIMING)

    assert "none" == tokens.status().state


def test_profile_gone(bench: Bench) -> None:
    """With its profile the row goes."""
    bench.current(bench.tokens())

    bench.database.write(lambda connection: statements.forget(connection, "p1"))

    assert 0 == bench.tokens().status().generation


def test_refresh_token_that_is_not_rotated(bench: Bench) -> None:
    """An answer without a refresh token leaves the old one in force."""
    bench.issuer.refresh_token = "canary-refresh"
    tokens = bench.tokens()
    bench.current(tokens)
    bench.issuer.refresh_token = None

    renewed = tokens.renew(bench.issuer.fetch, SOON)

    assert "canary-refresh" == renewed.refresh_token
    assert tokens.status().has_refresh_token


def test_renew_always_fetches(bench: Bench) -> None:
    """A new token is fetched although the stored one is good."""
    tokens = bench.tokens()
    bench.current(tokens)

    assert 2 == tokens.renew(bench.issuer.fetch, SOON).generation
    assert "canary-2" == bench.current(tokens)


def test_saved_before_use_and_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed save is tried again with the token in memory: no second request."""
    save, failures = statements.save, [1, 1]

    def flaky(*args: Any) -> Any:
        if failures:
            failures.pop()
            raise StoreUnavailable("locked")
        return save(*args)

    monkeypatch.setattr(statements, "save", flaky)

    assert "canary-1" == bench.current(bench.tokens())
    assert 1 == len(bench.issuer.asked)


def test_a_full_disk_costs_no_grant(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rotated refresh token is saved once there is room, with no other request."""
    bench.issuer.refresh_token = "canary-refresh-1"
    tokens = bench.tokens()
    tokens.grant(bench.issuer.fetch, SOON)
    bench.clock.forward(3600)
    bench.issuer.refresh_token = "canary-refresh-2"
    save, full_until = statements.save, bench.clock.seconds + 3000

    def full(*args: Any) -> Any:
        if bench.clock.seconds < full_until:
            raise StoreUnavailable("full")
        return save(*args)

    monkeypatch.setattr(statements, "save", full)

    assert "canary-2" == bench.current(tokens)
    previous = tokens.renew(bench.issuer.fetch, SOON)
    assert "canary-refresh-2" == previous.refresh_token
    asked = [one and one.refresh_token for one in bench.issuer.asked]
    assert [None, "canary-refresh-1", "canary-refresh-2"] == asked


def test_unsaved_token_is_not_used(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that can't be saved is not handed out."""

    def broken(*args: Any) -> Any:
        raise StoreUnavailable("full")

    monkeypatch.setattr(statements, "save", broken)

    with pytest.raises(StoreUnavailable):
        bench.current(bench.tokens())
    assert ("error", "full") == (
        bench.tokens().status().state,
        bench.tokens().status().error,
    )
    row, mine = bench.tokens().vault.take("next", 0)
    assert (True, True) == (mine, row.interrupted)


@pytest.mark.parametrize(("default", "life"), [(600, 600), (0, None), (-1, None)])
def test_default_expiration(bench: Bench, default: int, life: float | None) -> None:
    """Where the server does not say, the profile's default counts."""
    bench.issuer.life = None
    timing = Timing(default_access_token_expiration_s=default)

    token = bench.tokens().current(bench.issuer.fetch, SOON, timing)

    expected = None if life is None else bench.clock.now() + timedelta(seconds=life)
    assert expected == token.expires_at


def test_rotated_key(bench: Bench) -> None:
    """Tokens are sealed anew with the newest key, and open without the old ones."""
    bench.current(bench.tokens())
    bench.keyring.rotate()

    assert 1 == bench.database.write(bench.keeper().reseal)
    bench.keyring.retire()

    assert "canary-1" == bench.current(bench.tokens())


def test_lost_key(bench: Bench) -> None:
    """A token that does not open is replaced by a new one."""
    bench.current(bench.tokens())
    bench.keyring = Keyring(bench.folder / "other")

    assert "canary-2" == bench.current(bench.tokens())


@pytest.mark.parametrize("seconds", [0, 3400, 3700])
def test_key_of_another_installation(bench: Bench, seconds: float) -> None:
    """A refresh token that does not open here is kept for who can open it."""
    bench.issuer.refresh_token = "canary-refresh"
    good = bench.tokens()
    good.grant(bench.issuer.fetch, SOON)
    bench.clock.forward(seconds)
    before = bench.row()
    bench.keyring = Keyring(bench.folder / "other")
    other = bench.tokens()

    for _ in range(2):
        with pytest.raises(SecretError, match="does not open"):
            bench.current(other)
    with pytest.raises(SecretError, match="does not open"):
        other.renew(bench.issuer.fetch, SOON)
    after = evolve(bench.row(), refresh_started=before.refresh_started)
    assert before == after
    assert [None] == bench.issuer.asked
    good.renew(bench.issuer.fetch, SOON)
    assert "canary-2" == bench.current(good)


def test_key_of_another_installation_without_a_refresh_token(bench: Bench) -> None:
    """Who can't ask for the next one without a person says nothing to the others."""
    good = bench.tokens()
    bench.current(good)
    before = bench.row()
    bench.keyring = Keyring(bench.folder / "other")
    bench.issuer.error = NeedsGrant("nobody has granted access")

    with pytest.raises(SecretError, match="does not open"):
        bench.current(bench.tokens())
    assert before == evolve(bench.row(), refresh_started=before.refresh_started)
    assert "canary-1" == bench.current(good)


def test_session_outlives_refreshes(bench: Bench) -> None:
    """The grant's generation stays while tokens are renewed, not over a forget."""
    tokens = bench.tokens()
    grants = []
    for action in (tokens.renew, tokens.renew, tokens.forget, tokens.renew):
        if action == tokens.forget:
            tokens.forget()
        else:
            tokens.renew(bench.issuer.fetch, SOON)
        with bench.database.read() as connection:
            grants.append(statements.read(connection, "p1").grant_generation)

    assert [1, 1, 1, 3] == grants


def test_status_of_a_good_token(bench: Bench) -> None:
    """Status tells expiry, scope and generation, and names no actions of its own."""
    tokens = bench.tokens()
    bench.current(tokens)

    status = tokens.status()

    assert ("valid", "mail.send", 1, ()) == (
        status.state,
        status.scope,
        status.generation,
        status.actions,
    )
    assert bench.clock.now() + timedelta(hours=1) == status.expires_at


def test_parse_masks_what_was_sent(bench: Bench) -> None:
    """A refusal that quotes the request is told without its secrets."""
    reply = Answer(
        status=400,
        headers={},
        body=b'{"error": "invalid_client", "error_description": "s3cret is wrong"}',
        sent=("s3cret",),
    )

    with pytest.raises(GrantRefused, match=r"invalid_client \(\*\*\* is wrong\)"):
        bench.tokens().parse(reply)


def test_parse_counts_from_now(bench: Bench) -> None:
    """expires_in counts from the clock's now."""
    body = b'{"access_token": "abc", "expires_in": 60}'

    token = bench.tokens().parse(HttpReply(status=200, headers={}, body=body))

    assert bench.clock.now() + timedelta(seconds=60) == token.expires_at
