"""One mail transaction (RFC 5321, 3.3): what each recipient was answered, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import define, field

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import NotOffered, ProtocolError

from .dialogue import Answer, Extensions
from .mail import Mail
from .replies import CLOSING

END_OF_DATA = "end of data"
"""The stage of the reply to the final dot, or to the last chunk."""

_TOO_MANY = (452, 552)
_OUT_OF_STEP = re.compile("pipelin|synchroni[sz]", re.IGNORECASE)


def limited(recipients: Sequence[str], limit: int, extensions: Extensions) -> int:
    """How many of *recipients* go into the next transaction (LIMITS: RFC 9422)."""
    announced = extensions.number("LIMITS", "RCPTMAX")
    return min(len(recipients), limit, announced or limit)


def parameters(mail: Mail, extensions: Extensions) -> str:
    """MAIL's parameters; NotOffered where the server can't take this message."""
    said = ""
    if "SIZE" in extensions:
        most = extensions.number("SIZE")
        if most is not None and len(mail.octets) > most:
            raise NotOffered(
                "MAIL",
                f"the message has {len(mail.octets)} octets, the server takes {most}",
                "send less, or a link to the file",
            )
        said = f" SIZE={len(mail.octets)}"
    if mail.smtputf8:
        if "SMTPUTF8" not in extensions:
            raise NotOffered(
                "MAIL",
                "the server does not take addresses beyond ASCII (SMTPUTF8)",
                "use addresses with an ASCII local part",
            )
        said += " BODY=8BITMIME SMTPUTF8"
    return said


@define(kw_only=True, eq=False)
class Transaction:
    """
    Books the replies of one transaction, as they come, into *answers*.

    *mail* is MAIL's line; *pipelined*: the commands went together, so that the server
    may lose its place among them. A recipient is *good* while only the content
    decides on it; one for whom the server asks to come again gets no answer (452, and
    552 which means the same at RCPT: RFC 5321, 4.5.3.1.10). *fault* is why the session
    has to end.
    """

    mail: str
    recipients: tuple[str, ...]
    answers: dict[str, Answer]
    pipelined: bool = False
    good: list[str] = field(factory=list, init=False)
    begun: bool = field(default=False, init=False)
    """The server took MAIL."""
    wanted: bool = field(default=False, init=False)
    """The server asked for content (354)."""
    closing: Answer | None = field(default=None, init=False)
    """The 421 that ended the session."""
    lost: bool = field(default=False, init=False)
    """The server lost its place among the commands."""
    fault: ProtocolError | None = field(default=None, init=False)

    def commands(self, *, reset: bool, data: bool) -> Iterator[tuple[str, str]]:
        """The envelope as pairs of stage and line."""
        if reset:
            yield "RSET", "RSET"
        yield "MAIL", self.mail
        for recipient in self.recipients:
            yield "RCPT", f"RCPT TO:<{recipient}>"
        if data:
            yield "DATA", "DATA"

    @property
    def leftover(self) -> list[str]:
        """For whom the server wants another transaction."""
        decided = {*self.answers, *self.good}
        return [one for one in self.recipients if one not in decided]

    def hopeless(self, stage: str) -> bool:
        """What need not be said: no RCPT without MAIL, no DATA without recipients."""
        if self.closing is not None or self.fault is not None:
            return True
        if stage == "RCPT":
            return not self.begun
        return stage == "DATA" and not self.good

    def hear(self, stage: str, line: str, reply: Reply) -> None:
        """
        Book the reply to one command of the envelope.

        One that shows that the server lost its place decides on nobody. 421 answers
        all that is not answered yet.
        """
        if reply.code == CLOSING:
            self._close(stage, reply)
        elif self.pipelined and self._loses(stage, reply):
            self.lost = True
            self.good = self.good if stage == "RCPT" else []
        elif stage == "RSET":
            if reply.code // 100 != 2:
                self.fault = ProtocolError("RSET", f"the server refused RSET: {reply}")
        elif stage == "MAIL":
            self.begun = reply.code // 100 == 2
            if not self.begun:
                self._answer(self.recipients, stage, reply)
        elif stage == "RCPT":
            self._hear_recipient(line[len("RCPT TO:<") : -1], reply)
        else:
            self._hear_data(reply)

    def _hear_recipient(self, recipient: str, reply: Reply) -> None:
        if not self.begun:
            return  # refused with MAIL, whatever is said of it now
        if reply.code // 100 == 2:
            self.good.append(recipient)
        elif reply.code in _TOO_MANY and self.good:
            return  # to be asked in the next transaction
        else:
            self._answer([recipient], "RCPT", reply)

    def _hear_data(self, reply: Reply) -> None:
        self.wanted = reply.code // 100 == 3
        if not self.wanted:
            self._answer(self.good, "DATA", reply)
            self.good = []
        elif not self.begun:
            # A lone dot would mail an empty message under the envelope before.
            self.fault = ProtocolError("MAIL", "content asked for after MAIL failed")

    def hear_end(self, reply: Reply) -> None:
        """Book the reply to the content: it is everybody's who is good."""
        if reply.code == CLOSING:
            self._close(END_OF_DATA, reply)
        elif self.pipelined and self._loses(END_OF_DATA, reply):
            self.lost = True
        else:
            self._answer(self.good, END_OF_DATA, reply)

    def _loses(self, stage: str, reply: Reply) -> bool:
        """A sync error: 503 for what was said in order, or what the text says."""
        if reply.code // 100 != 5:
            return False
        in_order = self.begun if stage == "RCPT" else bool(self.good)
        return (reply.code == 503 and in_order) or bool(_OUT_OF_STEP.search(reply.text))

    def _close(self, stage: str, reply: Reply) -> None:
        self.closing = self.closing or Answer(stage, reply)
        self._answer(self.recipients, stage, reply)
        self.good = []

    def _answer(self, recipients: Sequence[str], stage: str, reply: Reply) -> None:
        """The first word on a recipient stands."""
        for recipient in recipients:
            self.answers.setdefault(recipient, Answer(stage, reply))
