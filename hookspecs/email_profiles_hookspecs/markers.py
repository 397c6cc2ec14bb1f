"""The two decorators, and the name that ties them together."""

from __future__ import annotations

import pluggy

PROJECT = "email_profiles"
"""Marker project name, and the entry-point group that plugins register in."""

hookspec = pluggy.HookspecMarker(PROJECT)
"""Declares a hook; used by this package alone."""

hookimpl = pluggy.HookimplMarker(PROJECT)
"""Declares an implementation of a hook; what every plugin imports."""
