"""Every library that is imported is declared in pyproject.toml, and every declared one is imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

DISTRIBUTIONS = {
    "PIL": "pillow",
    "axe_playwright_python": "axe-playwright-python",
    "markdown_it": "markdown-it-py",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "pydantic_core": "pydantic",
    "cosmic_ray": "cosmic-ray",
}
"""A module -> its distribution, where the names differ; pydantic_core is released with pydantic."""


def imported(folder: str) -> set[str]:
    """The distributions of the libraries that a folder's files import, inside functions too."""
    found: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    helpers = {path.stem for path in (*(ROOT / "tests/support").iterdir(), *(ROOT / "tests/slurm").glob("*.py"))}
    own = {"actbench", "benchmarks", *helpers}
    return {DISTRIBUTIONS.get(name, name) for name in found - own - sys.stdlib_module_names}


def declared(requirements: list[str]) -> set[str]:
    """The distributions' names, without bounds."""
    return {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in requirements}


LIBRARIES = declared(PROJECT["project"]["dependencies"])
EXTRAS = set().union(*map(declared, PROJECT["project"]["optional-dependencies"].values()))
GROUPS: dict[str, set[str]] = {name: declared(group) for name, group in PROJECT["dependency-groups"].items()}


def test_the_package_imports_exactly_the_libraries_that_it_declares() -> None:
    assert imported("actbench") == LIBRARIES | EXTRAS


@pytest.mark.parametrize(("folder", "groups"), [("tests", ["test", "mutants"]), ("benchmarks", ["bench", "test"])])
def test_the_other_folders_import_only_what_is_declared_for_them(folder: str, groups: list[str]) -> None:
    assert imported(folder) <= LIBRARIES.union(EXTRAS, *(GROUPS[name] for name in groups))


def test_every_requirement_has_a_lowest_version() -> None:
    """The job with the lowest declared versions tests nothing of one that has none."""
    extras = (one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra)
    requirements = [*PROJECT["project"]["dependencies"], *extras, *PROJECT["dependency-groups"]["test"]]

    assert [requirement for requirement in requirements if ">=" not in requirement] == []
