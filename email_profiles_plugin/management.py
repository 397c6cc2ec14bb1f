"""Management of tokens: the actions that a mode offers for a profile's access."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from email_profiles_hookspecs import Authenticator, Manageable, Profile, TokenStatus
from email_profiles_hookspecs.errors import Conflict
from email_profiles_hookspecs.services import Clock, TokenAction

from .resolution import contained

ACTION_S = 60
"""Seconds that an action may take."""


@define(kw_only=True)
class TokenManagement:
    """
    What the manage-token page and the token commands do, for any mode that can.

    Raises Conflict where the profile's mode has no token, or does not offer the
    action now; NotFound; and what the provider raises.
    """

    clock: Clock
    profile: Callable[[str], Profile]
    authenticator: Callable[[Profile], Authenticator]

    def status(self, name: str) -> TokenStatus:
        """State, expiry, scope, account, and the actions that are offered now."""
        profile, found = self._manageable(name)
        with contained(profile):
            return found.status()

    def refresh(self, name: str) -> TokenStatus:
        """Ask for a new token now (*Refresh Token*)."""
        profile, found = self._offering(name, "refresh")
        with contained(profile):
            return found.refresh(self._deadline())

    def revoke(self, name: str) -> None:
        """Give the token up, at the authorization server too where it can be."""
        profile, found = self._offering(name, "revoke")
        with contained(profile):
            found.revoke(self._deadline())

    def _offering(self, name: str, action: TokenAction) -> tuple[Profile, Manageable]:
        profile, found = self._manageable(name)
        with contained(profile):
            status = found.status()
        if action not in status.actions:
            able = ", ".join(status.actions) or "nothing"
            if status.error and not status.actions:
                able += f" ({status.error})"
            raise Conflict(
                f"the token of {name!r} can't be {_PAST[action]} now; it offers {able}"
            )
        return profile, found

    def _manageable(self, name: str) -> tuple[Profile, Manageable]:
        profile = self.profile(name)
        found = self.authenticator(profile)
        if not isinstance(found, Manageable):
            raise Conflict(
                f"email profile {name!r} has no token: its mode is {profile.mode}"
            )
        return profile, found

    def _deadline(self) -> float:
        return self.clock.monotonic() + ACTION_S


_PAST: dict[TokenAction, str] = {
    "refresh": "refreshed",
    "grant": "granted",
    "revoke": "revoked",
    "device": "granted from another device",
}
