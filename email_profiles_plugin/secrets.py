"""Secrets: sealed at rest with a key that this installation owns, read when needed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import define, field
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from email_profiles_hookspecs import SecretRef
from email_profiles_hookspecs.errors import SecretError

try:
    import fcntl
except ImportError:  # Windows has no such locks: keys are changed by one at a time
    fcntl = None  # type: ignore[assignment]

KEY_VARIABLE = "EMAIL_PROFILES_KEY"
"""Holds the keys, newest first, with commas between; replaces the key file."""


@define(eq=False)
class Keyring:
    """
    The keys: the newest seals, all of them open.

    They are in *path* (mode 0600, one a line, made on first use) or in the environment,
    and looked up each time, as another process may change them. A sealed value holds
    its place, and opens in that place alone.
    """

    path: Path
    environment: Mapping[str, str] = field(factory=lambda: os.environ, repr=False)
    _keys: tuple[str, ...] = field(default=(), init=False, repr=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _turn: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def seal(self, place: str, text: str) -> str:
        """*text*, to be opened in *place* only."""
        payload = json.dumps({"place": place, "text": text}).encode()
        return self._usable().encrypt(payload).decode()

    def open(self, place: str, sealed: str) -> str:
        """What was sealed; SecretError in another place, or without its key."""
        try:
            payload = self._usable(make=False).decrypt(sealed.encode())
        except (InvalidToken, UnicodeEncodeError, FileNotFoundError):
            raise SecretError(
                "a sealed secret does not open with this installation's keys",
                f"bring back the key file {self.path}, or type the secret anew",
            ) from None
        opened = json.loads(payload)
        if opened["place"] != place:
            raise SecretError(
                "a sealed secret was moved from where it was stored",
                f"type it anew ({place})",
            )
        text: str = opened["text"]
        return text

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """
        A key of 256 bits for *purpose*, of each key there is, the newest first.

        By HKDF (RFC 5869): whoever learns one learns neither the key nor another.
        """
        self._usable()

        def derive(key: str) -> bytes:
            kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode())
            return kdf.derive(key.encode())

        return tuple(map(derive, self._keys))

    def rotate(self, reseal: Callable[[], int] = lambda: 0) -> int:
        """
        Put a new key first, then let *reseal* seal all secrets anew; what it returns.

        Older keys still open until `retire`.
        """
        self._refuse_environment()
        with self._alone():
            self._write((Fernet.generate_key().decode(), *self._known()))
            return reseal()

    def retire(self, reseal: Callable[[], int] = lambda: 0) -> int:
        """
        Drop all keys but the newest, after *reseal*; how many went.

        None where *reseal* raises.
        """
        self._refuse_environment()
        with self._alone():
            keys = self._known()
            reseal()
            if keys != self._known():
                raise SecretError("the keys were changed meanwhile", "try again")
            if len(keys) > 1:
                self._write(keys[:1])
            return max(len(keys) - 1, 0)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else changes the keys meanwhile, in this process or another."""
        path = self.path.with_name(f"{self.path.name}.lock")
        with self._turn, ExitStack() as held:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                held.callback(os.close, lock)
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                raise SecretError(
                    f"the key file can't be locked by {path}: {error.strerror}"
                ) from error
            yield

    def _known(self) -> tuple[str, ...]:
        """The keys there are, maybe none; what was read last where the file is gone."""
        found = self._read()
        return self._keys if found is None else found

    def _usable(self, *, make: bool = True) -> MultiFernet:
        """All keys; without any a first one is made, or FileNotFoundError raised."""
        found = self._all(make=make)
        try:
            return MultiFernet([Fernet(key) for key in found])
        except ValueError:
            where = KEY_VARIABLE if KEY_VARIABLE in self.environment else self.path
            raise SecretError(f"there is no usable key in {where}") from None

    def _all(self, *, make: bool) -> tuple[str, ...]:
        with self._guard:
            found = self._read()
            if found is None and not (self._keys or make):
                raise FileNotFoundError
            if found is None:
                found = self._keys or self._make()
            self._keys = found
            return found

    def _read(self) -> tuple[str, ...] | None:
        """None where there is no file."""
        text = self.environment.get(KEY_VARIABLE)
        if text is None:
            try:
                with open(self.path, "rb", buffering=0) as file:
                    open_to_others = os.fstat(file.fileno()).st_mode & 0o077
                    text = file.read().decode("ascii")
            except FileNotFoundError:
                return None
            except (OSError, UnicodeDecodeError) as error:
                raise SecretError(f"the key file {self.path}: {error}") from error
            if open_to_others:
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
            raise SecretError(
                f"the secret file {reference.value} can't be read: {why}",
                "let it hold the secret, for whoever sends to read, or type the secret "
                f"anew ({reference.place})",
            ) from error


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
