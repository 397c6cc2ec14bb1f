"""The reference pages on what is known of others: presets, and what servers say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markdown_parts import MADE, table


def known_providers() -> Iterator[str]:
    """The page on presets, from the catalogue."""
    from email_profiles_plugin import presets

    yield "# Presets"
    yield MADE
    yield (
        f"What `email-profiles profile new` knows of providers, as of"
        f" {presets.FACTS_OF}. [How to use them](../how-to/presets.md)."
    )
    rows = [[f"[`{one.name}`](#{one.name})", one.title] for one in presets.PRESETS]
    yield table(["preset", "provider"], rows)
    for one in presets.PRESETS:
        yield f"## {one.name}"
        yield f"{one.title}." + ("" if one.confirmed else " **Not confirmed.**")
        yield table(["what", "value"], [list(row) for row in provider_rows(one)])
        for kind, lines in (("To know", one.notes), ("Not confirmed", one.leads)):
            if lines:
                yield f"{kind}:"
                yield "\n".join(f"- {line}" for line in lines)
        if one.sources:
            yield f"Sources: {', '.join(one.sources)}."


def provider_rows(one: Any) -> Iterator[tuple[str, str]]:
    """What a preset sets, and what it wants."""
    yield "hostname", f"`{one.hostname.replace('{region}', 'REGION')}`"
    yield "ports", ", ".join(map(str, one.ports))
    if one.regions:
        yield "regions", ", ".join(f"`{region}`" for region in one.regions)
    yield "modes", ", ".join(one.modes)
    if one.aliases:
        yield "also called", ", ".join(f"`{alias}`" for alias in one.aliases)
    if "basic" in one.modes:
        yield "username", f"`{one.username}`" if one.username else one.username_is
        yield "password", one.password_is
    if one.basic_ended:
        yield "basic authentication", one.basic_ended
    if one.access is not None:
        server, access = one.access.server, one.access
        granted = " ".join(filter(None, (access.scopes[0], access.offline)))
        yield "authorization server", server.name
        yield "scope, interactive", f"`{granted}`"
        if access.application_scopes:
            yield "scope, not interactive", f"`{access.application_scopes[0]}`"
        params = access.authorization_params.items()
        if params:
            yield "authorization_params", ", ".join(f"`{k}={v}`" for k, v in params)
    for name, most in one.limits.items():
        yield f"limits.{name}", str(most)


def known_refusals() -> Iterator[str]:
    """The page on what servers say, from the table of remedies."""
    from email_profiles_plugin import remedies

    yield "# Refusals and their remedies"
    yield MADE
    yield (
        "What servers are known to say, why, and what to do: the same words stand in"
        " errors, in `outbox show`, `profile test`, `client test` and `token status`."
        " Where several rows fit, the one that asks for most decides. A row marked"
        " with * is what others report, without a confirmation by the provider."
    )
    for title, token in (("Mail servers", False), ("Authorization servers", True)):
        rows = [one for one in remedies.ROWS if (remedies.TOKEN in one.stages) == token]
        yield f"## {title}"
        yield table(
            ["said", "for example", "cause", "remedy"],
            [
                [said(one), one.example, one.cause, star(one) + one.remedy]
                for one in rows
            ],
        )


def said(row: Any) -> str:
    """What a row asks for, but for the words."""
    at = [] if row.stages == ("token",) else list(row.stages)
    number = " ".join(filter(None, (str(row.code or ""), row.enhanced)))
    words = [f"`{number}`"] if number else []
    words += [f"at {', '.join(at)}"] if at else []
    words += [f"from {row.host}"] if row.host else []
    return " ".join(words)


def star(row: Any) -> str:
    return "" if row.confirmed else "\\* "
