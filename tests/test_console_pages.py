"""Every page of the console in Chromium: accessible, whole and silent."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from console_sample import Sample, sample
from console_window import WIDER, Window, opened

from email_profiles_plugin.console.application import ALONE, PLACES

PAGES = {
    one.name: one.path
    for one in (*PLACES, *ALONE)
    if one.method == "GET" and not one.api
}
"""Of all that there are; a new one is looked at as well."""

OFFERED = {
    "plant-alerts": set[str](),
    "historian-export": {"Refresh Token"},
    "lab-results": {"Grant New Token"},
    "shift-reports": {"Refresh Token", "Grant New Token"},
}
"""
By profile: basic, not interactive, interactive without a token, and with a refresh
token. Ignition offers the same.
"""

SEEN_ELSEWHERE = {"token_device", "trial_of_draft"}
"""They need a step before: see the tests at the end."""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    with sample(tmp_path_factory.mktemp("plant")) as found:
        yield found


@pytest.fixture(scope="module")
def chromium(
    plant: Sample, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Window]:
    with opened(tmp_path_factory.mktemp("chromium")) as window:
        window.sign_in(plant.console)
        yield window


def look_at(window: Window) -> list[str]:
    """What is wrong with the page that is shown: light, dark, wide and narrow."""
    found = []
    for dark, width, only in (
        (False, 1280, ()),
        (True, 1280, ("color-contrast",)),
        (True, 400, ()),
        (False, 400, ("color-contrast",)),
    ):
        window.look(dark=dark, width=width)
        way = f"{'dark' if dark else 'light'}, {width} px"
        found += [f"{way}: {one}" for one in window.violations(only=only)]
        if window.run(WIDER):
            found.append(f"{way}: wider than the window")
    return [*found, *window.complaints()]


@pytest.mark.parametrize("name", sorted(PAGES.keys() - SEEN_ELSEWHERE))
def test_page(chromium: Window, plant: Sample, name: str) -> None:
    """axe-core finds nothing serious; it fits on a phone; the console is silent."""
    path = plant.paths().get(name, PAGES[name])
    assert not re.search(r"[{}]", path), f"say in console_sample.py how to fill {path}"
    chromium.look(dark=False, width=1280)
    chromium.go(path)

    assert "Error" not in chromium.driver.title
    assert chromium.one("h1").is_displayed()
    assert [] == look_at(chromium)


@pytest.mark.parametrize(("name", "offered"), OFFERED.items())
def test_what_is_offered(
    chromium: Window, plant: Sample, name: str, offered: set[str]
) -> None:
    """*Refresh Token* and *Grant New Token* are there exactly when they can help."""
    chromium.go(f"/profiles/{plant.ids[name]}/token")

    assert offered == {*chromium.buttons()} & {"Refresh Token", "Grant New Token"}


def test_pages_of_a_step_before(chromium: Window, plant: Sample) -> None:
    """A device's code, and the test of what is not saved."""
    chromium.look(dark=False, width=1280)
    chromium.go(f"/profiles/{plant.ids['lab-results']}/token")
    chromium.press("Grant from Another Device")
    assert "/token/device/" in chromium.path
    assert [] == look_at(chromium)

    chromium.look(dark=False, width=1280)
    chromium.go(f"/profiles/{plant.ids['plant-alerts']}")
    before = {*chromium.driver.window_handles}
    chromium.pressed("Test These Values").click()
    chromium.wait(lambda: len(chromium.driver.window_handles) == 2)
    (tab,) = {*chromium.driver.window_handles} - before
    chromium.driver.switch_to.window(tab)
    chromium.wait(lambda: chromium.one("h1").text == "Send a test email")
    assert "not saved" in chromium.text
    assert [] == look_at(chromium)
    chromium.driver.close()
    chromium.driver.switch_to.window(before.pop())


def test_what_is_silent_would_be_heard(chromium: Window) -> None:
    """The policy is in force, and what offends against it is among the complaints."""
    chromium.go("/profiles")
    assert [] == chromium.complaints()
    chromium.run("document.body.setAttribute('style', 'color: red')")
    chromium.run("setTimeout(() => { throw new Error('loud') })")
    told: list[str] = []
    chromium.wait(lambda: told.extend(chromium.complaints()) or len(told) > 1)

    assert "Content Security Policy" in "".join(told)
    assert "loud" in "".join(told)
