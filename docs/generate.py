"""
Write the reference pages that follow from the code.

    python docs/generate.py

A test compares the pages with what this makes of the code as it is.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import click

import email_profiles_schemas
from email_profiles_hookspecs import errors, jwt, providers, services, values

sys.path.insert(0, str(Path(__file__).parent))  # also where a test runs this

from http_api import http_api
from known import known_providers, known_refusals
from markdown_parts import MADE, table

Schema = Mapping[str, Any]

REFERENCE = Path(__file__).parent / "reference"

DOCUMENTS = {
    "email_profile": "",
    "auth_basic": "`auth` with `mode` basic: ",
    "auth_oauth2": "`auth` with `mode` oauth2: ",
    "oauth2_client": "",
    "alarm_notification": "",
    "report_schedule": "",
    "send_request": "",
    "secret": "",
}


def properties() -> Iterator[str]:
    """The page on documents: every property, from the schemas."""
    yield "# Documents and their properties"
    yield MADE
    yield (
        "Documents are JSON. A property in **bold** has to be given. `s` and `ms` at"
        " the end of a name are seconds and milliseconds."
    )
    for name, prefix in DOCUMENTS.items():
        schema = email_profiles_schemas.load(name)
        yield f"## {prefix}{schema['title']}"
        yield schema["description"]
        if "properties" in schema:
            yield from property_tables(schema, "")
        else:
            yield table(
                ["given as", "what it is"],
                [[kind["title"], secret_kind(kind)] for kind in schema["oneOf"]],
            )


def secret_kind(kind: Schema) -> str:
    if "properties" not in kind:
        return str(kind["description"])
    ((name, inner),) = kind["properties"].items()
    return f'`{{"{name}": "..."}}`: {inner["description"]}'


def property_tables(schema: Schema, path: str) -> Iterator[str]:
    """A table of the plain properties, then one for each block."""
    rows, blocks = [], []
    for name, one in schema["properties"].items():
        if "properties" in one:
            blocks.append((name, one))
            if one["type"] == "object":
                continue
        if "properties" in one.get("items", {}):
            blocks.append((f"{name}[]", {**one["items"], "title": one["title"]}))
        shown = f"**`{path}{name}`**" if name in schema.get("required", ()) else None
        rows.append(
            [
                shown or f"`{path}{name}`",
                kind_of(one),
                default_of(one),
                f"*{one['title']}.* {one['description']}",
            ]
        )
    if rows:
        yield table(["property", "type", "default", "meaning"], rows)
    for name, block in blocks:
        yield f"### `{path}{name}`: {block['title']}"
        yield block["description"]
        yield from property_tables(block, f"{path}{name}.")


def kind_of(schema: Schema) -> str:
    """The type in a few words, with its bounds or its choices."""
    if "$ref" in schema:
        return "[secret](#secret)"
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = " or ".join(kinds)
    if "items" in schema:
        words += " of " + kind_of(schema["items"])
    if "minimum" in schema and "maximum" in schema:
        words += f", {schema['minimum']} to {schema['maximum']}"
    return words


def default_of(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    return f"`{json.dumps(schema['default'], ensure_ascii=False)}`"


def error_tree() -> Iterator[str]:
    """The page on errors, from their docstrings."""
    yield "# Errors"
    yield MADE
    head, tree, tail = (inspect.getdoc(errors) or "").split("\n\n", 2)
    yield f"{head} They are in `email_profiles_hookspecs.errors`."
    yield f"```\n{inspect.cleandoc(tree)}\n```"
    yield tail.replace("*stage*", "`stage`").replace("*remedy*", "`remedy`")
    classes = [
        [f"`{name}({arguments(one)})`", documentation(one)]
        for name, one in vars(errors).items()
        if inspect.isclass(one) and one.__module__ == errors.__name__
        if not name.startswith("_")
    ]
    yield table(["error", "meaning"], classes)


def arguments(error: type) -> str:
    if error is errors.EmailProfilesError:
        return ""
    parameters = list(inspect.signature(error).parameters.values())
    return ", ".join(
        one.name if one.default is one.empty else f"{one.name}={one.default!r}"
        for one in parameters
    )


def contract_values() -> Iterator[str]:
    """The page on values and protocols, from the contract itself."""
    yield "# Values and protocols"
    yield MADE
    yield (
        "All of `email_profiles_hookspecs`. Values are frozen and take keyword"
        " arguments only. A value marked *hidden* is left out of every repr."
    )
    for module, title in (
        (values, "What is sent, and by what"),
        (providers, "What a provider yields"),
        (services, "What a provider may use"),
    ):
        yield f"## {title}"
        for name, one in vars(module).items():
            if not inspect.isclass(one) or one.__module__ != module.__name__:
                continue
            yield f"### {name}"
            yield documentation(one, whole=True)
            yield fields(one) if attrs.has(one) else "\n".join(members(one))
    yield f"## {documentation(jwt).partition(',')[0]}"
    yield inspect.cleandoc(jwt.__doc__ or "").partition("\n\n")[2]
    for name, one in vars(jwt).items():
        own = inspect.isfunction(one) and one.__module__ == jwt.__name__
        if own and not name.startswith("_"):
            yield f"### jwt.{name}"
            yield f"`{name}{inspect.signature(one)}`".replace("'", "")
            yield documentation(one, whole=True)


def fields(value: type) -> str:
    rows = []
    for one in attrs.fields(value):
        factory = getattr(one.default, "factory", None)
        default = f"`{one.default!r}`"
        if one.default is attrs.NOTHING:
            default = ""
        elif factory is not None:
            default = "`{}`" if factory is dict else f"`{factory.__name__}()`"
        elif callable(one.default):
            default = "nothing to add"
        note = "" if one.repr else " *hidden*"
        rows.append([f"`{one.name}`{note}", f"`{one.type}`", default])
    return table(["field", "type", "default"], rows)


def members(protocol: type) -> Iterator[str]:
    """A protocol's own methods and properties, one line each."""
    for name, one in vars(protocol).items():
        if name.startswith("_"):
            continue
        if isinstance(one, property):
            returned = inspect.signature(one.fget or len).return_annotation
            yield f"- `{name}: {returned}`"
        elif inspect.isfunction(one):
            said = documentation(one)
            signature = str(inspect.signature(one)).replace("'", "")
            signature = signature.replace("(self, ", "(").replace("(self)", "()")
            yield f"- `{name}{signature}`" + (f": {said}" if said else "")


def documentation(thing: object, *, whole: bool = False) -> str:
    text = vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__
    cleaned = inspect.cleandoc(text or "")
    return cleaned if whole else " ".join(cleaned.split("\n\n")[0].split())


def command_line() -> Iterator[str]:
    """The page on commands, from their help."""
    from email_profiles_plugin.cli import main

    yield "# The command line"
    yield MADE
    yield from command_help(main, "email-profiles", None)


def command_help(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[str]:
    """What `--help` says, in words that no release of click changes."""
    context = click.Context(command, parent=parent, info_name=name)
    yield f"## `{context.command_path}`"
    if not isinstance(command, click.Group):
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"```\n{context.command_path} {usage}\n```"
    said = inspect.cleandoc(command.help or "").replace("\b\n", "").split("\f")[0]
    yield said.strip()
    options = [one for one in command.params if isinstance(one, click.Option)]
    if options:
        yield table(["option", "meaning"], [option_row(one) for one in options])
    examples = "\n".join(getattr(command, "examples", ()))
    if examples:
        shown = examples.replace("{}", context.command_path)
        document = getattr(parent and parent.command, "example", "plant-alerts")
        yield f"```\n{shown.replace('{name}', document)}\n```"
    below = command.commands if isinstance(command, click.Group) else {}
    for name, one in below.items():
        yield from command_help(one, name, context)


def option_row(option: click.Option) -> list[str]:
    flag = option.is_flag or option.count
    word = option.metavar or option.type.name.upper()
    if isinstance(option.type, click.Choice):
        word = " or ".join(map(str, option.type.choices))
    notes = ["Has to be given."] if option.required else []
    notes += [f"May be set by `{option.envvar}`."] if option.envvar else []
    notes += [f"Default: {option.default}."] if option.show_default else []
    names = ", ".join(f"`{name}`" for name in option.opts)
    return [
        names if flag else f"{names} `{word}`",
        " ".join([option.help or "", *notes]),
    ]


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "api.md": http_api,
    "cli.md": command_line,
    "errors.md": error_tree,
    "presets.md": known_providers,
    "properties.md": properties,
    "remedies.md": known_refusals,
    "values.md": contract_values,
}


def page(name: str) -> str:
    """The text of a reference page."""
    return "\n\n".join(PAGES[name]()) + "\n"


if __name__ == "__main__":
    for each in PAGES:
        (REFERENCE / each).write_text(page(each), "utf-8")
