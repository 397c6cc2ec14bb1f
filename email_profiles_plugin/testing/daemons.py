"""
Servers of the operating system's, run in the foreground and in a private folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

from attrs import define, field

LOOK_EVERY_S = 0.01
STOPPING_S = 20


class ServiceMissing(Exception):
    """What a server needs is not here: a program, or the rights to run it."""


class StartFailed(Exception):
    """A server ended, or did not come up; the message has what it said."""


@define(kw_only=True, eq=False)
class Daemon:
    """
    One program and its children, from `start` to `stop`.

    What it writes goes to a file, never to a pipe: whoever inherits one keeps the
    other end waiting. It has a process group of its own. A watcher tells it to end
    should this process die before `stop`.
    """

    command: list[str]
    output: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _watcher: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, ready: Callable[[], bool], timeout: float = 20) -> None:
        """Run it, and return once it is *ready*; StartFailed otherwise."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        # Not PR_SET_PDEATHSIG: the kernel forgets it when Postfix changes its user.
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", 'read line; kill "$0"', str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self.wait_until(ready, timeout)
        except BaseException:
            self.stop()
            raise

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10) -> None:
        """
        Return once *condition* holds; it is asked again and again.

        StartFailed if the program ends before, TimeoutError after *timeout* seconds.
        """
        assert self._process is not None
        deadline = monotonic() + timeout
        while not condition():
            if monotonic() > deadline:
                raise TimeoutError(f"{self.command[0]}: not in {timeout} s")
            with suppress(subprocess.TimeoutExpired):
                status = self._process.wait(LOOK_EVERY_S)
                said = self.output.read_text("utf-8", "replace")
                raise StartFailed(f"{self.command[0]} ended with {status}: {said}")

    def stop(self) -> None:
        """End it, and whatever it has left behind."""
        if self._process is None:
            return
        if self._watcher is not None:
            with self._watcher:
                self._watcher.kill()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOPPING_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = self._watcher = None


def find_program(name: str) -> str:
    """Where *name* is, also if only root has its folder in PATH; ServiceMissing."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise ServiceMissing(f"{name} is not installed")
    if os.geteuid() != 0:
        raise ServiceMissing(f"only root can run {name}")
    return found


def make_folder(name: str) -> Path:
    """
    A new folder, which others may enter but not list: daemons drop their rights.

    Its path is short, for the sockets in it have room for a hundred characters.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    folder.chmod(0o711)
    return folder


def write_setting(path: Path, text: str) -> None:
    """
    Write a file that a daemon reads once it has dropped its rights.

    It looks old, for Postfix waits till nobody has written to a file for a while.
    """
    path.write_text(text, "utf-8")
    path.chmod(0o644)  # whatever the umask
    os.utime(path, (0, 0))


def choose_ports(count: int) -> list[int]:
    """Ports that nobody uses now; somebody may a moment later."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports
