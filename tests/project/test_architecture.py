"""The design as rules that a machine checks: who may import whom, how heavy a command may be, how long a file."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from factories import cells, save
from rooms import ALLOWED, TOP

PACKAGE = Path(__file__).parents[2] / "actbench"
FILES = sorted(PACKAGE.rglob("*.py"))

TORCH_FREE = {"errors", "_version", "schema", "config", "storage", "analysis", "execution"}
"""Rooms whose files never import torch, not even inside a function."""
PRELOADS = {"actbench.execution.engines._worker"}
"""The program of a worker process, which loads torch while the parent still plans."""


def module_of(path: Path) -> str:
    pieces = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(pieces[:-1] if pieces[-1] == "__init__" else pieces)


def room(module: str) -> str:
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else "__init__"


MODULES = {module_of(path): path for path in FILES}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Modules that a file imports anywhere, and whether only for its type annotations."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, id(node) in for_types) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{name.name}" for name in node.names}
            # ``from package import module`` is an import of the module, ``from module import name`` one of the module.
            yield from ((name, id(node) in for_types) for name in (named & set(MODULES)) or {node.module})


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_imports_only_from_rooms_below_its_own(path: Path) -> None:
    own = room(module_of(path))
    if own in TOP:
        return
    wrong = [
        name
        for name, for_types in imports(path)
        if name.startswith("actbench") and not for_types and room(name) not in ALLOWED[own] | {own}
    ]
    assert not wrong, f"{own} imports {wrong}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_torch_is_imported_only_where_it_is_used(path: Path) -> None:
    if room(module_of(path)) not in TORCH_FREE or module_of(path) in PRELOADS:
        return
    heavy = [module for module, for_types in imports(path) if module.split(".")[0] == "torch" and not for_types]
    assert not heavy


def test_every_room_has_a_row() -> None:
    assert {room(module) for module in MODULES} == set(ALLOWED) | TOP


def test_no_file_imports_itself_by_way_of_others() -> None:
    """Also for type annotations alone: a reader follows those arrows too."""
    arrows = {module: {name for name, _ in imports(path) if name in MODULES} for module, path in MODULES.items()}
    waiting = TopologicalSorter(arrows)
    try:
        waiting.prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


HEAVY = ["torch", "numpy", "scipy", "rich", "matplotlib", "jinja2", "sklearn", "pandas"]


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import actbench", ["torch", "numpy", "pydantic", "scipy"]),
        ("import actbench.cli", ["torch", "numpy", "scipy", "matplotlib", "jinja2", "pydantic", "yaml"]),
        (
            "import actbench; actbench.compare; actbench.read_results; actbench.Study",
            ["torch", "matplotlib", "sklearn"],
        ),
        ("import actbench; actbench.run; actbench.Activation", ["torch", "scipy", "matplotlib"]),
        (
            "from actbench.schema.registry import names; [*map(names, ('activations','models','datasets','reports'))]",
            ["torch"],
        ),
        (
            "from actbench.completion import complete; [complete('zsh', line.split(' ')) for line in ("
            "'run c.yaml activation=', 'compare --where x', 'explain x', 'plot --chart=x', 'show x', 'list x')]",
            [*HEAVY, "pydantic", "typer", "yaml", "actbench.config", "actbench.cli"],
        ),
        ("from actbench.config import Study; Study.from_yaml('configs/bias_init.yaml').specs()", ["torch", "scipy"]),
    ],
)
def test_heavy_libraries_stay_out_until_they_are_needed(code: str, absent: list[str]) -> None:
    check = f"{code}; import sys; print([name for name in {absent} if name in sys.modules])"
    command = [sys.executable, "-c", check]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.splitlines()[-1] == "[]"


RUNNER = "actbench.execution.runner"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "seeds", "absent"),
    [
        (["--help"], 3, [*HEAVY, "pydantic", "yaml", "logging"]),
        (["list", "models"], 3, [*HEAVY, "yaml"]),
        (["status"], 3, HEAVY),
        (["plan", "study.yaml", "--device", "cpu"], 3, HEAVY),
        (["check", "study.yaml"], 3, HEAVY),
        (
            ["compare", "results", "--json"],
            3,
            ["torch", "scipy.stats", "rich", "matplotlib", "actbench.execution.runner"],
        ),
        (
            ["compare", "results"],
            3,
            ["torch", "scipy.stats", "rich.progress", "matplotlib", RUNNER],
        ),
        (["compare", "results"], 2, ["torch", "scipy", "matplotlib"]),
        (["plot", "results", "-o", "all.svg"], 3, ["torch"]),
        (["report", "results"], 3, ["torch"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and len(value) < 5 else "",
)
def test_a_command_loads_no_more_than_it_uses(
    tmp_path: Path, arguments: list[str], seeds: int, absent: list[str]
) -> None:
    """Two seeds have neither an interval nor a test, so that nothing asks scipy for one."""
    save(tmp_path / "results", cells({"relu": [0.90, 0.91, 0.92][:seeds], "elu": [0.92, 0.91, 0.94][:seeds]}))
    (tmp_path / "study.yaml").write_text("study: demo\nsweep: {activation: [relu, elu, selu]}\nseeds: 2\n")
    check = (
        f"import sys; sys.argv = ['actbench', *{arguments}]\nfrom actbench import cli\n"
        f"try: cli.main()\nexcept SystemExit as end: print(end.code or 0, [n for n in {absent} if n in sys.modules])"
    )
    paths = {"PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, cwd=tmp_path, env=os.environ | paths
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
