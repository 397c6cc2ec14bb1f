"""
Pictures of the console's pages in docs/console/, light and dark, of sample data.

    python docs/screenshots.py [FOLDER]

They are made anew when pages have changed; it takes half a minute and Chromium.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / one) for one in ("", "hookspecs", "schemas", "tests")]

if TYPE_CHECKING:
    from console_sample import Sample
    from console_window import Window

FOLDER = Path(__file__).parent / "console"
WIDTH, MOST = 1000, 1400
"""Pixels; a longer page is cut off below."""

COLOURS = 64


def pages(plant: Sample) -> dict[str, str]:
    """Where the pages are, by the names of their pictures."""
    ids = plant.ids
    profile, client = (
        f"/profiles/{ids['plant-alerts']}",
        f"/clients/{ids['plant-login']}",
    )
    granted = f"/profiles/{ids['shift-reports']}"
    return {
        "profiles": "/profiles",
        "profile-kinds": "/profiles/new",
        "profile-new": "/profiles/new/basic",
        "profile": granted,
        "rename": f"{profile}/rename",
        "delete": f"{profile}/delete",
        "clients": "/clients",
        "client-new": "/clients/new",
        "client": client,
        "client-delete": f"{client}/delete",
        "client-test": f"{client}/test",
        "token": f"{granted}/token",
        "token-needs-grant": f"/profiles/{ids['lab-results']}/token",
        "token-revoke": f"{granted}/token/revoke",
        "test": f"{profile}/test",
        "outbox": "/outbox",
        "message": f"/outbox/{ids['Tank 4 high']}",
        "message-refused": f"/outbox/{ids['Compressor 2 stopped']}",
        "message-unknown": f"/outbox/{ids['Batch 118 is done']}/settle",
        "plugins": "/plugins",
        "audit": "/audit",
        "access": "/access",
        "api": "/api",
        "callback-refused": "/oauth2/refused/signed-out",
    }


def keep(window: Window, folder: Path, name: str) -> None:
    """The page that is shown, in both colours."""
    for dark in (False, True):
        window.look(dark=dark, width=WIDTH)
        window.run("document.getAnimations().forEach(one => one.finish())")
        height = window.run("return document.documentElement.scrollHeight")
        window.look(dark=dark, width=WIDTH, height=min(height, MOST))
        window.run("scrollTo(0, 0)")
        picture = Image.open(io.BytesIO(window.driver.get_screenshot_as_png()))
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(folder / f"{name}-{'dark' if dark else 'light'}.png", optimize=True)


def steps(window: Window, plant: Sample, folder: Path) -> None:
    """Pages that something was done on before."""
    window.go("/profiles/new/basic")
    window.fill(Name="plant/alerts", Hostname="mail.plant.example:25", Port="70000")
    window.press("Create New Email Profile")
    keep(window, folder, "mistakes")
    window.go(f"/profiles/{plant.ids['plant-alerts']}/test")
    window.fill(From="gateway@plant.example", To="operator@plant.example")
    window.fill(Subject="Tank 4 high", Body="Level is 92 %.")
    window.press("Send Test Email")
    keep(window, folder, "test-accepted")
    window.go(f"/profiles/{plant.ids['lab-results']}/token")
    window.press("Grant from Another Device")
    keep(window, folder, "device")
    window.go("/profiles")
    window.one("details.more > summary").click()
    keep(window, folder, "menu")


def main(folder: Path) -> None:
    """Make all of them."""
    from console_sample import sample
    from console_window import opened

    folder.mkdir(exist_ok=True)
    with (
        TemporaryDirectory() as home,
        sample(Path(home)) as plant,
        opened(Path(home) / "chromium") as window,
    ):
        window.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        window.url = plant.console.url
        window.go("/sign-in")
        keep(window, folder, "sign-in")
        window.sign_in(plant.console)
        for name, path in pages(plant).items():
            window.go(path)
            keep(window, folder, name)
        steps(window, plant, folder)
    size = sum(one.stat().st_size for one in folder.glob("*.png"))
    print(f"{len(list(folder.glob('*.png')))} pictures, {size / 1000:.0f} kB: {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
