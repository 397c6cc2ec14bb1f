"""
An examination of a provider: what it is given, what it does, and what it shows.
"""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb
from typing import Any, Generic, TypeVar

from attrs import define, field, frozen

from email_profiles_hookspecs import (
    Authenticator,
    AuthProvider,
    Credential,
    HttpReply,
    OAuth2Client,
    Profile,
)
from email_profiles_hookspecs.errors import EmailProfilesError, HttpError

from ..documents import profile_from_document
from .authorization_server import SECRET_FIELDS, AuthorizationServer
from .fake_services import (
    Answering,
    Asked,
    FakeClients,
    FakeClock,
    FakeHttp,
    FakeSecrets,
    FakeServices,
)
from .smtp_server import SmtpServer

T = TypeVar("T")

TOKEN_MEMBERS = ("access_token", "refresh_token", "id_token", "device_code")
"""Members of an authorization server's answers that nobody may be shown."""

SHORTEST = 6
"""Characters; what is shorter stands in other words too."""


MOST = 200
"""Requests of one authenticator in an examination; then it is stopped."""


class Runaway(BaseException):
    """Ends a provider that asks on and on."""


@define(eq=False)
class LimitedHttp(FakeHttp):
    """Is asked only so often."""

    def request(self, method: str, url: str, **options: Any) -> HttpReply:
        if len(self.asked) >= MOST:
            raise Runaway
        return super().request(method, url, **options)


@frozen
class Result(Generic[T]):
    """What a call came to: a value, or an error of the contract."""

    value: T | None = None
    error: EmailProfilesError | None = None


class Broken(Exception):
    """A promise is broken, and nothing that builds on it can be looked at."""


@define(eq=False)
class Shown:
    """What a provider showed, and what it may not have shown."""

    texts: list[tuple[str, str]] = field(factory=list)
    """Where, and what."""
    secrets: set[str] = field(factory=set, repr=False)

    def keep(self, where: str, *values: object) -> None:
        """Keep how *values* are shown."""
        for value in values:
            self.texts.append((where, f"{value}\n{value!r}"))

    def keep_error(self, where: str, error: BaseException | None) -> None:
        """An error with all that a traceback would tell with it."""
        while error is not None:
            self.keep(where, error, error.args)
            hidden = None if error.__suppress_context__ else error.__context__
            error = error.__cause__ or hidden

    def hide(self, *secrets: object) -> None:
        """These may not be shown; of a long one with several lines, none of them."""
        for secret in secrets:
            if isinstance(secret, str):
                lines = secret.splitlines()
                self.secrets |= {
                    one for one in (secret, *lines) if len(one) >= SHORTEST
                }

    def leaks(self) -> list[str]:
        """Where something was shown that may not be."""
        return list(
            dict.fromkeys(
                where
                for where, text in self.texts
                if any(
                    secret in said for said in _read(text) for secret in self.secrets
                )
            )
        )


_ENCODED = re.compile("[A-Za-z0-9+/_-]{8,}")


def _read(text: str) -> Iterator[str]:
    """*text*, and what is in it in base64: a secret, or a message of SASL."""
    yield text
    for found in _ENCODED.findall(text):
        word = found.translate(str.maketrans("-_", "+/"))
        octets = b64decode(word[: len(word) - (len(word) % 4 == 1)] + "==")
        yield octets.decode("utf-8", "replace")


@define(eq=False)
class Bench:
    """One authenticator of the provider, and the services that it was built with."""

    services: FakeServices
    authenticator: Authenticator

    def deadline(self, seconds: float = 30) -> float:
        return self.services.clock.monotonic() + seconds


@define(eq=False, kw_only=True)
class Examination:
    """Calls a provider, and keeps what is wrong with how it answers."""

    provider: AuthProvider
    auth: Mapping[str, Any]
    """As a document has it, with references to `secrets`."""
    secrets: Mapping[str, str] = field(repr=False)
    """By the value of their references."""
    clients: Mapping[str, OAuth2Client]
    answer: Answering
    """What answers HTTP."""
    server: SmtpServer | None
    authorization_server: AuthorizationServer | None
    browser: Callable[[str], Mapping[str, str]] | None
    """What a person's browser brings back from an address."""
    patience_s: float
    clock: FakeClock = field(factory=lambda: FakeClock(datetime.now(UTC)))
    broken: list[str] = field(factory=list)
    shown: Shown = field(factory=Shown)
    lifetime: float | None = None
    """Seconds that the last token is good for, as its server said."""
    needs_person: bool = False
    """Whether a person had to grant access before there was a credential."""

    def says(self, promise: str, fact: str) -> None:
        """A promise is broken."""
        self.broken.append(f"{promise}: {fact}")

    def fails(self, promise: str, fact: str) -> Broken:
        """As `says`, where nothing else makes sense; to be raised."""
        self.says(promise, fact)
        return Broken()

    @property
    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        return {self.provider.mode: self.provider.schema}

    def document(self, auth: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A profile's document, with *auth* instead of its own where given."""
        server = self.server
        smtp = {
            "hostname": "localhost",
            "port": server.port if server else 25,
            "use_ssl": server is not None and server.tls == "implicit",
            "use_starttls": server is not None and server.tls == "starttls",
            "ssl_protocols": ["TLSv1.2", "TLSv1.3"],
            "verify_certificate": False,
        }
        block = self.auth if auth is None else auth
        full = {"mode": self.provider.mode, **block}
        return {"name": "plant", "smtp": smtp, "auth": full}

    def profile(self, auth: Mapping[str, Any] | None = None) -> Profile:
        """A profile of the provider's mode, for the mail server if there is one."""
        return profile_from_document(
            self.document(auth), id="p1", revision=1, schemas=self.schemas
        )

    def services(self) -> FakeServices:
        """New ones, in which everything works."""
        return FakeServices(
            clock=self.clock,
            http=LimitedHttp(self.listen),
            secrets=FakeSecrets(self.secrets),
            clients=FakeClients(self.clients),
            logger=logging.getLogger(
                f"email_profiles_plugin.mode.{self.provider.mode}"
            ),
        )

    def bench(self) -> Bench:
        """A new authenticator."""
        services = self.services()
        return Bench(services, self.provider.build(self.profile(), services))

    def listen(self, asked: Asked) -> HttpReply:
        """The answer to *asked*; notes what is secret in both."""
        self.hide_request(asked)
        reply = self.answer(asked)
        self.hide_reply(reply)
        return reply

    def hide_request(self, asked: Asked) -> None:
        form = asked.form or {}
        self.shown.hide(*(form.get(name) for name in SECRET_FIELDS))

    def hide_reply(self, reply: HttpReply) -> None:
        import json

        try:
            body = json.loads(reply.body)
        except ValueError:
            return
        if isinstance(body, dict):
            self.shown.hide(*(body.get(name) for name in TOKEN_MEMBERS))
            seconds = body.get("expires_in")
            if "access_token" in body and isinstance(seconds, int | float):
                self.lifetime = seconds

    def call(self, promise: str, when: str, work: Callable[[], T]) -> Result[T]:
        """
        What *work* came to; what is raised besides the contract's errors is told.

        It has a thread of its own, in which it may hang.
        """
        outcome: list[tuple[T | None, BaseException | None]] = []

        def run() -> None:
            try:
                outcome.append((work(), None))
            except BaseException as error:
                outcome.append((None, error))

        thread = threading.Thread(target=run, daemon=True, name="examined provider")
        thread.start()
        thread.join(self.patience_s)
        if not outcome:
            raise self.fails(promise, f"it does not end {when}".rstrip())
        value, error = outcome[0]
        self.shown.keep_error(f"the error {when}".rstrip(), error)
        if error is None:
            return Result(value)
        if isinstance(error, Runaway):
            raise self.fails(promise, f"it asks again and again {when}".rstrip())
        root = type(error) is EmailProfilesError  # which is never raised itself
        if isinstance(error, EmailProfilesError) and not root:
            return Result(error=error)
        raise self.fails(promise, f"it raises {placed(error)} {when}".rstrip())

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Whatever is logged meanwhile, by any logger, or printed is shown."""
        root, shown, make = (
            logging.getLogger(),
            self.shown,
            logging.getLogRecordFactory(),
        )

        def noted(*args: Any, **kwargs: Any) -> logging.LogRecord:
            record = make(*args, **kwargs)
            if record.name.partition(".")[0] != "oauthlib":
                # oauthlib is the loopback authorization server's, and logs tokens
                where = f"the log of {record.name}"
                with suppress(Exception):  # a format that does not fit
                    shown.keep(where, record.getMessage())
                if record.exc_info:
                    shown.keep_error(where, record.exc_info[1])
            return record

        level, out, err = root.level, io.StringIO(), io.StringIO()
        logging.setLogRecordFactory(noted)  # handlers miss what does not propagate
        root.setLevel(logging.DEBUG)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                yield
        finally:
            logging.setLogRecordFactory(make)
            root.setLevel(level)
            for stream, copy in ((sys.stdout, out), (sys.stderr, err)):
                shown.keep("what is printed", copy.getvalue())
                stream.write(copy.getvalue())


def placed(error: BaseException) -> str:
    """The type of *error*, and the line that raised it; no values."""
    frames = extract_tb(error.__traceback__)
    name = type(error).__name__
    if not frames:
        return name
    return f"{name} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def words(values: Sequence[object]) -> str:
    """A list in words; *nothing* for none."""
    return ", ".join(map(str, values)) or "nothing"


def refuses(message: str) -> Answering:
    """What answers every request by an HttpError."""

    def answer(asked: Asked) -> HttpReply:
        raise HttpError(message)

    return answer


def offered(credential: Credential | None) -> tuple[object, ...]:
    """The offers of a credential, for comparing."""
    return credential.offers if credential is not None else ()
