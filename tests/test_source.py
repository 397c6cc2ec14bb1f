"""What goes again over another connection, and what does not; no socket here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import Disconnected
from email_profiles_plugin.smtp.dialogue import Answer
from email_profiles_plugin.smtp.mail import Mail, Submission, in_turn
from email_profiles_plugin.smtp.source import Source

BROKEN = Disconnected("MAIL", "the server closed the connection")


def message(*recipients: str) -> Submission:
    return Submission(mail=Mail(mail_from="", recipients=recipients, octets=b""))


def taken_up(*messages: Submission) -> Source:
    """A source whose session has all *messages* in hand."""
    source = Source(in_turn(messages), lambda one: None)
    assert list(messages) == list(source.give([], len(messages)))
    return source


def heard(one: Submission) -> None:
    one.heard = True


def on_its_way(one: Submission) -> None:
    one.send(one.mail.recipients)


def in_doubt(one: Submission) -> None:
    on_its_way(one)
    one.hand_over()


def told_421(one: Submission) -> None:
    closing = Answer("MAIL", Reply(code=421))
    one.answers.update(dict.fromkeys(one.mail.recipients, closing))


def accepted(one: Submission) -> None:
    one.heard = True
    taken = Answer("end of data", Reply(code=250))
    one.answers.update(dict.fromkeys(one.mail.recipients, taken))


def nothing(one: Submission) -> None:
    """The server had not said a word."""


@pytest.mark.parametrize(
    ("state", "kept", "again"),
    [
        (nothing, True, True),
        (nothing, False, False),
        (on_its_way, True, True),
        (heard, True, False),
        (in_doubt, True, False),
        (accepted, True, False),
    ],
)
def test_what_ends_a_kept_connection_is_nobodys_fault(
    state: Callable[[Submission], None], kept: bool, again: bool
) -> None:
    """It goes over a new one if the server said nothing, and can't have taken it."""
    one = message("b@x")
    source = taken_up(one)
    state(one)
    source.land(BROKEN, kept=kept)

    assert again == (source.first is one)
    assert (BROKEN if not again and state is not accepted else None) == one.error
    assert (("b@x",) if state is in_doubt else ()) == one.doubtful


def test_those_behind_a_message_are_not_blamed_for_it() -> None:
    """On a new connection, too: the first one has its result, so this ends."""
    first, second, third = message("b@x"), message("c@x"), message("d@x")
    source = taken_up(first, second, third)
    in_doubt(first)
    source.land(BROKEN, kept=False)

    assert (BROKEN, None) == (first.error, second.error)
    assert [second, third] == list(source.give([], 2))


def test_those_who_come_after_a_message_are_not_blamed_for_it() -> None:
    """Nor where that one had its answer before they were taken up."""
    first, second = message("b@x"), message("c@x")
    source = Source(in_turn([first, second]), lambda one: None)
    source.give([], 1)
    accepted(first)
    source.give([], 1)
    source.land(BROKEN, kept=False)
    assert (second, None) == (source.first, second.error)

    source.give([], 1)
    source.land(BROKEN, kept=False)
    assert (None, BROKEN) == (source.first, second.error)


@pytest.mark.parametrize(("kept", "again"), [(True, True), (False, False)])
def test_421_before_anything_else(kept: bool, again: bool) -> None:
    """A server may close an idle connection; one that is new has given its answer."""
    one = message("b@x")
    source = taken_up(one)
    told_421(one)
    source.land(None, kept=kept, closing=True)

    assert again == (source.first is one)
    assert (not again) == ("b@x" in one.answers)


def test_what_was_answered_stays_answered() -> None:
    """Of a message in several transactions, only who was not asked is asked again."""
    one = message("b@x", "c@x")
    source = taken_up(one)
    one.answers["b@x"] = Answer("end of data", Reply(code=250))
    one.answers["c@x"] = Answer("MAIL", Reply(code=421))
    source.land(None, kept=True, closing=True)

    assert one is source.first
    assert ("c@x",) == one.left


def test_what_is_withdrawn_does_not_come_back() -> None:
    """It is somebody else's by now."""
    one, other = message("b@x"), message("c@x")
    source = taken_up(one, other)
    one.withdrawn = True
    source.land(None, kept=False)

    assert other is source.first
    assert 1 == len(source.waiting)


def test_where_no_session_begins_all_learn_why() -> None:
    """And those who come after them ask anew."""
    one, other = message("b@x"), message("c@x")
    source = Source(in_turn([one, other]), lambda taken: None)
    assert one is source.first
    source.fail(BROKEN)

    assert (BROKEN, None) == (one.error, other.error)
    assert other is source.first


def test_a_source_that_is_dry_is_not_asked_again() -> None:
    """It may cost a transaction to ask."""
    asked: list[int] = []

    def advance(completing: object, want: int) -> list[Submission]:
        asked.append(want)
        return []

    source = Source(advance, lambda one: None)

    assert [None, None] == [source.first, source.first]
    assert [1] == asked
