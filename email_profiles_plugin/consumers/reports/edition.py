"""An edition: one report, made for one occasion, before it is mailed."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from .schedule import Method, ReportSchedule
from .spool import Spool
from .table import Occasion


@frozen(kw_only=True)
class File:
    """A file of an edition, in its folder; *name* is what the mail calls it."""

    name: str
    format: str
    path: Path


@frozen(kw_only=True)
class Job:
    """
    What is to be made, in *folder*.

    *spooled* has the rows where a callable gave them; else the source's query is
    asked, with *password*. *formats* and *in_mail* are what is wanted of it.
    """

    schedule: ReportSchedule
    occasion: Occasion
    folder: Path
    spooled: Spool | None
    password: str | None = field(repr=False)
    formats: tuple[str, ...]
    in_mail: bool
    mailed: bool
    """It is to be sent: recipients are asked for, and an empty one may be left out."""
    seconds: float
    memory: int
    """Octets that the process may have."""


@frozen(kw_only=True)
class Edition:
    """
    What was made: the mail's parts, and the files.

    *notes* say what a reader would miss; *html* is the report in the mail, with its
    picture *chart*; *addressees* are those whom a query named, each with its method.
    """

    row_count: int
    notes: tuple[str, ...] = ()
    subject: str = ""
    text: str = ""
    html: str | None = None
    chart: Path | None = None
    files: tuple[File, ...] = ()
    addressees: tuple[tuple[Method, str], ...] = ()
