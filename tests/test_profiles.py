"""Documents with a life: stored, changed, renamed, refused, and never leaking."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pluggy
import pytest
from attrs import frozen
from sqlalchemy import func, insert, select, update

from email_profiles_hookspecs import (
    AuthProvider,
    Credential,
    Profile,
    Reply,
    SendRequest,
    Services,
    Timing,
    Token,
    hookimpl,
)
from email_profiles_hookspecs.errors import (
    InUse,
    Invalid,
    NameTaken,
    NotFound,
    SecretError,
    StaleRevision,
)
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.store import documents, health, migrations, tables

Open = Callable[..., EmailProfiles]
Document = Callable[..., dict[str, Any]]

CANARY = "c4n4ry-p4ssw0rd"
BASIC: dict[str, Any] = {
    "name": "plant",
    "smtp": {"hostname": "mail.plant.example", "use_starttls": True},
    "auth": {"mode": "basic", "username": "gateway", "password": CANARY},
}
CLIENT: dict[str, Any] = {
    "name": "entra",
    "client_id": "4711",
    "client_secret": CANARY,
    "token_endpoint": "https://login.example/token",
}
OAUTH: dict[str, Any] = {
    "name": "cloud",
    "smtp": {"hostname": "smtp.example", "use_starttls": True},
    "auth": {"mode": "oauth2", "username": "gateway@plant.example", "client": "entra"},
}


@pytest.fixture
def idle(open_profiles: Open) -> EmailProfiles:
    """A store, and nobody who delivers."""
    return open_profiles(deliver=False)


def password(profiles: EmailProfiles, name: str = "plant") -> str:
    """The profile's password, as its provider would read it."""
    profile = profiles.resolve(name)
    assert profile is not None
    from email_profiles_plugin.secrets import SecretReader

    return SecretReader(profiles.keyring).read(profile.auth["password"])


def change(profiles: EmailProfiles, statement: Any) -> None:
    """What nobody does through the facade."""
    profiles.database.write(lambda connection: connection.execute(statement))


def test_a_document_is_stored_and_resolved(idle: EmailProfiles) -> None:
    """With the defaults filled in, and a secret that only services can read."""
    applied = idle.profiles.apply(BASIC, actor="test")
    profile = idle.resolve("plant")

    assert ("created", 1) == (applied.change, applied.stored.revision)
    assert profile is not None
    assert (25, 10_000, True) == (
        profile.smtp.port,
        profile.smtp.timeout_ms,
        profile.smtp.use_starttls,
    )
    assert CANARY not in repr(profile)
    assert CANARY == password(idle)


def test_every_mistake_is_told_and_nothing_is_stored(idle: EmailProfiles) -> None:
    """Five mistakes, five problems."""
    wrong = {
        "name": "plant",
        "smtp": {"hostname": "", "port": 70000, "use_ssl": "yes", "prot": 1},
        "auth": {"mode": "basic", "password": CANARY},
    }
    with pytest.raises(Invalid) as caught:
        idle.profiles.apply(wrong, actor="test")

    paths = [problem.path for problem in caught.value.problems]
    assert ["$.smtp.hostname", "$.smtp.port", "$.smtp.use_ssl", "$.smtp.prot"] == paths[
        :4
    ]
    assert 5 == len(paths)
    assert CANARY not in str(caught.value)
    assert [] == idle.profiles.list()


def test_applying_the_same_again_changes_nothing(idle: EmailProfiles) -> None:
    """Also where the secret is given in clear: it is compared, not sealed anew."""
    idle.profiles.apply(BASIC, actor="test")

    assert "unchanged" == idle.profiles.apply(BASIC, actor="test").change
    assert 1 == idle.profiles.get("plant").revision


def test_a_stale_revision_is_refused(idle: EmailProfiles) -> None:
    """A write names the revision that it was based on."""
    idle.profiles.apply(BASIC, actor="one", based_on=None)
    idle.profiles.apply({**BASIC, "description": "x"}, actor="one", based_on=1)

    with pytest.raises(StaleRevision):
        idle.profiles.apply({**BASIC, "description": "y"}, actor="two", based_on=1)
    assert "x" == idle.profiles.get("plant").body["description"]


def test_every_change_may_name_its_revision(idle: EmailProfiles) -> None:
    """Create only, secret, rename, delete: a stale one is refused, and changes none."""
    profiles = idle.profiles
    profiles.apply(BASIC, actor="one", based_on=0)
    for change in (
        lambda: profiles.apply({**BASIC, "description": "x"}, actor="two", based_on=0),
        lambda: profiles.set_secret("plant", "password", "x", actor="two", based_on=7),
        lambda: profiles.rename("plant", "other", actor="two", based_on=7),
        lambda: profiles.delete("plant", actor="two", based_on=7),
    ):
        with pytest.raises(StaleRevision):
            change()
    assert 1 == profiles.get("plant").revision

    profiles.set_secret("plant", "password", "x", actor="two", based_on=1)
    profiles.rename("plant", "other", actor="two", based_on=2)
    profiles.delete("other", actor="two", based_on=3)
    assert [] == profiles.list()


def without_password(**smtp: Any) -> dict[str, Any]:
    return {
        "name": "plant",
        "smtp": {**BASIC["smtp"], **smtp},
        "auth": {"mode": "basic", "username": "gateway"},
    }


def test_a_stored_secret_is_kept_when_the_document_leaves_it_out(
    idle: EmailProfiles,
) -> None:
    """A file under version control holds none."""
    idle.profiles.apply(BASIC, actor="test")
    applied = idle.profiles.apply(without_password(timeout_ms=5000), actor="test")

    assert "changed" == applied.change
    assert CANARY == password(idle)


@pytest.mark.parametrize(
    "smtp",
    [
        {"hostname": "evil.example"},
        {"port": 2525},
        {"verify_certificate": False},
        {"use_starttls": False, "use_ssl": True},
    ],
)
def test_a_stored_secret_does_not_follow_to_another_place(
    idle: EmailProfiles, smtp: dict[str, Any]
) -> None:
    """It is dropped, with a warning; a sealed copy of it is refused."""
    idle.profiles.apply(BASIC, actor="test")
    sealed = idle.profiles.export("plant")["auth"]["password"]
    moved = without_password(**smtp)
    with_sealed = {**moved, "auth": {**moved["auth"], "password": sealed}}

    with pytest.raises(Invalid, match="does not follow"):
        idle.profiles.apply(with_sealed, actor="test")
    applied = idle.profiles.apply(moved, actor="test")
    assert any("dropped" in str(problem) for problem in applied.warnings)
    assert "password" not in applied.stored.body["auth"]


def test_a_sealed_value_does_not_open_in_another_profile(idle: EmailProfiles) -> None:
    """Its place is sealed with it."""
    idle.profiles.apply(BASIC, actor="test")
    sealed = idle.profiles.export("plant")["auth"]["password"]
    copy = {**BASIC, "name": "copy", "auth": {**BASIC["auth"], "password": sealed}}

    with pytest.raises(Invalid, match="moved from where it was stored"):
        idle.profiles.apply(copy, actor="test")


def test_an_export_is_what_apply_takes(idle: EmailProfiles) -> None:
    """References and sealed values, never plain ones."""
    idle.profiles.apply(BASIC, actor="test")
    exported = idle.profiles.export("plant")

    assert CANARY not in json.dumps(exported)
    assert "unchanged" == idle.profiles.apply(exported, actor="test").change


def test_set_secret_seals_it(idle: EmailProfiles) -> None:
    """By the field's name, with or without its block."""
    idle.profiles.apply(without_password(), actor="test")
    idle.profiles.set_secret("plant", "password", "one", actor="test")
    assert "one" == password(idle)
    idle.profiles.set_secret("plant", "auth.password", "two", actor="test")
    assert "two" == password(idle)

    with pytest.raises(Invalid, match="no secret"):
        idle.profiles.set_secret("plant", "username", "x", actor="test")


def test_a_profile_needs_its_client(idle: EmailProfiles) -> None:
    """A reference to nothing is a mistake with its place."""
    with pytest.raises(Invalid, match=r"\$\.auth\.client: there is no oauth2 client"):
        idle.profiles.apply(OAUTH, actor="test")
    assert [] == idle.profiles.list()


def test_a_missing_client_is_told_with_the_other_mistakes(
    idle: EmailProfiles,
) -> None:
    """All at once."""
    wrong = {**OAUTH, "smtp": {"hostname": "smtp.example", "port": 0}}
    with pytest.raises(Invalid) as caught:
        idle.profiles.apply(wrong, actor="test")

    paths = {problem.path for problem in caught.value.problems}
    assert {"$.smtp.port", "$.auth.client"} <= paths


def test_renaming_a_client_renames_it_in_its_profiles(idle: EmailProfiles) -> None:
    """And deleting it is refused, with the users' names."""
    idle.clients.apply(CLIENT, actor="test")
    idle.profiles.apply(OAUTH, actor="test")
    idle.clients.rename("entra", "microsoft", actor="test")

    assert "microsoft" == idle.profiles.get("cloud").body["auth"]["client"]
    assert 2 == idle.profiles.get("cloud").revision
    with pytest.raises(InUse, match="cloud"):
        idle.clients.delete("microsoft", actor="test")
    idle.profiles.delete("cloud", actor="test")
    idle.clients.delete("microsoft", actor="test")
    with pytest.raises(NotFound):
        idle.clients.get("microsoft")


def test_a_name_is_taken_once(idle: EmailProfiles) -> None:
    """And has to be one."""
    idle.profiles.apply(BASIC, actor="test")
    idle.profiles.apply({**BASIC, "name": "other"}, actor="test")

    with pytest.raises(NameTaken):
        idle.profiles.rename("plant", "other", actor="test")
    with pytest.raises(Invalid):
        idle.profiles.rename("plant", "a/b", actor="test")
    with pytest.raises(NotFound):
        idle.profiles.rename("nobody", "new", actor="test")


def request(**changes: Any) -> SendRequest:
    given = {
        "profile": "plant",
        "from_address": "gateway@plant.example",
        "to": ["operator@plant.example"],
        **changes,
    }
    return SendRequest(**given)


def test_deleting_a_profile_with_waiting_messages_needs_force(
    idle: EmailProfiles,
) -> None:
    """Which refuses them, with that reason."""
    idle.profiles.apply(BASIC, actor="test")
    receipt = idle.send(request())
    with pytest.raises(InUse, match="messages wait for email profile 'plant': 1"):
        idle.profiles.delete("plant", actor="test")
    idle.profiles.delete("plant", actor="test", force=True)

    outcome = idle.outcome(receipt.id)
    assert outcome is not None
    assert ("refused", "the email profile 'plant' was deleted") == (
        outcome.state,
        outcome.error,
    )


def test_a_profile_is_not_deleted_while_it_sends(idle: EmailProfiles) -> None:
    """Nor by force: the server's answer is still to come."""
    idle.profiles.apply(BASIC, actor="test")
    idle.send(request())
    sending = {"state": "sending", "owner": "a worker"}
    change(idle, update(tables.message).values(sending))

    for force in (False, True):
        with pytest.raises(InUse, match="is being sent just now: try again"):
            idle.profiles.delete("plant", actor="test", force=force)
    assert "plant" == idle.profiles.get("plant").name


def test_a_stored_profile_that_is_broken_stops_nobody_else(
    idle: EmailProfiles, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with it: its mail waits, and the log says so."""
    id = idle.profiles.apply(BASIC, actor="test").stored.id
    for body in ("{}", "no JSON", '{"auth": {"mode": "gone"}, "name": "plant"}'):
        change(idle, update(tables.document).values(body=body))
        assert idle.outbox.delivery.profile(id, "plant") is None

    assert 3 == caplog.text.count("'plant' can't be used")


HALF = "half \ud800"


def test_half_a_character_is_a_mistake_and_no_accident(idle: EmailProfiles) -> None:
    """A lone surrogate can't be stored: wherever it is given, a contract error."""
    idle.profiles.apply(BASIC, actor="test")
    profiles = idle.profiles

    assert idle.resolve(HALF) is None
    with pytest.raises(NotFound):
        profiles.get(HALF)
    with pytest.raises(NotFound):
        profiles.rename(HALF, "new", actor="test")
    for new in (HALF, None):
        with pytest.raises(Invalid, match="1 to 64 characters"):
            profiles.rename("plant", new, actor="test")  # type: ignore[arg-type]
    with pytest.raises(Invalid, match=r"\$\.name: half a character"):
        profiles.apply({**BASIC, "name": HALF}, actor="test")
    with pytest.raises(Invalid, match=r"\$\.description: half a character"):
        profiles.apply({**BASIC, "description": HALF}, actor="test")
    with pytest.raises(Invalid, match="half a character"):
        profiles.embed(BASIC, owner=HALF, actor="test")


def test_who_asks_by_an_old_name_is_told_the_new_one(
    idle: EmailProfiles, smtp_server: Any, profile_document: Document
) -> None:
    """Wherever a name is given; and that it was deleted; nothing of what never was."""
    idle.profiles.apply(profile_document(smtp_server), actor="test")
    idle.profiles.rename("plant", "works", actor="test")
    idle.profiles.rename("works", "site", actor="test")
    report = {"name": "levels", "profile": "works", "from_address": "a@plant.example",
              "to": ["b@plant.example"], "source": {"callable": "x"}}  # fmt: skip
    asked: list[Callable[[], object]] = [
        lambda: idle.send(request()),
        lambda: idle.profiles.get("works"),
        lambda: idle.health("plant"),
        lambda: idle.report_schedules.apply(report, actor="test"),
    ]
    for ask in asked:
        with pytest.raises((NotFound, Invalid), match="it is called 'site' now"):
            ask()
    idle.profiles.delete("site", actor="test")

    assert "it was deleted" == idle.profiles.missing("plant").remedy
    assert "" == idle.profiles.missing("other").remedy
    assert "" == idle.profiles.missing("\ud800").remedy
    idle.profiles.apply(profile_document(smtp_server), actor="test")
    idle.send(request())


def test_a_queued_message_follows_a_rename(
    open_profiles: Open, smtp_server: Any, profile_document: Document
) -> None:
    """Rows refer to the profile by its id."""
    idle = open_profiles(deliver=False)
    idle.profiles.apply(profile_document(smtp_server), actor="test")
    receipt = idle.send(request())
    idle.profiles.rename("plant", "renamed", actor="test")
    idle.start()
    outcome = idle.outcome(receipt.id, wait=10)

    assert outcome is not None
    assert "accepted" == outcome.state


def test_an_embedded_profile_sends_and_is_not_listed(
    email_profiles: EmailProfiles, smtp_server: Any, profile_document: Document
) -> None:
    """A consumer's own settings, sealed, under a name that no user can take."""
    name = email_profiles.profiles.embed(
        profile_document(smtp_server), owner="alarm-7", actor="test"
    )
    receipt = email_profiles.send(request(profile=name))
    outcome = email_profiles.outcome(receipt.id, wait=10)

    assert outcome is not None
    assert "accepted" == outcome.state
    assert [] == email_profiles.profiles.list()
    assert name == email_profiles.profiles.embed(
        profile_document(smtp_server), owner="alarm-7", actor="test"
    )


def test_an_embedded_profile_in_use_is_not_collected(idle: EmailProfiles) -> None:
    """The same settings again put it off; what nobody needs goes with all it had."""
    name = idle.profiles.embed(BASIC, owner="alarm-7", actor="test")
    id = idle.profiles.get(name).id
    row = {**NO_TOKEN, "profile_id": id}

    def age(connection: Any) -> None:
        connection.execute(update(tables.document).values(updated_at=0))
        connection.execute(insert(tables.token).values(row))
        health.refused(connection, id, "no", 0)

    idle.database.write(age)
    with idle.database.read() as connection:
        assert [id] == documents.unneeded(connection, 1)
    idle.profiles.embed(BASIC, owner="alarm-7", actor="test")
    with idle.database.read() as connection:
        assert [] == documents.unneeded(connection, 1)
    assert 1 == idle.profiles.get(name).revision

    idle.database.write(lambda connection: documents.discard(connection, id))
    with idle.database.read() as connection:
        for table in (tables.document, tables.token, tables.health):
            assert 0 == connection.scalar(select(func.count()).select_from(table))


NO_TOKEN: dict[str, Any] = {
    "generation": 0,
    "grant_generation": 0,
    "fingerprint": "",
    "state": "none",
    "scope": "",
    "account": "",
    "has_refresh_token": False,
    "error": "",
    "refresh_started": 0,
    "updated_at": 0,
}


def test_embedded_settings_that_were_collected_meanwhile_are_stored_anew(
    idle: EmailProfiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a look at them and putting off their collection."""
    idle.profiles.embed(BASIC, owner="alarm-7", actor="test")
    touch = documents.touch

    def late(connection: Any, id: str, now: float) -> bool:
        documents.discard(connection, id)
        return touch(connection, id, now)

    monkeypatch.setattr(documents, "touch", late)
    name = idle.profiles.embed(BASIC, owner="alarm-7", actor="test")
    assert idle.resolve(name) is not None


@frozen
class Vault:
    """Trades a key for a token, as a third party would; notes the keys."""

    profile: Profile
    services: Services
    keys: list[str]

    def acquire(self, deadline: float) -> Credential:
        token = self.services.tokens.current(self.fetch, deadline, Timing())
        return Credential(offers=(), generation=token.generation)

    def rejected(self, credential: Credential, reply: Reply) -> bool:
        return False

    def fetch(self, previous: Token | None, deadline: float) -> Token:
        self.keys.append(self.services.secrets.read(self.profile.auth["key"]))
        return Token(access_token="t")


@frozen
class VaultPlugin:
    keys: list[str]

    @hookimpl
    def email_profiles_auth_providers(self) -> list[AuthProvider]:
        key = {"$ref": "urn:email-profiles:secret", "writeOnly": True}
        text = {"type": "string"}
        schema = {"type": "object", "properties": {"key": key, "scope": text}}
        return [
            AuthProvider(
                mode="vault",
                title="Vault",
                schema=schema,
                build=lambda profile, services: Vault(profile, services, self.keys),
            )
        ]


def test_a_trial_of_unsaved_values_leaves_the_stored_token_alone(
    open_profiles: Open, smtp_server_factory: Any, profile_document: Document
) -> None:
    """It has one of its own where it would get another, and keeps none of it."""
    manager, keys = pluggy.PluginManager("email_profiles"), list[str]()
    manager.register(VaultPlugin(keys))
    profiles = open_profiles(plugin_manager=manager, deliver=False)

    server = smtp_server_factory()

    def document(**auth: Any) -> dict[str, Any]:
        return profile_document(server, auth={"mode": "vault", **auth})

    def rows() -> list[Any]:
        with profiles.database.read() as connection:
            return list(connection.execute(select(tables.token)))

    profiles.profiles.apply(document(key="one", scope="mail"), actor="test")
    assert profiles.profiles.test("plant", request()).passed
    before = rows()
    assert (1, ["one"]) == (len(before), keys)

    for trial in (
        document(key="two", scope="mail"),
        document(key="three", scope="more"),
        {**document(key="four"), "name": "another"},
    ):
        assert profiles.profiles.test(trial, request()).passed
    assert ["one", "two", "three", "four"] == keys
    same = {**document(scope="mail"), "description": "as it is stored"}
    assert profiles.profiles.test(same, request()).passed
    assert 4 == len(keys)
    assert before == rows()


@pytest.mark.parametrize("document", [[], None, 7])
def test_a_trial_needs_a_document(document: Any, idle: EmailProfiles) -> None:
    """Anything else is Invalid."""
    with pytest.raises(Invalid):
        idle.profiles.test(document, request())


def test_a_test_message_takes_the_real_way_and_keeps_nothing(
    email_profiles: EmailProfiles, smtp_server: Any, profile_document: Document
) -> None:
    """By name, and by a document that is not saved; the report says which."""
    document = profile_document(smtp_server)
    unsaved = email_profiles.profiles.test(document, request())
    assert (True, False) == (unsaved.passed, unsaved.saved)
    assert [] == email_profiles.profiles.list()

    email_profiles.profiles.apply(document, actor="test")
    saved = email_profiles.profiles.test("plant", request())
    assert (True, True) == (saved.passed, saved.saved)
    assert ("operator@plant.example",) == saved.accepted
    assert smtp_server.messages[-1].queue_id == saved.queue_id
    assert [] == email_profiles.outbox.list()
    assert any("AUTH" in line for line in saved.transcript)


def test_a_trial_of_unsaved_values_does_not_get_the_stored_secret(
    email_profiles: EmailProfiles,
    smtp_server: Any,
    smtp_server_factory: Callable[..., Any],
    profile_document: Document,
) -> None:
    """Only where it would go to the same place as before."""
    email_profiles.profiles.apply(profile_document(smtp_server), actor="test")
    elsewhere = smtp_server_factory(tls="starttls", users=dict(smtp_server.users))
    trial = profile_document(elsewhere)
    del trial["auth"]["password"]
    report = email_profiles.profiles.test(trial, request())

    assert not report.passed
    assert "AUTH" not in elsewhere.commands
    same = profile_document(smtp_server, smtp={"timeout_ms": 9000})
    del same["auth"]["password"]
    assert email_profiles.profiles.test(same, request()).passed


def test_a_failed_test_says_where_and_what_to_do(
    email_profiles: EmailProfiles, smtp_server: Any, profile_document: Document
) -> None:
    """Stage, reason and transcript, without the password."""
    document = profile_document(smtp_server)
    document["auth"]["password"] = CANARY
    report = email_profiles.profiles.test(document, request())

    assert ("AUTH", False) == (report.stage, report.passed)
    assert "535" in report.error
    assert CANARY not in repr(report)


def test_the_trail_says_who_changed_what(idle: EmailProfiles) -> None:
    """And never a value."""
    idle.profiles.apply(BASIC, actor="ann")
    idle.profiles.set_secret("plant", "password", CANARY + "2", actor="bob")
    idle.profiles.rename("plant", "new", actor="cy")
    idle.profiles.delete("new", actor="dan")
    trail = idle.trail()

    assert [
        ("dan", "delete", "new"),
        ("cy", "rename", "new"),
        ("bob", "change", "plant"),
        ("ann", "create", "plant"),
    ] == [(one.actor, one.action, one.subject) for one in trail]
    assert ["auth.password"] == trail[2].detail["changed"]
    assert CANARY not in repr(trail)


def test_keys_are_rotated_and_retired(open_profiles: Open) -> None:
    """All secrets are sealed anew; the old key opens nothing afterwards."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(BASIC, actor="test")
    profiles.clients.apply(CLIENT, actor="test")
    old = profiles.profiles.export("plant")["auth"]["password"]

    assert 2 == profiles.rotate_key()
    assert 1 == profiles.keyring.retire()
    assert old != profiles.profiles.export("plant")["auth"]["password"]
    assert CANARY == password(open_profiles(deliver=False))


def test_keys_may_be_changed_by_several_processes(open_profiles: Open) -> None:
    """Whoever retires them goes by the key file, and loses nobody's secret."""
    here, there = open_profiles(deliver=False), open_profiles(deliver=False)
    here.profiles.apply(BASIC, actor="test")
    there.keyring.seal("p", "x")
    here.keyring.rotate()  # what follows it, sealing anew, did not come about

    assert 1 == there.retire_key()
    assert CANARY == password(open_profiles(deliver=False))
    here.profiles.apply({**BASIC, "name": "other"}, actor="test")
    assert CANARY == password(open_profiles(deliver=False), "other")


def test_no_key_is_retired_while_a_secret_needs_it(open_profiles: Open) -> None:
    """Nor is one of a mode whose plugin is not there, however deep it lies."""
    profiles = open_profiles(deliver=False)
    id = profiles.profiles.apply(BASIC, actor="test").stored.id
    sealed = profiles.keyring.seal(f"{id}#/auth/deep/a~1b", CANARY)

    def become(body: dict[str, Any]) -> None:
        change(profiles, update(tables.document).values(body=json.dumps(body)))

    deep = {"mode": "gone", "deep": {"a/b": {"sealed": sealed}, "c": [1]}}
    become({**BASIC, "auth": deep})
    profiles.rotate_key()
    profiles.retire_key()
    again = profiles.profiles.get("plant").body["auth"]["deep"]["a/b"]["sealed"]
    assert CANARY == profiles.keyring.open(f"{id}#/auth/deep/a~1b", again)

    become({**BASIC, "auth": {"mode": "basic", "password": {"sealed": again}}})
    profiles.keyring.rotate()
    before = profiles.keyring.path.read_text()
    with pytest.raises(SecretError, match="moved"):
        profiles.retire_key()
    assert before == profiles.keyring.path.read_text()


def test_no_plain_secret_is_in_the_database(
    open_profiles: Open, tmp_path: Path
) -> None:
    """Nor in its log beside it."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(BASIC, actor="test")
    profiles.clients.apply(CLIENT, actor="test")
    profiles.profiles.set_secret("plant", "password", CANARY + "!", actor="test")

    found = b"".join(
        path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()
    )
    assert CANARY.encode() not in found


def test_the_store_is_for_its_owner_alone(idle: EmailProfiles, tmp_path: Path) -> None:
    """0700 for the folder, 0600 for the database."""
    assert 0o700 == (tmp_path / "home").stat().st_mode & 0o777
    assert 0o600 == (tmp_path / "home" / "email_profiles.db").stat().st_mode & 0o777


def test_the_migrations_make_the_tables_that_the_code_knows(
    idle: EmailProfiles,
) -> None:
    """And the newest one is the one that is looked for."""
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "email_profiles_plugin.store:migrations")
    config.set_main_option("path_separator", "os")
    assert migrations.HEAD == ScriptDirectory.from_config(config).get_current_head()
    with idle.database.read() as connection:
        context = MigrationContext.configure(connection)
        assert [] == compare_metadata(context, tables.metadata)


def test_a_backup_opens(open_profiles: Open, tmp_path: Path) -> None:
    """With the key beside it, it is the same store."""
    profiles = open_profiles(deliver=False)
    profiles.profiles.apply(BASIC, actor="test")
    profiles.backup(tmp_path / "copy" / "email_profiles.db")
    (tmp_path / "copy" / "key").write_bytes((tmp_path / "home" / "key").read_bytes())
    (tmp_path / "copy" / "key").chmod(0o600)

    assert CANARY == password(open_profiles(home=tmp_path / "copy", deliver=False))


def test_a_database_that_can_not_be_used_is_named(
    open_profiles: Open, tmp_path: Path
) -> None:
    """With what to look at."""
    from email_profiles_hookspecs.errors import StoreUnavailable

    with pytest.raises(StoreUnavailable, match="not a database URL"):
        open_profiles(database="nonsense")
    with pytest.raises(StoreUnavailable, match="not supported"):
        open_profiles(database="mysql://localhost/x")
    (tmp_path / "broken").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_profiles(database=f"sqlite:///{tmp_path / 'broken'}")


def test_a_change_by_id_may_rename(idle: EmailProfiles) -> None:
    """A document is changed and renamed at once, and what refers to it follows."""
    client = idle.clients.apply(CLIENT, actor="test").stored
    idle.profiles.apply(OAUTH, actor="test")
    document = {**client.body, "name": "azure", "description": "new"}

    applied = idle.clients.change(client.id, document, actor="test", based_on=1)

    assert ("azure", 2, "new") == (
        applied.stored.name,
        applied.stored.revision,
        idle.clients.by_id(client.id).body["description"],
    )
    assert "azure" == idle.profiles.get("cloud").body["auth"]["client"]
    assert ["cloud"] == [user.name for user in idle.clients.users(client.id)]
    assert CANARY == idle.keyring.open(
        f"{client.id}#/client_secret", applied.stored.body["client_secret"]["sealed"]
    )


def test_a_change_to_a_name_that_is_taken(idle: EmailProfiles) -> None:
    """A name that another document has is refused, and nothing is changed."""
    stored = idle.profiles.apply(BASIC, actor="test").stored
    idle.profiles.apply({**BASIC, "name": "other"}, actor="test")
    document = {**stored.body, "name": "other", "description": "new"}

    with pytest.raises(NameTaken):
        idle.profiles.change(stored.id, document, actor="test", based_on=1)

    assert stored == idle.profiles.by_id(stored.id)


def test_a_change_of_a_stale_revision(idle: EmailProfiles) -> None:
    """Who read an older revision changes nothing."""
    stored = idle.profiles.apply(BASIC, actor="test").stored
    idle.profiles.apply({**BASIC, "description": "theirs"}, actor="test")

    with pytest.raises(StaleRevision):
        idle.profiles.change(stored.id, BASIC, actor="test", based_on=1)

    assert "theirs" == idle.profiles.by_id(stored.id).body["description"]


def test_a_secret_can_be_given_up(idle: EmailProfiles) -> None:
    """A stored secret that is left out is kept, unless its place is named."""
    stored = idle.profiles.apply(BASIC, actor="test").stored
    left = {"mode": "basic", "username": "gateway"}
    document = {**stored.body, "auth": left, "description": "new"}

    kept = idle.profiles.change(stored.id, document, actor="test", based_on=1)
    gone = idle.profiles.change(
        stored.id, document, actor="test", based_on=2, without=["/auth/password"]
    )

    assert "password" in kept.stored.body["auth"]
    assert left == gone.stored.body["auth"]


def test_an_embedded_document_is_not_changed_by_id(idle: EmailProfiles) -> None:
    """What belongs to a consumer is changed by it alone."""
    name = idle.profiles.embed(BASIC, owner="alarm-1", actor="test")
    stored = idle.profiles.get(name)

    with pytest.raises(NotFound):
        idle.profiles.change(stored.id, BASIC, actor="test", based_on=1)
    with pytest.raises(NotFound):
        idle.profiles.rename(name, "caught", actor="test")
    with pytest.raises(NotFound):
        idle.profiles.delete(name, actor="test")
    with pytest.raises(NotFound):
        idle.profiles.by_id(stored.id)

    assert stored == idle.profiles.get(name)


def test_health_of_several(idle: EmailProfiles) -> None:
    """How several profiles fare is asked at once; also of those never used."""
    stored = idle.profiles.apply(BASIC, actor="test").stored
    idle.profiles.database.write(
        lambda connection: health.refused(connection, stored.id, "no", 1.0)
    )

    found = idle.healths([stored.id, "unknown"])

    assert ("no", "") == (found[stored.id].last_failure, found["unknown"].last_failure)
    assert found[stored.id] == idle.health("plant")
