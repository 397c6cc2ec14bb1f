"""Expired: a form that came when its session was over; nothing typed is lost."""

from __future__ import annotations

from attrs import field, frozen

from .calls import Call

_SECRET = ("password", "secret", "private_key", "assertion", "link")


@frozen(kw_only=True)
class Typed:
    """What was typed, but secrets; *whole*: there was none, so it can be sent again."""

    action: str
    pairs: tuple[tuple[str, str], ...] = field(repr=False)
    whole: bool


def typed(call: Call) -> Typed | None:
    """What a form of the console has sent; None where it is none of ours."""
    given = [(name, one) for name, one in call.form.multi_items() if name != "csrf"]
    known = {name for name, _ in given}
    kept = tuple(pair for pair in given if not _is_secret(pair[0], known))
    lost = any(one for name, one in given if (name, one) not in kept)
    if "csrf" not in call.form:
        return None
    url = call.request.url
    action = f"{url.path}?{url.query}" if url.query else url.path
    return Typed(action=action, pairs=kept, whole=not lost)


def _is_secret(name: str, known: set[str]) -> bool:
    """By what a form has beside it; and what is JSON may hold one."""
    stem, _, more = name.partition("#")
    beside = {f"{stem}#again", f"{stem}#env", f"{stem}#remove"} & known
    told = more in ("", "again") and (beside or stem.rpartition("/")[2] in _SECRET)
    return bool(told) or more == "json"
