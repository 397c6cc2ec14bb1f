"""Debian's Chromium for tests: driven by a program, and led nowhere else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage "
    "--no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-default-apps"
)
"""As root, and on a machine whose network is closed."""

NOWHERE_ELSE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@contextmanager
def driven_chromium(folder: Path) -> Iterator[Any]:
    """
    A browser with its profile in *folder*.

    Skips where there is none; where services are required, that is a failure.
    """
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        missing = "chromium and chromium-driver are not installed"
        if os.environ.get("EMAIL_PROFILES_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{missing}, and EMAIL_PROFILES_REQUIRE_SERVICES is 1")
        pytest.skip(missing)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    options.accept_insecure_certs = True  # it trusts the machine's authorities alone
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS.split(), NOWHERE_ELSE, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(driver)
    with webdriver.Chrome(options=options, service=service) as driven:
        driven.implicitly_wait(10)
        driven.set_page_load_timeout(30)
        yield driven
