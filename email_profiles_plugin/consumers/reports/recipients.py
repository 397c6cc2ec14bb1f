"""Recipients that are looked up: addresses, and as what each is sent the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from email_profiles_hookspecs.errors import ReportFailed

from ...addresses import parse
from .schedule import Method
from .table import Table

MOST = 10_000
METHODS = ("to", "cc", "bcc")


def named(
    answer: Table | Iterable[str], method: Method
) -> Iterator[tuple[Method, str]]:
    """
    The addresses in *answer*, each with its method.

    Of a table: its first column, or the one called address; a column called method
    says to, cc or bcc. ReportFailed for what is neither, and for more than 10,000.
    """
    for count, (how, address) in enumerate(_pairs(answer, method)):
        if count == MOST:
            raise ReportFailed(f"there are more than {MOST} recipients", "recipients")
        if how not in METHODS:
            said = f"{str(how)[:40]!r} is none of to, cc and bcc"
            raise ReportFailed(said, "recipients")
        if isinstance(address, str) and address.strip():
            yield cast(Method, how), address.strip()


def _pairs(
    answer: Table | Iterable[str], method: Method
) -> Iterator[tuple[object, object]]:
    if isinstance(answer, str | bytes):
        raise ReportFailed("recipients have to be a list of addresses", "recipients")
    if not isinstance(answer, Table):
        yield from ((method, one) for one in answer)
        return
    columns = [one.lower() for one in answer.columns]
    at = columns.index("address") if "address" in columns else 0
    how = columns.index("method") if "method" in columns else None
    for row in answer.rows:
        yield (method if how is None else row[how] or method), row[at]


def sorted_out(
    found: Iterable[tuple[Method, str]],
) -> tuple[dict[Method, list[str]], list[str]]:
    """Addresses by method, each mailbox once; and what is wrong with the others."""
    by_method: dict[Method, list[str]] = {"to": [], "cc": [], "bcc": []}
    seen: set[str] = set()
    wrong: list[str] = []
    for method, address in found:
        try:
            key = parse(address).key
        except ValueError as error:
            wrong.append(str(error))
            continue
        if key not in seen:
            seen.add(key)
            by_method[method].append(address)
    return by_method, wrong
