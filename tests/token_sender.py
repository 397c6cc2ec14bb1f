"""
A process that needs tokens as a sender does; it can be killed at a given moment.

    python token_sender.py HOME FOLDER

Takes commands as lines of JSON, and answers each by a line. FOLDER holds the time of
day (`clock`), who asked the token endpoint last (`asking`), and, where somebody is to
die, at which stage (`die`).
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pluggy
from attrs import define, evolve, field

from email_profiles_hookspecs import (
    AuthProvider,
    Credential,
    Profile,
    Reply,
    Services,
    Token,
    TokenStatus,
    hookimpl,
    sasl,
)
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    NeedsGrant,
    TokenTimeout,
)
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.http import HttpClient
from email_profiles_plugin.store.database import Database
from email_profiles_plugin.token_rules import read_timing

LIFE_S = 100
"""Seconds after which a process that nobody ends ends by itself."""

PAUSE_S = 0.003
"""What a pause takes, however long it counts."""


@define(eq=False)
class SharedClock:
    """
    The time of day as all the processes have it, which one of them sets.

    A pause is short, and counts in full.
    """

    path: Path
    _paused: float = 0
    _seconds: mmap.mmap = field(init=False)

    def __attrs_post_init__(self) -> None:
        if not self.path.exists():
            self.path.write_bytes(struct.pack("d", 1.9e9))
        with self.path.open("r+b") as file:
            self._seconds = mmap.mmap(file.fileno(), 8)

    def timestamp(self) -> float:
        found: float = struct.unpack_from("d", self._seconds)[0]
        return found

    def forward(self, seconds: float) -> None:
        struct.pack_into("d", self._seconds, 0, self.timestamp() + seconds)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self._paused

    def pause(self, seconds: float) -> None:
        self._paused += seconds
        time.sleep(PAUSE_S)


@define
class Granted:
    """A grant of a person's, by a code that is given from outside; a public client."""

    profile: Profile
    services: Services

    def acquire(self, deadline: float) -> Credential:
        auth, tokens = self.profile.auth, self.services.tokens
        token = tokens.current(self.fetch, deadline, read_timing(auth))
        return Credential(
            offers=[sasl.XOAuth2(auth["username"], token.access_token)],
            generation=token.generation,
        )

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return self.services.tokens.reject(credential.generation)

    def status(self) -> TokenStatus:
        return evolve(self.services.tokens.status(), actions=("refresh",))

    def refresh(self, deadline: float) -> TokenStatus:
        self.services.tokens.renew(self.fetch, deadline)
        return self.status()

    def revoke(self, deadline: float) -> None:
        self.services.tokens.forget()

    def grant(self, code: str, redirect_uri: str, deadline: float) -> TokenStatus:
        form = {"grant_type": "authorization_code", "code": code}
        form["redirect_uri"] = redirect_uri
        self.services.tokens.grant(lambda _, until: self.ask(form, until), deadline)
        return self.status()

    def fetch(self, previous: Token | None, deadline: float) -> Token:
        if previous is None or previous.refresh_token is None:
            raise NeedsGrant("nobody has granted access")
        refresh_token = previous.refresh_token
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.ask(form, deadline)

    def ask(self, form: dict[str, str], deadline: float) -> Token:
        auth = self.profile.auth
        reply = self.services.http.request(
            "POST",
            auth["token_endpoint"],
            form={"client_id": auth["client_id"], **form},
            ca_file=auth["ca_file"],
            deadline=deadline,
        )
        return self.services.tokens.parse(reply)


WANTED = ("username", "client_id", "token_endpoint", "ca_file")
SCHEMA = {
    "type": "object",
    "required": [*WANTED],
    "properties": {
        **{name: {"type": "string"} for name in WANTED},
        "access_token_timeout_s": {"type": "integer", "default": 1},
    },
}


class Site:
    """The plugin that adds mode `granted`."""

    @hookimpl
    def email_profiles_auth_providers(self) -> Iterable[AuthProvider]:
        yield AuthProvider(mode="granted", title="", schema=SCHEMA, build=Granted)


@define(eq=False)
class Mortality:
    """Who asks the token endpoint leaves word, and dies where a file says so."""

    folder: Path
    _here: threading.local = field(factory=threading.local)

    def install(self) -> None:
        """For the whole process: nothing but the process's end is changed."""
        ask, write = HttpClient.request, Database.write

        def request(http: HttpClient, method: str, url: str, **options: Any) -> Any:
            if method != "POST":
                return ask(http, method, url, **options)
            (self.folder / "asking").write_text(str(os.getpid()))
            self.reach("asking")
            reply = ask(http, method, url, **options)
            self.reach("answered")
            self._here.answered = True
            return reply

        def written(database: Database, do: Callable[..., Any]) -> Any:
            result = write(database, do)
            if getattr(self._here, "answered", False):
                self._here.answered = False
                self.reach("saved")
            return result

        HttpClient.request = request  # type: ignore[method-assign,assignment]
        Database.write = written  # type: ignore[method-assign]

    def reach(self, stage: str) -> None:
        """The end, where this is the stage, and nobody else was first."""
        order = self.folder / "die"
        try:
            if order.read_text() != stage:
                return
            order.rename(self.folder / "died")
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


@define(eq=False)
class Sender:
    """Does what it is told."""

    profiles: EmailProfiles

    def acquire(
        self, profile: str, threads: int, count: int, stages: list[str]
    ) -> dict[str, Any]:
        """
        *count* credentials in each of *threads*: their generations, and what failed.

        Before each of as many parts as there are *stages*, all wait for a line of
        input.
        """
        found = self.profiles.resolve(profile)
        assert found is not None
        names = iter(stages)
        barrier = threading.Barrier(threads, action=lambda: say_and_wait(next(names)))
        got: list[tuple[int, str]] = []

        def run() -> None:
            for stage in stages or [""]:
                if stage:
                    barrier.wait()
                part = range(count // max(len(stages), 1))
                got.extend(self._one(found) for _ in part)

        workers = [threading.Thread(target=run) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        generations = sorted({one for one, failure in got if not failure})
        failures = sorted({failure for _, failure in got if failure})
        return {"count": len(got), "generations": generations, "failures": failures}

    def _one(self, profile: Profile) -> tuple[int, str]:
        authenticator = self.profiles.outbox.delivery.submitter.authenticator(profile)
        failure = ""
        for _ in range(20):
            try:
                return authenticator.acquire(float("inf")).generation, ""
            except TokenTimeout as error:  # as long as another's lease lasts
                failure = f"{type(error).__name__}: {error}"
            except EmailProfilesError as error:
                return 0, f"{type(error).__name__}: {error}"
        return 0, failure

    def grant(self, profile: str, code: str, redirect_uri: str) -> dict[str, Any]:
        """A new grant, for mode `granted`."""
        found = self.profiles.resolve(profile)
        assert found is not None
        granted: Any = self.profiles.outbox.delivery.submitter.authenticator(found)
        status = granted.grant(code, redirect_uri, time.monotonic() + 1e6)
        return {"state": status.state}

    def status(self, profile: str) -> dict[str, Any]:
        status = self.profiles.tokens.status(profile)
        return {"state": status.state, "error": status.error}


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def say_and_wait(stage: str) -> None:
    say({"at": stage})
    sys.stdin.readline()


def main(home: str, folder: str) -> None:
    faulthandler.dump_traceback_later(LIFE_S, exit=True)
    clock = SharedClock(Path(folder, "clock"))
    Mortality(Path(folder)).install()
    manager = pluggy.PluginManager("email_profiles")
    manager.register(Site(), "site")
    with EmailProfiles.open(
        home, plugin_manager=manager, only=(), deliver=False, clock=clock
    ) as profiles:
        profiles._keeper.pause = clock.pause
        sender = Sender(profiles)
        say({"at": "open"})
        for line in sys.stdin:
            command = json.loads(line)
            say(getattr(sender, command.pop("do"))(**command))


if __name__ == "__main__":
    main(*sys.argv[1:])
