"""Tests here run on a real Slurm of one node, which the first of them starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
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
