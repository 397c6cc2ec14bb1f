"""
The peer from outside Python: installs Nodemailer, with npm, outside the repository.

It goes to the user's cache, or where --node-modules says, and is used again from there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

from attrs import frozen
from platformdirs import user_cache_path

from render import CASES, SENDER
from work import HERE, TOKEN, USER, Client, Job, Result


@frozen
class Nodemailer(Client):
    """Its jobs say in full what Python's clients know by a name."""

    def run(self, job: Job, **more: object) -> Result:
        case = CASES[job.case]
        mail = {
            "from": SENDER,
            "subject": case.subject,
            "text": case.text,
            "html": case.html,
            "attachments": [
                {"filename": one.name, "base64": b64encode(one.data).decode()}
                for one in case.attachments
            ],
        }
        return super().run(job, mail=mail, user=USER, token=TOKEN, **more)


def nodemailer(folder: Path | None, name: str = "Nodemailer") -> list[Client]:
    """The client, if there can be one; where not, says why, and there is none."""
    folder = folder or user_cache_path("email-profiles-benchmarks")
    node, npm = shutil.which("node"), shutil.which("npm")
    modules = folder / "node_modules"
    package = modules / "nodemailer" / "package.json"
    if node is None or (npm is None and not package.exists()):
        print("Nodemailer is left out: node and npm are not there.\n")
        return []
    if npm is not None and not package.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
        done = subprocess.run([*command, "nodemailer"], capture_output=True, text=True)
        if done.returncode:
            print(f"Nodemailer is left out: npm failed: {done.stderr.strip()}\n")
            return []
    version = json.loads(package.read_text("utf-8"))["version"]
    print(f"Nodemailer is {version}.\n")
    path = os.pathsep.join(filter(None, [str(modules), os.environ.get("NODE_PATH")]))
    script = str(HERE / "peer_nodemailer.js")
    return [Nodemailer(name, ("env", f"NODE_PATH={path}", node, script))]
