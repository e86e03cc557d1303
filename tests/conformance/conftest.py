"""Every test here that asks for ``engine`` runs on each engine of ``tests/support/conformance_engines``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conformance_engines import ENGINES, EngineUnderTest
from conformance_studies import StudyFolder
from forked_commands import Server

Running = Callable[[str], EngineUnderTest]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the engines of a test by the names of its arguments, and by what they promise."""
    if "engine" in metafunc.fixturenames:
        wanted = metafunc.definition.get_closest_marker("promises")
        found = [one for one in ENGINES.values() if wanted is None or wanted.args[0](one.promises)]
        metafunc.parametrize("engine", [_parameter(one) for one in found], indirect=True)
    if "pair" in metafunc.fixturenames:
        # In a ring, since what one leaves in the study's folder is the same whoever goes on: so each is the first of
        # two once, and the second once, while all pairs would take as long as the rest of the suite.
        engines = list(ENGINES.values())
        ring = zip(engines, [*engines[1:], engines[0]], strict=True)
        metafunc.parametrize("pair", [_parameter(*both) for both in ring], indirect=True)


def _parameter(*engines: EngineUnderTest) -> object:
    is_slow = any(one.promises.has_workers for one in engines)
    return pytest.param(
        tuple(one.name for one in engines),
        id="-".join(one.name for one in engines),
        marks=pytest.mark.slow if is_slow else (),
    )


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Starts what an engine computes on when the first test asks for it, and ends it after the last test."""
    with ExitStack() as stack:
        started = set[str]()

        def engine(name: str) -> EngineUnderTest:
            found = ENGINES[name]
            if missing := found.missing():
                pytest.skip(f"{name}: {missing}")
            if name not in started:
                stack.enter_context(found.running(tmp_path_factory.mktemp(name)))
                started.add(name)
            return found

        yield engine


@pytest.fixture
def engine(request: pytest.FixtureRequest, running: Running) -> Iterator[EngineUnderTest]:
    """An engine that is ready; when the test has ended, nothing of it may be left."""
    (name,) = request.param
    found = running(name)
    yield found
    assert not found.left_over()


@pytest.fixture
def pair(request: pytest.FixtureRequest, running: Running) -> Iterator[tuple[EngineUnderTest, ...]]:
    """Two engines that are ready."""
    found = tuple(map(running, request.param))
    yield found
    for one in found:
        assert not one.left_over()


@pytest.fixture(scope="session")
def inline() -> EngineUnderTest:
    return ENGINES["inline"]


@pytest.fixture
def study(server: Server, tmp_path: Path) -> StudyFolder:
    """A folder with the study whose steps can be held."""
    return StudyFolder(server, tmp_path)


@pytest.fixture(scope="session")
def undisturbed(
    forking: Server, tmp_path_factory: pytest.TempPathFactory, inline: EngineUnderTest
) -> dict[str, object]:
    """What each run of that study reports when it trains alone and is never disturbed."""
    folder = StudyFolder(forking, tmp_path_factory.mktemp("undisturbed"))
    folder.run(inline, cohort_size=1)
    return folder.records()
