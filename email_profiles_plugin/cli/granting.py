"""How a person grants access to a profile: in a browser, by pasting, from a device."""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from attrs import define, evolve

from email_profiles_hookspecs.errors import (
    EmailProfilesError,
    HttpError,
    NeedsGrant,
    SlowDown,
    StateRefused,
    TokenTimeout,
)

from .. import grant_rules
from ..clock import SystemChance, SystemClock
from ..loopback_listener import LoopbackListener, Page
from . import output
from .failures import Failure
from .opening import actor
from .pasting import pasted

if TYPE_CHECKING:
    from email_profiles_hookspecs import Device, TokenStatus
    from email_profiles_hookspecs.services import Clock

    from ..granting import Completed
    from ..runtime import EmailProfiles

MINUTES = int(grant_rules.LIFETIME_S / 60)

STRANGE = ("malformed", "unknown", "session")
"""Reasons for which an answer is nobody's business here: the right one may follow."""


@define(kw_only=True)
class Granting:
    """
    One grant; *say* is given what its person has to know.

    *redirect_uri* is what is registered at the authorization server, where that is
    not ours; *port* 0: any that is free.
    """

    facade: EmailProfiles
    name: str
    say: Callable[[str], None]
    redirect_uri: str = ""
    port: int = 0
    opening: bool = False
    _session: str = ""
    _completed: Completed | None = None
    _error: EmailProfilesError | None = None

    def by_browser(self) -> TokenStatus:
        """Wait for the browser to come back to this machine, and end the grant."""
        listener = self._listener()
        try:
            came = listener.serve(self._send_off, grant_rules.LIFETIME_S)
        except OSError as error:
            raise Failure(
                f"port {listener.port} can't be listened at: {error.strerror}",
                "choose another one with --port, or use --paste",
            ) from error
        if self._error is not None:
            raise self._error
        if not came or self._completed is None:
            raise Failure(
                f"nobody granted access within {MINUTES} minutes",
                "run the command again",
            )
        return self._completed.status

    def by_pasting(self) -> TokenStatus:
        """Read from standard input where the browser ended, and end the grant."""
        uri = self.redirect_uri or self._own_uri(f":{self.port}" if self.port else "")
        self._send_off(uri)
        return pasted(
            self.say, lambda query: self.facade.tokens.complete(query, self._session)
        ).status

    def by_device(self, pause: Callable[[float], None] | None = None) -> TokenStatus:
        """Show a code, and ask until it was typed somewhere (RFC 8628)."""
        device = self.facade.tokens.device_begin(self.name)
        minutes = max(device.expires_in // 60, 1)
        self.say(f"within {minutes} minutes, open on any device:")
        self.say(f"  {device.verification_uri}")
        self.say("and type there:")
        self.say(f"  {device.user_code}")
        self.say("Ctrl-C ends it")
        if device.verification_uri_complete:
            self.say("or open this, which has the code in it:")
            self.say(f"  {device.verification_uri_complete}")
        return await_device(
            lambda now: self.facade.tokens.device_poll(self.name, now, actor=actor()),
            device,
            SystemClock(),
            pause or time.sleep,
        )

    def _listener(self) -> LoopbackListener:
        uri = self.redirect_uri or self._own_uri("")
        return LoopbackListener.at(uri, self._answer, self.port)

    def _own_uri(self, port: str) -> str:
        return self.facade.tokens.redirect_uri(self.name, f"http://127.0.0.1{port}")

    def _send_off(self, redirect_uri: str) -> None:
        self._session = SystemChance().secret()
        url = self.facade.tokens.begin(
            self.name, redirect_uri, self._session, actor=actor()
        )
        self.say(f"within {MINUTES} minutes, open in a browser:")
        self.say(f"  {url}")
        self.say(f"it comes back to {redirect_uri}")
        self.say("Ctrl-C ends it")
        if self.opening and not (desktop() and webbrowser.open(url)):
            output.warn("there is no desktop here: open the address by hand")

    def _answer(self, query: str) -> Page:
        """What the browser is told; nothing of the query is in it."""
        try:
            self._completed = self.facade.tokens.complete(query, self._session)
        except StateRefused as error:
            if error.reason in STRANGE:
                return Page(title="Not granted", text=error.message, status=400)
            self._error = error
        except EmailProfilesError as error:
            self._error = error
        if self._error is not None:
            text = str(self._error)
            return Page(title="Access was not granted", text=text, last=True)
        text = f"Email profile {self.name} has its token. You may close this page."
        return Page(title="Access granted", text=text, last=True)


def await_device(
    poll: Callable[[Device], TokenStatus | None],
    device: Device,
    clock: Clock,
    pause: Callable[[float], None],
) -> TokenStatus:
    """
    Call *poll* at the intervals that the server wants; NeedsGrant when time is over.

    A server that is out of reach is asked more and more seldom (RFC 8628, 3.5).
    """
    interval = max(device.interval, 1)
    end = clock.monotonic() + device.expires_in
    while clock.monotonic() + interval < end:
        pause(interval)
        try:
            status = poll(evolve(device, interval=interval))
        except SlowDown as error:
            status, interval = None, max(error.interval, interval)
        except (HttpError, TokenTimeout):
            status = None
            interval *= 2
        if status is not None:
            return status
    raise NeedsGrant(
        "nobody granted access while the code was good", "run the command again"
    )


def check_options(
    *, port: int, redirect_uri: str, opening: bool, paste: bool, device: bool
) -> None:
    """UsageError for options that have nothing to say to each other."""
    if device and (port or redirect_uri or opening or paste):
        raise click.UsageError("--device takes none of the options for a browser.")
    if port and redirect_uri:
        raise click.UsageError("--redirect-uri has the port: give no --port with it.")
    if redirect_uri and not paste and not grant_rules.is_on_loopback(redirect_uri):
        raise click.UsageError(
            "--redirect-uri has to be http://127.0.0.1 or http://localhost, with any "
            "port and path, for its answer to be heard here; else add --paste."
        )


def desktop() -> bool:
    """Whether there is a screen in front of a person."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
