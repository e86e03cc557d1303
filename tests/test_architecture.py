"""The design as rules that a machine checks: who may import whom, how heavy a command may be, how long a file."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import cells, save

PACKAGE = Path(__file__).parents[1] / "actbench"
FILES = sorted(PACKAGE.rglob("*.py"))

RANKS: dict[str, int] = {
    "actbench": 7,
    "__main__": 7,
    "errors": 0,
    "plugins": 0,
    "components": 0,
    "files": 0,
    "spec": 0,
    "record": 0,
    "stopping": 0,
    "heading": 0,
    "config": 1,
    "plan": 1,
    "workload": 1,
    "estimates": 1,
    "outlook": 1,
    "expression": 1,
    "schedules": 1,
    "devices": 1,
    "processes": 1,
    "headline": 1,
    "environment": 1,
    "rng": 2,
    "functions": 2,
    "activations": 2,
    "initializers": 2,
    "dense": 2,
    "arithmetic": 3,
    "kernels": 3,
    "layers": 2,
    "optimizers": 2,
    "recording": 2,
    "scratch": 2,
    "stack": 3,
    "cohort": 3,
    "models": 3,
    "datasets": 3,
    "health": 3,
    "batches": 3,
    "evaluation": 4,
    "steps": 4,
    "session": 4,
    "logbook": 4,
    "checkpoint": 4,
    "train": 4,
    "verification": 4,
    "cost": 4,
    "installation": 4,
    "engines": 5,
    "store": 5,
    "checkpoints": 5,
    "claims": 5,
    "sharing": 5,
    "standing": 5,
    "stopwatch": 5,
    "timings": 5,
    "statistics": 5,
    "comparison": 5,
    "differing": 5,
    "reports": 6,
    "runner": 6,
    "growing": 6,
    "cli": 7,
}
"""ARCHITECTURE's ranks: a module imports only from its own rank or below."""

TORCH_FREE = {0, 1, 5, 6}
"""Ranks whose modules never import torch, not even inside a function; devices and environment look at the machine."""
LOOKS_AT_THE_MACHINE = {"devices", "environment", "engines"}


def part(module: str) -> str:
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else "actbench"


def module_of(path: Path) -> str:
    pieces = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(pieces[:-1] if pieces[-1] == "__init__" else pieces)


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
            inside = (
                [f"{node.module}.{name.name}" for name in node.names] if node.module == "actbench" else [node.module]
            )
            yield from ((name, id(node) in for_types) for name in inside)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_module_imports_only_downwards(path: Path) -> None:
    own = RANKS[part(module_of(path))]
    up = [
        name
        for name, for_types in imports(path)
        if name.startswith("actbench") and not for_types and RANKS.get(part(name), 0) > own
    ]
    assert not up, f"rank {own} imports {up}"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_torch_is_imported_only_where_it_is_used(path: Path) -> None:
    name = part(module_of(path))
    if RANKS[name] not in TORCH_FREE or name in LOOKS_AT_THE_MACHINE:
        return
    heavy = [module for module, for_types in imports(path) if module.split(".")[0] == "torch" and not for_types]
    assert not heavy


def test_every_module_has_a_rank() -> None:
    assert {part(module_of(path)) for path in FILES} == set(RANKS)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            lines = (node.end_lineno or 0) - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)
            assert lines <= 40, f"{node.name}: {lines} lines"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import actbench", ["torch", "numpy", "pydantic", "scipy"]),
        ("import actbench.cli", ["torch", "numpy", "scipy", "matplotlib", "pydantic", "yaml"]),
        (
            "import actbench; actbench.compare; actbench.read_results; actbench.Study",
            ["torch", "matplotlib", "sklearn"],
        ),
        ("import actbench; actbench.run; actbench.Activation", ["torch", "scipy", "matplotlib"]),
        (
            "from actbench import plugins; [plugins.names(k) for k in ('activations','models','datasets','reports')]",
            ["torch"],
        ),
        ("from actbench.config import Study; Study.from_yaml('configs/bias_init.yaml').specs()", ["torch", "scipy"]),
    ],
)
def test_heavy_libraries_stay_out_until_they_are_needed(code: str, absent: list[str]) -> None:
    check = f"{code}; import sys; print([name for name in {absent} if name in sys.modules])"
    command = [sys.executable, "-c", check]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "[]"


HEAVY = ["torch", "numpy", "scipy", "rich", "matplotlib", "sklearn", "pandas"]


@pytest.mark.parametrize(
    ("arguments", "seeds", "absent"),
    [
        (["--help"], 3, [*HEAVY, "pydantic", "yaml", "logging"]),
        (["list", "models"], 3, [*HEAVY, "yaml"]),
        (["status"], 3, HEAVY),
        (["plan", "study.yaml", "--device", "cpu"], 3, HEAVY),
        (
            ["compare", "results", "--json"],
            3,
            ["torch", "scipy.stats", "rich", "matplotlib", "actbench.execution.runner"],
        ),
        (
            ["compare", "results"],
            3,
            ["torch", "scipy.stats", "rich.progress", "matplotlib", "actbench.execution.runner"],
        ),
        (["compare", "results"], 2, ["torch", "scipy", "matplotlib"]),
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
