"""What only ``--engine ray`` does, on the cluster of two machines that compute."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from conformance_engines import ENGINES, EngineUnderTest
from conformance_engines.ray import Ray as RayUnderTest
from conformance_studies import RUNS, STEPS, StudyFolder, wait_until_ended
from engine_work import LONG_TEXT
from forked_commands import Server

from actbench.execution.engines import Work
from actbench.execution.engines.ray import Ray
from actbench.schema.events import EpochDone
from actbench.schema.runtime import Cohort, Runtime
from actbench.schema.spec import RunSpec
from actbench.system.code_digest import code_digest

pytestmark = pytest.mark.slow

MACHINES, SLOTS = 2, 4
"""Each machine has room for two slots."""


@pytest.fixture
def cluster(running: Callable[[str], EngineUnderTest]) -> EngineUnderTest:
    return running("ray")


def test_replies_stay_below_100_kb_and_a_dataset_is_sent_once_to_each_machine(
    cluster: EngineUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray sends a reply of up to 100 kB with its message, and copies a longer one by way of the object store."""
    sizes: list[int] = []
    work = Work(
        "engine_work:says_where_its_dataset_is", Runtime(device="cpu"), "actbench.datasets._handover:load_packed"
    )
    with cluster.made(SLOTS) as ray:
        assert isinstance(ray, Ray)
        answered = ray._answered

        def noted(work: Work, slot: Any, future: Future[Any] | None) -> Any:
            answer = None if future is None or future.exception() else future.result()
            if isinstance(answer, list):
                sizes.append(sum(len(one) for one in answer if isinstance(one, bytes)))
            return answered(work, slot, future)

        monkeypatch.setattr(ray, "_answered", noted)
        cohorts = [Cohort((RunSpec(seed=seed, dataset="digits"),)) for seed in range(3 * SLOTS)]
        rows = [event.rows[0] for event in ray.execute(work, cohorts) if isinstance(event, EpochDone)]
        assert len(ray._blocks) == 1, "loaded once"
    assert len(rows) == 3 * SLOTS
    assert {row["text"] for row in rows} == {LONG_TEXT}, "what is longer than a reply arrives whole"
    assert 0 < max(sizes) < 100_000
    assert len({row["file"] for row in rows}) == MACHINES, "the workers of a machine map one file"
    assert len({row["bytes"] for row in rows}) == 1


def test_doctor_examines_every_machine_of_the_cluster(cluster: EngineUnderTest, server: Server, tmp_path: Path) -> None:
    words = ("doctor", "--address", cluster.cluster()["address"])
    assert server.do(tmp_path, *words, "--json", **cluster.settings()) == 0, (tmp_path / "stderr").read_text()
    found = json.loads((tmp_path / "stdout").read_text())["ray_cluster"]
    computing = [node for node in found["nodes"] if node["cpus"]]
    assert len(computing) >= MACHINES
    assert {node["code"] for node in computing} == {code_digest()}
    assert server.do(tmp_path, *words, **cluster.settings()) == 0
    assert "Ray" in (tmp_path / "stdout").read_text()


TOKEN_SET_LATE = """
import os, sys
address, token = sys.argv[1:]
from actbench.errors import UsageError
from actbench.execution.engines._ray_cluster import Connection
from actbench.execution.engines._ray_import import import_ray
import_ray()
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
try:
    with Connection(address) as connection:
        print(len(connection.nodes()), "machines")
except UsageError as error:
    print(error)
"""


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
def test_a_token_that_is_set_after_ray_was_imported_counts(cluster: EngineUnderTest, is_known: bool) -> None:
    """Ray reads its environment variables when it is imported; where the token is wrong, one sentence says so."""
    token = cluster.settings()["RAY_AUTH_TOKEN"] if is_known else "0" * 64
    address = cluster.cluster()["address"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("RAY_AUTH")}
    asked = subprocess.run(
        [sys.executable, "-c", TOKEN_SET_LATE, address, token],
        env={**environment, "RAY_NUM_REDIS_GET_RETRIES": "2"},  # it tries for 20 seconds otherwise
        capture_output=True,
        text=True,
        check=True,
    )
    if is_known:
        assert asked.stdout.endswith(" machines\n")
    else:
        assert asked.stdout.startswith(f"the Ray cluster {address} wants its token: set RAY_AUTH_MODE=token")
    assert not asked.stderr


@pytest.mark.parametrize("is_here", [False, True], ids=["elsewhere", "here"])
def test_a_lost_head_ends_the_command_in_order_and_the_same_command_goes_on(
    study: StudyFolder, undisturbed: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, is_here: bool
) -> None:
    """In training is saved what can be, before Ray ends the command's process without a word.

    Where the head's machine is the command's own, Ray is lost there too, and long messages can't be fetched any more.
    """
    doomed = RayUnderTest()
    if missing := doomed.missing():
        pytest.skip(missing)
    with doomed.running(tmp_path_factory.mktemp("doomed")):
        study.hold(after=STEPS + 8)
        command = study.start(doomed)
        workers = study.wait_until_held()
        before = study.finished_files()
        assert before, "the first cohort"
        doomed.kill_head(with_its_machine=is_here)
        assert command.end() == 1, command.said
        wait_until_ended(workers)
    saved = 0 if is_here else 2
    said = rf"the head of the Ray cluster {re.escape(doomed.cluster()['address'])} has not answered for \d+ s, "
    assert re.search(said, command.said), command.said
    assert f"2 ok, {saved} saved in training. To go on:" in command.said
    assert "Traceback" not in command.said
    assert command.to_go_on == ["actbench", *command.words]
    assert not command.is_anything_left()
    assert study.locks() == {}
    assert [path.rpartition(".")[2] for path in study.left_over()] == ["pt"] * (saved // 2), "a checkpoint, no locks"
    study.release()
    assert study.run(ENGINES["pool"]).computed == RUNS - 2
    if saved:
        assert study.steps == RUNS // 2 * STEPS, "every step is taken once"
    assert {path: study.finished_files()[path] for path in before} == before
    assert study.records() == undisturbed
    assert study.left_over() == []
