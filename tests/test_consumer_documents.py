"""The documents of consumers: stored, renamed and deleted as profiles are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from email_profiles_hookspecs.errors import InUse, Invalid
from email_profiles_plugin import EmailProfiles
from email_profiles_plugin.cli import main

PROFILE: dict[str, Any] = {
    "name": "plant-alerts",
    "smtp": {"hostname": "127.0.0.1", "port": 2525},
    "auth": {"mode": "basic"},
}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "alarm_notification": {
        "name": "night-shift",
        "profile": "plant-alerts",
        "from_address": "gateway@plant.example",
        "recipients": ["operator@plant.example"],
    },
    "report_schedule": {"name": "daily-energy", "profile": "plant-alerts"},
}
"""The least that there is of each kind."""

KINDS = pytest.mark.parametrize("kind", DOCUMENTS)


@pytest.fixture
def profiles(open_profiles: Callable[..., EmailProfiles]) -> EmailProfiles:
    """A store with one email profile."""
    opened = open_profiles(deliver=False)
    opened.profiles.apply(PROFILE, actor="test")
    return opened


@KINDS
def test_the_facade_has_each_kind(profiles: EmailProfiles, kind: str) -> None:
    """A kind's documents are to be had by its name, and as an attribute."""
    assert profiles.documents[kind] is getattr(profiles, f"{kind}s")


@KINDS
def test_apply_and_export(profiles: EmailProfiles, kind: str) -> None:
    """What is exported is what was applied; the audit trail says who did."""
    documents = profiles.documents[kind]
    applied = documents.apply(DOCUMENTS[kind], actor="anna")

    assert "created" == applied.change
    assert DOCUMENTS[kind] == documents.export(DOCUMENTS[kind]["name"])
    (entry,) = profiles.trail(subject_id=applied.stored.id)
    assert ("anna", "create", kind) == (entry.actor, entry.action, entry.kind)


@KINDS
def test_every_mistake_is_told(profiles: EmailProfiles, kind: str) -> None:
    """A document with several mistakes gets a sentence for each."""
    wrong = {
        **DOCUMENTS[kind],
        "name": "a/b",
        "enabled": "yes",
        "profil": "x",
        "profile": 4,
    }
    with pytest.raises(Invalid) as refused:
        profiles.documents[kind].apply(wrong, actor="test")

    paths = {problem.path for problem in refused.value.problems}
    assert {"$.name", "$.enabled", "$.profil", "$.profile"} == paths


@KINDS
def test_a_profile_that_is_missing_is_a_mistake(
    profiles: EmailProfiles, kind: str
) -> None:
    """The email profile has to be there first."""
    document = {**DOCUMENTS[kind], "profile": "other"}
    with pytest.raises(Invalid, match="there is no email profile 'other'"):
        profiles.documents[kind].apply(document, actor="test")


@KINDS
def test_a_rename_of_the_profile_is_followed(
    profiles: EmailProfiles, kind: str
) -> None:
    """A document that names a profile names it by its new name from then on."""
    documents, name = profiles.documents[kind], DOCUMENTS[kind]["name"]
    documents.apply(DOCUMENTS[kind], actor="test")
    profiles.profiles.rename("plant-alerts", "alerts", actor="test")

    assert "alerts" == documents.export(name)["profile"]


@KINDS
def test_a_profile_in_use_is_not_deleted(profiles: EmailProfiles, kind: str) -> None:
    """Who uses it is named; once nobody does, it goes."""
    documents, name = profiles.documents[kind], DOCUMENTS[kind]["name"]
    documents.apply(DOCUMENTS[kind], actor="test")
    with pytest.raises(InUse, match=f"is used by {kind.replace('_', ' ')} '{name}'"):
        profiles.profiles.delete("plant-alerts", actor="test")
    documents.delete(name, actor="test")
    profiles.profiles.delete("plant-alerts", actor="test")

    assert [] == profiles.profiles.list()


@pytest.mark.parametrize(
    ("group", "kind"), [("alarm", "alarm_notification"), ("report", "report_schedule")]
)
def test_the_command_line_has_a_group_for_each(
    tmp_path: Path, group: str, kind: str
) -> None:
    """Apply, list, show, rename, export and delete, as of a profile."""

    def run(*words: str, input: str | None = None) -> str:
        given = ["--home", str(tmp_path / "home"), "--no-plugins", *words]
        result = CliRunner().invoke(main, given, input=input, catch_exceptions=False)
        assert 0 == result.exit_code, result.output
        return result.output

    document = {**DOCUMENTS[kind], "name": "first"}
    run("profile", "apply", "-", input=json.dumps(PROFILE))
    applied = run(group, "apply", "-", input=json.dumps(document))
    (listed,) = json.loads(run(group, "list", "--json"))
    table = run(group, "list")
    renamed = run(group, "rename", "first", "second")
    exported = json.loads(run(group, "export", "second"))
    shown = json.loads(run(group, "show", "second", "--json"))
    deleted = run(group, "delete", "second")

    assert "first: created (revision 1)\n" == applied
    assert ("first", "plant-alerts", True) == (
        listed["name"],
        listed["profile"],
        listed["enabled"],
    )
    assert "plant-alerts" in table
    assert "first: renamed to second (revision 2)\n" == renamed
    assert {**document, "name": "second"} == exported == shown
    assert "second: deleted\n" == deleted
    assert "[]" == run(group, "list", "--json").strip()


@KINDS
def test_the_schema_is_printed(tmp_path: Path, kind: str) -> None:
    """`schema` knows every kind."""
    given = ["--home", str(tmp_path / "home"), "--no-plugins", "schema", kind]
    result = CliRunner().invoke(main, given, catch_exceptions=False)

    assert {"name", "profile"} <= set(json.loads(result.output)["properties"])
