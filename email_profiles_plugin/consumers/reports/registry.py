"""The registry: what a name in a schedule stands for, of what the host can call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

from attrs import field, frozen

from email_profiles_hookspecs.errors import ReportFailed

from .table import Occasion, Table

Source = Callable[[Occasion], Table]
Addressees = Callable[[Occasion], "Table | Iterable[str]"]

SOURCES = "email_profiles.report_sources"
ADDRESSEES = "email_profiles.report_recipients"
"""Entry-point groups: distributions may bring sources and recipients by name."""


@frozen(kw_only=True)
class Registry:
    """
    What the host registered, and before that is missed, what is installed.

    A document only ever names what is here: no module of its choice is imported.
    """

    sources: Mapping[str, Source] = field(factory=dict)
    recipients: Mapping[str, Addressees] = field(factory=dict)

    def source(self, name: str) -> Source:
        """The source of that name; ReportFailed."""
        found: Source = self._found(self.sources, SOURCES, name, "source")
        return found

    def addressees(self, name: str) -> Addressees:
        """Who gives recipients by that name; ReportFailed."""
        found: Addressees = self._found(self.recipients, ADDRESSEES, name, "recipients")
        return found

    def _found(
        self, given: Mapping[str, Any], group: str, name: str, stage: str
    ) -> Any:
        if name in given:
            return given[name]
        installed = {one.name: one for one in entry_points(group=group)}
        if name not in installed:
            known = ", ".join(sorted({*given, *installed})) or "none"
            raise ReportFailed(
                f"nobody registered {name[:80]!r} as {stage}; there are: {known}",
                stage,
                f"register it with the host, or by an entry point of {group}",
            )
        try:
            return installed[name].load()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"[:300]
            raise ReportFailed(f"{name!r} can't be loaded: {said}", stage) from error
