"""
The process in which an edition is made: bounded, and killed when it takes too long.

Reads a Job from standard input, leaves an Edition, or why there is none, in the job's
folder, and ends when its parent does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import shutil
import sys
import threading
from pathlib import Path

from email_profiles_hookspecs.errors import EmailProfilesError, ReportFailed

from .edition import Edition, Job
from .rules import EXTRA

RESULT = "result"
"""The file with what came of it."""

MOST_OF_A_FILE = 1024**3
"""Octets."""


def main() -> None:
    """What the process does."""
    job: Job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_watch, args=(job.folder,), daemon=True).start()
    _limit(job.memory)
    made = job.folder / f"{RESULT}.new"
    made.write_bytes(pickle.dumps(_outcome(job)))
    made.rename(job.folder / RESULT)


def _watch(folder: Path) -> None:
    """End with the parent: its end of the pipe closes, however it ends."""
    while os.read(0, 1024):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _limit(memory: int) -> None:
    """So much memory and no more; and let others go first."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        for what, most in (
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_FSIZE, MOST_OF_A_FILE),
            (resource.RLIMIT_CORE, 0),
        ):
            _, hard = resource.getrlimit(what)
            if hard != resource.RLIM_INFINITY:
                most = min(most, hard)
            resource.setrlimit(what, (most, hard))
    with contextlib.suppress(AttributeError, OSError):
        os.nice(5)


def _outcome(job: Job) -> Edition | EmailProfilesError:
    from .making import make

    # Libraries tell of fonts and styles that nobody here can do anything about.
    logging.disable(logging.CRITICAL)
    try:
        return make(job)
    except EmailProfilesError as error:
        return error
    except MemoryError:
        most = job.memory // 1024**2
        return ReportFailed(
            f"making the report needs more than {most} MiB of memory",
            "limits",
            "let it have fewer rows, or a simpler template",
        )
    except ImportError as error:
        return ReportFailed(
            f"{error.name} is not installed", "file", f"pip install '{EXTRA}'"
        )
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        return ReportFailed(f"{type(error).__name__}: {said}", "file")
