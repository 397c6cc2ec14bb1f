"""
Dovecot as the judge of passwords and tokens, on a socket that Postfix can ask.
"""

from __future__ import annotations

import secrets
import shutil
import socket
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import define, field

from .authorization_server import AuthorizationServer
from .daemons import Daemon, find_program, make_folder, write_setting

MECHANISMS = (
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "SCRAM-SHA-256",
    "XOAUTH2",
    "OAUTHBEARER",
)

CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/state
instance_name = {folder.name}
log_path = {folder}/log
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_verbose = yes
auth_failure_delay = 0 secs
auth_username_chars =
auth_username_format = %u
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5 scram-sha-256
  args = username_format=%u {folder}/users/%u
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent allow_all_users=yes
}}
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
service anvil {{
  # or each refusal makes the next one slower, up to 15 s
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""

INTROSPECTION = """\
introspection_mode = post
introspection_url = https://dovecot:{secret}@127.0.0.1:{port}/introspect
tls_ca_cert_file = {folder}/ca.pem
active_attribute = active
active_value = true
username_attribute = email
"""


@define(kw_only=True, eq=False)
class Dovecot:
    """
    Dovecot's authentication service, from `start` to `stop`; a context manager.

    `users` has the password by user name; `add_user` adds to them while it runs.
    Access tokens are looked up at `authorization_server`, where a client `dovecot` is
    registered for that; a token is good for the user that it says it is for. Nothing
    of the machine's own Dovecot is read or changed. `start` raises ServiceMissing
    where Dovecot is not installed, or this is not root.
    """

    authorization_server: AuthorizationServer = field(repr=False)
    users: dict[str, str] = field(factory=dict, repr=False)
    folder: Path = field(init=False)
    """Where it lives while it runs; `log` in it is its log."""
    _daemon: Daemon = field(init=False, repr=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def auth_socket(self) -> Path:
        """For Postfix's `smtpd_sasl_path`."""
        return self.folder / "auth"

    @property
    def log(self) -> str:
        """What it has logged: refusals, with the user and never the password."""
        return (self.folder / "log").read_text("utf-8")

    def start(self) -> None:
        """Run it; it answers when this returns."""
        program = find_program("dovecot")
        self.folder = make_folder("dovecot")
        try:
            self._configure()
            configuration = self.folder / "dovecot.conf"
            self._daemon = Daemon(
                command=[program, "-F", "-c", str(configuration)],
                output=self.folder / "output",
            )
            self._daemon.start(self._answers)
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def stop(self) -> None:
        """End it, and remove its folder."""
        self._daemon.stop()
        shutil.rmtree(self.folder)

    def add_user(self, user: str, password: str) -> None:
        """
        Let a new user in, at once: a name without slash.

        A password that is changed may count a second later: Dovecot looks no sooner.
        """
        encoded = b64encode(password.encode()).decode()
        written = self.folder / "users" / ".new"
        write_setting(written, f"{user}:{{PLAIN.b64}}{encoded}::::::\n")
        written.rename(written.with_name(user))
        self.users[user] = password

    def _configure(self) -> None:
        server, secret = self.authorization_server, secrets.token_urlsafe(24)
        server.register("dovecot", secret)
        texts = {
            "dovecot.conf": CONFIGURATION.format(
                folder=self.folder, mechanisms=" ".join(MECHANISMS).lower()
            ),
            "oauth2.conf": INTROSPECTION.format(
                folder=self.folder, secret=secret, port=server.port
            ),
            "ca.pem": server.ca_file.read_text("utf-8"),
        }
        for name, text in texts.items():
            write_setting(self.folder / name, text)
        (self.folder / "users").mkdir()
        (self.folder / "users").chmod(0o711)
        for user, password in self.users.items():
            self.add_user(user, password)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.settimeout(5)
            client.connect(str(self.auth_socket))
            return bool(client.recv(1))
        return False
