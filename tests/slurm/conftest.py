"""Tests here run on a real Slurm of one node, which the first of them starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance_engines import ENGINES
from conformance_engines.slurm import Slurm
from conformance_studies import StudyFolder
from forked_commands import Server
from single_node import SingleNode, missing, new_folder


@pytest.fixture(scope="session")
def node() -> Iterator[SingleNode]:
    """A Slurm of one node; started once, and ended after the last test."""
    if reason := missing():
        pytest.skip(reason)
    node = SingleNode(new_folder())
    node.start()
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture
def slurm(node: SingleNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[SingleNode]:
    """The same, for the commands that a test calls; no job of the test is left when it has ended."""
    for name, value in node.variables.items():
        monkeypatch.setenv(name, value)
    yield node
    node.cancel_all()


@pytest.fixture
def engine(slurm: SingleNode) -> Slurm:
    """The engine on it."""
    found = Slurm()
    found.node = slurm
    return found


@pytest.fixture
def study(server: Server, tmp_path: Path) -> StudyFolder:
    """A folder with a study whose steps can be held."""
    return StudyFolder(server, tmp_path)


@pytest.fixture(scope="session")
def undisturbed(forking: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each run of that study reports when it trains alone in one process and is never disturbed."""
    folder = StudyFolder(forking, tmp_path_factory.mktemp("undisturbed"))
    folder.run(ENGINES["inline"], cohort_size=1)
    return folder.records()
