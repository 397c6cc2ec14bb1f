"""Modules that several tests stand on lie here, and are imported by their names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from console_client import ConsoleServer

    from email_profiles_plugin import EmailProfiles

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def serve_console() -> Iterator[Callable[..., ConsoleServer]]:
    """Serve the console on a facade, with any options of `create_app`."""
    from console_client import ConsoleServer

    with ExitStack() as running:

        def serve(profiles: EmailProfiles, **options: Any) -> ConsoleServer:
            return running.enter_context(ConsoleServer(profiles, **options))

        yield serve


@pytest.fixture
def console(
    open_profiles: Callable[..., EmailProfiles],
    serve_console: Callable[..., ConsoleServer],
) -> ConsoleServer:
    """The console, alone, on an empty store that does not deliver."""
    return serve_console(open_profiles(deliver=False))
