"""One refresh at a time over processes, and a grant that outlives them: under load."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from attrs import define, field

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.testing import AuthorizationServer, SmtpServer
from email_profiles_plugin.token_vault import LEASE_S

SCRIPT = Path(__file__).with_name("token_sender.py")
MAILBOX = "gateway@plant.example"
CALLBACK = "http://127.0.0.1/callback"
SENDS, THREADS, PROCESSES = 1000, 8, 3
MAILS = 1008
"""As many for each thread, and in each of two parts."""


def load(path: Path) -> Any:
    """The script that the processes run, as a module of ours."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


token_sender = load(SCRIPT)


@define(eq=False)
class Child:
    """One of the processes."""

    process: subprocess.Popen[str]
    asked: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, **command: Any) -> None:
        """Give it a command; one that is dead doesn't mind."""
        self.asked = True
        self._write(json.dumps(command))

    def go_on(self) -> None:
        self._write("")

    def hear(self) -> dict[str, Any] | None:
        """Its next answer; None: it died."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def _write(self, text: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{text}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass


@define(eq=False)
class Plant:
    """A home, its authorization server, and the processes that share it."""

    folder: Path
    profiles: EmailProfiles
    clock: Any
    server: AuthorizationServer
    stack: ExitStack
    children: list[Child] = field(factory=list)

    def start(self, count: int) -> list[Child]:
        """Processes, which are ready."""
        for child in [self.begin() for _ in range(count)]:
            self.admit(child)
        return self.children

    def admit(self, child: Child) -> None:
        """One more, when it is ready."""
        assert {"at": "open"} == child.hear()
        self.children.append(child)

    def begin(self) -> Child:
        """One that will be ready soon."""
        paths = os.pathsep.join(path for path in sys.path if path)
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(self.profiles.home), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        child = Child(process)
        self.stack.callback(child.end)
        return child

    def grant(self) -> None:
        """A person grants access to profile `granted`."""
        import requests

        profile = self.profiles.resolve("granted")
        assert profile is not None
        submitter = self.profiles.outbox.delivery.submitter
        authenticator: Any = submitter.authenticator(profile)
        redirect = authenticator.begin(CALLBACK, "state")
        answer = requests.get(
            redirect.url,
            verify=str(self.server.ca_file),
            allow_redirects=False,
            timeout=30,
        )
        query = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
        status = authenticator.complete(CALLBACK, query, redirect.kept, float("inf"))
        assert "valid" == status.state

    def refreshes(self) -> int:
        """Requests at the token endpoint, those for a new grant aside."""
        return sum(
            one.path == "/token" and one.grant_type != "authorization_code"
            for one in tuple(self.server.requests)
        )


@pytest.fixture
def mail_server(
    smtp_server_factory: Callable[..., SmtpServer],
    authorization_server: AuthorizationServer,
) -> SmtpServer:
    """A mail server that takes the tokens of the authorization server."""
    return smtp_server_factory(
        tls="starttls", accept_token=authorization_server.accepts
    )


@pytest.fixture
def plant(
    tmp_path: Path,
    open_profiles: Callable[..., EmailProfiles],
    profile_document: Callable[..., dict[str, Any]],
    authorization_server: AuthorizationServer,
    mail_server: SmtpServer,
) -> Iterator[Plant]:
    """Profiles `own` (client credentials) and `granted` (by a person)."""
    server = authorization_server
    clock = token_sender.SharedClock(tmp_path / "clock")
    server.rules.clock = clock.timestamp
    server.register("gateway", "s3cret", user=MAILBOX)
    profiles = open_profiles(deliver=False, clock=clock)
    client = {
        "name": "login",
        "client_id": "gateway",
        "client_secret": "s3cret",
        "authorization_endpoint": server.authorization_endpoint,
        "token_endpoint": server.token_endpoint,
        "ca_file": str(server.ca_file),
    }
    profiles.clients.apply(client, actor="test")
    auth = {"mode": "oauth2", "username": MAILBOX, "client": "login"}
    patient = {"interactive": True, "access_token_timeout_s": 1}
    for name, more in (("own", {}), ("granted", patient)):
        document = profile_document(mail_server, name=name, auth={**auth, **more})
        profiles.profiles.apply(document, actor="test")
    with ExitStack() as stack:
        yield Plant(tmp_path, profiles, clock, server, stack)


def need_tokens(children: list[Child], profile: str, stages: list[str]) -> None:
    """1,000 sends' worth of credentials, in 8 threads of each process."""
    for child in children:
        child.tell(
            what="credentials",
            profile=profile,
            threads=THREADS,
            count=SENDS // THREADS,
            stages=stages,
        )


def send(children: list[Child], profile: str, stages: list[str]) -> None:
    """1,000 whole mails together, in 8 threads of each process."""
    for child in children:
        child.tell(
            what="mails",
            profile=profile,
            threads=THREADS,
            count=MAILS // THREADS // PROCESSES,
            stages=stages,
        )


def all_are_at(stage: str, children: list[Child]) -> None:
    assert [{"at": stage}] * len(children) == [child.hear() for child in children]


def go_on(children: list[Child]) -> None:
    for child in children:
        child.go_on()


def result(generations: list[int], parts: int = 1) -> dict[str, Any]:
    """What a process says when all went well."""
    count = SENDS // THREADS // parts * parts * THREADS
    return {"count": count, "generations": generations, "failures": []}


def sent() -> dict[str, Any]:
    """What a process says when all its mails were accepted."""
    return {"count": MAILS // PROCESSES, "generations": [0], "failures": []}


def assert_each_arrived(server: SmtpServer) -> None:
    recipients = [one.recipients for one in server.messages]
    assert MAILS == len(recipients)
    assert MAILS == len(set(recipients))


def test_mails_with_no_token_yet(plant: Plant, mail_server: SmtpServer) -> None:
    """
    1,000 mails from 8 threads in each of 3 processes: one token request.

    Each arrives, and arrives once.
    """
    children = plant.start(PROCESSES)
    plant.server.hold.close()
    send(children, "own", ["begun"])
    all_are_at("begun", children)
    go_on(children)
    plant.server.hold.wait_held()
    plant.server.hold.open()

    assert [sent()] * PROCESSES == [child.hear() for child in children]
    assert 1 == plant.server.token_requests
    assert_each_arrived(mail_server)


def test_the_token_expires_under_load_of_mails(
    plant: Plant, mail_server: SmtpServer
) -> None:
    """Half of them sent, it expires: one more token request, and all arrive."""
    children = plant.start(PROCESSES)
    send(children, "own", ["begun", "half"])
    all_are_at("begun", children)
    go_on(children)
    all_are_at("half", children)
    plant.clock.forward(3600)
    go_on(children)

    assert [sent()] * PROCESSES == [child.hear() for child in children]
    assert 2 == plant.server.token_requests
    assert_each_arrived(mail_server)


def test_a_rotated_token_expires_under_load(plant: Plant) -> None:
    """All of them find it expired at the same moment: one more request."""
    children = plant.start(PROCESSES)
    plant.grant()
    need_tokens(children, "granted", ["begun", "half"])
    all_are_at("begun", children)
    go_on(children)
    all_are_at("half", children)
    plant.clock.forward(3600)
    go_on(children)

    assert [result([1, 2], 2)] * PROCESSES == [child.hear() for child in children]
    assert 2 == plant.server.token_requests


@pytest.mark.parametrize("profile", ["own", "granted"])
def test_whoever_refreshes_is_killed(plant: Plant, profile: str) -> None:
    """
    SIGKILL while the server has decided, and not answered: two requests at most.

    The answer's refresh token is lost with it; the spent one is sent again, as no
    other is known, and a server with a grace period takes it.
    """
    plant.server.rules.reuse_grace_s = LEASE_S * 2
    victim, *others = plant.start(PROCESSES)
    generation = 1
    if profile == "granted":
        plant.grant()
        plant.clock.forward(3600)
        generation = 2
    plant.server.hold.close()
    need_tokens([victim], profile, [])
    plant.server.hold.wait_held()
    need_tokens(others, profile, ["begun"])
    all_are_at("begun", others)
    go_on(others)
    victim.kill()
    plant.server.hold.open()
    plant.clock.forward(LEASE_S + 1)

    assert [result([generation])] * 2 == [child.hear() for child in others]
    assert 2 == plant.refreshes()
    assert 0 == plant.server.reuses


HOUR_S, LIFETIME_S = 3600, 5

STAGES = ("asking", "held", "answered", "saved")
"""Before the request; while the server answers; before and after the token is kept."""

LOSING = ("held", "answered")
"""Stages at which the server has rotated, and we have not committed."""


@define(eq=False)
class Hour:
    """An hour of simulated life, in which all need a token at the same moments."""

    plant: Plant
    chance: random.Random
    kills: Counter[str] = field(factory=Counter)
    lost: list[str] = field(factory=list)
    """What the state said when the grant was lost."""

    def live(self, seconds: int, each: int) -> None:
        """
        So many *seconds*; at each stage *each* die, at random times.

        Somebody sends each 5 to 15 seconds, and finds the token expired.
        """
        plant, chance = self.plant, self.chance
        plant.server.rules.lifetime_s = LIFETIME_S
        plant.start(4)
        plant.grant()
        standby = plant.begin()
        gaps: list[int] = []
        while sum(gaps) < seconds:
            gaps.append(chance.randint(LIFETIME_S, 3 * LIFETIME_S))
        deaths = STAGES * each
        times = chance.sample(range(len(gaps)), len(deaths))
        fatal = dict(zip(times, deaths, strict=True))
        for number, gap in enumerate(gaps):
            plant.clock.forward(gap)
            self._round(stage := fatal.get(number, ""))
            if stage:
                plant.admit(standby)
                standby = plant.begin()

    def _round(self, stage: str) -> None:
        """Everybody needs the next token; one may die of it, and is replaced."""
        plant = self.plant
        if stage == "held":
            plant.server.hold.close()
        elif stage:
            (plant.folder / "die").write_text(stage)
        for child in plant.children:
            child.tell(
                what="credentials", profile="granted", threads=1, count=1, stages=[]
            )
        if stage:
            self._bury(stage)
        told = [child.hear() for child in plant.children]
        failures = {one for each in told if each for one in each["failures"]}
        generations = {one for each in told if each for one in each["generations"]}
        if failures:
            self._mourn()
        else:
            assert 1 == len(generations)

    def _bury(self, stage: str) -> None:
        """One dies, and so does its lease, after a while."""
        plant = self.plant
        if stage == "held":
            plant.server.hold.wait_held()
            pid = int((plant.folder / "asking").read_text())
            (victim,) = (child for child in plant.children if child.pid == pid)
            victim.kill()
            plant.server.hold.open()
        else:
            victim = self._found_dead()
        plant.children.remove(victim)
        self.kills[stage] += 1
        if stage != "saved":
            plant.clock.forward(LEASE_S + 1)

    def _found_dead(self) -> Child:
        """Whoever died; all others answer, or wait for its lease."""
        import selectors

        with selectors.DefaultSelector() as selector:
            for child in self.plant.children:
                pidfd = os.pidfd_open(child.pid)
                self.plant.stack.callback(os.close, pidfd)
                selector.register(pidfd, selectors.EVENT_READ, child)
            ((key, _), *_) = selector.select(30)
        dead: Child = key.data
        dead.process.wait()
        return dead

    def _mourn(self) -> None:
        """The grant is lost; a person grants access anew."""
        status = self.plant.profiles.tokens.status("granted")
        self.lost.append(f"{status.state}: {status.error}")
        self.plant.grant()


@pytest.mark.parametrize(
    ("seconds", "each", "grace"), [(HOUR_S, 4, 0), (900, 2, LEASE_S * 2)]
)
def test_an_hour_of_rotation(
    plant: Plant, seconds: int, each: int, grace: float
) -> None:
    """
    A server that revokes the family when an old refresh token comes again.

    The grant is lost by a kill between the server's rotation and our commit, by
    nothing else, and the state says so; never where the server's grace is longer than
    the lease.
    """
    plant.server.rules.reuse_grace_s = grace
    hour = Hour(plant, random.Random(1993))

    hour.live(seconds, each)

    assert dict.fromkeys(STAGES, each) == hour.kills
    losses = 0 if grace else sum(hour.kills[stage] for stage in LOSING)
    assert losses == len(hour.lost)
    assert [] == [one for one in hour.lost if "answer lost" not in one]
    assert [] == [one for one in hour.lost if not one.startswith("needs grant: ")]
    assert losses == plant.server.reuses
