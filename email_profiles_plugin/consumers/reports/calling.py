"""Calling the host's callables: in a thread that is left behind if it hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from email_profiles_hookspecs.errors import EmailProfilesError, ReportFailed

T = TypeVar("T")

LOOK_S = 0.1
"""Seconds between looks at whether all is to stop."""


class Stopped(Exception):
    """The scheduler was stopped while a report was made."""


def call(
    work: Callable[[], T], seconds: float, stage: str, stopped: threading.Event
) -> T:
    """
    What *work* returns, within *seconds*.

    ReportFailed for what it raises, and when its time is up: it then goes on in its
    thread, which nobody waits for. Stopped when *stopped* is set meanwhile.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # also a host's sys.exit()
            failed.append(error)

    thread = threading.Thread(target=run, name=f"report-{stage}", daemon=True)
    thread.start()
    until = time.monotonic() + seconds
    while thread.is_alive() and (left := until - time.monotonic()) > 0:
        if stopped.is_set():
            raise Stopped
        thread.join(min(left, LOOK_S))
    if failed:
        raise _failure(failed[0], stage) from failed[0]
    if not done:
        raise ReportFailed(
            f"the {stage} took longer than {seconds:.0f} s",
            stage,
            "have it ask for less, or allow a longer time_limit_s",
        )
    return done[0]


def _failure(error: BaseException, stage: str) -> EmailProfilesError:
    if isinstance(error, EmailProfilesError):
        return error
    said = " ".join(str(error).split())[:300]
    kind = type(error).__name__
    return ReportFailed(f"the {stage} failed: {kind}: {said}".removesuffix(": "), stage)
