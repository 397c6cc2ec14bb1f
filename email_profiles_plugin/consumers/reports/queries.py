"""Queries: what can be said of SQL, and of a database's URL, without running either."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

_IGNORED = re.compile(
    r"""
    '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`      # text and quoted names
    | --[^\n]* | /\* | \$\w*\$    # comments, and the beginning of PostgreSQL's quotes
    """,
    re.VERBOSE,
)
_DOLLARS = re.compile(r"(?=(\$\w*\$))")
_FIRST = re.compile(r"\W*(\w+)")
_NAMED = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
_COLON = re.compile(r"\\:\w*(?![:\w])|(?<![:\w\\]):\w+(?![:\w])")
"""What `text` would bind, or take the backslash from."""
_URL = re.compile(
    r"(?P<kind>[a-z][a-z0-9_]*)(?:\+[a-z0-9_]+)?://(?P<rest>.*)", re.DOTALL
)
_SECRET = ("password", "passwd", "pwd", "sslpassword", "odbc_connect")
"""What drivers take a password by, after the ? of a URL."""
_READS = ("select", "with", "values", "table", "show", "explain")


def mistakes_of_sql(sql: str) -> Iterator[tuple[str, str]]:
    """Why *sql* is no query that only reads: what, and what to do."""
    bare = _bare(sql).strip()
    first = _FIRST.match(bare)
    if first is None:
        yield "is empty", "write a query"
    elif first[1].lower() not in _READS:
        yield (
            f"begins with {first[1][:20].upper()}: a report only reads",
            "begin with SELECT or WITH",
        )
    if ";" in bare.rstrip("; \n\t\r"):
        yield "holds more than one statement", "leave out what follows the ;"


def named_in(sql: str) -> list[str]:
    """The parameters that *sql* names (`:line`), in their order."""
    return list(dict.fromkeys(_NAMED.findall(_bare(sql))))


def _bare(sql: str) -> str:
    """*sql* without its texts, quoted names and comments; what is open is kept."""
    return "".join(" " if ignored else piece for piece, ignored in _pieces(sql))


def escaped(sql: str) -> str:
    """*sql* for SQLAlchemy's `text`, to which text and comments name no parameter."""
    return "".join(
        _COLON.sub(r"\\\g<0>", piece) if ignored else piece
        for piece, ignored in _pieces(sql)
    )


def _pieces(sql: str) -> Iterator[tuple[str, bool]]:
    """*sql* in pieces; whether each is a text, a quoted name or a comment, closed."""
    last = {found[1]: found.start() for found in _DOLLARS.finditer(sql)}
    last["/*"] = sql.rfind("*/")
    begin = at = 0
    while found := _IGNORED.search(sql, at):
        mark, at = found[0], found.end()
        if mark in last:  # the last one is known: none is looked for in vain
            if last[mark] < at:
                at = found.start() + 1
                continue
            closing = "*/" if mark == "/*" else mark
            at = sql.index(closing, at) + len(closing)
        yield sql[begin : found.start()], False
        yield sql[found.start() : at], True
        begin = at
    yield sql[begin:], False


def mistake_of_url(url: str) -> tuple[str, str] | None:
    """Why *url* can't be a database's: what, and what to do."""
    parts = _URL.fullmatch(url)
    if parts is None:
        return (
            "is not a database URL",
            "for example postgresql+psycopg://reader@host/db",
        )
    account = parts["rest"].rpartition("@")[0]
    if ":" in account and not account.startswith("/"):  # a / may be in a password
        return "holds a password", "leave it out here, and give it as password"
    for name, _ in parse_qsl(parts["rest"].partition("?")[2]):
        if name.lower() in _SECRET:
            return (
                f"has {name}, which may hold a password",
                "leave it out here, and give the password as password",
            )
    return None
