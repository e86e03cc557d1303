"""The engines that ``tests/conformance`` holds to the same promises: one file an engine, found by being here.

To add an engine, write a file beside ``pool.py`` whose ``described`` is an ``EngineUnderTest``. The scenarios of the
suite stay as they are: they read what the engine promises from ``Promises``, and ``docs/reliability.md`` says the same
in a table.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from actbench.execution.engines import Engine
from actbench.schema.registry import load
from actbench.system.processes import Process


@dataclass(frozen=True)
class Promises:
    """What an engine promises where engines differ; what is not here, each of them does.

    Args:
        has_workers: Whether runs are computed outside the process of the command. Without workers there is none to
            lose: a kill ends the command, which the scenario of a lost driver covers.
        lone_run_of_lost_worker: What becomes of a run that was alone in the cohort of a worker that was killed once:
            it ``fails`` with the reason, or is ``retried``. Runs of larger cohorts are retried by all.
        workers_of_lost_driver: Whether workers ``end`` with the command that started them, when it is killed, or ``go
            on`` by themselves, and the same command only looks on until they have ended.
        has_nodes: Whether it computes on machines besides that of the command, one of which can be lost.
        ends_hanging_runs: Whether ``--timeout`` ends a run that hangs.
        cohorts_ahead: Cohorts that it locks beyond those at work, for each job, so that no worker waits for its next.
        does_any_work: Whether ``Engine.execute`` applies any ``Work``; an engine that hands out command lines trains.
        takes_session_functions: Whether functions without a module, as in a notebook, reach who computes them; an
            engine that hands out command lines refuses them.
    """

    has_workers: bool
    lone_run_of_lost_worker: Literal["fails", "retried"] = "fails"
    workers_of_lost_driver: Literal["end", "go on"] = "end"
    has_nodes: bool = False
    ends_hanging_runs: bool = True
    cohorts_ahead: int = 0
    does_any_work: bool = True
    takes_session_functions: bool = True


class EngineUnderTest:
    """How the suite uses one engine. What is here suits engines that need nothing but this machine.

    Attributes:
        name: Its name in the suite, which holds two descriptions of an engine that is used in two ways.
        engine: The value of ``--engine``.
        promises: What it promises.
    """

    name: str
    engine: str
    promises: Promises

    def missing(self) -> str:
        """Say what has to be installed before this engine can be tested here; nothing where it can."""
        return ""

    @contextmanager
    def running(self, folder: Path) -> Iterator[None]:
        """Keep up what the engine computes on, once for all tests of a process.

        Two test processes (``pytest -n 2``) may do so at once: choose free ports, or wait for a lock on a file.

        Args:
            folder: An empty folder, for the logs and sockets of a cluster.
        """
        yield

    def options(self, jobs: int) -> Sequence[str]:
        """Return the words of ``actbench run`` that choose this engine, with so many cohorts at once."""
        asked = [word for key, value in self.cluster().items() for word in ("--cluster", f"{key}={value}")]
        return ("--engine", self.engine, "-j", str(jobs), *asked)

    def cluster(self) -> Mapping[str, str]:
        """Return what the engine asks its cluster for, as ``--cluster KEY=VALUE`` has it."""
        return {}

    def settings(self) -> Mapping[str, str]:
        """Return environment variables for the command."""
        return {}

    def made(self, jobs: int) -> Engine:
        """Return the engine itself, to be entered in this process, with so many cohorts at once."""
        plugin: type[Engine] = load("engines", self.engine)
        return plugin(jobs, plugin.options.of(self.engine, self.cluster()))

    def kill_node(self, worker: Process) -> None:
        """End a node as a power cut does: the one on which this worker runs, with all its processes."""
        raise NotImplementedError

    def left_over(self) -> Sequence[str]:
        """Name what commands that have ended left behind, besides files and processes: jobs in a queue, say."""
        return ()

    def __repr__(self) -> str:
        """Return its name, by which pytest calls it."""
        return self.name


def _described() -> Iterator[EngineUnderTest]:
    for module in pkgutil.iter_modules(__path__):
        found = importlib.import_module(f"{__name__}.{module.name}").described
        yield from found if isinstance(found, Sequence) else (found,)


ENGINES: dict[str, EngineUnderTest] = {
    engine.name: engine
    for engine in sorted(_described(), key=lambda engine: (engine.promises.has_workers, engine.name))
}
"""Name in the suite -> engine; those without workers first, since they are the quickest."""
