"""Management of tokens: the actions that a mode offers for a profile's access."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from email_profiles_hookspecs import Authenticator, Manageable, Profile, TokenStatus
from email_profiles_hookspecs.errors import Conflict
from email_profiles_hookspecs.services import Clock, TokenAction

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
        return self._manageable(name).status()

    def refresh(self, name: str) -> TokenStatus:
        """Ask for a new token now (*Refresh Token*)."""
        return self._offering(name, "refresh").refresh(self._deadline())

    def revoke(self, name: str) -> None:
        """Give the token up, at the authorization server too where it can be."""
        self._offering(name, "revoke").revoke(self._deadline())

    def _offering(self, name: str, action: TokenAction) -> Manageable:
        found = self._manageable(name)
        offered = found.status().actions
        if action not in offered:
            able = ", ".join(offered) or "nothing"
            raise Conflict(
                f"the token of {name!r} can't be {_PAST[action]} now; it offers {able}"
            )
        return found

    def _manageable(self, name: str) -> Manageable:
        profile = self.profile(name)
        found = self.authenticator(profile)
        if not isinstance(found, Manageable):
            raise Conflict(
                f"email profile {name!r} has no token: its mode is {profile.mode}"
            )
        return found

    def _deadline(self) -> float:
        return self.clock.monotonic() + ACTION_S


_PAST: dict[TokenAction, str] = {
    "refresh": "refreshed",
    "grant": "granted",
    "revoke": "revoked",
    "device": "granted from another device",
}
