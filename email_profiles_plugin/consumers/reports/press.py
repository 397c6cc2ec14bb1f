"""The press: has editions made in processes of their own, and ends those that hang."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field

from email_profiles_hookspecs.errors import EmailProfilesError, ReportFailed

from .calling import Stopped
from .edition import Edition, Job

log = logging.getLogger(__name__)

MEMORY = 2 * 1024**3
"""Octets that the making of a report may have."""

_START = "import sys; sys.path[:] = {path!r}; from {module} import main; main()"
_RESULT = "result"


@define(eq=False)
class Press:
    """
    Makes editions, several at once if it is asked by several threads.

    A process per edition costs most of a second, and buys that no template and no
    query can hold up the host, or take its memory. *python* is what runs it.
    """

    python: str = field(factory=lambda: sys.executable)
    stopped: threading.Event = field(factory=threading.Event, init=False)
    _running: set[subprocess.Popen[bytes]] = field(factory=set, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def make(self, job: Job) -> Edition:
        """The edition; ReportFailed, also when its time is up; Stopped."""
        errors = job.folder / "errors"
        with open(errors, "wb") as said:
            process = self._started(said)
        try:
            self._work(process, job)
        finally:
            process.kill()
            process.wait()
            with self._guard:
                self._running.discard(process)
            with suppress(BrokenPipeError):
                process.communicate()
        if self.stopped.is_set():
            raise Stopped
        return self._result(job, process.returncode, errors)

    def stop(self) -> None:
        """End all that is being made; nothing is made from now on."""
        with self._guard:
            self.stopped.set()
            for process in self._running:
                process.kill()

    def _started(self, said: Any) -> subprocess.Popen[bytes]:
        module = f"{__package__}.printing"
        with self._guard:
            if self.stopped.is_set():
                raise Stopped
            process = subprocess.Popen(
                [self.python, "-c", _START.format(path=sys.path, module=module)],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                env=_environment(),
            )
            self._running.add(process)
            return process

    def _work(self, process: subprocess.Popen[bytes], job: Job) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(pickle.dumps(job))
            process.stdin.flush()  # and left open: it ends when this closes
            process.wait(job.seconds)
        except BrokenPipeError:
            process.wait()
        except subprocess.TimeoutExpired:
            raise ReportFailed(
                f"making the report took longer than {job.seconds:.0f} s",
                "limits",
                "ask for less, or allow a longer time_limit_s",
            ) from None

    def _result(self, job: Job, code: int | None, errors: Path) -> Edition:
        try:
            outcome: Edition | EmailProfilesError = pickle.loads(
                (job.folder / _RESULT).read_bytes()
            )
        except (OSError, pickle.UnpicklingError, EOFError):
            said = errors.read_text("utf-8", "replace").strip()
            log.debug("the process that makes a report said: %s", said)
            last = said.rpartition("\n")[2][:300]
            raise ReportFailed(
                f"the process that makes it ended ({code}): {last}".removesuffix(": "),
                "limits",
            ) from None
        if isinstance(outcome, EmailProfilesError):
            raise outcome
        return outcome


def _environment() -> dict[str, str]:
    """
    As here, but for what is ours: secrets may be in it.

    One thread does arithmetic, as each would take address space.
    """
    ours = "EMAIL_PROFILES_"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
