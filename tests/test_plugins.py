"""Plugins: installed ones, broken ones, a host's own; and every hook."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pluggy
import pytest
from attrs import evolve

from email_profiles_hookspecs import (
    AcceptsEmailProfiles,
    AuthProvider,
    Credential,
    Outcome,
    Profile,
    Receipt,
    SendRequest,
    SmtpSettings,
    hookimpl,
    sasl,
)
from email_profiles_hookspecs.errors import (
    Closed,
    Invalid,
    NotFound,
    PluginFailed,
    SecretError,
    Vetoed,
)
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.outbox.delivery import Delivery

Open = Callable[..., EmailProfiles]
Document = Callable[..., dict[str, Any]]

GOOD = """
    from email_profiles_hookspecs import AuthProvider, Credential, hookimpl, sasl

    SCHEMA = {
        "type": "object",
        "required": ["key"],
        "properties": {"key": {"$ref": "urn:email-profiles:secret", "title": "Key"}},
    }

    class Key:
        def __init__(self, read):
            self.read = read

        def acquire(self, deadline):
            return Credential(offers=(sasl.Plain("apikey", self.read()),))

        def rejected(self, credential, reply):
            return False

    @hookimpl
    def email_profiles_auth_providers():
        yield AuthProvider(
            mode="api_key",
            title="API key",
            schema=SCHEMA,
            build=lambda profile, services: Key(
                lambda: services.secrets.read(profile.auth["key"])
            ),
        )
"""
NO_IMPORT = "import no_such_module"
RAISES = """
    from email_profiles_hookspecs import hookimpl

    @hookimpl
    def email_profiles_auth_providers():
        yield from ()
        raise RuntimeError("trouble in a third party")
"""
CLASHES = """
    from email_profiles_hookspecs import AuthProvider, hookimpl

    @hookimpl
    def email_profiles_auth_providers():
        for mode in ("fine", "basic"):
            yield AuthProvider(
                mode=mode, title="X", schema={"type": "object"}, build=None
            )
"""
MISSPELT = """
    from email_profiles_hookspecs import hookimpl

    @hookimpl
    def email_profiles_setled(outcome):
        pass
"""
BAD_SCHEMA = """
    from email_profiles_hookspecs import AuthProvider, hookimpl

    @hookimpl
    def email_profiles_auth_providers():
        yield AuthProvider(mode="bad", title="X", schema={"type": 7}, build=None)
"""
EXITS = "import sys; sys.exit(3)"
FORGOT = "def email_profiles_auth_providers(): return ()"

WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel(folder: Path, name: str, code: str) -> Path:
    """A distribution with one module and one entry point."""
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    members = {
        f"{name}.py": textwrap.dedent(code),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": WHEEL,
        f"{info}/entry_points.txt": f"[email_profiles]\n{name} = {name}\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{member},,\n" for member in members)
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return path


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Install distributions with pip, where this process finds them."""
    target = tmp_path / "site"
    before = set(sys.modules)

    def run(**distributions: str) -> None:
        wheels = [wheel(tmp_path, name, code) for name, code in distributions.items()]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
        pip += ["--no-deps", "--target", str(target), *map(str, wheels)]
        subprocess.run(pip, check=True, capture_output=True)
        monkeypatch.syspath_prepend(str(target))

    yield run
    for name in set(sys.modules) - before:
        if str(target) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def request(**changes: Any) -> SendRequest:
    given = {
        "profile": "plant",
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
        "subject": "Tank 4 high",
        **changes,
    }
    return SendRequest(**given)


def test_a_broken_distribution_costs_nobody_else(
    install: Callable[..., None],
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
) -> None:
    """Of those installed the good one sends; the others are listed with reasons."""
    install(
        ep_good=GOOD,
        ep_no_import=NO_IMPORT,
        ep_raises=RAISES,
        ep_clashes=CLASHES,
        ep_misspelt=MISSPELT,
        ep_bad_schema=BAD_SCHEMA,
        ep_exits=EXITS,
        ep_forgot=FORGOT,
    )
    smtp_server.users["apikey"] = "sesame-123"
    profiles = open_profiles(only=None)
    auth = {"mode": "api_key", "key": "sesame-123"}
    profiles.profiles.apply(profile_document(smtp_server, auth=auth), actor="test")
    receipt = profiles.send(request())
    outcome = profiles.outcome(receipt.id, wait=10)

    assert outcome is not None
    assert "accepted" == outcome.state
    assert "apikey" == smtp_server.messages[0].identity
    reasons = {one.plugin: one.reason for one in profiles.plugins.failures}
    assert {
        "ep_no_import": "ModuleNotFoundError: No module named 'no_such_module'",
        "ep_raises": "RuntimeError: trouble in a third party",
        "ep_clashes": "ValueError: mode 'basic' is taken",
        "ep_misspelt": "TypeError: there is no hook email_profiles_setled: is it "
        "misspelt?",
        "ep_exits": "SystemExit: 3",
        "ep_forgot": "TypeError: implements no hook: is @hookimpl missing?",
    } == {name: reasons[name] for name in reasons if name != "ep_bad_schema"}
    assert reasons["ep_bad_schema"].startswith("ValueError: mode 'bad': ")
    assert all(one.source for one in profiles.plugins.failures)
    assert "fine" not in profiles.plugins.providers
    (good,) = (one for one in profiles.plugins.loaded if one.name == "ep_good")
    assert ("ep_good 1.0", ("api_key",)) == (good.source, good.modes)


def test_a_blocked_plugin_is_not_imported(
    install: Callable[..., None], open_profiles: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocked by name, left out by `only`, or all of them by safe mode."""
    install(ep_one="TOUCHED = 1", ep_two="TOUCHED = 1")
    open_profiles(only=None, blocked=["ep_one", "ep_two"]).close()
    open_profiles(only=["ep_other"]).close()
    monkeypatch.setenv("EMAIL_PROFILES_PLUGINS", "")
    open_profiles(only=None).close()
    assert not {"ep_one", "ep_two"} & set(sys.modules)

    monkeypatch.setenv("EMAIL_PROFILES_PLUGINS", "ep_one")
    open_profiles(only=None)
    assert {"ep_one"} == {"ep_one", "ep_two"} & set(sys.modules)


class Raises:
    """A site plugin that fails in whatever it is asked."""

    @hookimpl(tryfirst=True)
    def email_profiles_resolve(self, name: str) -> Profile | None:
        raise RuntimeError("resolve is broken")

    @hookimpl(tryfirst=True)
    def email_profiles_send(self, request: SendRequest) -> Receipt | None:
        raise RuntimeError("send is broken")

    @hookimpl
    def email_profiles_settled(self, outcome: Outcome) -> None:
        raise RuntimeError("settled is broken")


class Nonsense:
    """A site plugin that answers with what is no answer."""

    @hookimpl(tryfirst=True)
    def email_profiles_send(self, request: SendRequest) -> Any:
        return "sent!"


class LateFailure:
    """A site plugin that lets the built-in queue the message, and then raises."""

    @hookimpl(wrapper=True)
    def email_profiles_send(self, request: SendRequest) -> Any:
        yield
        raise RuntimeError("after it was queued")


@pytest.mark.parametrize("plugin", [Raises, Nonsense, LateFailure])
@pytest.mark.parametrize("directly", [False, True])
def test_a_broken_site_plugin_loses_no_message_and_doubles_none(
    plugin: type,
    directly: bool,
    open_profiles: Open,
    smtp_server: Any,
    profile_document: Document,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Called through the facade, and directly on the host's manager."""
    manager = pluggy.PluginManager("email_profiles")
    profiles = open_profiles(plugin_manager=manager)
    manager.register(plugin())
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    if directly:
        receipt = manager.hook.email_profiles_send(request=request())
    else:
        receipt = profiles.send(request())
    outcome = profiles.outcome(receipt.id, wait=10)

    assert outcome is not None
    assert "accepted" == outcome.state
    assert 1 == len(profiles.outbox.list())
    assert any(one.levelno == logging.ERROR for one in caplog.records)


class Copier:
    """A site plugin that sends a copy through the hook, and then raises."""

    profiles: EmailProfiles
    again = False
    busy = False

    @hookimpl(tryfirst=True)
    def email_profiles_send(self, request: SendRequest) -> Receipt | None:
        if not self.busy:
            self.busy = True
            self.profiles.send(
                request if self.again else evolve(request, subject="copy")
            )
            raise RuntimeError("after the copy")
        return None


@pytest.mark.parametrize(
    ("again", "queued"), [(False, ["Tank 4 high", "copy"]), (True, ["Tank 4 high"])]
)
def test_a_receipt_is_that_of_the_message(
    again: bool, queued: list[str], open_profiles: Open
) -> None:
    """Of what the call was for, whatever else a plugin queued in its course."""
    manager = pluggy.PluginManager("email_profiles")
    copier = Copier()
    manager.register(copier)
    copier.profiles = profiles = open_profiles(plugin_manager=manager, deliver=False)
    copier.again = again
    document = {
        "name": "plant",
        "smtp": {"hostname": "localhost"},
        "auth": {"mode": "basic"},
    }
    profiles.profiles.apply(document, actor="test")
    receipt = profiles.send(request())

    assert "Tank 4 high" == profiles.outbox.show(receipt.id).subject
    assert queued == sorted(entry.subject for entry in profiles.outbox.list())


class FailsInEverything:
    """A third party's modes, one of which fails when checked, the others later on."""

    def acquire(self, deadline: float) -> Credential:
        raise KeyError(SECRET)

    def rejected(self, credential: Credential, reply: Any) -> bool:
        return False

    def status(self) -> Any:
        raise KeyError(SECRET)

    def refresh(self, deadline: float) -> Any:
        raise KeyError(SECRET)

    def revoke(self, deadline: float) -> None:
        raise KeyError(SECRET)

    begin = complete = device_begin = device_poll = revoke

    @hookimpl
    def email_profiles_auth_providers(self) -> Iterable[AuthProvider]:
        def fail(profile: Profile, services: Any) -> Any:
            raise KeyError(SECRET)

        def build(profile: Profile, services: Any) -> Any:
            return self

        schema = {"type": "object"}
        yield AuthProvider(
            mode="checks", title="X", schema=schema, build=build, check=fail
        )
        yield AuthProvider(mode="builds", title="X", schema=schema, build=fail)
        yield AuthProvider(mode="acts", title="X", schema=schema, build=build)


SECRET = "s3cret"


def test_what_a_provider_raises_is_a_contract_error(open_profiles: Open) -> None:
    """It names the mode and the error's type, and never a value."""
    manager = pluggy.PluginManager("email_profiles")
    manager.register(FailsInEverything())
    profiles = open_profiles(plugin_manager=manager, deliver=False)

    def apply(mode: str) -> str:
        smtp = {"hostname": "localhost"}
        document = {"name": mode, "smtp": smtp, "auth": {"mode": mode}}
        return profiles.profiles.apply(document, actor="test").stored.name

    with pytest.raises(PluginFailed, match="'checks' failed: KeyError") as caught:
        apply("checks")
    assert isinstance(caught.value.__cause__, KeyError)
    assert SECRET not in str(caught.value)
    tokens, trial = profiles.tokens, profiles.profiles.test(apply("builds"), request())
    assert "the plugin of mode 'builds' failed: KeyError" in trial.error
    apply("acts")
    for action in (tokens.status, tokens.refresh, tokens.revoke):
        with pytest.raises(PluginFailed, match="'acts' failed: KeyError"):
            action("acts")


def test_hook_auth_providers(open_profiles: Open) -> None:
    """Modes are collected once, at load; the built-in ones are there."""
    calls: list[int] = []

    class Plugin:
        @hookimpl
        def email_profiles_auth_providers(self) -> Iterable[AuthProvider]:
            calls.append(1)
            yield AuthProvider(
                mode="site", title="Site", schema={"type": "object"}, build=build
            )

    def build(profile: Profile, services: Any) -> Any:
        raise AssertionError

    manager = pluggy.PluginManager("email_profiles")
    manager.register(Plugin(), "site")
    profiles = open_profiles(plugin_manager=manager)

    assert {"basic", "oauth2", "site"} == set(profiles.plugins.providers)
    assert [1] == calls


def test_a_plugin_may_come_before_the_hooks(open_profiles: Open) -> None:
    """A host registers its plugin, then opens: the hooks are specified all the same."""
    manager = pluggy.PluginManager("email_profiles")
    manager.register(Raises())
    profiles = open_profiles(plugin_manager=manager)

    assert manager.hook.email_profiles_send.has_spec()
    assert ([], {"basic", "oauth2"}) == (
        profiles.plugins.failures,
        set(profiles.plugins.providers),
    )
    assert profiles.resolve("nobody") is None


def test_a_manager_serves_one_at_a_time(open_profiles: Open) -> None:
    """The second is refused before anything is touched; one that was closed is not."""
    manager = pluggy.PluginManager("email_profiles")
    first = open_profiles(plugin_manager=manager, deliver=False)

    with pytest.raises(TypeError, match="in use by email profiles that are open"):
        open_profiles(plugin_manager=manager, deliver=False)
    assert first.resolve("nobody") is None
    first.close()
    second = open_profiles(plugin_manager=manager, deliver=False)
    assert second.resolve("nobody") is None


@pytest.mark.parametrize("step", ["start", "stop"])
def test_all_is_let_go_of_whatever_fails(
    step: str, open_profiles: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of closing is done; so it is where opening fails."""

    def fail(self: Delivery, *timeout: float) -> None:
        raise RuntimeError(step)

    manager = pluggy.PluginManager("email_profiles")
    with monkeypatch.context() as patch:
        patch.setattr(Delivery, step, fail)
        with pytest.raises(RuntimeError, match=step):
            open_profiles(plugin_manager=manager, deliver=step == "start").close()

    assert not manager.has_plugin("basic")
    assert open_profiles(plugin_manager=manager).resolve("nobody") is None


class SitePlugin:
    """Brings a profile from elsewhere, with a password of its own."""

    def __init__(self, port: int, ca_file: str, password: str, mode: str = "basic"):
        self.profile = Profile(
            id="site-1",
            revision=1,
            name="from-elsewhere",
            smtp=SmtpSettings(
                hostname="localhost",
                port=port,
                use_starttls=True,
                ca_file=ca_file,
                ssl_protocols=["TLSv1.2", "TLSv1.3"],
            ),
            mode=mode,
            auth={"username": "gateway", "password": password},
        )

    @hookimpl
    def email_profiles_resolve(self, name: str) -> Profile | None:
        return self.profile if name == "from-elsewhere" else None


def test_hook_resolve(
    open_profiles: Open, smtp_server: Any, certificate_authority: Any
) -> None:
    """A site plugin's profile sends; an unknown name is None."""
    manager = pluggy.PluginManager("email_profiles")
    password = smtp_server.users["gateway"]
    ca_file = str(certificate_authority.ca_file)
    manager.register(SitePlugin(smtp_server.port, ca_file, password))
    profiles = open_profiles(plugin_manager=manager)
    found = manager.hook.email_profiles_resolve(name="from-elsewhere")
    receipt = profiles.send(request(profile="from-elsewhere"))
    outcome = profiles.outcome(receipt.id, wait=10)

    assert profiles.resolve("nobody") is None
    assert password not in repr(found)
    assert outcome is not None
    assert "accepted" == outcome.state


def test_a_site_plugins_profile_is_validated(open_profiles: Open) -> None:
    """As a document would be, with every mistake."""
    manager = pluggy.PluginManager("email_profiles")
    manager.register(SitePlugin(70000, "", "x", mode="basic"))
    profiles = open_profiles(plugin_manager=manager)

    with pytest.raises(Invalid, match="70000 is more than 65535"):
        profiles.resolve("from-elsewhere")


def test_a_copy_of_a_stored_profile_is_that_profile(open_profiles: Open) -> None:
    """Two are equal by id and revision; an embedded one's name is not judged again."""

    class Copies:
        @hookimpl(wrapper=True)
        def email_profiles_resolve(self, name: str) -> Any:
            found = yield
            return found and evolve(found)

    manager = pluggy.PluginManager("email_profiles")
    manager.register(Copies())
    profiles = open_profiles(plugin_manager=manager, deliver=False)
    document = {"smtp": {"hostname": "localhost"}, "auth": {"mode": "basic"}}
    name = profiles.profiles.embed(document, owner="alarm-7", actor="test")

    found = profiles.resolve(name)
    assert found is not None
    assert name == found.name


def test_a_profile_that_can_not_be_had_stops_nobody_else(
    open_profiles: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Its mail waits, and the log says why; what is had goes by the row's id."""

    class Vault:
        @hookimpl
        def email_profiles_resolve(self, name: str) -> Profile | None:
            if name == "vault":
                raise SecretError("the vault is sealed")
            if name == "exit":
                sys.exit(1)
            return None

    manager = pluggy.PluginManager("email_profiles")
    manager.register(Vault())
    manager.register(SitePlugin(25, "/ca.pem", "x"))
    profiles = open_profiles(plugin_manager=manager, deliver=False)
    profile = profiles.outbox.delivery.profile

    assert profile("no-such-id", "vault") is None
    assert profile("no-such-id", "exit") is None
    assert "the vault is sealed" in caplog.text
    found = profile("former-id", "from-elsewhere")
    assert found is not None
    assert ("former-id", "from-elsewhere") == (found.id, found.name)


def test_hook_send(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """A site plugin diverts, vetoes, or declines and leaves it to the built-in."""
    diverted = Receipt(
        id="elsewhere",
        message_id="<a@b>",
        queued_at=__import__("datetime").datetime.now(),
    )

    class Site:
        @hookimpl(tryfirst=True)
        def email_profiles_send(self, request: SendRequest) -> Receipt | None:
            if request.lane == "bulk":
                return diverted
            if request.lane == "normal":
                raise Vetoed("maintenance", "wait for it to end")
            return None

    manager = pluggy.PluginManager("email_profiles")
    profiles = open_profiles(plugin_manager=manager)
    manager.register(Site())
    profiles.profiles.apply(profile_document(smtp_server), actor="test")

    assert diverted is profiles.send(request(lane="bulk"))
    with pytest.raises(Vetoed):
        profiles.send(request())
    assert profiles.outcome(profiles.send(request(lane="alarm")).id, wait=10)
    with pytest.raises(NotFound):
        profiles.send(request(profile="nobody", lane="alarm"))


class ObserverThatFails:
    @hookimpl
    def email_profiles_settled(self, outcome: Outcome) -> None:
        raise RuntimeError("this observer is broken")


def test_hook_settled(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Every observer is told, also where the one before it raises."""
    told: list[Outcome] = []

    class Observer:
        @hookimpl
        def email_profiles_settled(self, outcome: Outcome) -> None:
            told.append(outcome)

    class Counter:
        count = 0

        @hookimpl
        def email_profiles_settled(self) -> None:
            self.count += 1

    manager = pluggy.PluginManager("email_profiles")
    profiles = open_profiles(plugin_manager=manager)
    counter = Counter()
    manager.register(Observer())
    manager.register(ObserverThatFails(), "fails")
    manager.register(counter)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    receipt = manager.hook.email_profiles_send(request=request())
    profiles.outcome(receipt.id, wait=10)
    smtp_server.wait_for(1)
    profiles.close()

    assert [(receipt.id, "accepted")] == [(one.id, one.state) for one in told]
    assert 1 == counter.count


class HostManager(AcceptsEmailProfiles, pluggy.PluginManager):
    """A host's own manager, of another project."""


class HostPlugin:
    """Implements a hook of the host and one of ours; its property must not run."""

    @property
    def trap(self) -> str:
        raise AssertionError("a property was run")

    @pluggy.HookimplMarker("plant")
    def plant_started(self) -> str:
        return "started"

    @hookimpl
    def email_profiles_settled(self, outcome: Outcome) -> None:
        self.seen = outcome


class HostSpecs:
    @pluggy.HookspecMarker("plant")
    def plant_started(self) -> None: ...


def test_a_hosts_own_manager_takes_our_markers_beside_its_own(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Through the mixin; nothing of the host's is disturbed, and we leave in peace."""
    manager = HostManager("plant")
    manager.add_hookspecs(HostSpecs)
    plugin = HostPlugin()
    manager.register(plugin)
    before = {name for name, _ in manager.list_name_plugin()}
    profiles = open_profiles(plugin_manager=manager)
    profiles.profiles.apply(profile_document(smtp_server), actor="test")
    receipt = manager.hook.email_profiles_send(request=request())
    profiles.outcome(receipt.id, wait=10)
    profiles.close()

    assert ["started"] == manager.hook.plant_started()
    assert receipt.id == plugin.seen.id
    after = {name for name, _ in manager.list_name_plugin()}
    assert before == after - {"email_profiles", "email_profiles_guard"}
    with pytest.raises(Closed):
        manager.hook.email_profiles_send(request=request())

    again = open_profiles(plugin_manager=manager)
    assert again.resolve("plant") is not None


def test_a_manager_that_does_not_take_our_hooks_is_told_how(
    open_profiles: Open,
) -> None:
    """The error names the mixin."""
    with pytest.raises(TypeError, match="AcceptsEmailProfiles"):
        open_profiles(plugin_manager=pluggy.PluginManager("plant"))


def test_sasl_offers_name_what_they_are() -> None:
    """What a third party yields is checked by its type, not by its looks."""
    credential = Credential(offers=[sasl.Plain("u", "p")])

    assert (sasl.Plain("u", "p"),) == credential.offers


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"attachments": ["trend.csv"]},
            r"Attachment\(.*, got a str",
        ),
        ({"text": b"x"}, "text has to be text, not bytes"),
        ({"subject": 7}, "subject has to be text, not int"),
        ({"to": "a@b"}, "a list of strings"),
    ],
)
def test_a_request_of_the_wrong_type_names_what_is_wrong(
    changes: dict[str, Any], said: str
) -> None:
    """Where it is made, before anybody is asked."""
    with pytest.raises(TypeError, match=said):
        request(**changes)
