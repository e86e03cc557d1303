"""Change the code in small ways, one at a time, and see whether the tests notice: ``make mutants``.

    python tests/mutation/mutants.py health --sample 60

A room's mutants are those of cosmic-ray's operators (another comparison, another operator, a number ± 1, a condition
negated, a loop that is left out …) in its files. Each is written into a copy of the tree, and the room's tests run on
it until the first one fails: then the mutant is killed. A survivor is printed as a diff. It is a test to write; or it
is equivalent (no input tells it from the original) and belongs into ``equivalent.json`` with its reason.

Two things save time and weaken nothing: every run is a fork of a process that has imported torch, scipy and pytest
(``forked_pytest``), and those tests run first that are most likely to fail for the time that they take (``ranked``).
A survivor has passed all of the room's tests but the slow ones.

There are thousands, so a sample is drawn, the same for the same seed, and the share killed is given with its 95 %
interval (Wilson).
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

LIMIT_OF_TEST = 60.0
"""Seconds after which a test hangs, or ten times the time of the slowest one without a mutant, if that is more."""


@dataclass(frozen=True)
class Room:
    """Say which files are mutated and which tests may kill the mutants.

    Args:
        files: Patterns of source files.
        tests: Test files, folders, and patterns of them.
        without: Those of them that take long for the little that they find alone. Without them no mutant is killed that
            survives with them, so that the share killed is at most too low.
        senseless: How the names of operators begin whose mutants fail at the first call here, whatever the tests look
            at. Counted, they would raise the share killed.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()
    senseless: tuple[str, ...] = ()

    def source_files(self) -> list[str]:
        """Return the files to change, relative to the root."""
        return sorted(str(path.relative_to(ROOT)) for pattern in self.files for path in ROOT.glob(pattern))

    def test_files(self) -> list[str]:
        """Return the files of the tests, relative to the root."""
        found = {file for pattern in self.tests for file in _test_files(pattern)}
        return sorted(found - {file for pattern in self.without for file in _test_files(pattern)})


ROOMS = {
    "health": Room(
        ("actbench/health/*.py", "actbench/health/units/*.py"),
        ("tests/health", "tests/training/test_initial_statistics.py", "tests/training/test_cohort.py"),
    ),
    "modules": Room(("actbench/health/modules/*.py",), ("tests/health",)),
    "unit_axes": Room(("actbench/nn/unit_axes/*.py",), ("tests/nn/test_units_by_perturbation.py", "tests/health")),
    "statistics": Room(
        ("actbench/analysis/statistics/*.py",),
        ("tests/analysis/test_statistics*.py", "tests/analysis/test_families.py"),
    ),
    "comparison": Room(
        ("actbench/analysis/table/*.py", "actbench/analysis/judgements/*.py", "actbench/analysis/compare.py"),
        ("tests/analysis",),
        without=(
            "tests/analysis/test_statistics*.py",
            "tests/analysis/test_sentences.py",
            "tests/analysis/test_run_diff.py",
            "tests/analysis/test_sequential.py",
        ),
    ),
    "storage": Room(
        ("actbench/storage/*.py",),
        # Not tests/faults and tests/execution: they would take a quarter of an hour for each survivor.
        ("tests/storage", "tests/cli/test_printed_commands.py"),
        senseless=("core/ReplaceBinaryOperator_Div_",),  # each / joins a path and a name, which nothing else does
    ),
}

LEFT_OUT = (
    "core/RemoveDecorator",  # without which nothing can be imported
    "core/ExceptionReplacer",
    # Equal numbers and texts may or may not be one object, and None is one: no mistake, and no difference.
    "core/ReplaceComparisonOperator_Eq_Is",
    "core/ReplaceComparisonOperator_NotEq_IsNot",
    "core/ReplaceComparisonOperator_Is_Eq",
    "core/ReplaceComparisonOperator_IsNot_NotEq",
)
"""Operators whose mutants are nearly all equivalent or senseless."""

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
        killer: The test that failed; ``a hang`` where time was over; empty after an error at an import, say.
    """

    mutant: Mutant
    killed: bool
    diff: str
    seconds: float
    killer: str = ""

    @property
    def reason(self) -> str | None:
        """The reason why it is equivalent; None where none is known."""
        changed = [line for line in self.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        before = " ".join(line[1:].strip() for line in changed if line[0] == "-")
        after = " ".join(line[1:].strip() for line in changed if line[0] == "+")
        return EQUIVALENT.get(f"{self.mutant.file}: {before} -> {after}")


@dataclass
class History:
    """Hold how long the tests take, and how many mutants each has killed.

    Args:
        seconds: Test -> its time without any mutant.
        related: Source file -> test files that name it.
        kills: (source file, test) -> mutants of that file which it killed.
    """

    seconds: Mapping[str, float]
    related: Mapping[str, frozenset[str]]
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)


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
    """Return every sensible mutant of a room's files."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    for file in room.source_files():
        text = (ROOT / file).read_text()
        lines, nodes = text.splitlines(), list(ast_nodes(get_ast(text)))
        for operator in sorted(operator_names()):
            made = get_operator(operator)
            if made.arguments() or operator in LEFT_OUT or operator.startswith(room.senseless):
                continue
            places = [place for node in nodes for place in made().mutation_positions(node)]
            for index, ((row, column), _) in enumerate(places):
                before = "\n".join((*lines[: row - 1], lines[row - 1][:column]))
                if is_sensible(operator, before):
                    yield Mutant(file, operator, index)


def is_sensible(operator: str, before: str) -> bool:
    """Return whether a change may be a mistake, by its operator and the text before it.

    Not so in decorators (``frozen=False`` changes no result), of ``|`` in annotations, and of stars that multiply
    nothing: the marker of keywords and the unpacking of lists, most of whose mutants can't even be imported.

    >>> is_sensible("core/ReplaceBinaryOperator_Mul_Add", "def f(a, "), is_sensible("core/NumberReplacer", "x = ")
    (False, True)
    """
    if before.rpartition("\n")[2].lstrip().startswith("@"):
        return False
    if operator.startswith("core/ReplaceBinaryOperator"):
        return "_BitOr" not in operator and not before.rstrip().endswith(tuple("([{,=:"))
    return True


def sampled(every: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return a random sample in the order of the files; all of them for a count of 0."""
    import numpy as np

    if not 0 < count < len(every):
        return list(every)
    indices = np.random.default_rng(seed).choice(len(every), count, replace=False)
    return [every[index] for index in sorted(indices)]


def ranked(file: str, history: History) -> dict[str, int]:
    """Return test -> its rank for mutants of a file: the likeliest to fail for the time that it takes comes first.

    >>> history = History({"a.py::slow": 9.0, "a.py::quick": 0.1, "b.py::other": 0.1}, {"x.py": frozenset({"a.py"})})
    >>> ranked("x.py", history)
    {'a.py::quick': 0, 'b.py::other': 1, 'a.py::slow': 2}
    """
    of_any = Counter[str]()
    for (_, test), count in history.kills.items():
        of_any[test] += count
    related = history.related.get(file, frozenset())

    def promise(test: str) -> float:
        # A test that has found a mutant of this file is the best guess for the next one, then a test that names it.
        kills = 4 * history.kills[file, test] + of_any[test] + (test.partition("::")[0] in related)
        return (kills + 0.05) / (history.seconds[test] + 0.02)

    return {test: rank for rank, test in enumerate(sorted(history.seconds, key=promise, reverse=True))}


def likely_files(order: Mapping[str, int], count: int = 2) -> list[str]:
    """Return the test files of the tests that come first: the others need not be collected unless these pass.

    >>> likely_files({"test_b.py::one": 0, "test_b.py::two": 1, "x.py::x.f": 2, "a/test_a.py::three": 3})
    ['test_b.py', 'a/test_a.py']
    """
    files = dict.fromkeys(test.partition("::")[0] for test in order)
    return [file for file in files if Path(file).name.startswith("test_")][:count]  # the others hold doctests


def files_naming(file: str, tests: Sequence[str]) -> frozenset[str]:
    """Return the test files that import from a source file's package, or bear its name."""
    source = Path(file)
    package = ".".join(source.parent.parts)
    return frozenset(test for test in tests if source.stem in Path(test).stem or package in (ROOT / test).read_text())


def run(room: Room, chosen: Sequence[Mutant], jobs: int) -> Iterator[Outcome]:
    """Run the room's tests on each mutant, in so many copies of the tree, and yield the outcomes as they come."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies: SimpleQueue[Copy] = SimpleQueue()
        every = [Copy(Path(folder) / str(index)) for index in range(jobs)]
        for copy in every:
            copies.put(copy)
        began = time.monotonic()
        sound = every[0].run_tests([*room.source_files(), *room.test_files()], {}, limit=3600, limit_of_test=900)
        if not sound["passed"]:
            sys.exit(f"the tests fail without any mutant: mend that first ({sound['failed'] or 'at an import'})")
        limit = 60 + 3 * (time.monotonic() - began)
        limit_of_test = max(LIMIT_OF_TEST, 10 * max(sound["seconds"].values()))
        related = {file: files_naming(file, room.test_files()) for file in room.source_files()}
        history = History(sound["seconds"], related)

        def outcome(mutant: Mutant) -> Outcome:
            copy = copies.get()
            try:
                found = copy.outcome_of(mutant, room, history, limit, limit_of_test)
            finally:
                copies.put(copy)
            if found.killer:
                history.kills[mutant.file, found.killer] += 1
            return found

        try:
            with ThreadPoolExecutor(jobs) as pool:
                for number, found in enumerate(pool.map(outcome, chosen), start=1):
                    end = f"killed by {found.killer or 'an error'}" if found.killed else "survived"
                    print(f"{number} of {len(chosen)}: {end} in {found.seconds:.0f} s", file=sys.stderr, flush=True)
                    if not found.killed:
                        known = f" (equivalent: {found.reason})" if found.reason else ""
                        print(f"SURVIVED{known}\n{found.diff}", flush=True)
                    yield found
        finally:
            for copy in every:
                copy.close()


def summary(name: str, outcomes: Sequence[Outcome]) -> str:
    """Return the share killed of the mutants that are not known to be equivalent, with its interval."""
    from actbench.analysis.statistics.intervals import wilson_interval

    counted = [one for one in outcomes if one.killed or one.reason is None]
    killed, n = sum(one.killed for one in counted), len(counted)
    low, high = wilson_interval(killed, n) if n else (0.0, 1.0)
    return (
        f"{name}: {killed} of {n} mutants killed, {killed / max(n, 1):.1%} [{low:.1%}, {high:.1%}]; "
        f"{len(outcomes) - n} equivalent; {sum(one.seconds for one in outcomes):.0f} s of tests"
    )


class Copy:
    """A copy of the tree, so that no mutant ever reaches the work tree, and the process whose forks test it.

    Args:
        folder: Where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
        )  # fmt: skip
        for name in listed.stdout.decode().splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        # Without byte code: a mutant of the same length, written in the same second, would pass for the original.
        environment = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forked_pytest.py"))],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run_tests(
        self, tests: Sequence[str], order: Mapping[str, int], *, limit: float, limit_of_test: float
    ) -> dict[str, Any]:
        """Run tests until the first one fails; return a ``forked_pytest.Reply`` as a mapping."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        arguments = [
            "-x", "-q", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider", "-m", "not slow",
            "-W", "ignore::pytest.PytestAssertRewriteWarning",  # of plugins that the server has imported
            "--hypothesis-seed=0",  # the same examples each time
            f"--timeout={limit_of_test:g}", f"--basetemp={self._folder}.tmp", *tests,
        ]  # fmt: skip
        self._server.stdin.write(json.dumps({"arguments": arguments, "order": order, "limit": limit}) + "\n")
        self._server.stdin.flush()
        reply: dict[str, Any] = json.loads(self._server.stdout.readline())
        return reply

    def outcome_of(self, mutant: Mutant, room: Room, history: History, limit: float, limit_of_test: float) -> Outcome:
        """Run the room's tests on a mutant."""
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator

        file = self._folder / mutant.file
        original = file.read_text()
        changed = mutate_code(original, get_operator(mutant.operator)(), mutant.occurrence)
        lines = difflib.unified_diff(
            original.splitlines(), changed.splitlines(), mutant.file, mutant.operator, n=0, lineterm=""
        )
        began, order = time.monotonic(), ranked(mutant.file, history)
        first = likely_files(order)
        rest = [test for test in room.test_files() if test not in first]
        try:
            file.write_text(changed)
            # Without a file pytest would collect the whole project.
            for tests in filter(None, ([mutant.file, *first], rest)):
                reply = self.run_tests(tests, order, limit=limit, limit_of_test=limit_of_test)
                if not reply["passed"]:
                    break
        finally:
            file.write_text(original)
        return Outcome(mutant, not reply["passed"], "\n".join(lines), time.monotonic() - began, reply["failed"])

    def close(self) -> None:
        """End the process."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()


def _test_files(pattern: str) -> list[str]:
    """Return the test files that a pattern or a folder stands for, relative to the root."""
    found = [file for path in ROOT.glob(pattern) for file in (path.rglob("test_*.py") if path.is_dir() else [path])]
    return [str(file.relative_to(ROOT)) for file in found]


if __name__ == "__main__":
    main()
