"""The console's frame: who gets in, what is refused, and what every answer has."""

from __future__ import annotations

from console_client import ConsoleServer

from email_profiles_plugin.console import Role


def test_a_link_signs_in_once(console: ConsoleServer) -> None:
    """Whoever presses the button; a link that was looked at is not spent."""
    code = console.profiles.sign_ins.invite("pat", Role.ADMIN, console.url)
    console.browser().get(f"/sign-in?link={code}")
    first, second = console.browser(), console.browser()
    pages = [one.get(f"/sign-in?link={code}") for one in (first, second)]
    entered = [
        one.submit(page) for one, page in zip((first, second), pages, strict=True)
    ]

    assert [200, 403] == [one.status_code for one in entered]
    assert "Signed in as pat." in entered[0].text
    assert [200, 303] == [
        one.get("/plugins", allow_redirects=False).status_code
        for one in (first, second)
    ]
