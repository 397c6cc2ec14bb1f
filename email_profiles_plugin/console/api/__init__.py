"""The JSON API: everything that the console does, for programs."""

from __future__ import annotations

from ..places import Place
from . import description
from .openapi import OPERATIONS

PLACES: tuple[Place, ...] = (
    *(operation.place for operation in OPERATIONS),
    *description.PLACES,
)
