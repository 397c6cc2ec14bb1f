"""
Hypothesis strategies for messages: what a host may ask to be sent.

The parser that reads them back is `email` with policy `default`; where it is wrong
about correct messages, what is generated leaves that out and says so.
"""

from __future__ import annotations

import re

from hypothesis import strategies as st

from email_profiles_hookspecs import Attachment, SendRequest

any_character = st.characters(exclude_categories=["Cs"])
characters = st.characters(exclude_categories=("Cc", "Cs"))
line = st.text(characters, max_size=120) | st.text(st.sampled_from('a "\\=?._<>,ü😀'))
ascii_line = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
spaced = st.text(st.sampled_from('a  "\\,'), max_size=150)
words = st.lists(st.text(st.sampled_from("ab=?ü"), max_size=90)).map(" ".join)
subjects = line | ascii_line | words

pieces = st.one_of(
    st.sampled_from(
        [
            "\r",
            "\n",
            "\r\n",
            ".",
            "..",
            "\n.\n",
            "\nFrom ",
            " \n",
            "\t\n",
            "=\n",
            "--=_",
        ]
    ),
    st.text(any_character, max_size=40),
    st.builds(lambda text, times: text * times, st.sampled_from("a. ü"), st.just(1100)),
    st.builds(lambda text, times: text * times, ascii_line, st.integers(0, 30)),
)
bodies = st.lists(pieces, max_size=8).map("".join)

# In an address, the parser of 3.11 puts a space between two encoded words, and makes
# one space of all white space that follows one in an encoded word: non-ASCII names
# that need several words, or have runs of white space, are not generated.
one_word = st.text(characters, max_size=12).filter(
    lambda name: not re.search(r"\s\s", name)
)
ascii_name = (ascii_line | spaced).filter(
    lambda name: "=?" not in name and not re.search(r"[^ ]{30}| {10}", name)
)
names = (one_word | ascii_name).map(lambda name: name.strip(" "))
atoms = st.text(st.sampled_from("abcXYZ019!#$%&'*+/=^_`{|}~-"), min_size=1, max_size=12)
quoted = st.text(st.sampled_from('a b.@,;<>()"\\'), min_size=1, max_size=12).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
letters = st.characters(categories=["Ll", "Lu", "Lo"])
foreign_local = st.text(letters, min_size=1, max_size=8).filter(
    lambda text: text.isprintable() and text.isalnum() and not text.isascii()
)
plain_local = st.lists(atoms, min_size=1, max_size=3).map(".".join)
domains = st.sampled_from(
    ["plant.example", "localhost", "Plant.EXAMPLE", "xn--bcher-kva.example"]
) | st.just("d" * 60 + "." + "e" * 60 + ".example")
addresses = st.tuples(names, plain_local, domains)

# Its `get_filename` strips white space, and unquotes what it has unquoted already.
file_names = (
    st.text(characters, min_size=1, max_size=150)
    | st.text(st.sampled_from("aüé警😀\"\\%'*;= ."), min_size=1)
).filter(lambda name: name == name.strip() != "" and name[0] not in '"<')
attachments = st.lists(st.tuples(file_names, st.binary(max_size=6000)), max_size=3)


def written(address: tuple[str, str, str]) -> str:
    """An address with its name, as it is typed."""
    name, local, domain = address
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{local}@{domain}>'


def files(contents: tuple[tuple[str, bytes], ...]) -> tuple[Attachment, ...]:
    """Attachments by their names."""
    return tuple(Attachment(name=name, data=data) for name, data in contents)


typed = st.one_of(
    addresses,
    addresses,
    addresses,
    st.tuples(names, quoted, domains),
    st.tuples(names, foreign_local, domains),
).map(written)

requests = st.builds(
    SendRequest,
    profile=st.just("p"),
    from_address=typed,
    to=st.lists(typed, min_size=1, max_size=4),
    cc=st.lists(typed, max_size=2),
    bcc=st.lists(typed, max_size=2),
    subject=subjects,
    text=st.none() | bodies,
    html=st.none() | bodies,
    attachments=attachments.map(tuple).map(files),
)
"""Requests that can be sent."""
