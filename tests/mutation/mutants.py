"""Change the code in small ways, one at a time, and see whether the tests notice: ``make mutants``.

    python tests/mutation/mutants.py health --sample 60

A room's mutants are those of cosmic-ray's operators (another comparison, another operator, a number ± 1, a condition
negated, a loop that is left out …) in its files. Each is written into a copy of the tree, and the room's tests run on
it until the first one fails: then the mutant is killed. A survivor is printed as a diff. It is a test to write; or it
is equivalent (no input tells it from the original) and belongs into ``equivalent.json`` with its reason.

There are thousands, so a sample is drawn, the same for the same seed, and the share killed is given with its 95 %
interval (Wilson).
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Room:
    """Say which files are mutated and which tests may kill the mutants.

    Args:
        files: Patterns of source files.
        tests: Test files and folders, those that find most first: the run ends with the first failure.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]


ROOMS = {
    "health": Room(
        ("actbench/health/*.py", "actbench/health/units/*.py"),
        ("tests/health", "tests/training/test_initial_statistics.py", "tests/training/test_cohort.py"),
    ),
    "modules": Room(("actbench/health/modules/*.py",), ("tests/health",)),
    "statistics": Room(("actbench/analysis/statistics/*.py",), ("tests/analysis",)),
    "comparison": Room(
        ("actbench/analysis/table/*.py", "actbench/analysis/judgements/*.py", "actbench/analysis/compare.py"),
        ("tests/analysis", "tests/cli/test_compare.py"),
    ),
    "storage": Room(("actbench/storage/*.py",), ("tests/storage", "tests/faults", "tests/execution")),
}

LEFT_OUT = ("core/ReplaceBinaryOperator_BitOr", "core/RemoveDecorator", "core/ExceptionReplacer")
"""Operators whose mutants are nearly all equivalent or senseless: ``int | None`` in annotations; decorators, without
which nothing can be imported."""

EQUIVALENT: dict[str, str] = json.loads((Path(__file__).parent / "equivalent.json").read_text())
"""``file: line before -> line after`` of mutants that behave as the original, with the reason."""


@dataclass(frozen=True)
class Mutant:
    """Hold one change of one file.

    Args:
        file: Relative to the root.
        operator: Its name in cosmic-ray.
        occurrence: Which of the operator's places in the file.
    """

    file: str
    operator: str
    occurrence: int


@dataclass(frozen=True)
class Outcome:
    """Hold what became of a mutant.

    Args:
        mutant: The change.
        killed: Whether a test failed, or hung.
        diff: The changed lines.
        seconds: Time that its tests took.
    """

    mutant: Mutant
    killed: bool
    diff: str
    seconds: float

    @property
    def reason(self) -> str | None:
        """The reason why it is equivalent; None where none is known."""
        changed = [line for line in self.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        before = " ".join(line[1:].strip() for line in changed if line[0] == "-")
        after = " ".join(line[1:].strip() for line in changed if line[0] == "+")
        return EQUIVALENT.get(f"{self.mutant.file}: {before} -> {after}")


def main() -> None:
    """Draw a sample of a room's mutants, run the tests on each, and print survivors and the share killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("room", choices=[*ROOMS, "all"])
    parser.add_argument("--sample", type=int, default=60, help="mutants to try in each room; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    for name in ROOMS if arguments.room == "all" else [arguments.room]:
        every = list(mutants_of(ROOMS[name]))
        chosen = sampled(every, arguments.sample, arguments.seed)
        print(f"{name}: {len(chosen)} of {len(every)} mutants", flush=True)
        outcomes = list(run(ROOMS[name], chosen, arguments.jobs))
        print(summary(name, outcomes), flush=True)


def mutants_of(room: Room) -> Iterator[Mutant]:
    """Return every mutant of a room's files."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    for file in sorted(path for pattern in room.files for path in ROOT.glob(pattern)):
        tree = get_ast(file.read_text())
        for operator in sorted(operator_names()):
            made = get_operator(operator)
            if made.arguments() or operator.startswith(LEFT_OUT):
                continue
            places = sum(1 for node in ast_nodes(tree) for _ in made().mutation_positions(node))
            yield from (Mutant(str(file.relative_to(ROOT)), operator, index) for index in range(places))


def sampled(every: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return a random sample in the order of the files; all of them for a count of 0."""
    import numpy as np

    if not 0 < count < len(every):
        return list(every)
    indices = np.random.default_rng(seed).choice(len(every), count, replace=False)
    return [every[index] for index in sorted(indices)]


def run(room: Room, chosen: Sequence[Mutant], jobs: int) -> Iterator[Outcome]:
    """Run the room's tests on each mutant, in so many copies of the tree, and yield the outcomes as they come."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for index in range(jobs):
            copies.put(_copy_of_tree(Path(folder) / str(index)))
        first = copies.get()
        began = time.monotonic()
        if _tests_pass(first, room.tests, timeout=3600):
            limit = 60 + 3 * (time.monotonic() - began)
        else:
            sys.exit("the tests fail without any mutant: mend that first")
        copies.put(first)

        def outcome(mutant: Mutant) -> Outcome:
            copy = copies.get()
            try:
                return _tried(copy, room, mutant, limit)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(jobs) as pool:
            for found in pool.map(outcome, chosen):
                if not found.killed:
                    print(
                        f"SURVIVED{f' (equivalent: {found.reason})' if found.reason else ''}\n{found.diff}", flush=True
                    )
                yield found


def summary(name: str, outcomes: Sequence[Outcome]) -> str:
    """Return the share killed of the mutants that are not known to be equivalent, with its interval."""
    counted = [one for one in outcomes if one.killed or one.reason is None]
    killed, n = sum(one.killed for one in counted), len(counted)
    low, high = wilson(killed, n)
    return (
        f"{name}: {killed} of {n} mutants killed, {killed / max(n, 1):.0%} [{low:.0%}, {high:.0%}]; "
        f"{len(outcomes) - n} equivalent; {sum(one.seconds for one in outcomes):.0f} s of tests"
    )


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    >>> [round(end, 3) for end in wilson(9, 10)]
    [0.596, 0.982]
    """
    if not n:
        return 0.0, 1.0
    centre, spread = (
        successes / n + z * z / (2 * n),
        z * math.sqrt(successes * (n - successes) / n**3 + z * z / (4 * n * n)),
    )
    return (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)


def _copy_of_tree(target: Path) -> Path:
    """Copy what git knows, the present state of it, so that no mutant ever reaches the work tree."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def _tried(copy: Path, room: Room, mutant: Mutant, limit: float) -> Outcome:
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    file = copy / mutant.file
    original = file.read_text()
    changed = mutate_code(original, get_operator(mutant.operator)(), mutant.occurrence)
    lines = difflib.unified_diff(
        original.splitlines(), changed.splitlines(), mutant.file, mutant.operator, n=0, lineterm=""
    )
    began = time.monotonic()
    try:
        file.write_text(changed)
        killed = not _tests_pass(copy, [mutant.file, *room.tests], timeout=limit)
    finally:
        file.write_text(original)
    return Outcome(mutant, killed, "\n".join(lines), time.monotonic() - began)


def _tests_pass(copy: Path, tests: Sequence[str], timeout: float) -> bool:
    """Return whether the tests pass in a copy; not when they hang."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:randomly", "-m", "not slow", *tests]
    process = subprocess.Popen(
        command, cwd=copy, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(timeout) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


if __name__ == "__main__":
    main()
