"""Too few open files, processes or threads: one message that names the limit, and nothing finished is lost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Run
from faulty_studies import check_refused, limited, program, results, train


def test_a_limit_of_open_files_that_no_pool_fits_is_named(actbench: Run, tmp_path: Path) -> None:
    assert train(actbench, "seeds=1").returncode == 0
    before = results(tmp_path)
    done = subprocess.run(
        program("run", "study.yaml", "-j", "4"),
        capture_output=True,
        text=True,
        preexec_fn=limited(resource.RLIMIT_NOFILE, 10),
        check=False,
    )
    check_refused(done, "can't start worker", "Too many open files", "ulimit -n", "fewer --jobs")
    assert results(tmp_path) == before
    assert {path.name for path in tmp_path.glob("results/faults/*")} == {"study.yaml", "runs"}
    assert train(actbench).returncode == 0
    assert len(results(tmp_path)) == 4


WITHOUT_THREADS = """\
import json, os, resource, sys
from pathlib import Path

import encodings.ascii, subprocess, tempfile, threading
from actbench.errors import UsageError
from actbench.execution.engines.pool import Pool
from actbench.schema.cluster import ClusterOptions
from actbench.storage.locks import Locks

if os.getuid() == 0:  # no limit holds for root
    os.chmod(".", 0o777)
    os.setgid(65534)
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
said = []
for use in (lambda: Locks(Path("study")), lambda: Pool(2, ClusterOptions())):
    try:
        with use():
            said.append("it works")
    except UsageError as error:
        said.append(str(error))
print(json.dumps(said))
"""
"""Works on a study and with a pool where the system allows neither threads nor processes."""


@pytest.mark.skipif(sys.platform == "darwin", reason="threads do not count there")
def test_a_limit_of_processes_and_threads_is_named(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir(mode=0o777)
    (tmp_path / "tmp").chmod(0o777)
    paths = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THREADS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths, "TMPDIR": "tmp"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    locks, pool = json.loads(done.stdout)
    assert "can't start new thread" in locks
    assert "ulimit -u" in locks
    assert "can't start worker 1 of 2" in pool
    assert "ulimit -n for files, -u for processes and threads" in pool
    assert list((tmp_path / "study").iterdir()) == [], "no heartbeat is left"
