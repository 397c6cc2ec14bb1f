"""Nothing secret is on a page, in an answer of the API, or in a log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
import requests
from console_sample import SECRET, Sample, sample

from email_profiles_plugin.console.application import ALONE, PLACES

READ = [one for one in (*PLACES, *ALONE) if one.method == "GET"]
EXPORT = "export"
"""The one answer that holds what is sealed, for admins."""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    with sample(tmp_path_factory.mktemp("plant")) as found:
        yield found


def filled(path: str, plant: Sample) -> str:
    """An address of the API for a *path* with parameters in it."""
    name = "plant-login" if "/clients/" in path else "shift-reports"
    message = plant.ids["Tank 4 high"]
    path = path.replace("{id}", message).replace("{name}", name)
    return re.sub(r"\{\w+\}", "oauth2", path)


def secrets(plant: Sample) -> dict[str, str]:
    """What nobody may be shown, by what it is."""
    profiles = plant.profiles
    key = (profiles.home / "key").read_text().split()[0]
    with profiles.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT sealed FROM token").scalars().all()
        hashes = connection.exec_driver_sql("SELECT token_hash FROM access_token")
        found = {"hash of an API token": hashes.scalars().first() or ""}
    found |= {"client secret": SECRET, "key": key}
    for row in filter(None, rows):
        found["sealed token"] = row
    for issued in plant.server._validator.tokens:
        found[f"token {issued[:4]}..."] = issued
    return found


def test_every_page_and_answer(plant: Sample, caplog: pytest.LogCaptureFixture) -> None:
    """Also of a failure; what the libraries log is looked at, too, at any level."""
    caplog.set_level(logging.DEBUG)
    hidden = secrets(plant)
    assert len(hidden) > 4
    admin = plant.console.signed_in()
    seen: dict[str, requests.Response] = {}
    for place in READ:
        path = plant.paths().get(place.name, place.path)
        path = filled(path, plant) if place.api else path
        if "{" not in path and not path.endswith(EXPORT):
            seen[path] = admin.get(path)

    shown = {path: answer.text + str(answer.headers) for path, answer in seen.items()}
    ours = [one for one in caplog.records if not one.name.startswith("oauthlib")]
    shown["the log"] = "\n".join(one.getMessage() for one in ours)
    assert len(seen) > len(READ) / 2
    assert [] == [
        (path, what)
        for path, text in shown.items()
        for what, secret in hidden.items()
        if secret in text
    ]
    assert [] == [path for path, answer in seen.items() if answer.status_code >= 500]
