"""django-oauth-toolkit as a server for tests, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

from email_profiles_plugin.testing import CertificateAuthority

USER, PASSWORD = "anna", "c4n4ry-password"


@define(eq=False)
class Server:
    """django-oauth-toolkit in a process of its own, which ends with its input."""

    process: subprocess.Popen[str]
    issuer: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.issuer = self.read()
        self.tell(user=USER, password=PASSWORD)

    def read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def tell(self, **command: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self.read()

    @property
    def token_requests(self) -> int:
        count: int = self.tell(count="/token/")
        return count


@contextmanager
def running(folder: Path, authority: CertificateAuthority) -> Iterator[Server]:
    """The server, with its database and its certificate in *folder*."""
    authority.write_certificate(folder / "certificate.pem")
    program = Path(__file__).with_name("django_server.py")
    command = [sys.executable, str(program), str(folder), f"{folder}/certificate.pem"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Server(process)
        process.communicate(timeout=30)
