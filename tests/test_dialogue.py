"""Dialogues: no socket is opened here; a server is a list of replies."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Sequence
from typing import Any

import pytest
from attrs import frozen

from email_profiles_hookspecs import Reply, sasl
from email_profiles_hookspecs.errors import (
    NotOffered,
    ProtocolError,
    Refused,
    SaslError,
)
from email_profiles_hookspecs.sasl import Exchange
from email_profiles_plugin.smtp.dialogue import (
    Command,
    Extensions,
    Group,
    Move,
    StartTls,
    authenticate,
    greet,
    masked,
)

ALL = Extensions({"AUTH": "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER"})


def reply(line: str) -> Reply:
    return Reply(code=int(line[:3]), text=line[4:].replace("|", "\n"))


class Played:
    """A dialogue, played against a list of replies."""

    def __init__(
        self, dialogue: Generator[Move, Sequence[Reply], Any], *replies: str
    ) -> None:
        script = [reply(line) for line in replies]
        self.said: list[str] = []
        self.groups: list[Group] = []
        move = next(dialogue)
        try:
            while True:
                if isinstance(move, StartTls):
                    self.said.append("<TLS>")
                    move = next(dialogue)
                    continue
                self.groups.append(move)
                for write in move.writes:
                    line = write.line if isinstance(write, Command) else "<content>"
                    self.said.append(line)
                given = [script.pop(0) for _ in range(move.replies)]
                move = dialogue.send(given)
        except StopIteration as stop:
            self.result = stop.value
        assert not script, "the dialogue ended before the server did"


def test_starttls_greets_again_and_forgets_what_it_heard_before() -> None:
    """Capabilities that were learnt in clear are not kept (RFC 3207, 4.2)."""
    played = Played(
        greet("me", starttls=True),
        "220 hi",
        "250 hi|STARTTLS|SIZE 1",
        "220 go",
        "250 hi|AUTH PLAIN|SIZE 5",
    )

    assert played.said == ["EHLO me", "STARTTLS", "<TLS>", "EHLO me"]
    assert played.result == Extensions({"AUTH": "PLAIN", "SIZE": "5"})


def test_starttls_that_is_not_offered_is_an_error_with_a_remedy() -> None:
    """No fallback to clear text when somebody strips the capability."""
    with pytest.raises(NotOffered) as caught:
        Played(greet("me", starttls=True), "220 hi", "250 hi|AUTH PLAIN")

    assert "STARTTLS" == caught.value.stage
    assert caught.value.remedy


@pytest.mark.parametrize("line", ["554 no", "421 busy", "354 what"])
def test_a_greeting_that_is_no_welcome_is_refused(line: str) -> None:
    """Any code but 2xx ends the session, at its stage."""
    with pytest.raises(Refused) as caught:
        Played(greet("me", starttls=False), line)

    assert ("greeting", int(line[:3])) == (caught.value.stage, caught.value.reply.code)


def test_a_server_without_ehlo_gets_helo() -> None:
    """RFC 5321, 3.2: a server that answers 500 or 502 may be an old one."""
    played = Played(greet("me", starttls=False), "220 hi", "502 what", "250 hello")

    assert played.said == ["EHLO me", "HELO me"]
    assert played.result == Extensions()


@pytest.mark.parametrize(
    ("mechanism", "replies", "said"),
    [
        (sasl.Plain("u", "p"), ["235 ok"], ["AUTH PLAIN AHUAcA=="]),
        (
            sasl.Login("u", "p"),
            ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok"],
            ["AUTH LOGIN", "dQ==", "cA=="],
        ),
        (
            sasl.CramMd5("tim", "tanstaaftanstaaf"),  # RFC 2195, 2
            ["334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+", "235 ok"],
            ["AUTH CRAM-MD5", "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"],
        ),
        (
            sasl.XOAuth2("u", "t"),
            ["235 ok"],
            ["AUTH XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHQBAQ=="],
        ),
        (
            sasl.XOAuth2("u", "t"),
            ["334 eyJzdGF0dXMiOiI0MDAifQ==", "535 no"],
            ["AUTH XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHQBAQ==", ""],
        ),
        (
            sasl.OAuthBearer("u", "t", "h", 25),
            ["334 eyJzdGF0dXMiOiI0MDAifQ==", "535 no"],
            [
                "AUTH OAUTHBEARER "
                + b64encode(b"n,a=u,\1host=h\1port=25\1auth=Bearer t\1\1").decode(),
                "AQ==",
            ],
        ),
    ],
)
def test_mechanisms_say_what_their_documents_say(
    mechanism: sasl.Sasl, replies: list[str], said: list[str]
) -> None:
    """Byte for byte, also to the end of a refusal."""
    dialogue = authenticate(ALL, [mechanism])
    if replies[-1].startswith("235"):
        assert Played(dialogue, *replies).said == said
    else:
        seen: list[str] = []
        with pytest.raises(Refused):
            Played(_listening(dialogue, seen), *replies)
        assert seen == said


def _listening(
    dialogue: Generator[Move, Sequence[Reply], Any], seen: list[str]
) -> Generator[Move, Sequence[Reply], Any]:
    move = next(dialogue)
    while True:
        assert isinstance(move, Group)
        seen += [one.line for one in move.writes if isinstance(one, Command)]
        move = dialogue.send((yield move))


def test_scram_of_rfc_7677() -> None:
    """The exchange of RFC 7677, 3, with its nonce."""
    mechanism = sasl.ScramSha256("user", "pencil", lambda: "rOprNGfwEbeRWgbNEkqO")
    first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    responses = mechanism.respond()

    assert b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO" == next(responses)
    assert (
        f"c=biws,{first},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".encode()
        == responses.send(f"{first},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode())
    )
    assert b"" == responses.send(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    with pytest.raises(StopIteration):
        responses.send(None)


@pytest.mark.parametrize("when", [0, 1])
def test_an_impostor_who_says_235_before_scram_has_proof_gets_nothing(
    when: int,
) -> None:
    """The session ends before anything is sent over it."""
    mechanism = sasl.ScramSha256("user", "pencil", lambda: "abc")
    challenge = b64encode(b"r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096").decode()
    replies = [*[f"334 {challenge}"][:when], "235 welcome"]

    with pytest.raises(ProtocolError, match="the server said yes"):
        Played(authenticate(ALL, [mechanism]), *replies)


def test_a_wrong_server_proof_ends_scram() -> None:
    """The client answers `*`, and the error says what was wrong."""
    mechanism = sasl.ScramSha256("user", "pencil", lambda: "abc")
    challenge = b64encode(b"r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096").decode()
    wrong = b64encode(b"v=AAAA").decode()

    with pytest.raises(SaslError):
        Played(
            authenticate(ALL, [mechanism]),
            f"334 {challenge}",
            f"334 {wrong}",
            "501 cancelled",
        )


def test_the_first_offer_that_the_server_has_is_played() -> None:
    """The server's own order does not count."""
    offers = sasl.password_offers("u", "p")
    played = Played(authenticate(Extensions({"AUTH": "LOGIN PLAIN"}), offers), "235 ok")

    assert "PLAIN" == played.result


def test_after_scram_one_more_mechanism_is_tried() -> None:
    """Servers offer SCRAM for users for whom they have no verifier."""
    offers = sasl.password_offers("u", "p")
    played = Played(authenticate(ALL, offers), "535 no verifier", "235 ok")

    assert "PLAIN" == played.result


def test_nothing_in_common_names_both_lists() -> None:
    """So that the reader knows what to change."""
    with pytest.raises(NotOffered, match=r"can do PLAIN; the server has GSSAPI, NTLM"):
        Played(
            authenticate(Extensions({"AUTH": "GSSAPI NTLM"}), [sasl.Plain("u", "p")])
        )
    with pytest.raises(NotOffered, match="no AUTH at all"):
        Played(authenticate(Extensions(), [sasl.Plain("u", "p")]))


def test_a_long_initial_response_waits_for_the_334() -> None:
    """Postfix and Dovecot cut long AUTH lines, and call it bad credentials."""
    token = "t" * 2000
    played = Played(authenticate(ALL, [sasl.XOAuth2("u", token)]), "334 ", "235 ok")

    assert "AUTH XOAUTH2" == played.said[0]
    assert token.encode() in __import__("base64").b64decode(played.said[1])


@frozen
class Silent:
    """A mechanism with an empty initial response."""

    mechanism: str = "EXTERNAL"

    def respond(self) -> Exchange:
        yield b""


def test_an_empty_initial_response_is_an_equals_sign() -> None:
    """RFC 4954, 4."""
    played = Played(
        authenticate(Extensions({"AUTH": "EXTERNAL"}), [Silent()]), "235 ok"
    )

    assert ["AUTH EXTERNAL ="] == played.said


def test_what_was_said_is_shown_nowhere() -> None:
    """Not in a command's repr, its shown form, nor an echo of the server."""
    for offer in sasl.password_offers("operator", "hunter2!"):
        assert "hunter2!" not in repr(offer)
    move = next(authenticate(ALL, [sasl.Plain("operator", "hunter2!")]))
    assert isinstance(move, Group)
    assert "AUTH PLAIN ***" == move.writes[0].shown
    secret = b64encode(b"\0operator\0hunter2!").decode()
    assert secret not in repr(move)
    assert "hunter2!" not in repr(move)

    echo = Reply(
        code=535, text=f"bad: {secret} hunter2! {b64encode(b'hunter2!').decode()}"
    )
    assert "bad: *** *** ***" == masked(echo, move.hide).text


@pytest.mark.parametrize(
    ("said", "echo", "shown"),
    [
        (b"\0u\0abc", "no abc, abcd", "no ***, abcd"),
        (b"\0u\0my cat is it", "my cat is it!", "***!"),
        (b"\0u\0my cat is it", b64encode(b"my cat is it").decode(), "***"),
        (b"\0u\0abc", "for YWJj", "for ***"),
        (b"abc", b64encode(b"abc").decode(), "***"),
        (b"\0u\0hunter2!", "U HUNTER2!", "*** ***"),
        (b"\0user\0hunter2!", "cut AHVzZXIAaHVud...", "cut ***..."),
        (b"\0user\0hunter2!", "ahvzzxiaahvudgvymie=", "***"),
        (b"\0u\0a\xc2\xa0b\tc", "a\\xa0b\\tc", "***"),
        (b"user=u\1auth=Bearer token\1\1", "the token", "the ***"),
        (b"\0u\0", "nothing", "nothing"),
        (b"", "nothing", "nothing"),
    ],
)
def test_an_echo_is_masked_however_short_or_long(
    said: bytes, echo: str, shown: str
) -> None:
    """Whole before in parts, short parts as words, Base64 also when it was cut."""
    assert shown == masked(Reply(code=535, text=echo), (said,)).text


def test_only_auth_is_split_at_its_equals_sign() -> None:
    """`AUTH=LOGIN` of old servers; LIMITS has names with values (RFC 9422)."""
    offered = Extensions.from_reply(
        reply("250 hi|AUTH=LOGIN PLAIN|auth XOAUTH2|LIMITS RCPTMAX=2 MAILMAX=5")
    )

    assert ("LOGIN", "PLAIN", "XOAUTH2") == offered.mechanisms
    assert 2 == offered.number("LIMITS", "RCPTMAX")
    assert 5 == offered.number("LIMITS", "MAILMAX")


def test_a_limit_beyond_all_numbers_is_none() -> None:
    """Python reads no more than some thousand digits."""
    offered = Extensions({"SIZE": "9" * 5000})

    assert offered.number("SIZE") is None


@pytest.mark.parametrize("challenge", ["é", "***", "A"])
def test_a_challenge_that_is_no_base64_is_answered_by_an_asterisk(
    challenge: str,
) -> None:
    """And the refusal that follows is what the exchange came to."""
    seen: list[str] = []
    dialogue = authenticate(ALL, [sasl.Login("u", "p")])
    with pytest.raises(Refused):
        Played(_listening(dialogue, seen), f"334 {challenge}", "501 cancelled")

    assert ["AUTH LOGIN", "*"] == seen


@pytest.mark.parametrize(
    "mechanism",
    [
        *sasl.password_offers("u", "p")[1:],
        sasl.XOAuth2("u", "t"),
        sasl.OAuthBearer("u", "t"),
    ],
    ids=lambda offer: offer.mechanism,
)
@pytest.mark.parametrize("challenge", ["QQ==", "no Base64"])
def test_a_server_that_asks_on_and_on_is_not_answered_for_ever(
    mechanism: sasl.Sasl, challenge: str
) -> None:
    """`*` is the last that is said (RFC 4954, 4)."""
    seen: list[str] = []
    replies = [f"334 {challenge}"] * 9
    with pytest.raises(ProtocolError, match="asked on"):
        Played(_listening(authenticate(ALL, [mechanism]), seen), *replies)

    assert ("*", 1) == (seen[-1], seen.count("*"))


@frozen
class Broken:
    """A mechanism with a mistake in it, at its first or second step."""

    at: int
    mechanism: str = "EXTERNAL"

    def respond(self) -> Exchange:
        if not self.at:
            raise KeyError("hunter2!")
        yield b"x"
        raise KeyError("hunter2!")


@pytest.mark.parametrize(
    ("at", "replies", "kind"),
    [
        (0, [], SaslError),
        (1, ["334 ", "501 cancelled"], SaslError),
        (1, ["235 ok"], ProtocolError),
    ],
)
def test_a_mechanism_that_breaks_is_a_contract_error(
    at: int, replies: list[str], kind: type[Exception]
) -> None:
    """Whatever it raises, and quoting nothing of it."""
    offered = Extensions({"AUTH": "EXTERNAL"})
    with pytest.raises(kind) as caught:
        Played(authenticate(offered, [Broken(at)]), *replies)

    assert "KeyError" in str(caught.value)
    assert "hunter2!" not in str(caught.value)


def test_a_password_that_is_no_text_is_a_contract_error() -> None:
    """A lone surrogate has no UTF-8."""
    with pytest.raises(SaslError):
        Played(authenticate(ALL, [sasl.Plain("u", "caf\udce9")]))


@pytest.mark.parametrize("line", ["MAIL FROM:<a@x>\r\nRSET", "a\0b", "a\x7f"])
def test_a_command_is_one_line(line: str) -> None:
    """No command injection, whatever is asked for."""
    with pytest.raises(ValueError, match="control"):
        Command(line, "")


def test_scram_does_not_work_for_whoever_asks_too_much() -> None:
    """Ten million iterations would keep a processor busy for seconds."""
    mechanism = sasl.ScramSha256("user", "pencil", lambda: "abc")
    responses = mechanism.respond()
    next(responses)
    with pytest.raises(SaslError, match="too many"):
        responses.send(b"r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=9999999")
