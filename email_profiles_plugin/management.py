"""Management of tokens: the actions that a mode offers for a profile's access."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define

from email_profiles_hookspecs import (
    Authenticator,
    Device,
    DeviceGrantable,
    Grantable,
    Manageable,
    Profile,
    Redirect,
    TokenStatus,
)
from email_profiles_hookspecs.errors import (
    Conflict,
    NotFound,
    PluginFailed,
    StateRefused,
)
from email_profiles_hookspecs.services import Clock, TokenAction

from . import grant_rules
from .grant_rules import InProgress
from .granting import Completed, Granting, Sight
from .resolution import contained
from .store import audit, tokens
from .store.audit import Entry
from .store.database import Database
from .token_vault import LEASE_S

ACTION_S = 60
"""Seconds that an action may take."""


@define(kw_only=True)
class TokenManagement:
    """
    What the manage-token page and the token commands do, for any mode that can.

    Raises Conflict where the profile's mode has no token, or does not offer the
    action now; NotFound; and what the provider raises. A change that was made goes
    into the audit trail, with its *actor*.
    """

    database: Database
    clock: Clock
    granting: Granting
    profile: Callable[[str], Profile]
    by_id: Callable[[str], Profile | None]
    authenticator: Callable[[Profile], Authenticator]
    fingerprint: Callable[[Profile], str]
    callback_uid: Callable[[Profile], str]

    def status(self, name: str) -> TokenStatus:
        """State, expiry, scope, account, and the actions that are offered now."""
        profile = self.profile(name)
        found = self._manageable(profile)
        with contained(profile):
            return found.status()

    def refresh(self, name: str, *, actor: str = "") -> TokenStatus:
        """Ask for a new token now (*Refresh Token*)."""
        profile = self.profile(name)
        found = self._offering(profile, "refresh")
        with contained(profile):
            status = found.refresh(self._deadline())
        self._audit(profile, "refresh", actor, {"generation": status.generation})
        return status

    def revoke(self, name: str, *, actor: str = "") -> None:
        """Give the token up, at the authorization server too where it can be."""
        profile = self.profile(name)
        found = self._offering(profile, "revoke")
        with contained(profile):
            found.revoke(self._deadline())
        self._audit(profile, "revoke", actor, {})

    def redirect_uri(self, name: str, base_url: str) -> str:
        """
        The redirect URI of the profile's OAuth2 client, to be registered; Invalid.

        *base_url* is configured; it never comes from a request. All profiles of a
        client have the same; that of a mode without clients has the profile's id.
        """
        uid = self.callback_uid(self.profile(name))
        return grant_rules.redirect_uri(base_url, uid)

    def begin(
        self, name: str, redirect_uri: str, session: str, *, actor: str = ""
    ) -> str:
        """
        Where to send the browser for *Grant New Token*; it has ten minutes.

        *session*, the browser's, is any text that nobody else can guess: only with
        the same one the grant can be completed. Invalid for a *redirect_uri* that is
        neither https nor on this machine.
        """
        grant_rules.check_redirect_uri(redirect_uri)
        profile = self.profile(name)
        found = self._grantable(profile)

        def send_off(state: str) -> Redirect:
            with contained(profile):
                return found.begin(redirect_uri, state)

        return self.granting.begin(
            profile,
            fingerprint=self.fingerprint(profile),
            redirect_uri=redirect_uri,
            session=session,
            actor=actor,
            send_off=send_off,
        )

    def complete(
        self, query: str, session: str, *, redirect_uri: str | None = None
    ) -> Completed:
        """
        What came of a grant, whose answer the browser brought in its URL's *query*.

        *redirect_uri*, where given, is where it came in. A repeat is told the same,
        the error as well, and asks nobody. StateRefused changes nothing.
        """
        return self.granting.complete(query, session, redirect_uri, self._redeem)

    def subject(self, query: str, session: str) -> str | None:
        """The id of the profile that the answer in *query* is for; StateRefused."""
        return self.granting.subject(query, session)

    def grant_seen(self, name: str, session: str) -> Sight | None:
        """The last grant in a browser, if it was within the hour: *session*'s first."""
        return self.granting.newest(self.profile(name).id, session)

    def is_fetching(self, name: str) -> bool:
        """Somebody is renewing the token just now; never longer than 75 seconds."""
        profile = self.profile(name)
        with self.database.read() as connection:
            row = tokens.read(connection, profile.id)
        now = self.clock.now().timestamp()
        return row.leased(now, now + LEASE_S)

    def device_begin(self, name: str) -> Device:
        """Begin a grant from another device (RFC 8628); what its person is shown."""
        profile = self.profile(name)
        found = self._by_device(profile)
        with contained(profile):
            return found.device_begin(self._deadline())

    def device_poll(
        self, name: str, device: Device, *, actor: str = ""
    ) -> TokenStatus | None:
        """
        Ask once whether access was granted; None: not yet.

        Whoever calls waits `device.interval` seconds before each time.
        """
        profile = self.profile(name)
        found = self._by_device(profile)
        with contained(profile):
            status = found.device_poll(device, self._deadline())
        if status is not None:
            detail = {"generation": status.generation, "by": "device"}
            self._audit(profile, "grant", actor, detail)
        return status

    def _redeem(
        self, row: InProgress, query: Mapping[str, str], kept: str
    ) -> TokenStatus:
        profile = self.by_id(row.profile_id) or self.profile(row.profile_name)
        if profile.id != row.profile_id:
            raise NotFound("email profile", row.profile_name)
        if self.fingerprint(profile) != row.fingerprint:
            raise StateRefused(
                f"email profile {profile.name!r}, or its OAuth2 client, was changed "
                "after this grant was begun",
                "changed",
                grant_rules.ANEW,
            )
        found = self._grantable(profile)
        with contained(profile):
            return found.complete(row.redirect_uri, query, kept, self._deadline())

    def _grantable(self, profile: Profile) -> Grantable:
        found = self._offering(profile, "grant")
        if not isinstance(found, Grantable):
            raise _unable(profile, "grant")
        return found

    def _by_device(self, profile: Profile) -> DeviceGrantable:
        found = self._offering(profile, "device")
        if not isinstance(found, DeviceGrantable):
            raise _unable(profile, "device")
        return found

    def _offering(self, profile: Profile, action: TokenAction) -> Manageable:
        found = self._manageable(profile)
        with contained(profile):
            status = found.status()
        if action not in status.actions:
            able = ", ".join(status.actions) or "nothing"
            said = f"the token of {profile.name!r} can't be {_PAST[action]} now"
            why = status.withheld.get(action) or (
                "" if status.actions else status.error
            )
            said += f": {why}" if why else ""
            raise Conflict(f"{said}; it offers {able}")
        return found

    def _manageable(self, profile: Profile) -> Manageable:
        found = self.authenticator(profile)
        if not isinstance(found, Manageable):
            raise Conflict(
                f"email profile {profile.name!r} has no token: its mode is "
                f"{profile.mode}"
            )
        return found

    def _audit(
        self, profile: Profile, action: str, actor: str, detail: Mapping[str, object]
    ) -> None:
        entry = Entry(
            at=self.clock.now().timestamp(),
            actor=actor,
            action=action,
            kind="token",
            subject_id=profile.id,
            subject=profile.name,
            detail=detail,
        )
        self.database.write(lambda connection: audit.record(connection, entry))

    def _deadline(self) -> float:
        return self.clock.monotonic() + ACTION_S


def _unable(profile: Profile, action: TokenAction) -> PluginFailed:
    return PluginFailed(f"mode {profile.mode} offers {action}, and can't do it")


_PAST: dict[TokenAction, str] = {
    "refresh": "refreshed",
    "grant": "granted",
    "revoke": "revoked",
    "device": "granted from another device",
}
