"""The console in Chromium, from end to end; its console stays silent throughout."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pluggy
import pytest
from console_client import ConsoleServer
from console_window import Window, opened
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django_bench import PASSWORD, USER, Server, running

from email_profiles_hookspecs import SendRequest
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.testing import (
    AuthorizationServer,
    CertificateAuthority,
    SmtpServer,
)

Open = Callable[..., EmailProfiles]
SECRET = "c4n4ry-secret"
TOKEN_ENDPOINT = "https://login.example/token"
ROBOT = "mailer@plant-1234.iam.example"
TAB, ENTER, END = "\ue004", "\ue007", "\ue010"
EXAMPLE = Path(__file__).parents[1] / "examples" / "service-account"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with opened(tmp_path_factory.mktemp("chromium")) as window:
        yield window


@pytest.fixture(scope="module")
def server(
    certificate_authority: CertificateAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("django"), certificate_authority) as server:
        yield server


@pytest.fixture
def window(chromium: Window, console: ConsoleServer) -> Iterator[Window]:
    """Signed in as an admin; nothing in the browser's console at the end."""
    yield signed_in(chromium, console)
    assert [] == chromium.complaints()


def fresh(window: Window) -> Window:
    """As a browser is that has just been opened."""
    window.driver.get("about:blank")
    window.driver.delete_all_cookies()
    window.look(dark=False, width=1280)
    window.complaints()
    return window


def signed_in(window: Window, console: ConsoleServer) -> Window:
    fresh(window).sign_in(console)
    return window


def send_test(window: Window) -> None:
    window.fill(From="gateway@plant.example", To="operator@plant.example")
    window.fill(Subject="Tank 4 high", Body="Level is 92 %.")
    window.press("Send Test Email")


def test_a_basic_profile(
    window: Window, smtp_server: SmtpServer, certificate_authority: CertificateAuthority
) -> None:
    """Three mistakes are explained beside their fields; corrected, its mail arrives."""
    assert smtp_server.users is not None
    window.press("Create new Email Profile")
    window.press("Classic SMTP")
    window.fill(Name="plant/alerts", Hostname="localhost:25", Port="70000")
    window.press("Create New Email Profile")

    wrong = {one.get_attribute("id") for one in window.all("[aria-invalid=true]")}
    assert {"at-name", "at-smtp-hostname", "at-smtp-port"} == wrong
    assert "3 things have to be corrected" in window.one("[role=alert]").text
    assert "at-name" == window.focus()["id"]
    for id in wrong:
        told = window.one(f"#of-{id.removeprefix('at-')} p.wrong, #{id}-help p.wrong")
        assert told.is_displayed()
    assert "70000" == window.field("Port").get_attribute("value")
    assert [] == window.violations()
    window.press("Port")
    assert "at-smtp-port" == window.focus()["id"]

    window.fill(Name="plant-alerts", Hostname="localhost", Port=str(smtp_server.port))
    window.tick("Use STARTTLS")
    window.fill(Username="gateway", Password=smtp_server.users["gateway"])
    window.type("Password (retype for verification)", smtp_server.users["gateway"])
    window.type("CA File", str(certificate_authority.ca_file))
    window.press("Create New Email Profile")
    assert "plant-alerts" in window.text
    window.press("More")
    window.press("Test")
    send_test(window)

    assert "The server accepted it" in window.one("#result").text
    (arrived,) = smtp_server.messages
    assert ("gateway", True) == (arrived.identity, arrived.tls)
    assert "Tank 4 high" == arrived.message["Subject"]
    assert smtp_server.users["gateway"] not in window.driver.page_source
    assert [] == window.violations()


class Cloud:
    """A client and an interactive profile, made in the browser; and the servers."""

    def __init__(self, window: Window, server: Server, smtp: SmtpServer) -> None:
        self.window, self.server, self.smtp = window, server, smtp
        self.tokens: list[str] = []
        smtp.accept_token = self.accepts

    def accepts(self, username: str, token: str) -> bool:
        self.tokens.append(token)
        return "gateway@plant.example" == username

    def make(self, ca_file: str) -> str:
        """The address of the profile's token page; nothing is granted yet."""
        window, client_id = self.window, f"gateway-{os.urandom(4).hex()}"
        window.go("/clients/new")
        window.fill(Name="django", Client_ID=client_id, Client_Secret=SECRET)
        window.type("Client Secret (retype for verification)", SECRET)
        window.fill(Issuer=self.server.issuer, CA_File=ca_file)
        window.press("Create New OAuth2 Client")
        redirect_uri = window.field("Redirect URI to register").get_attribute("value")
        assert redirect_uri.startswith(f"{window.url}/oauth2/callback/")
        self.server.tell(
            name="Gateway",
            client_id=client_id,
            client_secret=SECRET,
            redirect_uri=redirect_uri,
        )
        window.go("/profiles/new/oauth2")
        window.fill(Name="cloud", Hostname="localhost", Port=str(self.smtp.port))
        window.tick("Use STARTTLS")
        window.fill(Username="gateway@plant.example", Scope="mail.send")
        window.fill(CA_File=ca_file)
        window.choose("OAuth2 Client", "django")
        window.tick("Interactive")
        window.press("Create New Email Profile")
        window.press("More")
        window.press("Manage token")
        return window.path

    def consent(self) -> None:
        """Log in at the authorization server, and allow it."""
        window = self.window
        window.wait(lambda: window.one("[name=username]").send_keys(USER) is None)
        window.one("[name=password]").send_keys(PASSWORD)
        window.one("button").click()
        window.wait(lambda: window.one("[name=allow]").click() is None)
        window.wait(lambda: window.path.endswith("/token") and window.one("main"))


OFFERED = ("Refresh Token", "Grant New Token")


def offered(window: Window) -> set[str]:
    return {*window.buttons()} & {*OFFERED}


def facts(window: Window) -> dict[str, str]:
    """What the page tells by name."""
    names = [one.text for one in window.all("dl.facts dt")]
    return dict(
        zip(names, [one.text for one in window.all("dl.facts dd")], strict=True)
    )


def test_granting_and_sending(
    window: Window,
    server: Server,
    smtp_server_factory: Callable[..., SmtpServer],
    certificate_authority: CertificateAuthority,
) -> None:
    """A client, a profile, consent; valid, refreshed; the mail goes by the token."""
    smtp = smtp_server_factory(tls="starttls", accept_token=lambda *_: False)
    cloud = Cloud(window, server, smtp)
    page = cloud.make(str(certificate_authority.ca_file))
    assert {"Grant New Token"} == offered(window)
    window.press("Grant New Token")
    cloud.consent()

    assert (page, {*OFFERED}) == (window.path, offered(window))
    assert "Access was granted." in window.text
    assert ("valid", "yes", "1") == told_of_token(window)
    assert "in 10 hours" in facts(window)["Expires"]
    assert [] == window.violations()
    window.press("Refresh Token")
    window.wait(lambda: told_of_token(window)[2] == "2")
    assert ("valid", "yes", "2") == told_of_token(window)
    window.press("Test this profile")
    send_test(window)

    assert "The server accepted it" in window.one("#result").text
    (arrived,) = smtp.messages
    assert "gateway@plant.example" == arrived.identity
    assert not [one for one in cloud.tokens if one in window.driver.page_source]


def told_of_token(window: Window) -> tuple[str, str, str]:
    found = facts(window)
    return found["State"], found["Refresh token"], found["Generation"]


def example() -> Any:
    """The plugin in examples/, as its own folder has it."""
    (path,) = EXAMPLE.glob("*/__init__.py")
    spec = spec_from_file_location(path.parent.name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.parent.name] = module
    spec.loader.exec_module(module)
    return module


def halves(key: rsa.RSAPrivateKey) -> tuple[bytes, str]:
    """Public and private, as PEM."""
    public = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return public, private.decode()


def apply_basic(profiles: EmailProfiles, name: str) -> str:
    """A profile of a server that is not there; its id."""
    document = {
        "name": name,
        "smtp": {"hostname": "mail.plant.example"},
        "auth": {"mode": "basic"},
    }
    id: str = profiles.profiles.apply(document, actor="test").stored.id
    return id


def test_renaming_and_deleting(window: Window, console: ConsoleServer) -> None:
    """Refused for a name that is taken, for a user, for mail; done when it may be."""
    profiles = console.profiles
    first, _ = apply_basic(profiles, "plant"), apply_basic(profiles, "relay")
    client = {"name": "login", "client_id": "4711", "token_endpoint": TOKEN_ENDPOINT}
    profiles.clients.apply(client, actor="test")
    auth = {"mode": "oauth2", "username": "a@plant.example", "client": "login"}
    cloud = {"name": "cloud", "smtp": {"hostname": "localhost"}, "auth": auth}
    profiles.profiles.apply(cloud, actor="test")

    window.go(f"/profiles/{first}/rename")
    assert "name" == window.focus()["id"]
    window.fill(New_name="relay")
    window.press("Rename")
    assert "relay" in window.one("[role=alert]").text
    assert [] == window.violations()
    window.fill(New_name="plant-alerts")
    window.press("Rename")
    assert "plant is now called plant-alerts." in window.text

    window.press("OAuth2 clients")
    window.press("More")
    window.press("Delete")
    assert "can't be deleted while it is used by:" in window.text
    assert "Delete" not in window.buttons()
    window.press("cloud")
    assert "cloud" == window.one("h1").text

    sent = SendRequest(
        profile="plant-alerts",
        from_address="gateway@plant.example",
        to=["operator@plant.example"],
        text="Level is 92 %.",
    )
    receipt = profiles.send(sent)
    window.go(f"/profiles/{first}/delete")
    window.press("Delete")
    assert "It was not deleted" in window.one("[role=alert]").text
    assert [] == window.violations()
    window.tick("Refuse the 1 message that waits for it")
    window.press("Delete")
    assert "plant-alerts was deleted." in window.text
    assert ["cloud", "relay"] == sorted(one.name for one in profiles.profiles.list())
    assert "refused" == profiles.outbox.show(receipt.id).state


def test_a_stale_edit(window: Window, console: ConsoleServer) -> None:
    """Refused, with all that was typed still there; then stored on top."""
    profiles = console.profiles
    id = apply_basic(profiles, "plant")
    window.go(f"/profiles/{id}")
    window.fill(Description="Alarms of the tank farm", Hostname="smtp.plant.example")
    other = console.signed_in()
    other.submit(f"/profiles/{id}", {"/smtp/port": "2525"}, to=id)
    window.press("Save Changes")

    assert "Somebody else changed this meanwhile" in window.one("[role=alert]").text
    assert "Stored now: 2525" in window.text
    assert "Alarms of the tank farm" == window.value("Description")
    assert "smtp.plant.example" == window.value("Hostname")
    assert "description" not in profiles.profiles.get("plant").body
    assert [] == window.violations()
    window.fill(Port="2526")
    window.press("Save Changes")
    found = profiles.profiles.get("plant").body
    smtp = found["smtp"]
    assert ("Alarms of the tank farm", "smtp.plant.example", 2526) == (
        found["description"],
        smtp["hostname"],
        smtp["port"],
    )


def test_a_mode_that_the_console_does_not_know(
    chromium: Window,
    open_profiles: Open,
    serve_console: Callable[..., ConsoleServer],
    smtp_server_factory: Callable[..., SmtpServer],
    authorization_server: AuthorizationServer,
) -> None:
    """The example's form, its token page and its test, drawn from what it says."""
    manager = pluggy.PluginManager("email_profiles")
    manager.register(example(), "service-account")
    profiles = open_profiles(deliver=False, plugin_manager=manager)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public, private = halves(key)
    authorization_server.register(ROBOT, public_key=public)
    smtp = smtp_server_factory(
        tls="starttls", accept_token=authorization_server.accepts
    )
    window = signed_in(chromium, serve_console(profiles))

    window.press("Create new Email Profile")
    window.press("Service account")
    window.fill(Name="plant", Hostname="localhost", Port=str(smtp.port))
    window.tick("Use STARTTLS")
    window.fill(Username="gateway@plant.example", Service_Account=ROBOT)
    window.paste("Private Key", private)
    window.fill(Token_Endpoint=authorization_server.token_endpoint)
    for one in window.all("input[id$=ca_file]"):
        window.unfold(one)
        one.send_keys(str(authorization_server.ca_file))
    window.press("Create New Email Profile")
    window.press("More")
    window.press("Manage token")
    assert {"Refresh Token"} == offered(window)
    window.press("Refresh Token")
    assert "valid" == facts(window)["State"]
    assert "PRIVATE KEY" not in window.driver.page_source
    assert [] == window.violations()
    window.press("Test this profile")
    send_test(window)

    assert "The server accepted it" in window.one("#result").text
    assert ["gateway@plant.example"] == [one.identity for one in smtp.messages]
    assert [] == window.complaints()


def test_by_keyboard_alone(chromium: Window, console: ConsoleServer) -> None:
    """Sign in, skip the menu, create, open a menu, rename; the focus is always seen."""
    window = fresh(chromium)
    window.url = console.url
    code = console.profiles.sign_ins.invite("pat", "admin", console.url, actor="test")
    window.go(f"/sign-in?link={code}")
    window.tab_to("Sign in")
    window.keys(ENTER)
    window.wait(lambda: window.path == "/profiles")
    window.keys(TAB)
    assert ("Skip to the content", True) == window.focused()
    window.keys(ENTER)
    window.tab_to("Create new Email Profile")
    window.keys(ENTER)
    window.wait(lambda: window.path == "/profiles/new")
    window.tab_to("Classic SMTP")
    window.keys(ENTER)
    window.wait(lambda: window.path == "/profiles/new/basic")
    for id, typed in (
        ("at-name", "plant"),
        ("at-smtp-hostname", "mail.plant.example"),
        ("at-smtp-use_starttls", " "),
    ):
        window.tab_to(id)
        window.keys(typed)
    window.tab_to("Advanced")
    window.keys(ENTER)
    window.tab_to("at-smtp-timeout_ms")
    window.tab_to("Create New Email Profile")
    window.keys(ENTER)
    window.wait(lambda: window.one("h1").text == "plant")
    assert console.profiles.profiles.get("plant").body["smtp"]["use_starttls"]
    window.tab_to("More on plant")
    window.keys(" ")
    window.tab_to("Rename")
    window.keys(ENTER)
    window.wait(lambda: window.path.endswith("/rename"))
    window.keys(END, "-2", ENTER)
    window.wait(lambda: "plant is now called plant-2." in window.text)
    assert [] == window.complaints()
