"""How a person's browser walks the authorization code grant, for a test of a client."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define, field

from email_profiles_hookspecs.errors import EmailProfilesError, StateRefused

from .. import grant_rules
from ..loopback_listener import LoopbackListener, Page
from . import output
from .failures import Failure
from .granting import desktop
from .pasting import pasted

if TYPE_CHECKING:
    from email_profiles_hookspecs import Redirect

    from ..client_trial import ClientReport
    from ..runtime import EmailProfiles


@define(kw_only=True)
class Walk:
    """
    One test of the client *name*; *say* tells what its person has to know.

    *redirect_uri* is what is registered, where that is not ours; *port* 0: a free one.
    """

    facade: EmailProfiles
    name: str
    scope: str
    params: dict[str, str] = field(repr=False)
    authorization_params: dict[str, str] = field(repr=False)
    say: Callable[[str], None]
    redirect_uri: str = ""
    port: int = 0
    opening: bool = False
    _guard: threading.Lock = field(factory=threading.Lock, init=False)
    _redirect: Redirect | None = field(default=None, init=False)
    _report: ClientReport | None = field(default=None, init=False)
    _error: EmailProfilesError | None = field(default=None, init=False)

    def by_browser(self) -> ClientReport:
        """Wait for the browser to come back to this machine."""
        listener = LoopbackListener.at(self._uri(""), self._answer, self.port)
        self._listen(listener, grant_rules.LIFETIME_S)
        if self._error is not None:
            raise self._error
        if self._report is None:
            raise Failure("nobody granted access in time", "run the command again")
        return self._report

    def by_pasting(self) -> ClientReport:
        """Read from standard input where the browser ended."""
        self._send_off(self._uri(f":{self.port}" if self.port else ""))
        return pasted(self.say, self._trade_in)

    def _uri(self, port: str) -> str:
        uid = self.facade.clients.get(self.name).id
        here = f"http://127.0.0.1{port}"
        return self.redirect_uri or grant_rules.redirect_uri(here, uid)

    def _listen(self, listener: LoopbackListener, seconds: float) -> None:
        try:
            listener.serve(self._send_off, seconds)
        except OSError as error:
            raise Failure(
                f"port {listener.port} can't be listened at: {error.strerror}",
                "choose another one with --port, or use --paste",
            ) from error

    def _send_off(self, uri: str) -> None:
        self._redirect = self.facade.clients.begin_test(
            self.name, uri, scope=self.scope, params=self.authorization_params
        )
        self.say("open in a browser:")
        self.say(f"  {self._redirect.url}")
        self.say(f"it comes back to {uri}")
        if self.opening and not (desktop() and webbrowser.open(self._redirect.url)):
            output.warn("there is no desktop here: open the address by hand")

    def _trade_in(self, query: str) -> ClientReport:
        kept = self._redirect.kept if self._redirect is not None else ""
        return self.facade.clients.complete_test(
            self.name, query, kept, params=self.params
        )

    def _answer(self, query: str) -> Page:
        """What the browser is told; nothing of the query is in it."""
        try:
            with self._guard:  # a browser may come twice, the code is good once
                self._report = self._report or self._trade_in(query)
        except StateRefused as error:
            return Page(title="Not granted", text=error.message, status=400)
        except EmailProfilesError as error:
            self._error = error
            return Page(title="Not granted", text=str(error), last=True)
        said = "Access granted" if self._report.passed else "Not granted"
        text = self._report.error or "The test goes on where it was begun."
        return Page(title=said, text=text, last=True)
