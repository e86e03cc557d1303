"""What is tried before any training: each setting once, a share for each worker."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from actbench.config import Study
from actbench.execution.runner import Runner
from actbench.schema.events import Event
from actbench.schema.runtime import Cohort, Runtime

STUDY = """\
study: samples
dataset: {name: digits, train_size: 100, test_size: 50}
model: {name: mlp, hidden: [8]}
training: {epochs: 1}
seeds: 3
sweep: {activation: [relu, tanh, elu, selu], bias_init: [0.0, 0.01]}
"""


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_each_setting_is_tried_once_and_every_worker_tries_some(jobs: int, tmp_path: Path) -> None:
    tried: list[Cohort] = []

    class Noting:
        """An engine that does nothing, and notes what it is given."""

        parallel = True
        delegates = False

        def __init__(self, jobs: int, options: object) -> None:
            self.jobs = jobs

        def __enter__(self) -> Noting:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def stop(self) -> None:
            pass

        def execute(self, work: object, cohorts: list[Cohort]) -> list[Event]:
            tried.extend(cohorts if isinstance(cohorts, list) else ())
            return []

    runner = Runner(Study.from_text(STUDY), tmp_path, Runtime(device="cpu", jobs=jobs))
    runner.engine = Noting  # type: ignore[assignment]
    list(runner.run())
    assert len(tried) == min(jobs, len(runner.cohorts))
    settings = Counter(spec.with_seed(0).digest for cohort in tried for spec in cohort.specs)
    assert set(settings.values()) == {1}
    assert settings.keys() == {spec.with_seed(0).digest for spec in runner.specs}
