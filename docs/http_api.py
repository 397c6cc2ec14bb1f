"""The reference page on the JSON API, from its operations."""

from __future__ import annotations

import json
from collections.abc import Iterator

from markdown_parts import MADE, table


def http_api() -> Iterator[str]:
    """Every operation by group, with what it takes and answers."""
    from email_profiles_plugin.console.api.openapi import OPERATIONS, by_tag
    from email_profiles_plugin.console.api.operations import MOST, ROOT
    from email_profiles_plugin.console.problems import MEDIA_TYPE, TYPES

    yield "# The JSON API"
    yield MADE
    yield (
        f"All paths are below `{ROOT}`. A console shows the same at `/api`, with the"
        " schemas of its own plugins, and has it as OpenAPI 3.1 at"
        f" `{ROOT}/openapi.json`. [How to use it](../how-to/api.md). What is sent and"
        " answered is JSON; the documents are those in"
        " [Documents and their properties](properties.md), with"
        ' `{"stored": true}` in the place of a secret that is stored.'
    )
    yield (
        f"What is refused is told as problem details (RFC 9457, `{MEDIA_TYPE}`): `type`"
        f" is `{TYPES}` and a word that stays, `detail` a sentence, `problems` every"
        " mistake with `path`, `message` and `remedy`. The [errors](errors.md) of the"
        " contract are told by their own names: StaleRevision as `stale-revision`."
        f" Pages of a list have at most {MOST} entries."
    )
    for tag, operations in by_tag(OPERATIONS):
        yield f"## {tag}"
        yield table(
            ["operation", "role", "what it does"],
            [
                [
                    f"[`{one.method} {one.path}`](#{one.id})",
                    str(one.rule),
                    f"{one.summary}.",
                ]
                for one in operations
            ],
        )
        for one in operations:
            yield from operation(one)


def operation(one: object) -> Iterator[str]:
    """One of them, under a heading that is its id."""
    from email_profiles_plugin.console.api.openapi import problems_of
    from email_profiles_plugin.console.api.operations import Operation

    assert isinstance(one, Operation)
    yield f"### {one.id}"
    yield f"`{one.method} {one.path}`" + (
        f": {one.description}" if one.description else ""
    )
    if one.parameters:
        rows = [
            [f"`{each.name}`", "header" if each.header else "query", each.description]
            for each in one.parameters
        ]
        yield table(["parameter", "in", "meaning"], rows)
    if one.body is not None:
        media = " or ".join(f"`{kind}`" for kind in one.body.types)
        yield f"Body, {media}{'' if one.body.required else ', or none'}; for example:"
        yield f"```json\n{json.dumps(one.body.example, indent=2)}\n```"
    good = [f"{int(each.status)} {each.description}" for each in one.answers]
    refusals = ", ".join(map(str, problems_of(one)))
    yield f"Answers {' '.join(good)} Problem details: {refusals}."
