"""Documents with a life: stored, changed, renamed, refused, and never leaking."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from email_profiles_hookspecs import SendRequest
from email_profiles_hookspecs.errors import (
    InUse,
    Invalid,
    NameTaken,
    NotFound,
    StaleRevision,
)
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.store import migrations, tables

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
    with idle._database.read() as connection:
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
