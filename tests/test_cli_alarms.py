"""The command line's `alarm`: events in, what is due out, and who was told of what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alarm_bench import ANNA, DOCUMENT, PROFILE, event
from click.testing import CliRunner, Result

from email_profiles_plugin.cli import main

Run = Callable[..., Result]

ROSTER = [{"name": "Anna", "addresses": [ANNA]}, {"name": "Cleo"}]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command line on a home of the test's own, with an alarm notification."""

    def command(*words: str, input: object = None) -> Result:
        given = ["--home", str(tmp_path / "home"), "--no-plugins", *words]
        text = None if input is None else json.dumps(input)
        return CliRunner().invoke(main, given, input=text, catch_exceptions=False)

    document = {**DOCUMENT, "recipients": [], "roster": ROSTER}
    assert 0 == command("profile", "apply", "-", input=PROFILE).exit_code
    assert 0 == command("alarm", "apply", "-", input=document).exit_code
    return command


def documents(*ids: str, **changes: Any) -> list[dict[str, Any]]:
    return [event(id, **changes).document() for id in ids]


def test_notify_and_trail(run: Run) -> None:
    """What was queued is said; the trail has everybody, and why whom not."""
    said = run("alarm", "notify", "night-shift", "-", input=documents("1", "2")).output
    again = run("alarm", "notify", "night-shift", "-", input=documents("1")[0]).output
    table = run("alarm", "trail", "night-shift", "--alarm", "1").output
    left_out = json.loads(
        run("alarm", "trail", "night-shift", "--left-out", "--json").output
    )

    assert "night-shift: 2 events, 2 messages queued now\n" == said
    assert "night-shift: 1 events, 0 messages queued now\n" == again
    for word in ("High 1", "Anna", "queued", "Cleo", "left out", "no contact"):
        assert word in table
    assert "High 2" not in table
    assert [("Cleo", "left out", "no contact: has no mail address")] * 2 == [
        (one["who"], one["state"], one["reason"]) for one in left_out
    ]
    assert "2026-11-24T12:00:02+00:00" in {one["event_time"] for one in left_out}


def test_due(run: Run) -> None:
    """What waited is queued once it is due."""
    document = {**DOCUMENT, "consolidation": {"delay_s": 0, "frequency_s": 86_400}}
    run("alarm", "apply", "-", input=document)
    run("alarm", "notify", "night-shift", "-", input=documents("1"))
    run("alarm", "notify", "night-shift", "-", input=documents("2"))
    due = run("alarm", "due").output
    (waiting,) = json.loads(
        run("alarm", "trail", "night-shift", "--alarm", "2", "--json").output
    )

    assert ("0 messages queued\n", "waiting") == (due, waiting["state"])
    assert waiting["due_at"] is not None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"id": "1"}, "an alarm event needs active, event_time, transition"),
        ([{"id": "1", "colour": "red"}], "an alarm event has no 'colour'"),
        ([7], "an alarm event has to be an object"),
        (
            [*documents("1"), {**documents("2")[0], "active": "yes"}],
            "[1]: active has to",
        ),
        (
            [{**documents("1")[0], "event_time": "noon"}],
            "event_time has to be a date and time",
        ),
    ],
)
def test_an_event_that_is_wrong(run: Run, given: object, said: str) -> None:
    """It is told which and why, and nobody is told of any."""
    result = run("alarm", "notify", "night-shift", "-", input=given)

    assert 1 == result.exit_code
    assert said in result.stderr
    assert "[]" == run("alarm", "trail", "night-shift", "--json").output.strip()


def test_a_secret_of_its_own(run: Run) -> None:
    """Settings of an alarm notification's own have secrets as a profile's have."""
    own = {
        "profile": None,
        "smtp": {"hostname": "localhost"},
        "auth": {"mode": "basic", "username": "gateway"},
    }
    run("alarm", "apply", "-", input={**DOCUMENT, **own})
    given = ["alarm", "set-secret", "night-shift", "password"]
    assert 0 == run(*given, input="c4n4ry").exit_code
    shown, listed = run("alarm", "show", "night-shift"), run("alarm", "list")

    assert "(sealed)" in shown.output
    assert "c4n4ry" not in shown.output
    assert "(settings of its own)" in listed.output


def test_show(run: Run) -> None:
    """Lists of objects are shown as JSON has them."""
    shown = run("alarm", "show", "night-shift").output

    assert f'roster        {{"name": "Anna", "addresses": ["{ANNA}"]}}, ' in shown
