"""The JSON Schemas of every document that this project reads or writes."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def load(name: str) -> dict[str, Any]:
    """
    The schema called *name*, read anew: `email_profile`, `oauth2_client`, ...

    Raises FileNotFoundError for a name that is none of `names()`.
    """
    source = resources.files(__name__) / f"{name}.schema.json"
    document: dict[str, Any] = json.loads(source.read_text("utf-8"))
    return document


def names() -> tuple[str, ...]:
    """The names of all schemas, sorted."""
    suffix = ".schema.json"
    return tuple(
        sorted(
            source.name.removesuffix(suffix)
            for source in resources.files(__name__).iterdir()
            if source.name.endswith(suffix)
        )
    )
