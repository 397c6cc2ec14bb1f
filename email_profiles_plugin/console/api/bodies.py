"""Bodies: JSON as it comes, taken strictly (RFC 8259, and I-JSON, RFC 7493)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from email.message import Message
from http import HTTPStatus
from typing import Any

from ..problems import ProblemDetails

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

DEPTH = 64
"""Arrays and objects within each other."""

MEMBERS = 1000
"""Properties of one object."""

VALUES = 100_000
"""In all."""

DIGITS = 40
"""Of a whole number."""


def check_type(given: str | None, taken: Sequence[str]) -> None:
    """415 unless the Content-Type *given* is one of *taken*, in UTF-8."""
    header = Message()
    header["Content-Type"] = (given or "").encode("ascii", "replace").decode()
    known = bool(given) and header.get_content_type() in taken
    charset = str(header.get_param("charset", "utf-8")).lower()
    if known and charset in ("utf-8", "utf8", "us-ascii"):
        return
    wanted = " or ".join(taken)
    accept = "Accept-Patch" if MERGE_PATCH in taken else "Accept"
    raise ProblemDetails(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        f"the body has to be {wanted}, in UTF-8",
        remedy=f"send the header Content-Type: {taken[0]}",
        headers={accept: ", ".join(taken)},
    )


def read(octets: bytes) -> Any:
    """The value in *octets*; 400 for what is no JSON, or not safely so."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"octet {error.start} is not UTF-8") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_real,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _malformed(f"{where}: {error.msg}") from None
    except RecursionError:
        raise _malformed(f"it is nested deeper than {DEPTH} levels") from None
    _check(value)
    return value


def _malformed(why: str) -> ProblemDetails:
    return ProblemDetails(
        HTTPStatus.BAD_REQUEST, "malformed-json", f"the body can't be read: {why}"
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MEMBERS:
        raise _malformed(f"an object in it has more than {MEMBERS} properties")
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _malformed(f"{name[:64]!r} is there twice in one object")
        found[name] = value
    return found


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise _malformed(f"it has a number of more than {DIGITS} digits")
    return int(digits)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _malformed("it has a number that is too large")
    return value


def _constant(name: str) -> Any:
    raise _malformed(f"{name} is no JSON")


def _check(value: Any) -> None:
    """400 where *value* is too deep or too much, or has text that is none."""
    waiting, count = [(1, value)], 0
    while waiting:
        depth, one = waiting.pop()
        count += 1
        if count > VALUES:
            raise _malformed(f"it has more than {VALUES} values")
        if isinstance(one, str):
            _text(one)
        elif isinstance(one, dict | list):
            if depth > DEPTH:
                raise _malformed(f"it is nested deeper than {DEPTH} levels")
            if isinstance(one, dict):
                waiting += [(depth + 1, each) for each in (*one, *one.values())]
            else:
                waiting += [(depth + 1, each) for each in one]


def _text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _malformed("it has half of a surrogate pair, which is no text") from None


def merged(target: Any, patch: Any) -> Any:
    """*target* as *patch* changes it (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found
