"""The hooks, in the order in which a message meets them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .markers import hookspec

if TYPE_CHECKING:
    from .providers import AuthProvider
    from .values import Outcome, Profile, Receipt, SendRequest


@hookspec
def email_profiles_auth_providers() -> Iterable[AuthProvider]:
    """
    Offer authentication modes.

    Asked once of each plugin, when plugins are loaded. All that a plugin yields
    is taken, or, where one item is not acceptable, nothing of it: a clash of modes,
    a schema that does not pass, or an exception costs this plugin and no other.

        @hookimpl
        def email_profiles_auth_providers():
            yield AuthProvider(mode="api_key", title="API key", schema=..., build=...)

    .. versionadded:: 0.1
    """
    raise AssertionError("a specification is never called")


@hookspec(firstresult=True)
def email_profiles_resolve(name: str) -> Profile | None:
    """
    Return the email profile called *name*, or None to let another plugin answer.

    Stops at the first plugin that returns a profile; the built-in, which looks in
    the store, is asked last. What a site plugin returns is validated once for each
    revision. None from the whole call means that nobody knows the name.

        profile = pm.hook.email_profiles_resolve(name="plant-alerts")

    .. versionadded:: 0.1
    """
    raise AssertionError("a specification is never called")


@hookspec(firstresult=True)
def email_profiles_send(request: SendRequest) -> Receipt | None:
    """
    Queue *request* durably and return its receipt, or None to decline it.

    Returns when the message is on disk; does not wait for its delivery. Raises a
    contract error for a request that can never be sent, and OutboxUnavailable when
    nothing can be queued. A `tryfirst` implementation may divert a message (by
    returning a receipt of its own) or veto it (by raising a contract error). To a
    host, None means that no plugin took the message: a failure.

        receipt = pm.hook.email_profiles_send(request=request)

    .. versionadded:: 0.1
    """
    raise AssertionError("a specification is never called")


@hookspec
def email_profiles_settled(outcome: Outcome) -> None:
    """
    Learn what became of a message, after it was committed.

    Runs in the process that settled the message, each observer on its own: what one
    raises is logged and costs nobody else. After a crash between commit and
    announcement the same outcome is announced again. Must not block.

        @hookimpl
        def email_profiles_settled(outcome):
            log.info("%s: %s", outcome.id, outcome.state)

    .. versionadded:: 0.1
    """
    raise AssertionError("a specification is never called")
