"""The console in Chromium, as a person uses it: labels are read, buttons pressed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from chromium import driven_chromium
from console_client import ConsoleServer

TAB = "\ue004"

LABELLED = """
const wanted = arguments[0];
const said = one => one.textContent.replace(/\\s+/g, " ").trim();
const found = [...document.querySelectorAll("label")].filter(one =>
  said(one) === wanted || said(one).startsWith(wanted + " ("));
const label = found[0] || [...document.querySelectorAll("label")].find(one =>
  one.querySelector("input, select, textarea") && said(one).startsWith(wanted));
return label ? label.control : null;
"""
"""The field whose label says so; its unit aside."""

FOCUS = """
const one = document.activeElement, style = getComputedStyle(one);
return {
  text: (one.getAttribute("aria-label") || one.textContent).trim(),
  id: one.id,
  visible: one.matches(":focus-visible")
    && (style.outlineStyle !== "none" || style.boxShadow !== "none"),
};
"""

AXE = """
const done = arguments[arguments.length - 1];
document.getAnimations().forEach(one => one.finish());
axe.run(document, {resultTypes: ["violations"], ...arguments[0]}).then(
  found => done(found.violations.filter(
    one => ["serious", "critical"].includes(one.impact)
  ).map(one => one.id + ": " + one.nodes.map(
    node => node.target.join(" ") + " " + (node.any[0] || {message: ""}).message
  ).join(" | "))),
  error => done(["axe: " + error]));
"""

WIDER = "return document.documentElement.scrollWidth > window.innerWidth"


def axe_source() -> str:
    """axe-core's script; skips where it is missing, or fails where that is required."""
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        missing = "axe-core is missing: pip install axe-playwright-python"
        if os.environ.get("EMAIL_PROFILES_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{missing}, and EMAIL_PROFILES_REQUIRE_SERVICES is 1")
        pytest.skip(missing)
    return Path(spec.origin).with_name("axe.min.js").read_text("utf-8")


@define(eq=False)
class Window:
    """A window of Chromium, that shows the console at *url*."""

    driver: Any
    url: str = ""

    def go(self, path: str) -> None:
        self.driver.get(self.url + path if path.startswith("/") else path)

    def sign_in(self, server: ConsoleServer) -> None:
        """Open a link as it is printed, and spend it."""
        self.url = server.url
        code = server.profiles.sign_ins.invite("pat", "admin", self.url, actor="test")
        self.go(f"/sign-in?link={code}")
        self.press("Sign in")

    @property
    def path(self) -> str:
        found: str = self.driver.current_url
        return found.removeprefix(self.url)

    @property
    def text(self) -> str:
        """What the page says."""
        found: str = self.one("main").text
        return found

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.driver.find_elements("css selector", selector)
        return found

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def run(self, script: str, *given: Any) -> Any:
        return self.driver.execute_script(script, *given)

    def field(self, label: str) -> Any:
        """The field that is labelled so; AssertionError: there is none."""
        found = self.run(LABELLED, label)
        assert found is not None, f"no field {label!r} at {self.path}"
        return found

    def fill(self, **fields: str) -> None:
        """Type into fields, named by their labels with `_` for a space."""
        for name, value in fields.items():
            self.type(name.replace("_", " "), value)

    def type(self, label: str, value: str) -> None:
        found = self.field(label)
        self.unfold(found)
        found.clear()
        found.send_keys(value)

    def value(self, label: str) -> str:
        found: str = self.field(label).get_attribute("value")
        return found

    def paste(self, label: str, text: str) -> None:
        """All at once, as from a file."""
        self.run("arguments[0].value = arguments[1]", self.field(label), text)

    def tick(self, label: str, *, on: bool = True) -> None:
        found = self.field(label)
        self.unfold(found)
        if found.is_selected() != on:
            found.click()

    def choose(self, label: str, option: str) -> None:
        from selenium.webdriver.support.select import Select

        Select(self.field(label)).select_by_visible_text(option)

    def unfold(self, element: Any) -> None:
        """Open what hides it."""
        self.run(
            'for (let one = arguments[0].closest("details"); one;'
            ' one = one.parentElement.closest("details")) one.open = true;',
            element,
        )

    def buttons(self) -> list[str]:
        """What is to be pressed in the page, links that look so too."""
        found = self.all("main button, main [role=button]")
        return [one.text for one in found if one.is_displayed()]

    def press(self, label: str) -> None:
        """A button, a link or a summary that says so; where it leads is there then."""
        from selenium.common.exceptions import StaleElementReferenceException

        pressed, page = self.pressed(label), self.one("html")
        leads = pressed.tag_name != "summary" and "#" not in (
            pressed.get_attribute("href") or ""
        )
        pressed.click()

        def left() -> bool:
            try:
                return not page.is_displayed()
            except StaleElementReferenceException:
                return bool(self.run("return document.readyState") == "complete")

        if leads:
            self.wait(left)

    def pressed(self, label: str) -> Any:
        kinds = "self::button or self::a or self::summary"
        path = f'//*[{kinds}][normalize-space()="{label}"]'
        found = self.driver.find_elements("xpath", path)
        assert found, f"nothing says {label!r} at {self.path}: {self.text}"
        return found[-1]

    def wait(self, done: Callable[[], object]) -> None:
        """Until the page is as it is to be; 20 s at most."""
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.support.wait import WebDriverWait

        waiting = WebDriverWait(
            self.driver, 20, 0.1, ignored_exceptions=[WebDriverException]
        )
        waiting.until(lambda _: done())

    def keys(self, *keys: str) -> None:
        """Type, wherever the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def focus(self) -> dict[str, Any]:
        found: dict[str, Any] = self.run(FOCUS)
        return found

    def focused(self) -> tuple[str, bool]:
        """What has the focus says, and whether that is seen."""
        at = self.focus()
        return at["text"], at["visible"]

    def tab_to(self, wanted: str) -> None:
        """Tab until what has that text or id is focused; the focus is always seen."""
        for _ in range(80):
            self.keys(TAB)
            at = self.focus()
            assert at["visible"], at
            if wanted in (at["text"], at["id"]):
                return
        raise AssertionError(f"{wanted!r} can't be reached by Tab at {self.path}")

    def look(self, *, dark: bool, width: int, height: int = 900) -> None:
        """Show pages so from now on."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [scheme]}
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def violations(self, *, only: tuple[str, ...] = ()) -> list[str]:
        """What axe-core finds serious or critical on the page."""
        if not self.run("return !!window.axe"):
            self.run(axe_source())
        rules: dict[str, Any] = {}
        if only:
            rules["runOnly"] = {"type": "rule", "values": list(only)}
        found: list[str] = self.driver.execute_async_script(AXE, rules)
        return found

    def complaints(self) -> list[str]:
        """
        What the browser's console has of late, but statuses of forms refused.

        A violation of the policy is told there too.
        """
        return [
            one["message"]
            for one in self.driver.get_log("browser")
            if not (one["source"] == "network" and "a status of 4" in one["message"])
        ]


@contextmanager
def opened(folder: Path) -> Iterator[Window]:
    """A window of a browser with its profile in *folder*."""
    with driven_chromium(folder) as driver:
        driver.implicitly_wait(0)
        yield Window(driver)
