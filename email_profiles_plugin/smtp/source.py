"""What is still to be sent, from one session to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from attrs import define, field

from email_profiles_hookspecs.errors import EmailProfilesError

from .mail import Advance, Submission


@define(eq=False)
class Source:
    """
    Gives a flight its messages, and keeps those whose session ended too early.

    *take_up* is called with each message that is new. *aloft* are those that the
    present session has in hand.
    """

    advance: Advance
    take_up: Callable[[Submission], None]
    waiting: deque[Submission] = field(factory=deque, init=False)
    aloft: list[Submission] = field(factory=list, init=False)
    _served: bool = field(default=False, init=False)
    """The present session has come to an end with somebody already."""
    _dry: bool = field(default=False, init=False)

    @property
    def first(self) -> Submission | None:
        """What comes next; None when nothing does."""
        if not self.waiting:
            self.waiting += self._more([], 1)
        return self.waiting[0] if self.waiting else None

    def give(self, completing: Sequence[Submission], want: int) -> Sequence[Submission]:
        """The flight's `Advance`."""
        if not completing and not want:
            self.advance([], 0)
            return ()
        given: list[Submission] = []
        while self.waiting and len(given) < want:
            given.append(self.waiting.popleft())
        given += self._more(completing, 0 if given else want)
        flying = [one for one in self.aloft if not one.done]
        self._served |= len(flying) < len(self.aloft)
        self.aloft = flying + given
        return given

    def land(
        self, error: EmailProfilesError | None, *, kept: bool, closing: bool = False
    ) -> None:
        """
        A session ended: by *error*, by *closing*, or because it had to.

        A message that the server had said nothing about goes again, over another
        connection, where this one had been *kept*, or had others before; so does one
        that no error ended.
        """
        first = self.aloft[0] if self.aloft else None
        again = []
        for one in self.aloft:
            blameless = kept or self._served or one is not first
            if one.withdrawn or one.error is not None:
                continue
            if blameless and not one.heard and not one.doubtful:
                if closing or not one.done:
                    one.start_again()
                    again.append(one)
            elif not one.done and error is None:
                one.start_again()
                again.append(one)
            elif not one.done:
                one.error = error
        self.aloft, self._served = [], False
        self.waiting.extendleft(reversed(again))

    def fail(self, error: EmailProfilesError) -> None:
        """No session could begin."""
        for one in self.waiting:
            one.error = error
        self.waiting.clear()

    def _more(
        self, completing: Sequence[Submission], want: int
    ) -> Sequence[Submission]:
        if self._dry:
            want = 0
        if not completing and not want:
            return ()
        fresh = self.advance(completing, want)
        self._dry = self._dry or (want > 0 and not fresh)
        for one in fresh:
            self.take_up(one)
        return fresh
