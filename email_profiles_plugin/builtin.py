"""The built-in plugin: answers from the store, and the guard around third parties."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

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
    _within: threading.local = field(factory=threading.local, init=False)

    @hookimpl(trylast=True)
    def email_profiles_resolve(self, name: str) -> Profile | None:
        self._open()
        return self.find(name)

    @hookimpl(trylast=True)
    def email_profiles_send(self, request: SendRequest) -> Receipt:
        self._open()
        receipt = self.queue(request)
        self._noted().append((request, receipt))
        return receipt

    @contextmanager
    def noting(self) -> Iterator[list[tuple[SendRequest, Receipt]]]:
        """What this thread queues meanwhile, each with its request."""
        outer, inner = self._noted(), list[tuple[SendRequest, Receipt]]()
        self._within.noted = inner
        try:
            yield inner
        finally:
            outer.extend(inner)
            self._within.noted = outer

    def _noted(self) -> list[tuple[SendRequest, Receipt]]:
        noted: list[tuple[SendRequest, Receipt]] | None
        noted = getattr(self._within, "noted", None)
        return [] if noted is None else noted

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
        with self.builtin.noting() as queued:
            try:
                receipt = yield
                if receipt is None or isinstance(receipt, Receipt):
                    return receipt
                what = type(receipt).__name__
                raise TypeError(f"send returned no Receipt but {what}")
            except EmailProfilesError:
                raise
            except Exception:
                log.exception("a plugin failed to send; queueing the message anyhow")
            for one, receipt in queued:
                if one is request:
                    return receipt
            return self.builtin.email_profiles_send(request)
