"""The built-in plugin: answers from the store, and the guard around third parties."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator

from attrs import define, field

from email_profiles_hookspecs import Profile, Receipt, SendRequest, hookimpl
from email_profiles_hookspecs.errors import Closed, EmailProfilesError

log = logging.getLogger(__name__)


@define(eq=False)
class BuiltIn:
    """Asked last: knows the profiles in the store, and puts messages in the outbox."""

    find: Callable[[str], Profile | None]
    queue: Callable[[SendRequest], Receipt]
    closed: bool = False
    within: threading.local = field(factory=threading.local, init=False)
    """What was queued within the call that a thread is in."""

    @hookimpl(trylast=True)
    def email_profiles_resolve(self, name: str) -> Profile | None:
        self._open()
        return self.find(name)

    @hookimpl(trylast=True)
    def email_profiles_send(self, request: SendRequest) -> Receipt:
        self._open()
        self.within.receipt = self.queue(request)
        receipt: Receipt = self.within.receipt
        return receipt

    def _open(self) -> None:
        if self.closed:
            raise Closed("these email profiles were closed", "open them again")


@define(eq=False)
class Guard:
    """
    Stands around all implementations of resolve and send.

    Contract errors pass. Where a third party raises anything else, or returns what is
    no answer, that is logged and the built-in is asked instead: no mail is lost to a
    broken plugin, and none is queued twice.
    """

    builtin: BuiltIn
    accept: Callable[[Profile], Profile]

    @hookimpl(wrapper=True, tryfirst=True)
    def email_profiles_resolve(
        self, name: str
    ) -> Generator[None, Profile | None, Profile | None]:
        try:
            found = yield
            if found is None or isinstance(found, Profile):
                return found and self.accept(found)
            raise TypeError(f"resolve returned no Profile but {type(found).__name__}")
        except EmailProfilesError:
            raise
        except Exception:
            log.exception("a plugin failed to resolve %r; asking the store", name)
        return self.builtin.email_profiles_resolve(name)

    @hookimpl(wrapper=True, tryfirst=True)
    def email_profiles_send(
        self, request: SendRequest
    ) -> Generator[None, Receipt | None, Receipt | None]:
        self.builtin.within.receipt = None
        try:
            receipt = yield
            if receipt is None or isinstance(receipt, Receipt):
                return receipt
            raise TypeError(f"send returned no Receipt but {type(receipt).__name__}")
        except EmailProfilesError:
            raise
        except Exception:
            log.exception("a plugin failed to send; queueing the message all the same")
        queued: Receipt | None = self.builtin.within.receipt
        return queued or self.builtin.email_profiles_send(request)
