"""What is shipped is what is meant."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOTS = {
    "email_profiles_hookspecs": ROOT / "hookspecs",
    "email_profiles_plugin": ROOT,
    "email_profiles_schemas": ROOT / "schemas",
}
HOUSE = """
    CHANGELOG.md CONTRIBUTING.md LICENSE README.md benchmarks changelog.d conftest.py
    docs email_profiles_plugin examples fuzz hookspecs pyproject.toml schemas setup.cfg
    tests tox.ini try.py
    """
BUILD = """
from setuptools import build_meta
build_meta.build_sdist("dist")
build_meta.build_wheel("dist")
"""


def configuration() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(section: str, option: str) -> list[str]:
    return configuration()[section][option].split("\n")[1:]


def entries(group: str) -> list[EntryPoint]:
    return [
        EntryPoint(*(part.strip() for part in line.split("=")), group=group)  # type: ignore[misc]
        for line in lines("options.entry_points", group)
    ]


def shipped() -> set[str]:
    """All that the three packages hold, by its name in the wheel."""
    return {
        str(path.relative_to(root).as_posix())
        for name, root in ROOTS.items()
        for path in (root / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel, built from a copy of the checkout."""
    place = tmp_path_factory.mktemp("build") / "tree"
    aside = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, place, ignore=aside)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD],
        cwd=place,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return place / "dist"


def test_packages_are_the_tree() -> None:
    """Every package is listed; one that is forgotten makes a broken wheel."""
    tree = {
        ".".join(path.parent.relative_to(root).parts)
        for name, root in ROOTS.items()
        for path in (root / name).rglob("__init__.py")
    }

    assert sorted(tree) == lines("options", "packages")


def test_every_folder_with_modules_is_a_package() -> None:
    """No module stands in a folder that has no `__init__.py`."""
    orphans = [
        name
        for name in shipped()
        if name.endswith(".py")
        if f"{name.rpartition('/')[0]}/__init__.py" not in shipped()
    ]

    assert [] == orphans


def test_the_wheel_is_the_tree(dist: Path) -> None:
    """The wheel holds every file of the three packages, and nothing else."""
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert shipped() == held


def test_the_wheel_has_its_licence(dist: Path) -> None:
    """Whoever has the wheel has the terms."""
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert [name for name in names if name.endswith("dist-info/licenses/LICENSE")]


def test_the_sdist_is_the_house(dist: Path) -> None:
    """From the source distribution one can build, test and read all of it."""
    for name in HOUSE.split():
        assert (ROOT / name).exists(), name

    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tree = dist.parent
    meant = {
        path.relative_to(tree).as_posix()
        for name in HOUSE.split()
        for path in (tree / name, *(tree / name).rglob("*"))
        if path.is_file()
    }

    assert set() == meant - held


def test_the_version_stands_in_one_place() -> None:
    """Only setup.cfg says which version this is."""
    version = configuration()["metadata"]["version"]
    saying = [
        str(path.relative_to(ROOT))
        for path in (*ROOT.glob("*.toml"), *ROOT.rglob("email_profiles_*/**/*.py"))
        if f'"{version}"' in path.read_text("utf-8")
        if not {".venv", ".tox", "build"} & set(path.parts)
    ]

    assert [] == saying


@pytest.mark.parametrize("group", ["console_scripts", "pytest11"])
def test_entry_points_can_be_loaded(group: str) -> None:
    """What other programs start us by is there."""
    for entry in entries(group):
        assert entry.load() is not None


def test_extras_name_what_exists() -> None:
    """Every extra is tested: the tests need all that any of them needs."""
    extras = {
        name: set(wanted.split("\n")[1:])
        for name, wanted in configuration()["options.extras_require"].items()
    }
    test = extras.pop("test")

    assert {} == {name: left for name, all in extras.items() if (left := all - test)}


@pytest.mark.parametrize(("words", "code"), [([], 2), (["dmeo"], 2), (["--help"], 0)])
def test_try_says_what_it_takes(words: list[str], code: int) -> None:
    """Without a word that it knows, `try.py` names those it does, and ends."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "try.py"), *words], capture_output=True, text=True
    )

    assert code == done.returncode
    assert ("There is no 'dmeo'" in done.stderr) == (words == ["dmeo"])
    assert "python3 try.py demo" in done.stderr
