"""What groups of documents have in common: commands on those with a name."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from . import files, output
from .commands import AS_JSON, Command
from .failures import Failure, Mistakes, failure_of
from .opening import actor, opens_documents

if TYPE_CHECKING:
    from ..profiles import Documents
    from ..store.documents import Stored

NAME = click.argument("name")

LOOPBACK = "http://127.0.0.1"
"""Where `token grant` listens, at any port (RFC 8252, 7.3)."""


@click.command(cls=Command, examples=["{} {name}", "{} {name} --json"])
@NAME
@AS_JSON
@opens_documents
def show(documents: Documents, name: str, as_json: bool) -> None:
    """Print the document NAME; of a secret only where it comes from."""
    stored = documents.get(name)
    masked = shown(documents, stored)
    if as_json:
        output.print_json(masked)
        return
    output.properties([*output.flat(masked), ("revision", stored.revision)])


@click.command(
    cls=Command,
    examples=[
        "{} {name}.json",
        "cat {name}.json | {} -",
        "{} east.json west.json",
    ],
)
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=files.FILE)
@opens_documents
def apply(documents: Documents, paths: tuple[str, ...]) -> None:
    """
    Store the JSON documents in FILE, each under its name.

    A new name is created; one that there is gets these settings, and keeps the
    secrets that the document leaves out. A FILE holds one document or an array of
    them; `-` is standard input. The first document with a mistake ends the command,
    and every mistake in it is told.
    """
    given = files.read_documents(paths)
    if not given:
        raise Failure("nothing stored: there is no document in what was given")
    done: list[str] = []
    for one in given:
        label = _label(one) if len(given) > 1 else ""
        _store(documents, one, label, done)
        done.append(_label(one))


def _store(
    documents: Documents, given: files.Given, label: str, done: Sequence[str]
) -> None:
    from email_profiles_hookspecs.errors import EmailProfilesError, Invalid

    try:
        applied = documents.apply(given.document, actor=actor())
    except EmailProfilesError as error:
        failed = failure_of(error)
        if isinstance(error, Invalid):
            failed = Mistakes(error, label and f"{label}: ")
        if label:
            failed.show()
            before = f"stored before: {', '.join(done)}" if done else "nothing stored"
            failed = Failure(f"stopped at {label}; {before}")
        raise failed from error
    for problem in applied.warnings:
        output.warn(f"{applied.stored.name}: {problem}")
    revision = f"(revision {applied.stored.revision})"
    output.say(f"{applied.stored.name}: {applied.change} {revision}")
    new = applied.change != "unchanged" and documents.kind.name == "oauth2_client"
    if new and needs_registration(applied.stored):
        output.say(f"next: {registration(applied.stored)}")


def needs_registration(client: Stored) -> bool:
    """Whether a person can grant access by this OAuth2 client, in a browser."""
    return bool(client.body.get("authorization_endpoint") or client.body.get("issuer"))


def registration(client: Stored) -> str:
    """What is to be done for that at the authorization server."""
    return (
        f"register the redirect URI {redirect_uri(client)} at the authorization server "
        "(it is for `token grant`, at any port; `email-profiles client show "
        f"{client.name} --base-url URL` has the console's)"
    )


def redirect_uri(stored: Stored, base_url: str = LOOPBACK) -> str:
    """Where an OAuth2 client's browsers come back to under *base_url*; Invalid."""
    from .. import grant_rules

    return grant_rules.redirect_uri(base_url, stored.id)


def _label(given: files.Given) -> str:
    document = given.document
    name = document.get("name") if isinstance(document, Mapping) else None
    return name if isinstance(name, str) and name else given.source


@click.command(
    "set-secret",
    cls=Command,
    examples=["{} {name} FIELD", "vault read ... | {} {name} FIELD"],
)
@NAME
@click.argument("field")
@click.option(
    "--from-file",
    "path",
    type=files.FILE,
    help="Seal the text of a file, such as a private key.",
)
@opens_documents
def set_secret(documents: Documents, name: str, field: str, path: str | None) -> None:
    """
    Seal a secret of NAME: FIELD is `password`, `client_secret`, `private_key`, ...

    Asks for it twice and shows nothing; in a pipe it is the first line of standard
    input.
    """
    documents.get(name)
    value = files.read_text(path).rstrip("\r\n") if path else _asked(field)
    if not value:
        raise Failure(f"no secret was given for {field}")
    applied = documents.set_secret(name, field, value, actor=actor())
    told = {field, f"auth.{field}"}
    for problem in applied.warnings:
        if problem.path.removeprefix("$.") in told | {"certificate"}:
            output.warn(f"{name}: {problem}")
    output.say(f"{name}: {field} set (revision {applied.stored.revision})")


@click.command("unset-secret", cls=Command, examples=["{} {name} FIELD"])
@NAME
@click.argument("field")
@opens_documents
def unset_secret(documents: Documents, name: str, field: str) -> None:
    """Remove the secret FIELD of NAME: what is sealed, or where it is read from."""
    applied = documents.unset_secret(name, field, actor=actor())
    for problem in applied.warnings:
        output.warn(f"{name}: {problem}")
    done = "was not set" if applied.change == "unchanged" else "removed"
    output.say(f"{name}: {field} {done} (revision {applied.stored.revision})")


def _asked(field: str) -> str:
    if not sys.stdin.isatty():
        return files.read_line()
    asked: str = click.prompt(
        field, hide_input=True, confirmation_prompt=True, err=True
    )
    return asked


@click.command(cls=Command, examples=["{} {name} {name}-2"])
@click.argument("old")
@click.argument("new")
@opens_documents
def rename(documents: Documents, old: str, new: str) -> None:
    """Give OLD the name NEW; whatever refers to it goes on doing so."""
    stored = documents.rename(old, new, actor=actor())
    output.say(f"{old}: renamed to {new} (revision {stored.revision})")


@click.command(cls=Command, examples=["{} {name}"])
@NAME
@opens_documents
def delete(documents: Documents, name: str) -> None:
    """Delete the document NAME; not while something uses it."""
    documents.delete(name, actor=actor())
    output.say(f"{name}: deleted")


@click.command(cls=Command, examples=["{} {name} > {name}.json"])
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@opens_documents
def export(documents: Documents, names: tuple[str, ...]) -> None:
    """
    Print the document that `apply` takes; several as an array.

    Secrets in it are sealed, and open in this installation alone, under this name.
    """
    exported = [documents.export(name) for name in names]
    output.print_json(exported if len(exported) > 1 else exported[0])


def full(documents: Documents, stored: Stored) -> dict[str, Any]:
    """The document with the defaults of what it leaves out, its secrets masked."""
    from ..documents import with_defaults

    masked = _masked(documents, stored.body)
    filled: dict[str, Any] = with_defaults(masked, documents.kind.schema(stored.body))
    return filled


def shown(documents: Documents, stored: Stored) -> dict[str, Any]:
    """The document, its secrets masked."""
    return _masked(documents, stored.body)


def _masked(documents: Documents, body: Mapping[str, Any]) -> dict[str, Any]:
    from ..documents import map_secrets

    return map_secrets(body, documents.kind.schema(body), lambda _, secret: _of(secret))


def _of(secret: object) -> str:
    """Where a secret comes from; never the secret."""
    if isinstance(secret, Mapping) and "env" in secret:
        return f"(from the environment variable {secret['env']})"
    if isinstance(secret, Mapping) and "file" in secret:
        return f"(from the file {secret['file']})"
    return "(sealed)"
