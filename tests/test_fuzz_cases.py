"""What fuzzing found, and some of what it plays, without a fuzzer."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).parents[1] / "fuzz"
CHECKS = ["replies", "dialogues"]


def module(name: str) -> Any:
    """One of the modules in `fuzz`, which is no package."""
    with patch.object(sys, "path", [str(FUZZ), *sys.path]):
        return import_module(name)


def check(name: str, case: bytes) -> None:
    try:
        module(name).check(case)
    except AssertionError as error:
        error.add_note(f"the case: {case.hex()}")
        raise


@pytest.mark.parametrize("name", CHECKS)
def test_the_kept_cases(name: str) -> None:
    """What was wrong once stays right."""
    kept = module("cases").kept(name)

    assert kept
    for case in kept:
        check(name, case)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=300))
def test_whatever_is_said(asked: int, cuts: int, said: bytes) -> None:
    """Replies and faults are the same whatever the cuts, and bounded."""
    check("replies", bytes([asked, cuts]) + said)


tokens = st.integers(0xE0, 0xF6) | st.sampled_from(b"2345 -\r\n\0\xff")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.lists(tokens, max_size=60))
def test_whatever_happens(how: int, what: int, tape: list[int]) -> None:
    """A dialogue of any profile, with any server over any network, comes to an end."""
    check("dialogues", bytes([how, what, *tape]))
