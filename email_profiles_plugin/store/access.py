"""Statements on who may use the console: API tokens, sign-in links, sessions."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from sqlalchemy import Connection, delete, insert, select, update

from .tables import access_token as tokens
from .tables import sign_in


@frozen(kw_only=True)
class AccessToken:
    """An API token, but for itself; times are seconds since 1970."""

    id: str
    name: str
    role: str
    created_at: float
    created_by: str
    used_at: float | None = None
    revoked_at: float | None = None


@frozen(kw_only=True)
class SignIn:
    """A link, and once it was spent its session."""

    name: str
    role: str
    base_url: str
    made_at: float
    spent_at: float | None = None
    ended_at: float | None = None


def keep_token(connection: Connection, token: AccessToken, token_hash: str) -> None:
    """Keep a new one."""
    values = {name: getattr(token, name) for name in _names(AccessToken)}
    connection.execute(insert(tokens).values(**values, token_hash=token_hash))


def token_by_hash(connection: Connection, token_hash: str) -> AccessToken | None:
    """The one with that hash, revoked or not."""
    wanted = select(tokens).where(tokens.c.token_hash == token_hash)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _of(AccessToken, row)


def listed_tokens(connection: Connection) -> list[AccessToken]:
    """All of them, those that hold first, by their names."""
    order = (tokens.c.revoked_at.is_not(None), tokens.c.name, tokens.c.created_at)
    rows = connection.execute(select(tokens).order_by(*order))
    return [_of(AccessToken, row) for row in rows]


def living_token(connection: Connection, name: str) -> AccessToken | None:
    """The one of that name that is not revoked."""
    wanted = select(tokens).where(tokens.c.name == name, tokens.c.revoked_at.is_(None))
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _of(AccessToken, row)


def revoke_token(connection: Connection, id: str, now: float) -> None:
    """From *now* on it is none."""
    connection.execute(update(tokens).where(tokens.c.id == id).values(revoked_at=now))


def use_token(connection: Connection, id: str, now: float) -> None:
    """Note when it was used."""
    connection.execute(update(tokens).where(tokens.c.id == id).values(used_at=now))


def keep_link(connection: Connection, made: SignIn, link_hash: str) -> None:
    """Keep a new link."""
    values = {name: getattr(made, name) for name in _names(SignIn)}
    connection.execute(insert(sign_in).values(**values, link_hash=link_hash))


def spend_link(
    connection: Connection,
    link_hash: str,
    *,
    session_hash: str,
    now: float,
    after: float,
) -> bool:
    """Make it a session, if it was made *after* and nobody was sooner."""
    changed = connection.execute(
        update(sign_in)
        .where(sign_in.c.link_hash == link_hash)
        .where(sign_in.c.spent_at.is_(None), sign_in.c.made_at > after)
        .values(spent_at=now, session_hash=session_hash)
    )
    return bool(changed.rowcount)


def session(connection: Connection, session_hash: str) -> SignIn | None:
    """The sign-in that a session is of, if it has not ended."""
    wanted = select(sign_in).where(
        sign_in.c.session_hash == session_hash, sign_in.c.ended_at.is_(None)
    )
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _of(SignIn, row)


def end_session(connection: Connection, session_hash: str, now: float) -> None:
    """From *now* on it is none."""
    connection.execute(
        update(sign_in)
        .where(sign_in.c.session_hash == session_hash)
        .values(ended_at=now)
    )


def last_base_url(connection: Connection) -> str:
    """Where the console was, by the newest link; "" if there is none."""
    order = sign_in.c.made_at.desc()
    found = connection.scalar(select(sign_in.c.base_url).order_by(order).limit(1))
    return found or ""


def sweep(connection: Connection, *, links: float, sessions: float) -> None:
    """Delete links from before *links*, and sessions that began before *sessions*."""
    unspent = sign_in.c.spent_at.is_(None) & (sign_in.c.made_at < links)
    connection.execute(delete(sign_in).where(unspent | (sign_in.c.spent_at < sessions)))


def _names(kind: type) -> list[str]:
    return list(kind.__annotations__)


def _of(kind: Any, row: Any) -> Any:
    return kind(**{name: row._mapping[name] for name in _names(kind)})
