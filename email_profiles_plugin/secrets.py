"""Secrets: sealed at rest with a key that this installation owns, read when needed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from attrs import define, field
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from email_profiles_hookspecs import SecretRef
from email_profiles_hookspecs.errors import SecretError

KEY_VARIABLE = "EMAIL_PROFILES_KEY"
"""Holds the keys, newest first, with commas between; replaces the key file."""


@define(eq=False)
class Keyring:
    """
    The keys: the newest seals, all of them open.

    They are in *path* (mode 0600, one a line, made on first use) or in the environment.
    A sealed value holds its place, and opens in that place alone.
    """

    path: Path
    environment: Mapping[str, str] = field(factory=lambda: os.environ, repr=False)
    _keys: tuple[str, ...] = field(default=(), init=False, repr=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def seal(self, place: str, text: str) -> str:
        """*text*, to be opened in *place* only."""
        payload = json.dumps({"place": place, "text": text}).encode()
        return self._fernet(self._loaded()).encrypt(payload).decode()

    def open(self, place: str, sealed: str) -> str:
        """What was sealed; SecretError in another place, or without its key."""
        try:
            payload = self._fernet(self._loaded()).decrypt(sealed.encode())
        except InvalidToken:
            payload = self._after_rereading(sealed)
        opened = json.loads(payload)
        if opened["place"] != place:
            raise SecretError(
                "a sealed secret was moved from where it was stored",
                f"type it anew ({place})",
            )
        text: str = opened["text"]
        return text

    def rotate(self) -> None:
        """Put a new key first; older ones still open until `retire`."""
        with self._guard:
            self._refuse_environment()
            self._keys = (Fernet.generate_key().decode(), *(self._read() or ()))
            self._write(self._keys)

    def retire(self) -> int:
        """Drop all keys but the newest; how many went."""
        with self._guard:
            self._refuse_environment()
            keys = self._read() or ()
            self._keys = keys[:1]
            if len(keys) > 1:
                self._write(self._keys)
            return max(len(keys) - 1, 0)

    def _after_rereading(self, sealed: str) -> bytes:
        """Another process may have rotated: read the keys once more."""
        with self._guard:
            self._keys = self._read() or ()
        try:
            return self._fernet(self._keys).decrypt(sealed.encode())
        except (InvalidToken, ValueError):
            raise SecretError(
                "a sealed secret does not open with this installation's keys",
                f"bring back the key file {self.path}, or type the secret anew",
            ) from None

    def _loaded(self) -> tuple[str, ...]:
        with self._guard:
            if not self._keys:
                found = self._read()
                self._keys = self._make() if found is None else found
            return self._keys

    def _read(self) -> tuple[str, ...] | None:
        text = self.environment.get(KEY_VARIABLE)
        if text is None:
            try:
                text = self.path.read_text("ascii")
            except FileNotFoundError:
                return None
            except (OSError, UnicodeDecodeError) as error:
                raise SecretError(f"the key file {self.path}: {error}") from error
            if self.path.stat().st_mode & 0o077:
                raise SecretError(
                    f"the key file {self.path} can be read by others",
                    "chmod 600 it, and rotate the key",
                )
        return tuple(text.replace(",", " ").split())

    def _make(self) -> tuple[str, ...]:
        """The first key; where another process was sooner, that one's."""
        key = Fernet.generate_key().decode()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = self.path.with_name(f"{self.path.name}.{os.getpid()}")
            _write_private(made, f"{key}\n")
            try:
                os.link(made, self.path)
            except FileExistsError:
                return self._read() or ()
            finally:
                made.unlink()
        except OSError as error:
            raise SecretError(
                f"the key file {self.path} can't be made: {error.strerror}"
            ) from error
        return (key,)

    def _write(self, keys: tuple[str, ...]) -> None:
        made = self.path.with_name(f"{self.path.name}.new")
        try:
            _write_private(made, "".join(f"{key}\n" for key in keys))
            made.replace(self.path)
        except OSError as error:
            raise SecretError(
                f"the key file {self.path} can't be written: {error.strerror}"
            ) from error

    def _refuse_environment(self) -> None:
        if KEY_VARIABLE in self.environment:
            raise SecretError(
                f"the keys come from {KEY_VARIABLE}",
                "put a new key before the others there",
            )

    def _fernet(self, keys: tuple[str, ...]) -> MultiFernet:
        try:
            return MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            where = KEY_VARIABLE if KEY_VARIABLE in self.environment else self.path
            raise SecretError(f"there is no usable key in {where}") from None


@define(eq=False)
class SecretReader:
    """Reads secrets where they are kept: sealed here, in a file, in the environment."""

    keyring: Keyring
    environment: Mapping[str, str] = field(factory=lambda: os.environ, repr=False)

    def read(self, reference: SecretRef) -> str:
        """The secret, as it is now; a final line end in a file is not part of it."""
        if reference.kind == "plain":
            return reference.value
        if reference.kind == "sealed":
            return self.keyring.open(reference.place, reference.value)
        if reference.kind == "env":
            found = self.environment.get(reference.value)
            if found is None:
                raise SecretError(
                    f"the environment variable {reference.value} is not set",
                    f"set it, or type the secret anew ({reference.place})",
                )
            return found
        try:
            return Path(reference.value).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SecretError(f"the secret file {reference.value}: {why}") from error


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
