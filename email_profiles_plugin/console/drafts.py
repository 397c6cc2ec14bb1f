"""Drafts: a document as a form holds it, before it is saved."""

from __future__ import annotations

import json
from typing import Any

from email_profiles_hookspecs import Problem
from email_profiles_hookspecs.errors import Invalid

from ..store.documents import Stored
from .calls import Call


def document_of(call: Call, stored: Stored | None) -> dict[str, Any]:
    """
    The document in the form that came, of *stored* or of one that is new; Invalid.

    Secrets that were left empty are not in it: what is stored is kept where it may be.
    """
    try:
        found = json.loads(call.form.get("document", ""))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        problem = Problem(path="$", message="there is no document in the form")
        raise Invalid("document", [problem])
    return found
