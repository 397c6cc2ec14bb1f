"""What was said and what was answered on a connection, to the octet and the reply."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import define, field

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import ProtocolError, SubmissionError

from .dialogue import Group, Tell, masked, unheard
from .replies import CLOSING, ReplyReader, cut


@define(eq=False)
class Tally:
    """
    Pairs replies with what was written; opens no socket.

    Every write brings one reply, in order, and so does the connection: the greeting.
    What the server said before the connection broke counts: *failure* is raised when
    all of that was heard.
    """

    tell: Tell
    reader: ReplyReader = field(factory=ReplyReader)
    failure: SubmissionError | None = None
    closing: Reply | None = None
    """The 421 that was heard: it answers whatever is still asked."""

    _out: list[bytes] = field(factory=list, init=False, repr=False)
    _ends: deque[tuple[int, Callable[[], None]]] = field(factory=deque, init=False)
    _queued: int = field(default=0, init=False)
    _sent: int = field(default=0, init=False)
    _asked: int = field(default=1, init=False)
    """Replies that are due sooner or later, the greeting among them."""
    _said: int = field(default=1, init=False)
    """Of these, how many are due for what has left whole."""
    _taken: int = field(default=0, init=False)
    _heard: deque[Reply] = field(factory=deque, init=False, repr=False)
    _hung_up: bool = field(default=False, init=False)
    _hidden: tuple[bytes, ...] = field(default=(), init=False, repr=False)
    """What was said and may be shown nowhere; an error may echo it later, too."""

    @property
    def quiet(self) -> bool:
        """Nothing came that nobody has heard yet."""
        return self.reader.idle and not self._heard and not self.ended

    @property
    def ended(self) -> bool:
        """Nothing that is written now could be answered."""
        return self._hung_up or self.closing is not None or self.failure is not None

    @property
    def heard(self) -> bool:
        """There is a reply that can be asked for without waiting."""
        return bool(self._heard) or self.closing is not None

    @property
    def waits(self) -> bool:
        """Something was put that has not left yet."""
        return bool(self._out)

    def put(self, group: Group) -> None:
        """Take what is to be written; nothing any more once the session has ended."""
        if self.ended:
            return
        tell = group.tell or self.tell
        last = len(group.writes) - 1
        for number, write in enumerate(group.writes):
            if tell is not unheard:
                tell(f"C: {write.shown}")
            octets = write.octets
            self._out.append(octets)
            self._queued += len(octets)
            self._asked += 1
            self._ends.append((self._queued, group.handed if number == last else _none))

    def listen(self, group: Group) -> None:
        """What comes from now on is told of as *group*'s."""
        self.reader.stage = group.stage
        if group.hide:
            self._hidden = tuple(dict.fromkeys((*self._hidden, *group.hide)))
            self.reader.quiet = True

    def leaving(self) -> bytes:
        """All that was put and not taken yet, to be written now."""
        octets = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return octets

    def left(self, count: int) -> None:
        """*count* more octets were handed over to the network."""
        self._sent += count
        while self._ends and self._ends[0][0] <= self._sent:
            self._said += 1
            self._ends.popleft()[1]()

    def take(self, octets: bytes) -> bool:
        """Read what came; true if a reply was among it. Faults become *failure*."""
        if self.failure is not None:  # nothing behind it is kept
            return False
        self.reader.feed(octets)
        before = self._taken
        try:
            while self.failure is None and (reply := self.reader.next()) is not None:
                self._taken += 1
                self._book(reply)
        except ProtocolError as error:
            self.failure = error
        return self._taken > before

    def _book(self, reply: Reply) -> None:
        """An unasked 421 answers what is asked next; anything else is a fault."""
        if reply.code == CLOSING:
            self._hung_up = True
        elif self._taken > self._asked:
            self.failure = self._unasked("a reply too many", reply)
            return
        elif self._taken > self._said and reply.code < 400:
            self.failure = self._unasked("a reply before it was asked", reply)
            return
        self._heard.append(reply)

    def _unasked(self, what: str, reply: Reply) -> ProtocolError:
        shown = "" if self.reader.quiet else f": {cut(reply)}"
        return ProtocolError(self.reader.stage, f"{what}{shown}")

    def answer(self, group: Group) -> Reply | None:
        """The next reply, for *group*; None where more has to be read first."""
        self.listen(group)
        if self.closing is not None:
            return self.closing
        if self._heard:
            return self._shown(group, self._heard.popleft())
        if self.failure is not None:
            raise self.failure
        return None

    def _shown(self, group: Group, reply: Reply) -> Reply:
        tell = group.tell or self.tell
        secret = self._hidden and (group.hide or reply.code >= 400)
        shown = cut(masked(reply, self._hidden) if secret else reply)
        if tell is not unheard:
            for line in str(shown).split("\n"):
                tell(f"S: {line}")
        if reply.code == CLOSING:
            self.closing = shown
        return reply if group.reads(reply) else shown


def _none() -> None:
    """A write amid its group."""
