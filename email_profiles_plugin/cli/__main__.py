"""`python -m email_profiles_plugin.cli`: the same as `email-profiles`."""

from __future__ import annotations

from . import main

if __name__ == "__main__":
    main(prog_name="email-profiles")
