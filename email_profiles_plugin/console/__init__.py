"""The console: Email Settings in the browser, and a JSON API of the same actions."""

from .access import Role, User
from .application import create_app

__all__ = ["Role", "User", "create_app"]
