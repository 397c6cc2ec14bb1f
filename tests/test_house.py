"""The house rules that a machine can check; CONTRIBUTING.md says why they are."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from email_profiles_hookspecs import specs

ROOT = Path(__file__).parents[1]
SOURCES = {
    "email_profiles_hookspecs": ROOT / "hookspecs",
    "email_profiles_plugin": ROOT,
    "email_profiles_schemas": ROOT / "schemas",
}

PLUGIN = "email_profiles_plugin"
CONTRACT, PURE, IO, SERVICES, COMPOSITION, EDGES, FACE = range(7)
FLOORS = {
    CONTRACT: """
        email_profiles_hookspecs email_profiles_hookspecs.*
        email_profiles_schemas
        """,
    PURE: """
        addresses base_urls console.forms console.forms.* consumers consumers.alarms
        consumers.alarms.events consumers.alarms.links consumers.alarms.mail
        consumers.alarms.notification consumers.alarms.patterns
        consumers.alarms.planning consumers.alarms.rules consumers.alarms.schedules
        consumers.alarms.templates consumers.reports consumers.reports.cells
        consumers.reports.cron consumers.reports.csv_file consumers.reports.page
        consumers.reports.queries consumers.reports.recipients consumers.reports.rules
        consumers.reports.schedule consumers.reports.table consumers.reports.templates
        consumers.reports.timetable consumers.scripting consumers.scripting.parameters
        documents documents.* encodings grant_rules linter masking media_types message
        oauth oauth.* parts presets presets.* remedies remedies.* roles settlement smtp
        smtp.dialogue smtp.flight smtp.mail smtp.replies smtp.source smtp.tally
        smtp.transaction token_linter token_rules verdict
        """,
    IO: """
        clock http http_failures loopback_listener secrets smtp.pool smtp.tls smtp.wire
        store store.*
        """,
    SERVICES: """
        access announcement builtin client_trial consumer_kinds granting keepsakes kinds
        management outbox outbox.* profiles providers providers.* provision renewal
        resolution sealing shelf sign_ins submission token_acquisition
        token_vault tokens trial
        """,
    COMPOSITION: """
        assembly plugins runtime
        """,
    EDGES: """
        console console.* consumers.*
        """,
    FACE: """
        cli cli.*
        """,
}
"""
Which module is on which floor; the first pattern that fits decides.

A consumer's pure rules are on floor 1, for the documents that are kept of it; its
packages export lazily, and so import nothing.
"""

OUTSIDE = (PLUGIN, f"{PLUGIN}.testing", f"{PLUGIN}.testing.*")
"""On no floor: the front door, which exports lazily, and what tests stand on."""

IMPURE = """
    alembic asyncio getpass glob http logging multiprocessing os pathlib platform
    platformdirs random requests secrets select shutil signal socket sqlalchemy sqlite3
    ssl subprocess sys tempfile threading time urllib.request uuid
    """
"""What no pure module imports: sockets, clocks, randomness, files, databases."""

HEAVY = ("jsonschema", "oauthlib", "requests", "sqlalchemy")
MOST_LINES = 350
MOST_LINES_OF_A_FUNCTION = 40


def files(*packages: str) -> dict[str, Path]:
    """Every module of *packages*, by its dotted name."""
    found = {}
    for package in packages or SOURCES:
        for path in sorted((SOURCES[package] / package).rglob("*.py")):
            parts = path.relative_to(SOURCES[package]).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path
    return found


MODULES = files()


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"))


def floor(module: str) -> int | None:
    """The floor that a module is on; None for one outside, or not entered."""
    name = module.removeprefix(f"{PLUGIN}.")
    for number, patterns in FLOORS.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns.split()):
            return number
    return None


def imports(module: str) -> Iterator[str]:
    """What *module* imports, wherever it does; not what only a type checker sees."""
    package = MODULES[module].name == "__init__.py"
    for node in executed(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: -node.level + package or None]
                base = ".".join([*above, *filter(None, [node.module])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            yield from names
            if not names <= MODULES.keys():
                yield base


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below *node* but those under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from (below for part in child.orelse for below in ast.walk(part))
            continue
        yield child
        yield from executed(child)


GRAPH = {name: {*imports(name)} & MODULES.keys() - {name} for name in MODULES}
HOUSED = {name: number for name in MODULES if (number := floor(name)) is not None}


def test_every_module_has_a_floor() -> None:
    """A new module is entered in FLOORS."""
    homeless = [
        name
        for name in MODULES.keys() - HOUSED.keys()
        if not any(fnmatchcase(name, pattern) for pattern in OUTSIDE)
    ]

    assert [] == homeless


def test_imports_only_from_floors_below_or_its_own() -> None:
    """
    A module imports from lower floors, and from its own; nothing from higher up.

    On its own floor it may not close a circle; see below.
    """
    upward = {
        name: above
        for name, number in HOUSED.items()
        if (above := {one for one in GRAPH[name] if HOUSED.get(one, 0) > number})
    }

    assert {} == upward


def test_no_circles() -> None:
    """No module imports, however indirectly, what imports it."""
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_providers_know_the_contract_only() -> None:
    """A built-in provider is written as a third party would write it."""
    providers = {name for name in MODULES if name.startswith(f"{PLUGIN}.providers.")}
    used = {HOUSED.get(one) for name in providers for one in GRAPH[name] - providers}

    assert {CONTRACT} == used


def test_testing_is_for_tests_and_the_demo() -> None:
    """What tests stand on is imported by `email-profiles demo` alone."""
    users = {
        name
        for name in HOUSED
        if any(one.startswith(f"{PLUGIN}.testing") for one in GRAPH[name])
    }

    assert users <= {f"{PLUGIN}.cli.demo"}


def test_pure_modules_touch_nothing() -> None:
    """Values in, values out: no socket, clock, randomness, file or database."""
    touching = {}
    for name in (name for name, number in HOUSED.items() if number == PURE):
        used = set(imports(name))
        used |= {one.partition(".")[0] for one in used}
        if impure := used & set(IMPURE.split()):
            touching[name] = impure

    assert {} == touching


@pytest.mark.parametrize(
    ("library", "module"),
    [("socket", f"{PLUGIN}.smtp.wire"), ("requests", f"{PLUGIN}.http")],
)
def test_one_module_has_the_network(library: str, module: str) -> None:
    """Sockets are opened in one module, HTTP is spoken in one."""
    using = [name for name in HOUSED if library in imports(name)]

    assert [module] == using


@pytest.mark.parametrize(
    "package", ["email_profiles_hookspecs", PLUGIN, f"{PLUGIN}.plugins"]
)
def test_importing_loads_nothing_heavy(package: str) -> None:
    """The contract and the loader cost a host's start next to nothing."""
    code = f"import sys, {package}; print(*sys.modules)"
    # The tests' own path: from the checkout, or from the installed wheel.
    path = [entry for entry in sys.path if entry]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert set() == set(HEAVY) & set(done.stdout.split())


def test_a_file_can_be_read_at_one_sitting() -> None:
    """Past 350 lines a module is two modules."""
    lines = {
        name: len(path.read_text("utf-8").splitlines())
        for name, path in MODULES.items()
    }

    assert {} == {name: n for name, n in lines.items() if n > MOST_LINES}


def test_a_function_fits_on_a_screen() -> None:
    """A body has 40 lines at most, its docstring aside; a migration may have more."""
    long = {}
    for name in (name for name in MODULES if ".migrations." not in name):
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                documented = ast.get_docstring(node) is not None and len(node.body) > 1
                lines = (node.end_lineno or 0) + 1 - node.body[documented].lineno
                if lines > MOST_LINES_OF_A_FUNCTION:
                    long[f"{name}.{node.name}"] = lines

    assert {} == long


def test_modules_have_no_state() -> None:
    """At a module's top there are constants; nothing is kept there, or rebound."""
    kept = [
        f"{name}.{target}"
        for name in MODULES
        for node in tree(name).body
        for target in _targets(node)
        if not (target.isupper() or target == "__all__")
        if _is_mutable(getattr(node, "value", None))
    ]
    rebound = [
        f"{name}.{target}"
        for name in MODULES
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Global)
        for target in node.names
    ]

    assert ([], []) == (kept, rebound)


def _targets(node: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module gives a value."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        called = ast.unparse(value.func).rpartition(".")[2]
        return called in ("dict", "list", "set", "defaultdict", "deque", "Counter")
    displays = ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp
    return isinstance(value, displays)


def test_annotations_are_not_evaluated() -> None:
    """Every module with definitions in it begins with the same future import."""
    future = "from __future__ import annotations"
    definitions = ast.FunctionDef, ast.ClassDef, ast.AnnAssign
    without = [
        name
        for name, path in MODULES.items()
        if any(isinstance(node, definitions) for node in tree(name).body)
        if future not in path.read_text("utf-8").splitlines()
    ]

    assert [] == without


def test_exports_are_sorted_and_there() -> None:
    """`__all__` has constants, classes, functions, each sorted; all can be imported."""
    for name, path in MODULES.items():
        if "__all__" in path.read_text("utf-8"):
            module = importlib.import_module(name)
            names: list[str] = module.__all__
            order = sorted(
                names, key=lambda n: (not n.isupper(), not n[0].isupper(), n)
            )

            assert (name, order) == (name, names)
            assert [] == [one for one in names if not hasattr(module, one)]


HOOKS = {
    name: inspect.signature(hook)
    for name, hook in vars(specs).items()
    if name.startswith("email_profiles_")
}


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_are_tested(hook: str) -> None:
    """Each hook has a test that bears its name."""
    wanted = rf"^def test_hook_(email_profiles_)?{hook.removeprefix('email_profiles_')}"
    tests = [path.read_text("utf-8") for path in (ROOT / "tests").glob("test_*.py")]

    assert any(re.search(wanted, text, re.MULTILINE) for text in tests)


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_are_documented(hook: str) -> None:
    """Each hook has a heading in the reference, with its arguments as in the spec."""
    page = (ROOT / "docs" / "reference" / "hooks.md").read_text("utf-8")
    arguments = ", ".join(HOOKS[hook].parameters)

    assert f"## `{hook}({arguments})`" in page.splitlines()


def test_there_are_four_hooks() -> None:
    """A fifth one has to be meant."""
    assert 4 == len(HOOKS)
