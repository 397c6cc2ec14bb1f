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
CONTRACT, PURE, IO, SERVICES, COMPOSITION, FACE = 0, 1, 2, 3, 4, 6
FLOORS = {
    CONTRACT: """
        email_profiles_hookspecs email_profiles_hookspecs.*
        email_profiles_schemas
        """,
    PURE: """
        addresses documents documents.* encodings masking media_types message oauth
        oauth.* parts settlement smtp smtp.dialogue smtp.replies smtp.transaction
        token_rules verdict
        """,
    IO: """
        clock http secrets smtp.pool smtp.tls smtp.wire store store.*
        """,
    SERVICES: """
        announcement builtin kinds management outbox outbox.* profiles providers
        providers.* provision resolution sealing submission token_vault tokens trial
        """,
    COMPOSITION: """
        assembly plugins runtime
        """,
    FACE: """
        cli cli.*
        """,
}
"""Which module is on which floor; 5, the edges, has nobody yet."""

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
    """The floor that a module is on; None for one outside."""
    if any(fnmatchcase(module, pattern) for pattern in OUTSIDE):
        return None
    name = module.removeprefix(f"{PLUGIN}.")
    for number, patterns in FLOORS.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns.split()):
            return number
    pytest.fail(f"{module} is on no floor: enter it in FLOORS")


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
HOUSED = [name for name in MODULES if floor(name) is not None]


@pytest.mark.parametrize("module", HOUSED)
def test_imports_only_from_floors_below_or_its_own(module: str) -> None:
    """
    A module imports from lower floors, and from its own.

    There it may not close a circle; see below. Nothing is imported from higher up.
    """
    above = {
        name: floor(name)
        for name in GRAPH[module]
        if (floor(name) or 0) > (floor(module) or 0)
    }

    assert {} == above


def test_no_circles() -> None:
    """No module imports, however indirectly, what imports it."""
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", files(PLUGIN).keys())
def test_providers_know_the_contract_only(module: str) -> None:
    """A built-in provider is written as a third party would write it."""
    if module.startswith(f"{PLUGIN}.providers."):
        assert {CONTRACT} == {floor(name) for name in GRAPH[module]}


@pytest.mark.parametrize("module", HOUSED)
def test_testing_is_for_tests_and_the_demo(module: str) -> None:
    """What tests stand on is imported by `email-profiles demo` alone."""
    used = {name for name in GRAPH[module] if name.startswith(f"{PLUGIN}.testing")}

    assert set() == used or module.startswith(f"{PLUGIN}.cli.demo")


@pytest.mark.parametrize("module", [name for name in HOUSED if floor(name) == PURE])
def test_pure_modules_touch_nothing(module: str) -> None:
    """Values in, values out: no socket, clock, randomness, file or database."""
    names = set(imports(module))

    assert set() == set(IMPURE.split()) & (
        names | {name.partition(".")[0] for name in names}
    )


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


@pytest.mark.parametrize("module", MODULES)
def test_a_file_can_be_read_at_one_sitting(module: str) -> None:
    """Past 350 lines a module is two modules."""
    lines = len(MODULES[module].read_text("utf-8").splitlines())

    assert lines <= MOST_LINES


@pytest.mark.parametrize("module", [m for m in MODULES if ".migrations." not in m])
def test_a_function_fits_on_a_screen(module: str) -> None:
    """A body has 40 lines at most, its docstring aside; a migration may have more."""
    long = {}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None and len(node.body) > 1
            lines = (node.end_lineno or 0) + 1 - node.body[documented].lineno
            if lines > MOST_LINES_OF_A_FUNCTION:
                long[node.name] = lines

    assert {} == long


@pytest.mark.parametrize("module", MODULES)
def test_modules_have_no_state(module: str) -> None:
    """At a module's top there are constants; nothing is kept there, or rebound."""
    kept = []
    for node in tree(module).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for name in (target.id for target in targets if isinstance(target, ast.Name)):
            constant = name.isupper() or name == "__all__"
            if not constant and _is_mutable(getattr(node, "value", None)):
                kept.append(name)
    rebound = [
        name
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Global)
        for name in node.names
    ]

    assert ([], []) == (kept, rebound)


def _is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        called = ast.unparse(value.func).rpartition(".")[2]
        return called in ("dict", "list", "set", "defaultdict", "deque", "Counter")
    displays = ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp
    return isinstance(value, displays)


@pytest.mark.parametrize("module", MODULES)
def test_annotations_are_not_evaluated(module: str) -> None:
    """Every module with code in it begins with the same future import."""
    body = [
        node
        for node in tree(module).body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    only_names = all(isinstance(node, ast.ImportFrom | ast.Assign) for node in body)

    assert only_names or "from __future__ import annotations" == ast.unparse(body[0])


def _exporting() -> list[str]:
    return [name for name in MODULES if "__all__" in MODULES[name].read_text("utf-8")]


@pytest.mark.parametrize("module", _exporting())
def test_exports_are_sorted_and_there(module: str) -> None:
    """`__all__` has constants, classes, functions, each sorted; all can be imported."""
    loaded = importlib.import_module(module)
    names: list[str] = loaded.__all__
    order = sorted(names, key=lambda n: (not n.isupper(), not n[0].isupper(), n))

    assert order == names
    assert [] == [name for name in names if not hasattr(loaded, name)]


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
