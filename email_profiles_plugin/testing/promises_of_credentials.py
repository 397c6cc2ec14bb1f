"""What a provider promises of its credentials, also where things go wrong."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from inspect import isgenerator
from time import monotonic

from attrs import evolve, frozen

from email_profiles_hookspecs import Credential, HttpReply, Reply
from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    HttpError,
    NotFound,
    SecretError,
    StoreUnavailable,
)

from .examination import Bench, Broken, Examination, offered
from .fake_services import Asked, json_reply
from .sign_on import acquire, sign_on, thirsty, told

SENDERS = 8
PATIENCE_S = 5.0
"""Seconds of the fake clock that acquire is given where nothing answers."""

HANGING_S = 0.5
"""Seconds of a real clock, where a real server does not answer."""

THREADS = "acquire serves many threads with one token request"
ENDS = "acquire ends by its deadline"
REJECTED = "rejected answers true or false, and raises nothing"
OFFERS = "offers are SASL mechanisms, for any number of exchanges"

REPLIES = (
    Reply(code=535, enhanced="5.7.8", text="Username and Password not accepted"),
    Reply(code=534, enhanced="5.7.9", text="Please log in with your browser"),
    Reply(code=454, enhanced="4.7.0", text="Temporary authentication failure"),
    Reply(code=550),
)


def acquire_gives_a_credential(exam: Examination) -> None:
    """All else stands on this."""
    sign_on(exam, exam.bench())


def offers_are_mechanisms(exam: Examination) -> None:
    """Each offer has a name, and plays from its beginning each time."""
    for offer in sign_on(exam, exam.bench()).offers:
        name = getattr(offer, "mechanism", None)
        if not isinstance(name, str) or name != name.upper() or not name:
            kind = type(offer).__name__
            exam.says(OFFERS, f"{kind}'s mechanism is no name in capitals: {name!r}")
        for _ in range(2):
            result = exam.call(OFFERS, f"as {name}", partial(_begin, offer))
            if result.value is not None:
                exam.says(OFFERS, f"{type(offer).__name__}'s respond {result.value}")
                break


def _begin(offer: object) -> str | None:
    """What is wrong with how an exchange begins."""
    exchange = getattr(offer, "respond", lambda: None)()
    if not isgenerator(exchange):
        return "gives no generator"
    try:
        first = next(exchange)
    except StopIteration:
        return "ends before it begins"
    finally:
        exchange.close()
    if first is not None and not isinstance(first, bytes):
        return f"yields {type(first).__name__}, neither octets nor None"
    return None


def server_takes_it(exam: Examination) -> None:
    """The mail server of the test signs the credential in."""
    if exam.server is None:
        return
    from ..smtp.pool import Pool
    from ..submission import Submitter

    bench = exam.bench()
    credential = sign_on(exam, bench)
    submitter = Submitter(
        Pool(), lambda profile: bench.authenticator, lambda profile: 1, print
    )
    lines: list[str] = []
    result = exam.call(
        "the mail server takes what acquire gives",
        "",
        lambda: submitter.open(
            exam.profile(), credential, lines.append, monotonic() + exam.patience_s
        ),
    )
    exam.shown.keep("the session", *lines)
    if result.value is None:
        exam.says("the mail server takes what acquire gives", told(result.error))
    else:
        result.value.wire.close()


def threads_share(exam: Examination) -> None:
    """Eight threads at once: a credential for each; one token request for all."""
    alone = thirsty(exam)
    before = len(alone.services.http.asked)
    acquire(exam, alone)
    one = len(alone.services.http.asked) - before
    bench = thirsty(exam)
    before, start = len(bench.services.http.asked), threading.Barrier(SENDERS)

    def need(_: int) -> Credential:
        start.wait()
        return bench.authenticator.acquire(bench.deadline())

    def together() -> list[Credential]:
        with ThreadPoolExecutor(SENDERS) as threads:
            return list(threads.map(need, range(SENDERS)))

    result = exam.call(THREADS, f"in {SENDERS} threads at once", together)
    asked = len(bench.services.http.asked) - before
    if result.value is None:
        exam.says(THREADS, told(result.error))
    elif "current" in bench.services.tokens.asked or bench.services.tokens.kept:
        if asked > one:
            requests = f"{asked} requests, where one alone makes {one}"
            exam.says(THREADS, f"{SENDERS} at once made {requests}")
        if len({each.generation for each in result.value}) > 1:
            exam.says(THREADS, "they were given tokens of different generations")


def deadline_is_kept(exam: Examination) -> None:
    """Where nothing answers, acquire waits till its deadline, and no longer."""
    bench = thirsty(exam)
    deadline = bench.deadline(PATIENCE_S)
    late: list[Asked] = []

    def hang(asked: Asked) -> HttpReply:
        exam.hide_request(asked)
        if asked.deadline > deadline or exam.clock.monotonic() >= deadline:
            late.append(asked)
        until = min(asked.deadline, deadline + PATIENCE_S)
        exam.clock.forward(max(until - exam.clock.monotonic(), 0))
        raise HttpError("nothing answered in time")

    bench.services.http.answer = hang
    before = len(bench.services.http.asked)
    when = "where nothing answers"
    result = exam.call(ENDS, when, lambda: bench.authenticator.acquire(deadline))
    if late and late[0].deadline > deadline:
        beyond = late[0].deadline - deadline
        exam.says(ENDS, f"it asks {late[0].url} with a deadline {beyond:.0f} s later")
    elif len(late) > 1:
        exam.says(ENDS, f"it asks {len(late)} times more {when}")
    if len(bench.services.http.asked) > before and offered(result.value):
        exam.says(ENDS, f"it makes a credential of nothing {when}")


def real_deadline_is_kept(exam: Examination) -> None:
    """The same, with an authorization server that does not answer, for real."""
    server = exam.authorization_server
    bench = thirsty(exam)
    if server is None:
        return
    asked, before = server.token_requests, len(bench.services.http.asked)
    server.hold.close()
    try:
        exam.call(
            ENDS,
            "while the authorization server hangs",
            lambda: bench.authenticator.acquire(bench.deadline(HANGING_S)),
        )
    finally:
        server.hold.open()
    if server.token_requests > asked and len(bench.services.http.asked) == before:
        exam.says(
            "HTTP goes through services.http",
            "the authorization server was asked past it",
        )


@frozen
class Trouble:
    """What goes wrong, in words; what is set to make it so."""

    when: str
    reply: HttpReply | None = None
    http: EmailProfilesError | None = None
    secrets: EmailProfilesError | None = None
    clients: EmailProfilesError | None = None
    tokens: EmailProfilesError | None = None

    def befall(self, exam: Examination, bench: Bench) -> None:
        """From now on."""
        services = bench.services
        services.secrets.error = self.secrets
        services.clients.error = self.clients
        services.tokens.error = self.tokens
        if self.http is not None:
            services.http.answer = self.http
        if self.reply is not None:
            services.http.answer = lambda asked: self._answer(exam, asked)

    def _answer(self, exam: Examination, asked: Asked) -> HttpReply:
        """The reply, with all that was sent where it says ECHO."""
        assert self.reply is not None
        exam.hide_request(asked)
        sent = " ".join([*asked.sent, *map(str, (asked.form or {}).values())])
        body = self.reply.body.replace(b"ECHO", sent.replace('"', "").encode())
        body = body.replace(b"\n", b" ")
        return evolve(self.reply, body=body)


def page(status: int, body: bytes = b"<html><h1>ECHO</h1></html>") -> HttpReply:
    """A page of HTML, as of something that is no token endpoint."""
    return HttpReply(status=status, headers={"content-type": "text/html"}, body=body)


def refusal(error: str, status: int = 400) -> HttpReply:
    """RFC 6749, 5.2."""
    return json_reply({"error": error, "error_description": "you sent ECHO"}, status)


TROUBLES = (
    Trouble("where its secrets can't be read", secrets=SecretError("no such secret")),
    Trouble("where nothing answers", http=HttpError("no connection")),
    Trouble("where the OAuth2 client is gone", clients=NotFound("OAuth2 client", "x")),
    Trouble("where the store is away", tokens=StoreUnavailable("the disk is full")),
    Trouble("where the answer is 503 with a page of HTML", page(503)),
    Trouble("where the answer is 404", page(404)),
    Trouble("where the answer is a redirect", page(302)),
    Trouble("where the answer is 200 with a page of HTML", page(200)),
    Trouble("where the answer is 200 with nothing", page(200, b"")),
    Trouble("where the answer is 200 with octets that are no text", page(200, b"\xff")),
    Trouble("where the answer is an array", json_reply([])),
    Trouble("where the answer is an empty object", json_reply({})),
    Trouble("where the access token is a number", json_reply({"access_token": 1})),
    Trouble("where the client is refused", refusal("invalid_client", 401)),
    Trouble("where the grant is refused", refusal("invalid_grant")),
    Trouble("where the server is too busy", refusal("temporarily_unavailable", 503)),
)


def troubles_are_told(exam: Examination) -> None:
    """Whatever goes wrong comes out as an error of the contract."""
    usual = offered(sign_on(exam, exam.bench()))
    for trouble in TROUBLES:
        with suppress(Broken):
            bench = thirsty(exam)
            trouble.befall(exam, bench)
            result = acquire(exam, bench, trouble.when)
            if usual and result.error is None and not offered(result.value):
                exam.says(
                    "acquire raises where there is no credential",
                    f"it offers nothing {trouble.when}, so that mail would go without "
                    "signing in",
                )


def rejected_is_a_bool(exam: Examination) -> None:
    """Asked after a refusal; does no I/O; a true answer brings another credential."""
    for reply in REPLIES:
        bench = exam.bench()
        credential = sign_on(exam, bench)
        for refused in (credential, evolve(credential, generation=0, identity="")):
            used = len(bench.services.http.asked), len(bench.services.secrets.asked)
            answer = exam.call(
                REJECTED,
                f"after {reply.code}",
                partial(bench.authenticator.rejected, refused, reply),
            )
            now = len(bench.services.http.asked), len(bench.services.secrets.asked)
            if answer.error is not None:
                exam.says(REJECTED, f"it raises {type(answer.error).__name__}")
            elif not isinstance(answer.value, bool):
                exam.says(REJECTED, f"it answers {answer.value!r:.40}")
            if used != now:
                exam.says("rejected does no I/O", f"it {bench.services.used[-1]}")
            if refused is credential and answer.value is True and credential.generation:
                _brings_another(exam, bench, credential)


def _brings_another(exam: Examination, bench: Bench, refused: Credential) -> None:
    again = acquire(exam, bench, "after a refusal").value
    if again is not None and again.generation == refused.generation:
        exam.says(
            "what was refused is not offered again",
            "acquire gives the same generation after rejected said true",
        )
