"""A job is a script of its own: submitit's local mode, which knows nothing of Slurm, runs the very same one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from conformance_engines.slurm import Slurm
from conformance_studies import RUNS, StudyFolder
from single_node import SingleNode
from submitit import LocalExecutor
from submitit.helpers import CommandFunction


@pytest.mark.slow
def test_submitits_local_mode_computes_the_runs_of_a_job_that_slurm_holds_back(
    slurm: SingleNode, engine: Slurm, study: StudyFolder, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    study.run(engine, "--cluster", "sbatch=--hold", "--cluster", "detach=yes")
    (script,) = study.path.glob("results/*/slurm/*/job.sh")
    where = {**os.environ, **engine.settings(), "SLURM_ARRAY_TASK_ID": "0"}
    executor = LocalExecutor(folder=tmp_path / "submitit")
    executor.update_parameters(timeout_min=15)
    executor.submit(CommandFunction(["bash", str(script), "0"], cwd=str(study.path), env=where)).result()
    assert study.records() == undisturbed
    again = study.run(engine)
    assert f"nothing to do, all {RUNS} runs are finished" in again.said
    assert study.left_over() == []
