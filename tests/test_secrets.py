"""Secrets: sealed in their place, with a key that can be changed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from email_profiles_hookspecs import SecretRef
from email_profiles_hookspecs.errors import SecretError
from email_profiles_plugin.secrets import KEY_VARIABLE, Keyring, SecretReader

KEY = Fernet.generate_key().decode()


def ring(path: Path) -> Keyring:
    return Keyring(path / "key", environment={})


@given(st.text(), st.text())
def test_what_is_sealed_opens_in_its_place_alone(place: str, text: str) -> None:
    """A sealed value that was copied to another document is refused."""
    keyring = Keyring(Path("unused"), environment={KEY_VARIABLE: KEY})
    sealed = keyring.seal(place, text)

    assert text == keyring.open(place, sealed)
    with pytest.raises(SecretError, match="moved"):
        keyring.open(place + "x", sealed)


def test_the_key_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 0600, on first use; the same key afterwards."""
    sealed = ring(tmp_path).seal("p", "secret")

    assert 0o600 == stat.S_IMODE((tmp_path / "key").stat().st_mode)
    assert "secret" == ring(tmp_path).open("p", sealed)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """With what to do about it."""
    ring(tmp_path).seal("p", "secret")
    (tmp_path / "key").chmod(0o644)

    with pytest.raises(SecretError, match="chmod 600"):
        ring(tmp_path).seal("p", "secret")


def test_another_installation_does_not_open_it(tmp_path: Path) -> None:
    """Each has its own key."""
    sealed = ring(tmp_path / "a").seal("p", "secret")

    with pytest.raises(SecretError, match="does not open"):
        ring(tmp_path / "b").open("p", sealed)


def test_rotation_keeps_old_values_open_until_the_old_key_retires(
    tmp_path: Path,
) -> None:
    """The newest key seals; retiring drops the others."""
    keyring = ring(tmp_path)
    old = keyring.seal("p", "secret")
    keyring.rotate()
    new = keyring.seal("p", "secret")

    assert "secret" == keyring.open("p", old)
    assert 1 == keyring.retire()
    assert "secret" == keyring.open("p", new)
    with pytest.raises(SecretError):
        keyring.open("p", old)


def test_a_process_notices_that_another_one_rotated(tmp_path: Path) -> None:
    """A value that does not open makes it read the key file once more."""
    here, there = ring(tmp_path), ring(tmp_path)
    here.seal("p", "x")
    there.rotate()
    there.retire()

    assert "secret" == here.open("p", there.seal("p", "secret"))


def test_no_key_seals_that_another_process_retired(tmp_path: Path) -> None:
    """The key file is looked at before each use, not once."""
    here, there = ring(tmp_path), ring(tmp_path)
    here.seal("p", "x")
    there.rotate()
    there.retire()

    assert "secret" == there.open("p", here.seal("p", "secret"))


def test_the_key_that_stays_is_the_newest_in_the_file(tmp_path: Path) -> None:
    """Also where another process made it; what is sealed anew is so by that one."""
    here, there = ring(tmp_path), ring(tmp_path)
    values = [here.seal("p", "secret")]
    there.rotate()

    def reseal() -> int:
        values.append(here.seal("p", here.open("p", values[0])))
        return 1

    assert 1 == here.retire(reseal)
    assert "secret" == ring(tmp_path).open("p", values[1])


def test_no_key_goes_while_something_needs_it(tmp_path: Path) -> None:
    """What can't be sealed anew keeps all keys where they are."""
    keyring = ring(tmp_path)
    old = keyring.seal("p", "secret")
    keyring.rotate()

    def reseal() -> int:
        raise SecretError("one does not open")

    with pytest.raises(SecretError):
        keyring.retire(reseal)
    assert "secret" == ring(tmp_path).open("p", old)


def test_keys_are_changed_by_one_at_a_time(tmp_path: Path) -> None:
    """From reading the file till all is sealed anew, over processes."""
    fcntl = pytest.importorskip("fcntl")
    refused: list[bool] = []

    def reseal() -> int:
        with open(tmp_path / "key.lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                refused.append(True)
        return 7

    assert 7 == ring(tmp_path).rotate(reseal)
    ring(tmp_path).retire(reseal)
    assert [True, True] == refused


def test_a_key_file_that_is_gone_is_not_replaced_by_a_stranger(tmp_path: Path) -> None:
    """Who has read it goes on with it, and brings it back with the next rotation."""
    keyring = ring(tmp_path)
    old = keyring.seal("p", "secret")
    (tmp_path / "key").unlink()

    assert "secret" == keyring.open("p", old)
    keyring.rotate()
    assert "secret" == ring(tmp_path).open("p", old)


def test_keys_from_the_environment_are_not_rotated_here(tmp_path: Path) -> None:
    """Whoever set them has to."""
    keyring = Keyring(tmp_path / "key", environment={KEY_VARIABLE: KEY})

    with pytest.raises(SecretError, match=KEY_VARIABLE):
        keyring.rotate()
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize("text", ["", "nonsense", "ä"])
def test_a_broken_key_is_an_error_that_does_not_show_it(
    tmp_path: Path, text: str
) -> None:
    """It names where the key comes from."""
    keyring = Keyring(tmp_path / "key", environment={KEY_VARIABLE: text})

    with pytest.raises(SecretError, match=f"no usable key in {KEY_VARIABLE}"):
        keyring.seal("p", "secret")


def test_secrets_are_read_where_they_are_kept(tmp_path: Path) -> None:
    """Plain, sealed, in the environment, in a file without its final line end."""
    keyring = ring(tmp_path)
    (tmp_path / "file").write_text("from file\n")
    reader = SecretReader(keyring, environment={"NAME": "from environment"})

    def read(kind: str, value: str) -> str:
        return reader.read(SecretRef(kind=kind, place="p", value=value))  # type: ignore[arg-type]

    assert "plain" == read("plain", "plain")
    assert "sealed" == read("sealed", keyring.seal("p", "sealed"))
    assert "from environment" == read("env", "NAME")
    assert "from file" == read("file", str(tmp_path / "file"))


def test_a_secret_that_is_not_there_is_named(tmp_path: Path) -> None:
    """What is missing, never a value."""
    reader = SecretReader(ring(tmp_path), environment={})

    with pytest.raises(SecretError, match="NAME is not set"):
        reader.read(SecretRef(kind="env", place="p", value="NAME"))
    with pytest.raises(SecretError, match="nowhere"):
        reader.read(SecretRef(kind="file", place="p", value=str(tmp_path / "nowhere")))


def test_nothing_secret_is_in_a_repr(tmp_path: Path) -> None:
    """Neither a key, nor a reference's value, nor the environment."""
    keyring = Keyring(tmp_path / "key", environment={KEY_VARIABLE: KEY})
    keyring.seal("p", "secret")
    shown = repr(keyring) + repr(SecretReader(keyring, {"A": "canary"}))
    shown += repr(SecretRef(kind="plain", place="p", value="canary"))

    assert KEY not in shown
    assert "canary" not in shown


def test_a_key_that_is_gone_is_not_replaced_by_whoever_reads(tmp_path: Path) -> None:
    """A new file in its place would send the operator looking elsewhere."""
    sealed = ring(tmp_path).seal("p", "secret")
    (tmp_path / "key").unlink()

    with pytest.raises(SecretError, match="bring back the key file"):
        ring(tmp_path).open("p", sealed)
    assert not (tmp_path / "key").exists()
