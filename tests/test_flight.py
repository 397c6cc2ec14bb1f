"""Flights: no socket is opened here; a server is a list of codes, or a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, product
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from email_profiles_hookspecs import Reply
from email_profiles_hookspecs.errors import (
    Disconnected,
    NotOffered,
    ProtocolError,
    SubmissionError,
)
from email_profiles_plugin.smtp.dialogue import Command, Extensions, Group
from email_profiles_plugin.smtp.flight import (
    Flight,
    Manner,
    NoChunking,
    OutOfStep,
    Withdrawn,
)
from email_profiles_plugin.smtp.mail import (
    Mail,
    Submission,
    checked,
    in_turn,
    stuffed,
)
from email_profiles_plugin.smtp.source import Source
from email_profiles_plugin.smtp.tally import Tally
from email_profiles_plugin.smtp.transaction import limited
from email_profiles_plugin.testing.smtp_model import Plan, SmtpModel

OCTETS = b"Subject: hi\r\n\r\nhello\r\n"
ONE_BY_ONE = Manner()
PIPELINED = Manner(pipelining=True)
CHUNKED = Manner(pipelining=True, window=4)


def message(
    *recipients: str, sender: str = "a@x", octets: bytes = OCTETS, utf8: bool = False
) -> Submission:
    mail = Mail(mail_from=sender, recipients=recipients, octets=octets, smtputf8=utf8)
    return Submission(mail=mail)


def codes(one: Submission) -> dict[str, tuple[str, int]]:
    return {who: (said.stage, said.reply.code) for who, said in one.answers.items()}


@define
class Played:
    """A flight, played against a list of codes, one for each write."""

    manner: Manner
    replies: list[int]
    submissions: Sequence[Submission]
    reset: bool = False
    proven: bool = False
    said: list[str] = field(factory=list)
    flushes: list[int] = field(factory=list)
    flight: Flight = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.flight = Flight(
            advance=in_turn(self.submissions),
            manner=self.manner,
            reset=self.reset,
            proven=self.proven,
        )
        dialogue = self.flight.play()
        script, waiting = list(self.replies), 0
        move: Any = next(dialogue, None)
        while move is not None:
            assert isinstance(move, Group)
            for write in move.writes:
                line = write.line if isinstance(write, Command) else "<content>"
                self.said.append(line.split(":")[0] if "MAIL" in line else line)
            waiting += len(move.writes)
            move.handed()
            if move.replies and waiting:
                self.flushes.append(waiting)
                waiting = 0
            heard = [Reply(code=script.pop(0)) for _ in range(move.replies)]
            try:
                move = dialogue.send(heard)
            except StopIteration:
                break
        assert not script, "the flight ended before the server did"


def play(
    manner: Manner, *replies: int, to: Sequence[str] = ("b@x",), **options: Any
) -> tuple[Submission, Played]:
    one = message(*to)
    return one, Played(manner, list(replies), [one], **options)


BOTH = pytest.mark.parametrize("manner", [ONE_BY_ONE, PIPELINED])


@BOTH
def test_all_are_served(manner: Manner) -> None:
    """MAIL, each RCPT, DATA, the content; the final reply is everybody's."""
    one, played = play(manner, 250, 250, 251, 354, 250, to=["b@x", "c@x"])

    said = ["MAIL FROM", "RCPT TO:<b@x>", "RCPT TO:<c@x>", "DATA", "<content>"]
    assert said == played.said
    assert {"b@x": ("end of data", 250), "c@x": ("end of data", 250)} == codes(one)
    assert (True, False) == (one.done, played.flight.reset)


def test_a_message_on_its_way_takes_one_round_trip() -> None:
    """The next envelope goes right behind the final dot (RFC 2920, 3.1)."""
    messages = [message("b@x", "c@x", "d@x") for _ in range(3)]
    played = Played(
        PIPELINED, [250] * 4 + [354] + ([250] * 5 + [354]) * 2 + [250], messages
    )

    assert [5, 6, 6, 1] == played.flushes
    assert all(one.done for one in messages)


def test_chunked_messages_travel_together() -> None:
    """Each behind a RSET (RFC 3030); the first alone, till the server took one."""
    messages = [message("b@x", "c@x") for _ in range(6)]
    played = Played(CHUNKED, [250] * 5 * 6, messages)

    assert [5, 20, 5] == played.flushes
    assert ["RSET", "MAIL FROM", "RCPT TO:<b@x>", "RCPT TO:<c@x>"] == played.said[:4]
    assert ("end of data", 250) == codes(messages[5])["c@x"]
    assert played.flight.proven


def test_an_idle_connection_is_tried_before_content_goes() -> None:
    """So that nothing is in doubt if it has died meanwhile."""
    manner = Manner(pipelining=True, window=4, cold=True)
    messages = [message("b@x") for _ in range(3)]
    played = Played(manner, [250] * 12, messages, proven=True)

    assert [3, 1, 8] == played.flushes


@BOTH
def test_a_refused_recipient_costs_the_others_nothing(manner: Manner) -> None:
    """Each recipient has its own answer."""
    to = ["b@x", "c@x", "d@x"]
    one, _ = play(manner, 250, 550, 250, 450, 354, 250, to=to)

    assert {
        "b@x": ("RCPT", 550),
        "c@x": ("end of data", 250),
        "d@x": ("RCPT", 450),
    } == codes(one)


def test_one_by_one_stops_when_nobody_is_left() -> None:
    """No DATA without a recipient; RSET has to lead what comes next."""
    _, played = play(ONE_BY_ONE, 250, 550)

    assert ["MAIL FROM", "RCPT TO:<b@x>"] == played.said
    assert played.flight.reset


def test_together_a_lone_dot_ends_what_has_no_recipients() -> None:
    """The server asked for content all the same (RFC 2920, 3.1)."""
    one, played = play(PIPELINED, 250, 550, 354, 554)

    assert ["MAIL FROM", "RCPT TO:<b@x>", "DATA", "<content>"] == played.said
    assert {"b@x": ("RCPT", 550)} == codes(one)
    assert played.flight.reset


def test_content_asked_for_after_a_refused_mail_ends_the_session() -> None:
    """A lone dot would mail an empty message under the envelope before."""
    with pytest.raises(ProtocolError):
        play(PIPELINED, 550, 503, 354)


@BOTH
@pytest.mark.parametrize(
    ("replies", "stage"),
    [
        ((553,), "MAIL"),
        ((250, 250, 554), "DATA"),
        ((250, 250, 354, 552), "end of data"),
    ],
)
def test_a_refusal_is_known_by_its_stage(
    replies: tuple[int, ...], stage: str, manner: Manner
) -> None:
    """MAIL, DATA and the end of data decide on all recipients at once."""
    if manner.pipelining and stage == "MAIL":
        replies = (553, 503, 503)
    one, _ = play(manner, *replies)

    code = {"MAIL": 553, "DATA": 554, "end of data": 552}[stage]
    assert {"b@x": (stage, code)} == codes(one)


@BOTH
def test_too_many_recipients_go_in_the_next_transaction(manner: Manner) -> None:
    """452, and 552 which means the same at RCPT (RFC 5321, 4.5.3.1.10)."""
    first = [250, 250, 452, 552, 354]
    one, played = play(
        manner, *first, 250, 250, 250, 250, 354, 250, to=["b@x", "c@x", "d@x"]
    )

    assert dict.fromkeys(("b@x", "c@x", "d@x"), ("end of data", 250)) == codes(one)
    assert 2 == played.said.count("MAIL FROM")


def test_452_for_the_first_recipient_is_no_invitation() -> None:
    """Nobody was accepted, so that another transaction would not help."""
    one, played = play(ONE_BY_ONE, 250, 452)

    assert {"b@x": ("RCPT", 452)} == codes(one)
    assert 1 == played.said.count("MAIL FROM")


def test_a_chunked_message_comes_again_for_who_was_too_many() -> None:
    """In a transaction of its own, behind those that are under way."""
    one, _ = play(CHUNKED, 250, 250, 250, 452, 250, *[250] * 4, to=["b@x", "c@x"])

    assert {"b@x": ("end of data", 250), "c@x": ("end of data", 250)} == codes(one)


@pytest.mark.parametrize("manner", [ONE_BY_ONE, PIPELINED, CHUNKED])
def test_more_recipients_than_the_limit_are_split(manner: Manner) -> None:
    """Over as many transactions as it takes; each is answered by its own."""
    manner = evolve(manner, recipients=2)
    to = [f"{number}@x" for number in range(5)]
    one, model = message(*to), SmtpModel()
    fly(manner, [one], model)

    assert dict.fromkeys(to, ("end of data", 250)) == codes(one)
    assert [2, 2, 1] == [len(taken.recipients) for taken in model.taken]


@BOTH
def test_421_answers_all_that_follow_it(manner: Manner) -> None:
    """RFC 5321, 3.8: the server closes; nobody was served."""
    replies = (250, 250, 421, 421) if manner.pipelining else (250, 250, 421)
    one, played = play(manner, *replies, to=["b@x", "c@x"])

    assert {"b@x": ("RCPT", 421), "c@x": ("RCPT", 421)} == codes(one)
    assert played.flight.closing


@BOTH
def test_reset_leads_where_it_has_to(manner: Manner) -> None:
    """Or what the last transaction left would stand under this one's sender."""
    one, played = play(manner, 250, 250, 250, 354, 250, reset=True)

    assert "RSET" == played.said[0]
    assert {"b@x": ("end of data", 250)} == codes(one)


@pytest.mark.parametrize("manner", [ONE_BY_ONE, PIPELINED])
@pytest.mark.parametrize("code", [354, 451, 502])
def test_a_refused_reset_ends_the_session(code: int, manner: Manner) -> None:
    """Nobody knows under which envelope the next message would go."""
    rest = [250, 250, 354] if manner.pipelining else []
    with pytest.raises(ProtocolError) as caught:
        play(manner, code, *rest, reset=True)

    assert "RSET" == caught.value.stage


def test_content_taken_under_an_envelope_that_failed_is_in_doubt() -> None:
    """MAIL was refused and BDAT accepted: nobody knows who gets it."""
    one = message("b@x")
    with pytest.raises(ProtocolError):
        Played(CHUNKED, [250, 550, 503, 250], [one])

    assert ({}, ("b@x",)) == (codes(one), one.doubtful)


@pytest.mark.parametrize(
    ("replies", "doubtful", "others"),
    [
        ([451, 250, 250, 250], ("1@x",), [250, 250, 250, 250]),
        ([451, 250, 250, 550], (), [250, 250, 250, 250]),
        ([250, 550, 503, 250], ("1@x",), [250, 250, 250, 550]),
        ([451, 250, 250, 250], ("1@x",), [421] * 4),
    ],
)
def test_those_behind_a_fault_have_answers_of_their_own(
    replies: list[int], doubtful: tuple[str, ...], others: list[int]
) -> None:
    """Whatever the server makes of one message, the next one's replies are heard."""
    first, second = message("1@x"), message("2@x")
    with pytest.raises(ProtocolError):
        Played(CHUNKED, [*replies, *others], [first, second], proven=True)

    stage = "RSET" if others[0] == 421 else "end of data"
    assert {"2@x": (stage, others[-1])} == codes(second)
    assert (doubtful, ()) == (first.doubtful, second.doubtful)


@pytest.mark.parametrize("code", [500, 501, 502])
def test_a_server_without_bdat_gets_nothing_more(code: int) -> None:
    """It takes the content for commands; the message was not accepted."""
    one = message("b@x")
    with pytest.raises(NoChunking):
        Played(CHUNKED, [250, 250, 250, code], [one, message("c@x")])

    assert ({}, ()) == (codes(one), one.doubtful)


@pytest.mark.parametrize(
    ("manner", "replies"),
    [
        (PIPELINED, [250, 503, 503]),
        (PIPELINED, [250, 250, 503]),
        (PIPELINED, [250, 250, 354, 503]),
        (CHUNKED, [250, 250, 503, 503]),
        (CHUNKED, [250, 250, 250, 503]),
    ],
)
def test_a_server_that_lost_its_place_decides_nothing(
    manner: Manner, replies: list[int]
) -> None:
    """The message goes again, one command at a time."""
    one = message("b@x")
    with pytest.raises(OutOfStep):
        Played(manner, replies, [one])

    assert ({}, ()) == (codes(one), one.doubtful)


def test_a_message_over_size_is_refused_before_anything_is_said() -> None:
    """The server has announced its limit (RFC 1870); others go on."""
    big, small = message("b@x", octets=OCTETS + OCTETS), message("c@x")
    manner = Manner(extensions=Extensions({"SIZE": "30"}), pipelining=True)
    Played(manner, [250, 250, 354, 250], [big, small])

    assert isinstance(big.error, NotOffered)
    assert "the server takes 30" in str(big.error)
    assert {"c@x": ("end of data", 250)} == codes(small)


def test_addresses_beyond_ascii_need_smtputf8() -> None:
    """A clear error before DATA, else the parameters of RFC 6531."""
    one = message("ü@x", utf8=True)
    Played(ONE_BY_ONE, [], [one])
    assert "SMTPUTF8" in str(one.error)

    one = message("ü@x", utf8=True)
    manner = Manner(extensions=Extensions({"SMTPUTF8": ""}))
    move: Any = next(Flight(advance=in_turn([one]), manner=manner).play())
    assert "MAIL FROM:<a@x> BODY=8BITMIME SMTPUTF8" == move.writes[0].shown


def test_what_is_no_message_is_not_sent() -> None:
    """The renderer makes none; whatever else comes this way is stopped here."""
    one = message("b@x", octets=b"a\nb")
    Played(CHUNKED, [], [one])

    assert isinstance(one.error, SubmissionError)


def test_who_is_refused_already_is_not_in_doubt() -> None:
    """Those who wait for the final reply are told to whom the record is kept."""
    told: list[tuple[list[str], tuple[str, ...]]] = []
    one = message("b@x", "c@x")
    source = in_turn([one])

    def advance(completing: Sequence[Submission], want: int) -> Sequence[Submission]:
        told.extend((list(done.answers), done.awaiting) for done in completing)
        return source(completing, want)

    flight = Flight(advance=advance, manner=PIPELINED)
    run(flight, SmtpModel(plans={"a@x": Plan(recipients={"b@x": 550})}))

    assert [(["b@x"], ("c@x",))] == told


def test_who_was_refused_before_the_connection_broke_is_not_in_doubt() -> None:
    """By BDAT the content has gone by then: it is the others' whom nobody knows of."""

    class Breaks(SmtpModel):
        def feed(self, octets: bytes) -> list[bytes]:
            return super().feed(octets)[:-1]

    one, other = message("b@x", "c@x"), message("b@x")
    for sent in (one, other):
        assert fly(
            CHUNKED, [sent], Breaks(plans={"a@x": Plan(recipients={"b@x": 550})})
        )
        assert ("RCPT", 550) == codes(sent)["b@x"]

    assert [("c@x",), ()] == [one.doubtful, other.doubtful]
    assert [False, True] == [one.done, other.done]


@pytest.mark.parametrize("manner", [ONE_BY_ONE, PIPELINED, CHUNKED])
def test_what_is_withdrawn_is_not_sent(manner: Manner) -> None:
    """Its content does not go; with BDAT, the others' does."""
    one, other = message("b@x"), message("c@x", sender="c@x")
    source = in_turn([one, other])

    def advance(completing: Sequence[Submission], want: int) -> Sequence[Submission]:
        one.withdrawn |= one in completing
        return source(completing, want)

    model = SmtpModel()
    flight = Flight(advance=advance, manner=manner, proven=True)
    if manner.window:
        run(flight, model)
        assert ["c@x"] == [taken.mail_from for taken in model.taken]
    else:
        with pytest.raises(Withdrawn):
            run(flight, model)
        assert [] == model.taken


# Against a model of a server


def run(
    flight: Flight, model: SmtpModel, *, most: int | None = None, at_once: int = 10**9
) -> SubmissionError | None:
    """
    Play *flight* against *model*; after *most* octets the connection breaks.

    Returns what broke it. The model hears *at_once* octets at a time.
    """
    tally = Tally(lambda line: None)
    tally.take(b"220 hi\r\n")
    assert tally.answer(Group(stage="greeting")) is not None
    dialogue = flight.play()
    left = 10**9 if most is None else most
    try:
        move: Any = next(dialogue)
        while True:
            tally.put(move)
            heard = []
            if move.replies:
                octets = tally.leaving()[:left]
                left -= len(octets)
                for start in range(0, len(octets), at_once):
                    part = octets[start : start + at_once]
                    tally.left(len(part))
                    for said in model.feed(part):
                        tally.take(said)
                while len(heard) < move.replies:
                    if (reply := tally.answer(move)) is None:
                        tally.failure = Disconnected(move.stage, "broken")
                        continue
                    heard.append(reply)
            move = dialogue.send(heard)
    except StopIteration:
        return None
    except SubmissionError as error:
        return error
    finally:
        dialogue.close()


def fly(
    manner: Manner, submissions: Sequence[Submission], model: SmtpModel, **how: Any
) -> SubmissionError | None:
    flight = Flight(advance=in_turn(submissions), manner=manner)
    return run(flight, model, **how)


class Breaks(SmtpModel):
    """The reply to the content is lost."""

    def feed(self, octets: bytes) -> list[bytes]:
        return super().feed(octets)[:-1]


def test_who_shall_come_again_is_in_no_doubt() -> None:
    """452 at RCPT: the content was not taken for that recipient."""
    one = message("b@x", "c@x")
    fly(CHUNKED, [one], Breaks(plans={"a@x": Plan(recipients={"c@x": 452})}))

    assert (("b@x",), ("c@x",)) == (one.doubtful, one.left)


def test_421_to_the_trial_of_an_idle_connection() -> None:
    """Nothing is handed over, and the message goes again."""
    submissions = [message("b@x", sender=f"{number}@s") for number in range(4)]
    source = Source(in_turn(submissions), lambda one: None)
    told: list[int] = []

    def advance(completing: Sequence[Submission], want: int) -> Sequence[Submission]:
        told.append(len(completing))
        return source.give(completing, want)

    assert source.first is submissions[0]
    flight = Flight(advance=advance, manner=evolve(CHUNKED, cold=True), proven=True)
    run(flight, SmtpModel(close_after=0))
    source.land(None, kept=True, closing=flight.closing)

    assert {0} == set(told)
    assert submissions[0] is source.first


plans = st.builds(
    Plan,
    mail=st.sampled_from([250, 250, 250, 451, 553]),
    recipients=st.dictionaries(
        st.sampled_from(["1@x", "2@x", "3@x"]), st.sampled_from([450, 550])
    ),
    data=st.sampled_from([354, 354, 354, 451, 554]),
    end=st.sampled_from([250, 250, 250, 452, 554]),
)
bodies = st.lists(
    st.sampled_from([b"", b".", b"..", b".a", b"text", b"QUIT", b"x" * 998]), max_size=5
).map(lambda lines: b"".join(line + b"\r\n" for line in [b"a: b", b"", *lines]))
counts = st.integers(1, 3)


def expected(plan: Plan, recipients: Sequence[str], *, data: bool) -> dict[str, int]:
    """The code that decides on each recipient, in whatever manner it is sent."""
    if plan.mail != 250:
        return dict.fromkeys(recipients, plan.mail)
    refused = {one: plan.recipients.get(one, 250) for one in recipients}
    decides = plan.data if data and plan.data != 354 else plan.end
    return {one: decides if code == 250 else code for one, code in refused.items()}


@settings(max_examples=300)
@given(
    st.lists(st.tuples(plans, bodies, counts), max_size=7),
    st.sampled_from([ONE_BY_ONE, PIPELINED, CHUNKED]),
    st.sampled_from([1, 7, 10**9]),
)
def test_every_message_has_one_result_in_any_manner(
    messages: list[tuple[Plan, bytes, int]], manner: Manner, at_once: int
) -> None:
    """The same one; what is accepted arrives to the octet, under its own envelope."""
    model = SmtpModel(plans={f"{n}@s": m[0] for n, m in enumerate(messages)})
    submissions = [
        message(*["1@x", "2@x", "3@x"][:people], sender=f"{number}@s", octets=body)
        for number, (_, body, people) in enumerate(messages)
    ]
    fly(manner, submissions, model, at_once=at_once)

    taken = []
    for (plan, body, _), one in zip(messages, submissions, strict=True):
        result = expected(plan, one.mail.recipients, data=not manner.window)
        assert result == {who: said.reply.code for who, said in one.answers.items()}
        assert one.done
        good = tuple(who for who, code in result.items() if code == 250)
        if good:
            taken.append((one.mail.mail_from, good, body))
    assert taken == [(one.mail_from, one.recipients, one.octets) for one in model.taken]


def states(
    submissions: Sequence[Submission], error: SubmissionError | None
) -> Iterator[str]:
    for one in submissions:
        said = [answer.reply.code for answer in one.answers.values()]
        if one.doubtful and error is not None:
            yield "unknown"
        elif 250 in said:
            yield "accepted"
        else:
            yield "not sent"


def three() -> list[Submission]:
    body = b"a: b\r\n\r\n.one\r\n..two\r\n"
    return [message("1@x", sender=f"{number}@s", octets=body) for number in range(3)]


@pytest.mark.parametrize("manner", [ONE_BY_ONE, PIPELINED, CHUNKED])
@pytest.mark.parametrize("heard", [0, 1, 2, 3, 99])
def test_lost_at_any_octet(manner: Manner, heard: int) -> None:
    """
    Unknown is only what was handed over whole and is not answered.

    The connection breaks at every octet, and the last *heard* and following replies to
    what was written are lost with it.
    """
    for most in count():
        model, submissions = SmtpModel(), three()
        broken = fly(manner, submissions, Losing(model, heard, most), most=most)
        if broken is None:
            assert most > 150
            return
        taken = {one.mail_from for one in model.taken}
        for one, state in zip(submissions, states(submissions, broken), strict=True):
            arrived = one.mail.mail_from in taken
            assert arrived or state != "accepted"
            assert not arrived or state in ("accepted", "unknown")
            if state == "unknown":
                assert one.handed_over
            if state == "accepted":
                assert one.answers["1@x"].reply.code == 250


class Losing(SmtpModel):
    """Once the last octets have come, only so many replies get through."""

    def __init__(self, model: SmtpModel, heard: int, most: int) -> None:
        super().__init__()
        self.model, self.heard, self.most = model, heard, most

    def feed(self, octets: bytes) -> list[bytes]:
        replies = self.model.feed(octets)
        last = self.model._read >= self.most
        return replies[: self.heard] if last else replies


@pytest.mark.parametrize("manner", [ONE_BY_ONE, PIPELINED, CHUNKED])
def test_421_at_any_octet(manner: Manner) -> None:
    """It answers all that is not answered: nothing is unknown, nothing taken twice."""
    for close_after in count():
        model, submissions = SmtpModel(close_after=close_after), three()
        flight = Flight(advance=in_turn(submissions), manner=manner, proven=True)
        broken = run(flight, model)
        if not flight.closing:
            assert close_after > 150
            return
        assert broken is None
        taken = {one.mail_from for one in model.taken}
        for one, state in zip(submissions, states(submissions, None), strict=True):
            arrived = one.mail.mail_from in taken
            assert ("accepted" if arrived else "not sent") == state
            assert not one.doubtful


@pytest.mark.parametrize(
    ("octets", "sent"),
    [
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"..a\r\n", b"...a\r\n.\r\n"),
    ],
)
def test_dots_are_stuffed(octets: bytes, sent: bytes) -> None:
    """RFC 5321, 4.5.2; a message never ends early."""
    assert sent == stuffed(octets)


@pytest.mark.parametrize(
    "octets",
    [b"", b"a", b"a\n", b"a\rb\r\n", b"a\nb\r\n", b"a\0\r\n", b"x" * 999 + b"\r\n"],
)
def test_what_could_be_read_as_two_messages_is_not_sent(octets: bytes) -> None:
    """No smuggling: bare CR or LF, NUL, lines too long, no final CRLF."""
    for check in (stuffed, checked):
        with pytest.raises(ValueError, match="not a message"):
            check(octets)


@given(st.lists(st.binary(max_size=20).filter(lambda b: not {*b"\r\n\0"} & {*b})))
def test_stuffing_is_undone_by_the_rule_of_the_rfc(lines: list[bytes]) -> None:
    """What a server takes out is what was put in."""
    octets = b"".join(line + b"\r\n" for line in lines) or b"\r\n"
    *sent, last = stuffed(octets).removesuffix(b"\r\n").split(b"\r\n")
    undone = [line.removeprefix(b".") for line in sent]

    assert b"." == last
    assert octets.removesuffix(b"\r\n").split(b"\r\n") == undone


def test_limits_are_honoured() -> None:
    """The profile's, and what the server announces (RFC 9422)."""
    people = ["a", "b", "c", "d"]
    announced = Extensions({"LIMITS": "RCPTMAX=2 MAILMAX=9"})

    assert [4, 3, 2] == [
        limited(people, 100, Extensions()),
        limited(people, 3, Extensions()),
        limited(people, 100, announced),
    ]


def test_a_flush_is_bounded_in_octets() -> None:
    """Long messages do not travel together, whatever the window is."""
    body = b"a: b\r\n\r\n" + (b"x" * 70 + b"\r\n") * 10_000
    messages = [message("b@x", octets=body) for _ in range(4)]
    played = Played(CHUNKED, [250] * 16, messages, proven=True)

    assert [4, 4, 4, 4] == played.flushes


@pytest.mark.parametrize(
    ("manner", "reset", "messages"),
    list(product([PIPELINED, CHUNKED], [False, True], [1, 2, 5])),
)
def test_no_more_transactions_than_the_connection_may_have(
    manner: Manner, reset: bool, messages: int
) -> None:
    """The source is not asked for what could not be sent any more."""
    submissions = [message("b@x", sender=f"{n}@s") for n in range(9)]
    model = SmtpModel()
    flight = Flight(
        advance=in_turn(submissions), manner=manner, most=messages, reset=reset
    )
    run(flight, model)

    assert messages == len(model.taken) == flight.begun
    assert not submissions[messages].answers
