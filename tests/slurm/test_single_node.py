"""The test bed itself: a Slurm that computes jobs, puts them back into its queue, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import single_node
from processes import wait_until
from single_node import SingleNode


def is_done(node: SingleNode, job: str) -> bool:
    return node.call("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T").strip() == "COMPLETED"


@pytest.mark.slow
def test_a_job_of_lower_priority_gives_way_and_comes_again(slurm: SingleNode, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(
        f'#!/bin/bash\necho "start ${{SLURM_RESTART_COUNT:-0}}" >> {tmp_path}/starts\n'
        f"[ -e {tmp_path}/go ] || exec sleep 600\n"
    )
    low = slurm.call(
        "sbatch", "--parsable", "--partition=low", "--ntasks=2", "--requeue", f"--output={tmp_path}/low", str(script)
    ).strip()
    starts = tmp_path / "starts"
    wait_until(starts.exists)
    (tmp_path / "go").touch()
    high = slurm.call(
        "sbatch", "--parsable", "--partition=high", "--ntasks=2", f"--output={tmp_path}/high", "--wrap=true"
    ).strip()
    wait_until(lambda: is_done(slurm, high))
    wait_until(lambda: is_done(slurm, low))
    assert starts.read_text().splitlines() == ["start 0", "start 1"]


@pytest.mark.slow
def test_the_script_starts_one_beside_another_and_leaves_nothing_of_it(node: SingleNode) -> None:
    folder = single_node.new_folder()
    script = [sys.executable, single_node.__file__]
    started = subprocess.run([*script, "start", folder], capture_output=True, text=True, check=True).stdout
    (line,) = started.splitlines()
    name, _, value = line.removeprefix("export ").partition("=")
    told = subprocess.run(
        ["sinfo", "--noheader", "--format=%T"],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(told.stdout.split()) == {"idle"}
    assert node.call("scontrol", "ping"), "the other one goes on"
    subprocess.run([*script, "stop", folder], check=True)
    assert not folder.exists()
    left = [path for path in Path("/proc").glob("[0-9]*") if str(folder) in single_node.command_of(int(path.name))]
    assert left == []
