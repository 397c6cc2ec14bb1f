"""What a provider promises of how tokens are kept: where, how long, how often sent."""

from __future__ import annotations

from .examination import Examination, offered
from .promises_of_credentials import refusal
from .sign_on import acquire, expire, sign_on

KEPT = "tokens are kept in services.tokens, and nowhere else"
ENDS = "a token ends when the authorization server says"
ONCE = "a refused refresh token is not sent again"


def tokens_are_kept_in_one_place(exam: Examination) -> None:
    """What was forgotten there, as a revoked one is, is not offered any more."""
    bench = exam.bench()
    before = sign_on(exam, bench)
    if not bench.services.tokens.kept:
        return
    bench.services.tokens.forget()
    after = acquire(exam, bench, "after services.tokens forgot it").value
    if (
        after is not None
        and after.generation == before.generation
        and offered(after) == offered(before)
    ):
        exam.says(KEPT, "acquire gives one that was forgotten there")


def expiry_is_kept(exam: Examination) -> None:
    """`expires_in` comes to `services.tokens`, or is gone by in some other way."""
    bench = exam.bench()
    exam.lifetime = None
    before = sign_on(exam, bench)
    if exam.lifetime is None:
        return
    kept = bench.services.tokens.kept
    if kept:
        if kept[-1].expires_at is None:
            exam.says(ENDS, f"its expires_in, {exam.lifetime:.0f} s, is dropped")
        return
    exam.clock.forward(exam.lifetime + 1)
    asked = len(bench.services.http.asked)
    after = acquire(exam, bench, "after the token's expiry").value
    if len(bench.services.http.asked) == asked and offered(after) == offered(before):
        exam.says(ENDS, "acquire gives it afterwards; keep it in services.tokens")


def refused_refresh_is_final(exam: Examination) -> None:
    """Asking again at once looks like theft (RFC 9700, 4.14), and changes nothing."""
    bench = exam.bench()
    sign_on(exam, bench)
    if not expire(exam, bench):
        return
    bench.services.http.answer = lambda asked: refusal("invalid_grant")
    before = len(bench.services.http.asked)
    acquire(exam, bench, "where the refresh token is refused")
    sent = [
        (one.form or {}).get("refresh_token")
        for one in bench.services.http.asked[before:]
    ]
    count = max((sent.count(one) for one in sent if one), default=0)
    if count > 1:
        exam.says(ONCE, f"it is sent {count} times")
