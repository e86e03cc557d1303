"""``actbench run --until``: seeds are added until the differences are known well enough."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from actbench.errors import UsageError

if TYPE_CHECKING:
    from actbench.analysis.sequential import InterimLook, StoppingRule
    from actbench.config import Study
    from actbench.execution.runner import Runner
    from actbench.storage.reading import Records


Train = Callable[["Runner"], Counter[str]]
"""Trains what waits in a runner and counts the outcomes."""


@dataclass(frozen=True)
class SequentialDesign:
    """What ``--until`` and ``--max-seeds`` ask for.

    Args:
        condition: When to stop.
        max_seeds: Number of seeds that is not exceeded.
    """

    condition: StoppingRule
    max_seeds: int


def design_of(until: str | None, max_seeds: int | None, runner: Runner, *, smoke: bool) -> SequentialDesign | None:
    """Read the two options; None when neither is given.

    Args:
        until: The condition.
        max_seeds: Its end; None for 30.
        runner: The study that is to grow; nothing has been trained yet.
        smoke: Whether the study was cut to seconds.

    Raises:
        UsageError: When they make no sense together, with another option, or for this study.
    """
    if until is None and max_seeds is None:
        return None  # the usual case, which need not pay for what compares runs
    from actbench.analysis.sequential import DEFAULT_MAX_SEEDS, FORM, parse_rule

    if until is None:
        raise UsageError(f"--max-seeds says where --until ends: add --until with {FORM}")
    design = SequentialDesign(parse_rule(until), DEFAULT_MAX_SEEDS if max_seeds is None else max_seeds)
    # What trains finished runs anew would do so in every round.
    clashing = {"--smoke": smoke, "--force": runner.force, "--retry all": runner.retry == "all"}
    for option in (option for option, given in clashing.items() if given):
        raise UsageError(f"--until can't go with {option}: leave one of them out")
    _check(design, runner.study)
    return design


def _check(design: SequentialDesign, study: Study) -> None:
    if len(study.specs()) == len(study.seeds):
        raise UsageError("--until needs differences to look at, but the runs of this study differ in the seed alone")
    if len(study.seeds) > design.max_seeds:
        raise UsageError(f"--max-seeds {design.max_seeds} is less than the study's own {len(study.seeds)} seeds")


def describe(design: SequentialDesign, study: Study) -> str:
    """The lines that ``--until`` adds to a dry run."""
    each = len(study.specs()) // len(study.seeds)
    return (
        f"until        {design.condition.text}: looks after these seeds, then adds a quarter more at a time\n"
        f"at most      {design.max_seeds} seeds, {each * design.max_seeds} runs"
    )


def run_until(design: SequentialDesign, runner: Runner, larger: Callable[[list[int]], Runner], train: Train) -> None:
    """Train the study, then the same study with more seeds, until the condition holds; say so on stderr.

    Args:
        design: When to stop.
        runner: The study as it is.
        larger: The runner of the same study with these seeds.
        train: Trains what waits in a runner and counts the outcomes.

    Raises:
        typer.Exit: When a run fails; with more seeds more would.
    """
    from actbench.analysis.sequential import grow

    began, outcomes = time.perf_counter(), Counter[str]()

    def trained(seeds: tuple[int, ...]) -> Records:
        current = runner if seeds == runner.study.seeds else larger(list(seeds))
        outcomes.update(train(current))
        if outcomes["failed"]:
            typer.echo(f"failed: {outcomes['failed']}; why: {runner.store.folder}/runs/*/error.txt", err=True)
            raise typer.Exit(1)
        return _records(current)

    for look in grow(runner.study.seeds, design.condition, trained, max_seeds=design.max_seeds):
        typer.echo(_progress(look, design), err=True)
    typer.echo(f"{runner.study.name}: {_ending(look, design)}", err=True)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    typer.echo(f"{counts or 'nothing to train'} in {time.perf_counter() - began:.1f} s", err=True)
    typer.echo(f"compare: actbench compare {runner.store.folder}", err=True)


def _records(runner: Runner) -> Records:
    """The study's own runs, whatever else lies in its folder, with what its config says about comparing."""
    from actbench.storage.reading import read_results

    wanted = {spec.digest for spec in runner.specs}
    found = read_results(runner.store.folder)
    return replace(found, runs=tuple(record for record in found if record.spec.digest in wanted))


def _progress(look: InterimLook, design: SequentialDesign) -> str:
    text = f"{len(look.seeds)} seeds: {design.condition.metric} {_widest(look, design)}"
    return f"{text}; {len(look.open)} of {look.differences} differences open" if look.open else text


def _ending(look: InterimLook, design: SequentialDesign) -> str:
    """Whether the condition holds, and what no number of seeds will tell."""
    bound = _amount(design.condition.bound, design)
    told = f"{look.differences - len(look.open) - len(look.hopeless)} of {look.differences} differences"
    text = f"{told} to the baseline are known to less than {bound} with {len(look.seeds)} seeds"
    if look.open:
        text += f"; stopped by --max-seeds {design.max_seeds}, with these open: {'; '.join(look.open)}"
    if look.hopeless:
        text += f"; no pair of runs has a value for: {'; '.join(look.hopeless)}"
    return text


def _widest(look: InterimLook, design: SequentialDesign) -> str:
    if look.widest is None:
        return "has no interval yet"
    width, name = look.widest
    return f"known to {_amount(width, design)} at worst ({name})"


def _amount(width: float, design: SequentialDesign) -> str:
    """A half-width in the unit of differences: ``±0.45 points``."""
    from actbench.analysis.judgements.formatting import short

    return f"±{short(design.condition.metric, width)}"
