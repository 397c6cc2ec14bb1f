"""Identity: who asks, by the host's word, by a session, or by an API token."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from attrs import frozen
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ..access import PREFIX
from .access import Role, User

if TYPE_CHECKING:
    from ..runtime import EmailProfiles

Authenticate = Callable[[Request], User | Awaitable[User | None] | None]
"""Who asks; None: nobody that may come in. It runs in a thread, or is awaited."""


@frozen(kw_only=True)
class Identity:
    """*authenticate* is the host's; without it people sign in here, by link."""

    profiles: EmailProfiles
    authenticate: Authenticate | None = None

    async def user(self, request: Request, session: str, *, api: bool) -> User | None:
        """
        Who asks.

        An API token counts for the API alone, and there it is all that counts: a
        browser's session does not help one that was revoked.
        """
        token = _bearer(request)
        if api and token.startswith(PREFIX):
            return await run_in_threadpool(self._by_token, token)
        if self.authenticate is None:
            return await run_in_threadpool(self._by_session, session)
        if _is_async(self.authenticate):
            found = self.authenticate(request)
        else:
            found = await run_in_threadpool(self.authenticate, request)
        found = await found if inspect.isawaitable(found) else found
        if found is not None and not isinstance(found, User):
            kind = type(found).__name__
            raise TypeError(f"authenticate has to return a User or None, not {kind}")
        return found

    def _by_token(self, token: str) -> User | None:
        found = self.profiles.access.authenticate(token)
        if found is None:
            return None
        return User(f"token:{found.name}", Role.named(found.role))

    def _by_session(self, session: str) -> User | None:
        found = self.profiles.sign_ins.current(session)
        return None if found is None else User(found.name, Role.named(found.role))


def _bearer(request: Request) -> str:
    """RFC 6750, 2.1."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _is_async(function: Callable[..., object]) -> bool:
    called = getattr(function, "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
