"""`email-profiles profile new`: documents from a preset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from . import documents, output
from .commands import AS_JSON, Command
from .failures import Failure, Mistakes
from .opening import actor, opened

if TYPE_CHECKING:
    from ..presets import Choices, Made, Preset
    from ..profiles import Applied
    from ..runtime import EmailProfiles
    from ..store.documents import Stored


@click.command(
    cls=Command,
    examples=[
        "{}",
        "{} --preset gmail --username alarms@plant.example > gmail.json",
        "{} --preset gmail --document client --client-id 4711 > client.json",
        "{} --preset ses --region eu-west-1 --username AKIA... --apply",
        "{} --preset microsoft365 --no-interactive --tenant plant.example \\",
        "    --username alarms@plant.example --client-id 4711 --apply",
        "{} --preset relay --hostname mail.plant.example --apply",
    ],
)
@click.option("--preset", metavar="PRESET", help="The provider, or relay.")
@click.option("--list", "listing", is_flag=True, help="List the presets.")
@click.option("--name", help="The profile's name; else the preset's.")
@click.option("--username", metavar="USER", help="Who signs in, mostly an address.")
@click.option("--mode", help="The authentication mode, where the preset has several.")
@click.option(
    "--interactive/--no-interactive",
    default=True,
    help="A person grants access (oauth2), or the client's own credentials do.",
)
@click.option("--tenant", help="The tenant's id or domain (Microsoft).")
@click.option("--region", help="The provider's region (ses, zoho, mailgun).")
@click.option("--hostname", metavar="HOST", help="Another mail server.")
@click.option("--port", type=click.IntRange(1, 65535), help="Another port of it.")
@click.option(
    "--client", metavar="NAME", help="The OAuth2 client's name; else the preset's."
)
@click.option("--client-id", metavar="ID", help="The registration's id (oauth2).")
@click.option(
    "--from",
    "from_addresses",
    multiple=True,
    metavar="ADDR",
    help="Send as this address or domain only; may be given again.",
)
@click.option(
    "--document",
    type=click.Choice(["profile", "client"]),
    help="Which document to print; the profile unless told.",
)
@click.option("--apply", "storing", is_flag=True, help="Store them, and print neither.")
@AS_JSON
def new(
    preset: str | None,
    listing: bool,
    document: str | None,
    storing: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """
    Make the documents of a new email profile from what is known of its provider.

    Prints the profile, ready for `profile apply`; with --document client its OAuth2
    client, for `client apply`, which comes first. What only you know is a placeholder
    in capitals. --apply stores both; what a secret is for is set afterwards. Without
    --preset the presets are listed.
    """
    from ..presets import Choices

    if storing and document is not None:
        raise click.UsageError("--apply stores both documents: give no --document.")
    if listing or preset is None:
        _list(as_json)
        return
    found = _find(preset)
    choices = Choices(**options)
    made = _made(found, choices)
    if storing:
        with opened(click.get_current_context()) as facade:
            _store(facade, made, choices, as_json=as_json)
    else:
        _print(found, made, document or "profile")
    for note in made.notes:
        output.note(note)


def _list(as_json: bool) -> None:
    from ..presets import FACTS_OF, PRESETS

    if as_json:
        output.print_json([_entry(preset) for preset in PRESETS])
        return
    output.table(
        ("PRESET", "PROVIDER", "MODES", "SERVER", "PORTS"),
        [
            (
                preset.name,
                preset.title if preset.confirmed else f"{preset.title} (not confirmed)",
                preset.modes,
                preset.hostname.replace("{region}", "REGION"),
                [port.number for port in preset.ports],
            )
            for preset in PRESETS
        ],
    )
    output.note(f"as of {FACTS_OF}")


def _entry(preset: Preset) -> dict[str, object]:
    return {
        "name": preset.name,
        "title": preset.title,
        "aliases": list(preset.aliases),
        "modes": list(preset.modes),
        "hostname": preset.hostname,
        "ports": [
            {"port": one.number, "security": one.security} for one in preset.ports
        ],
        "regions": list(preset.regions),
        "confirmed": preset.confirmed,
    }


def _find(name: str) -> Preset:
    from email_profiles_hookspecs.errors import NotFound

    from ..presets import find, near

    try:
        return find(name)
    except NotFound as error:
        listed = "`email-profiles profile new --list` has them all"
        like = " or ".join(near(name))
        remedy = f"did you mean {like}? {listed}" if like else listed
        raise Failure(str(error), remedy) from error


def _made(preset: Preset, choices: Choices) -> Made:
    """As `make`; what does not go together is told by the options' names."""
    from attrs import evolve, fields_dict

    from email_profiles_hookspecs.errors import Invalid

    from ..presets import Choices, make

    paths = {f"$.{name}": name.replace("_", "-") for name in fields_dict(Choices)}
    try:
        return make(preset, choices)
    except Invalid as error:
        told = [
            evolve(one, path=f"--{paths[one.path]}") if one.path in paths else one
            for one in error.problems
        ]
        raise Mistakes(Invalid(error.what, told)) from error


def _print(preset: Preset, made: Made, document: str) -> None:
    if document == "profile":
        output.print_json(made.profile)
    elif made.client is not None:
        output.print_json(made.client)
    else:
        mode = made.profile["auth"]["mode"]
        raise Failure(f"{preset.title} needs no OAuth2 client with mode {mode}")
    for blank in made.blanks:
        if blank.document == document:
            line = f"write {blank.meaning} for {blank.placeholder} at {blank.path}"
            output.note(line)
    if document == "profile" and made.client is not None:
        output.note("its OAuth2 client is applied first: --document client prints it")


def _store(
    facade: EmailProfiles, made: Made, choices: Choices, *, as_json: bool
) -> None:
    taken = {stored.name: stored for stored in facade.clients.list()}
    name = made.profile["name"]
    if any(stored.name == name for stored in facade.profiles.list()):
        raise Failure(
            f"there is an email profile {name!r} already", "give another --name"
        )
    client, there = made.client, None
    if client is not None:
        there = taken.get(client["name"])
        if there is not None and choices.client_id not in (
            None,
            there.body.get("client_id"),
        ):
            raise Failure(
                f"there is an OAuth2 client {there.name!r} with another id",
                "give another --client",
            )
    _need(made, ("profile",) if there is not None else ("profile", "client"))
    done: dict[str, Any] = {"client": None}
    if there is not None:
        done["client"] = _done(there, "unchanged")
    elif client is not None:
        applied = facade.clients.apply(client, actor=actor())
        _warn(applied, made, "client")
        done["client"] = _done(applied.stored, applied.change)
    applied = facade.profiles.apply(made.profile, actor=actor())
    _warn(applied, made, "profile")
    done["profile"] = _done(applied.stored, applied.change)
    done["next"] = list(_next(facade, made, done["client"]))
    _show(done, there, as_json=as_json)


def _done(stored: Stored, change: str) -> dict[str, Any]:
    return {
        "id": stored.id,
        "name": stored.name,
        "revision": stored.revision,
        "change": change,
    }


def _show(done: dict[str, Any], there: Stored | None, *, as_json: bool) -> None:
    if as_json:
        output.print_json(done)
        return
    for title, key in (("OAuth2 client", "client"), ("email profile", "profile")):
        one = done[key]
        if key == "client" and there is not None:
            output.say(f"{title} {there.name}: is there already, and is used")
        elif one is not None:
            said = f"{one['change']} (revision {one['revision']})"
            output.say(f"{title} {one['name']}: {said}")
    for line in done["next"]:
        output.say(f"next: {line}")


_OPTIONS = {
    "USERNAME": "--username",
    "HOSTNAME": "--hostname",
    "REGION": "--region",
    "TENANT": "--tenant",
    "CLIENT-ID": "--client-id",
}


def _need(made: Made, documents: tuple[str, ...]) -> None:
    """Failure where a placeholder is left in one of *documents*."""
    blanks = [one for one in made.blanks if one.document in documents]
    wanted = {one.placeholder: one.meaning for one in reversed(blanks)}
    if not wanted:
        return
    given = [f"{_OPTIONS[one]} ({what})" for one, what in reversed(wanted.items())]
    raise Failure("nothing stored: not all is given", f"give {', '.join(given)}")


def _warn(applied: Applied, made: Made, document: str) -> None:
    """A secret that is to be set is told among what comes next, not here."""
    pending = {f".{one.field}" for one in made.secrets if one.document == document}
    for problem in applied.warnings:
        if not problem.path.endswith(tuple(pending)):
            output.warn(f"{applied.stored.name}: {problem}")


def _next(
    facade: EmailProfiles, made: Made, client: dict[str, Any] | None
) -> Iterator[str]:
    """What is left to be done, in its order; *client* as it was stored."""
    profile = made.profile["name"]
    stored = facade.clients.get(client["name"]) if client is not None else None
    for secret in made.secrets:
        whose = profile
        if secret.document == "client" and stored is not None:
            if stored.body.get(secret.field) is not None:
                continue
            whose = stored.name
        command = f"{secret.document} set-secret {whose} {secret.field}"
        yield f"`email-profiles {command}`: {secret.meaning}"
    if made.profile["auth"].get("interactive"):
        if stored is not None and client is not None and client["change"] == "created":
            yield documents.registration(stored)
        yield f"`email-profiles token grant {profile}`"
    yield f"`email-profiles profile test {profile} --to ADDR`"
