"""
The files by which a Postfix of a test's own is configured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from .daemons import write_setting

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = localhost
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
biff = no
append_dot_mydomain = no
disable_dns_lookups = yes
default_transport = smtp:[127.0.0.1]:{next_hop_port}

# Octets stay as they were sent
local_header_rewrite_clients =
header_checks = regexp:{folder}/header_checks

# A test may do a hundred things wrong, and fast
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_junk_command_limit = 1000
smtpd_client_connection_count_limit = 0
in_flow_delay = 0

# Who is refused is told at once, not at RCPT
smtpd_delay_reject = no
smtpd_sender_restrictions = check_sender_access {refused}
smtpd_recipient_restrictions = check_recipient_access {refused}
smtpd_data_restrictions = check_sender_access inline:{{
    {{ no-data@ = 550 5.7.1 no content from you }} }}
smtpd_relay_restrictions = permit_mynetworks, reject

smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth_socket}
smtpd_sasl_authenticated_header = yes
smtpd_tls_auth_only = yes
smtpd_tls_loglevel = 1
smtpd_tls_ciphers = medium
"""

REFUSED = """inline:{
    { refused@ = 550 5.1.1 nobody here }
    { deferred@ = 450 4.2.0 not now } }"""

HEADER_CHECKS = "/^Subject:.*refuse this content/ REJECT refused as told\n"

MASTER = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
retry unix - - n - - error
error unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
last unix - - n - - error
"""


def write_main(folder: Path, next_hop_port: int, auth_socket: Path | None) -> None:
    """main.cf, and the table that it looks into."""
    text = MAIN.format(
        folder=folder,
        next_hop_port=next_hop_port,
        auth_socket=auth_socket or "none",
        refused=REFUSED,
    )
    write_setting(folder / "main.cf", text)
    write_setting(folder / "header_checks", HEADER_CHECKS)


def write_master(
    folder: Path, services: Iterable[tuple[str, int, Mapping[str, str]]]
) -> None:
    """master.cf: for each of *services* its name, its port and its parameters."""
    lines = []
    for name, port, parameters in services:
        lines.append(f"127.0.0.1:{port} inet n - n - - smtpd\n")
        own = {"syslog_name": f"postfix/{name}", **parameters}
        lines += [f"    -o {{ {key} = {value} }}\n" for key, value in own.items()]
    write_setting(folder / "master.cf", "".join(lines) + MASTER)
