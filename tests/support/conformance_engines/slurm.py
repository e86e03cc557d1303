"""``--engine slurm`` on a real Slurm of one node, which the suite starts for itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from processes import wait_until
from single_node import SingleNode, missing, new_folder

from actbench.system.processes import Process
from conformance_engines import EngineUnderTest, Promises


class Slurm(EngineUnderTest):
    name = engine = "slurm"
    promises = Promises(
        has_workers=True,
        lone_run_of_lost_worker="fails",
        workers_of_lost_driver="go on",
        has_nodes=True,
        does_any_work=False,
        takes_session_functions=False,
    )
    node: SingleNode | None = None

    def missing(self) -> str:
        return missing()

    @contextmanager
    def running(self, folder: Path) -> Iterator[None]:
        self.node = SingleNode(new_folder())
        self.node.start()
        try:
            yield
        finally:
            self.node.stop()

    def cluster(self) -> Mapping[str, str]:
        """One job for all runs, of as many workers as there are to be at once: a job takes seconds to begin."""
        return {"cohorts": "100", "poll": "0.5"}

    def settings(self) -> Mapping[str, str]:
        assert self.node is not None
        return self.node.variables

    def kill_node(self, worker: Process) -> None:
        """Declare the node lost, at which Slurm kills what runs there, and have it back for the jobs to come."""
        assert self.node is not None
        name = self.node.call("sinfo", "--noheader", "--partition=main", "--format=%N").strip()
        self.node.call("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=lost")
        wait_until(lambda: not worker.is_alive())
        with contextlib.suppress(RuntimeError):  # it may have reported back by itself
            self.node.call("scontrol", "update", f"NodeName={name}", "State=RESUME")

    def left_over(self) -> Sequence[str]:
        assert self.node is not None
        return self.node.jobs()


described = Slurm()
