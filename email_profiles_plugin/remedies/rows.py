"""What a row of the table of remedies says."""

from __future__ import annotations

from attrs import frozen

TOKEN = "token"
"""The stage at which an authorization server speaks."""

REPORTED = "reported by users of other mailers"
"""A row's source where there is no better one."""


@frozen(kw_only=True)
class Row:
    """
    What is said, why, and what to do; whatever is left out may be anything.

    *code* is a reply's (a number), or an authorization server's (a word); *pattern* a
    regular expression without unbounded repetition, in any case; *host* ends the
    authorization server's name. *example* is what such a server says. *confirmed*: a
    standard, the provider, or somebody who was told so says it; else it is a lead.
    """

    cause: str
    remedy: str
    example: str
    stages: tuple[str, ...] = ()
    code: int | str | None = None
    enhanced: str = ""
    pattern: str = ""
    host: str = ""
    source: str
    confirmed: bool = True

    @property
    def weight(self) -> int:
        """More for what tells more: host, text, enhanced status, code, stage."""
        asked = (self.host, self.pattern, self.enhanced, self.code, self.stages)
        return sum(
            bool(one) << bit for one, bit in zip(asked, (4, 3, 2, 1, 0), strict=True)
        )

    @property
    def advice(self) -> str:
        """Cause and remedy in a sentence; the cause alone tells nobody what to do."""
        return f"{self.cause}: {self.remedy}" if self.cause else self.remedy
