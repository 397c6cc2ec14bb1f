"""What is kept for a browser until it comes back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import define
from sqlalchemy import text

from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.clock import SystemClock


@define
class Shifted:
    """The machine's clock, set forward by `seconds`."""

    seconds: float = 0

    def now(self) -> datetime:
        return SystemClock().now() + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@pytest.fixture
def clock() -> Shifted:
    return Shifted()


@pytest.fixture
def profiles(open_profiles: Callable[..., EmailProfiles], clock: Shifted) -> Any:
    return open_profiles(deliver=False, clock=clock)


def test_it_is_there_for_its_session_and_purpose(profiles: EmailProfiles) -> None:
    """And for no other; till it is dropped by who may."""
    kept = profiles.keepsakes
    key = kept.keep("device", "s1", {"code": "canary"}, seconds=60)

    assert {"code": "canary"} == kept.find("device", "s1", key)
    assert None is kept.find("device", "s2", key)
    assert None is kept.find("test", "s1", key)
    assert None is kept.find("device", "s1", "another key")
    kept.drop("device", "s2", key)
    assert None is not kept.find("device", "s1", key)
    kept.drop("device", "s1", key)
    assert None is kept.find("device", "s1", key)


def test_it_is_changed_in_one_step(profiles: EmailProfiles) -> None:
    """Told before and after; what is not there is not changed."""
    kept = profiles.keepsakes
    key = kept.keep("device", "s1", {"polls": 1}, seconds=60, key="k3y")

    def count(value: Any) -> Any:
        return {"polls": value["polls"] + 1}

    assert "k3y" == key
    assert ({"polls": 1}, {"polls": 2}) == kept.change("device", "s1", key, count)
    assert ({"polls": 2}, {"polls": 3}) == kept.change("device", "s1", key, count)
    assert None is kept.change("device", "s2", key, count)


def test_it_has_its_time(profiles: EmailProfiles, clock: Shifted) -> None:
    """Then it is gone, and swept when the next one is kept."""
    key = profiles.keepsakes.keep("device", "s1", {}, seconds=60)
    clock.seconds = 59
    assert {} == profiles.keepsakes.find("device", "s1", key)
    clock.seconds = 61
    assert None is profiles.keepsakes.find("device", "s1", key)
    profiles.keepsakes.keep("device", "s1", {}, seconds=60)
    with profiles.database.read() as connection:
        assert 1 == connection.scalar(text("SELECT count(*) FROM keepsake"))


def test_nothing_of_it_can_be_read_in_the_store(profiles: EmailProfiles) -> None:
    """Neither the value nor key and session."""
    kept = profiles.keepsakes
    key = kept.keep("device", "canary-session", {"code": "canary"}, seconds=60)
    with profiles.database.read() as connection:
        row = connection.execute(text("SELECT * FROM keepsake")).one()

    assert "canary" not in repr(row)
    assert key not in repr(row)
    assert "canary" not in repr(kept)


def test_it_is_bound_to_a_session(profiles: EmailProfiles) -> None:
    """One without is a mistake of the caller."""
    with pytest.raises(ValueError, match="session"):
        profiles.keepsakes.keep("device", "", {}, seconds=60)


def test_a_key_that_is_retired_opens_nothing(profiles: EmailProfiles) -> None:
    """It is gone, and not an error; the person begins anew."""
    key = profiles.keepsakes.keep("device", "s1", {}, seconds=60)
    profiles.rotate_key()
    assert {} == profiles.keepsakes.find("device", "s1", key)
    profiles.retire_key()
    assert None is profiles.keepsakes.find("device", "s1", key)
