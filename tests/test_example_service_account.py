"""The example distribution, installed from its own folder: a mode new to the core."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from email_profiles_plugin.testing import AuthorizationServer, SmtpServer

EXAMPLE = Path(__file__).parents[1] / "examples" / "service-account"
MODULE = EXAMPLE / "email_profiles_service_account" / "__init__.py"
BUILD = "from setuptools import build_meta; build_meta.build_wheel('dist')"
ROBOT = "mailer@plant-1234.iam.example"
MAILBOX = "gateway@plant.example"
PLUGIN = "email_profiles_plugin.testing.pytest_plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the example, as `pip install --target` makes it."""
    place = tmp_path_factory.mktemp("example")
    aside = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".*")
    shutil.copytree(EXAMPLE, place / "tree", ignore=aside)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD],
        cwd=place / "tree",
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (place / "tree" / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place / "site")
    return place / "site"


@frozen
class Machine:
    """Where the example is installed beside the core, and nothing else."""

    environment: Mapping[str, str]
    folder: Path

    def run(self, *words: str, code: int = 0) -> str:
        """What `email-profiles` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "email_profiles_plugin.cli", *words],
            env=dict(self.environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert "-----BEGIN" not in done.stdout + done.stderr
        assert code == done.returncode, done.stdout + done.stderr
        return done.stdout + done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def apply(self, document: Mapping[str, Any], code: int = 0) -> str:
        path = self.folder / "profile.json"
        path.write_text(json.dumps(document), "utf-8")
        return self.run("profile", "apply", str(path), code=code)


@pytest.fixture
def machine(installed: Path, tmp_path: Path) -> Machine:
    paths = [str(installed), *(path for path in sys.path if path)]
    environment = {
        **os.environ,
        "EMAIL_PROFILES_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(paths),
        "COLUMNS": "200",
    }
    environment.pop("EMAIL_PROFILES_PLUGINS", None)
    return Machine(environment, tmp_path)


@pytest.fixture
def document(
    smtp_server_factory: Callable[..., SmtpServer],
    authorization_server: AuthorizationServer,
    profile_document: Callable[..., dict[str, Any]],
) -> dict[str, Any]:
    """A profile of the mode; both servers know the robot."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    authorization_server.register(ROBOT, public_key=public)
    server = smtp_server_factory(
        tls="starttls", accept_token=authorization_server.accepts
    )
    auth = {
        "mode": "service_account",
        "username": MAILBOX,
        "issuer": ROBOT,
        "private_key": private.decode(),
        "token_uri": authorization_server.token_endpoint,
        "ca_file": str(authorization_server.ca_file),
    }
    return profile_document(server, auth=auth)


SEND = ("send", "--profile", "plant", "--from", MAILBOX, "--to", "b@plant.example")


def test_it_sends(
    machine: Machine,
    document: dict[str, Any],
    authorization_server: AuthorizationServer,
) -> None:
    """Found, applied, sent by; one token for two messages, which can be managed."""
    (found,) = [one for one in machine.json("plugins") if "service" in one["name"]]
    machine.apply(document)
    before = machine.json("token", "status", "plant")
    for _ in range(2):
        assert "accepted" == machine.json(*SEND, "--text", "92 %")["state"]
    during = machine.json("token", "status", "plant")
    after = machine.json("token", "refresh", "plant")

    assert "email-profiles-service-account 0.1.0" in json.dumps(found)
    assert ("none", ["refresh"]) == (before["state"], before["actions"])
    assert ("valid", 1) == (during["state"], during["generation"])
    assert "https://mail.google.com/" == during["scope"]
    assert ["refresh", "revoke"] == during["actions"]
    assert ("valid", 2) == (after["state"], after["generation"])
    assert 2 == authorization_server.token_requests
    machine.run("token", "revoke", "plant")
    assert "none" == machine.json("token", "status", "plant")["state"]


def test_the_key_is_sealed(machine: Machine, document: dict[str, Any]) -> None:
    """What the example's schema marks is kept as any secret is."""
    machine.apply(document)
    stored = b"".join(path.read_bytes() for path in (machine.folder / "home").iterdir())

    assert b"PRIVATE KEY" not in stored
    assert '"sealed"' in machine.run("profile", "export", "plant")


def test_mistakes(machine: Machine, document: dict[str, Any]) -> None:
    """All at once, by the core's sentences, from the example's schema; then its own."""
    document["auth"] |= {
        "isuer": ROBOT,
        "token_uri": "oauth2.googleapis.com",
        "access_token_timeout_s": "soon",
        "private_key": 7,
    }
    del document["auth"]["issuer"]
    told = machine.apply(document, code=1)
    document["auth"] |= {"issuer": MAILBOX, "private_key": "x"}
    for name in ("isuer", "token_uri", "access_token_timeout_s"):
        del document["auth"][name]
    own = machine.apply(document, code=1)

    for sentence in (
        "$.auth.isuer",
        "$.auth.issuer",
        "$.auth.token_uri: has to be an https address",
        "$.auth.access_token_timeout_s",
        "$.auth.private_key",
    ):
        assert sentence in told
    assert "$.auth.username: is the service account itself, which has no mail" in own


def test_a_key_that_is_none(machine: Machine, document: dict[str, Any]) -> None:
    """Told where the token is asked for, and kept as the token's state."""
    document["auth"]["private_key"] = "no key"
    machine.apply(document)
    told = machine.run("token", "refresh", "plant", code=1)
    status = machine.json("token", "status", "plant")

    assert "error: the private key is no key in PEM form" in told
    assert "error" == status["state"]


def test_schema(machine: Machine) -> None:
    """For editors and forms: the whole profile's, with the mode's part in it."""
    schema = json.loads(machine.run("schema", "service_account"))
    auth = schema["properties"]["auth"]

    assert "service_account" == auth["properties"]["mode"]["const"]
    assert "Private Key" == auth["properties"]["private_key"]["title"]
    assert ["mode", "username", "issuer", "private_key"] == auth["required"]


def test_its_own_tests(machine: Machine, tmp_path: Path) -> None:
    """They pass where it is installed."""
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    shutil.copy(EXAMPLE / "pyproject.toml", tmp_path)
    plugins = entry_points(group="pytest11").names
    fixtures = () if "email_profiles" in plugins else ("-p", PLUGIN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *fixtures],
        cwd=tmp_path,
        env=dict(machine.environment),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_imports() -> None:
    """The contract, attrs and the standard library; in under 120 lines."""
    text = MODULE.read_text("utf-8")
    imported = {
        (node.module or "").partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
    } | {
        alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    others = imported - {*sys.stdlib_module_names}

    assert {"attrs", "email_profiles_hookspecs"} == others
    assert len(text.splitlines()) < 120
