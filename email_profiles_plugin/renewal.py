"""Renewal: tokens are renewed ahead of their expiry, also while nobody sends."""

from __future__ import annotations

import logging
from collections.abc import Callable

from attrs import define

from email_profiles_hookspecs import Authenticator, Profile
from email_profiles_hookspecs.errors import EmailProfilesError, TokenTimeout
from email_profiles_hookspecs.services import Clock

from . import token_rules
from .store import tokens
from .store.database import Database
from .store.tokens import TokenRow
from .token_vault import REJECTED

SELDOM_S = 300.0
"""Seconds that a token is left alone after it came, be its life ever so short."""

log = logging.getLogger(__name__)


@define(kw_only=True)
class Renewal:
    """
    Has each profile's provider look after its token, as a sender would.

    A refresh token that nobody uses for months is taken away by many servers; so an
    idle gateway renews, too, and learns early when a person is needed. Tokens that
    live for minutes it renews now and then: whoever sends asks by itself.
    """

    database: Database
    clock: Clock
    profile: Callable[[str], Profile | None]
    authenticator: Callable[[Profile], Authenticator]

    def look(self) -> None:
        """Begin what is due; returns at once, each fetch has a thread of its own."""
        with self.database.read() as connection:
            rows = tokens.held(connection)
        for row in rows:
            profile = self.profile(row.profile_id)
            if profile is not None and profile.enabled and self._due(row, profile):
                self._renew(profile)

    def _due(self, row: TokenRow, profile: Profile) -> bool:
        now = self.clock.now().timestamp()
        timing = token_rules.read_timing(profile.auth)
        state = token_rules.state_at(row.held, now, timing)
        wanted = state in ("expiring", "expired")
        wanted |= state == "error" and row.error != REJECTED
        early = row.updated_at <= now < row.updated_at + SELDOM_S
        return wanted and not early and now >= (row.retry_at or 0)

    def _renew(self, profile: Profile) -> None:
        """No time to wait: what is asked for comes into the row by itself."""
        try:
            self.authenticator(profile).acquire(self.clock.monotonic())
        except TokenTimeout:
            pass
        except EmailProfilesError as error:
            log.warning("profile %r: no new token: %s", profile.name, error)
        except (Exception, SystemExit):
            log.exception("profile %r: its provider failed", profile.name)
