"""What a provider promises of credentials that a mail server has refused."""

from __future__ import annotations

from functools import partial

from email_profiles_hookspecs import Credential, Reply

from .examination import Bench, Examination
from .sign_on import acquire, actions, sign_on

HEALS = "a refused token that can be renewed is"
SHARED = "every connection whose token was refused may try the next one"

REFUSED = Reply(code=535, enhanced="5.7.8", text="Username and Password not accepted")


def refused_tokens_are_renewed(exam: Examination) -> None:
    """Where `refresh` is offered, a refused token is no reason to give up."""
    bench = exam.bench()
    credential = sign_on(exam, bench)
    if not credential.generation or "refresh" not in actions(exam, bench):
        return
    if _rejected(exam, bench, credential) is False:
        exam.says(HEALS, "rejected answers false, and the next one is never asked for")


def refused_together(exam: Examination) -> None:
    """Two connections have one token; the second is refused when a newer is there."""
    bench = exam.bench()
    first = sign_on(exam, bench)
    second = acquire(exam, bench).value
    if not first.generation or second is None or second.generation != first.generation:
        return
    if _rejected(exam, bench, first) is not True:
        return
    newer = acquire(exam, bench, "after a refusal").value
    if newer is None or newer.generation == first.generation:
        return  # told where one connection is looked at
    if _rejected(exam, bench, second) is not True:
        exam.says(SHARED, "rejected answers false where a newer one is there already")
    again = acquire(exam, bench, "after a second refusal").value
    if again is not None and again.generation != newer.generation:
        exam.says(SHARED, "the newer one is given up with the old one")


def _rejected(exam: Examination, bench: Bench, credential: Credential) -> object:
    result = exam.call(
        HEALS, "", partial(bench.authenticator.rejected, credential, REFUSED)
    )
    return result.value
