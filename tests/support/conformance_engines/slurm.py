"""``--engine slurm`` on a real Slurm of one node, which the suite starts for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from single_node import SingleNode, missing, new_folder

from conformance_engines import EngineUnderTest, Promises


class Slurm(EngineUnderTest):
    name = engine = "slurm"
    promises = Promises(
        has_workers=True,
        lone_run_of_lost_worker="fails",
        workers_of_lost_driver="go on",
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

    def options(self, jobs: int) -> Sequence[str]:
        asked = {"cohorts": 100 if jobs == 1 else 2, "jobs-at-once": jobs, "poll": 0.5}
        return (
            "--engine",
            "slurm",
            *(word for key, value in asked.items() for word in ("--cluster", f"{key}={value}")),
        )

    def settings(self) -> Mapping[str, str]:
        assert self.node is not None
        return self.node.variables

    def left_over(self) -> Sequence[str]:
        assert self.node is not None
        return self.node.jobs()


described = Slurm()
