"""``actbench run --until``: seeds are added until the differences are known well enough."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from actbench.cli.output import print_note
from actbench.errors import LostResultsError, UsageError
from actbench.system.command_line import command_text, error_logs
from actbench.system.text import printable

if TYPE_CHECKING:
    from actbench.analysis.sequential import ChosenSeeds, InterimLook, StoppingRule
    from actbench.cli.study_options import StudyOptions
    from actbench.config import Study, TwoStage
    from actbench.execution.runner import Runner
    from actbench.storage.reading import Records


@dataclass(frozen=True)
class Trained:
    """The end of a training.

    Args:
        outcomes: How many runs ended how: those whose results are in the results folder, and the failed ones.
        loss: The error for results that are not there any more; None when all are.
        is_logged: Whether a failed run has an ``error.txt``; those that no job began to compute have none.
    """

    outcomes: Counter[str]
    loss: LostResultsError | None
    is_logged: bool = False


Train = Callable[["Runner"], Trained]
"""Trains the waiting runs of a runner."""


@dataclass(frozen=True)
class SequentialDesign:
    """When to stop adding seeds: ``--until``, ``--max-seeds`` and ``--exact``.

    Args:
        rule: When to stop.
        max_seeds: Number of seeds that is not exceeded.
        pilot: Under ``--exact`` the seeds of the first stage, whose spread chooses the number of all; else None.
    """

    rule: StoppingRule
    max_seeds: int
    pilot: tuple[int, ...] | None = None


def design_of(options: StudyOptions, study: Study) -> SequentialDesign | None:
    """Read ``--until``, ``--max-seeds`` and ``--exact``; None when none is given.

    Args:
        options: The options.
        study: The study whose seeds are to become more.

    Raises:
        UsageError: When they make no sense together, with another option, or for this study.
    """
    if options.until is None and options.max_seeds is None and not options.exact:
        return None  # the usual case, which need not pay for the import of the comparison
    from actbench.analysis.pairs_needed import MIN_VALUES
    from actbench.analysis.sequential import DEFAULT_MAX_SEEDS, FORM, parse_rule

    if options.until is None and options.exact:
        raise UsageError(f"--exact says how --until adds seeds: add --until with {FORM}")
    if options.until is None:
        raise UsageError(f"--max-seeds says where --until ends: add --until with {FORM}")
    rule, limit = parse_rule(options.until), options.max_seeds
    design = SequentialDesign(
        rule, DEFAULT_MAX_SEEDS if limit is None else limit, _pilot(study, rule.metric) if options.exact else None
    )
    # What trains finished runs anew would do so in every round.
    clashing = {"--smoke": options.smoke, "--force": options.force, "--retry all": options.retry == "all"}
    for option in (option for option, given in clashing.items() if given):
        raise UsageError(f"--until can't go with {option}: leave one of them out")
    refuse_shards(options.until, options.shard)
    if len(study.specs()) == len(study.seeds):
        raise UsageError("--until needs differences to look at, but the runs of this study differ in the seed alone")
    own = study.seeds if design.pilot is None else design.pilot
    if len(own) > design.max_seeds:
        raise UsageError(f"--max-seeds {design.max_seeds} is less than the study's own {len(own)} seeds")
    if design.pilot is not None and len(own) < MIN_VALUES:
        raise UsageError(
            f"--exact takes the spread of the study's own seeds, for which {len(own)} are too few: add seeds=5"
        )
    return design


def refuse_shards(until: str | None, shard: object) -> None:
    """Refuse ``--until`` with ``--shard``: each shard would look at a part of the differences.

    Args:
        until: The condition of ``--until``; None when not given.
        shard: What ``--shard`` asks for; None when not given.

    Raises:
        UsageError: When both are given.
    """
    if until is not None and shard is not None:
        raise UsageError(
            "--until can't go with --shard: each shard would decide by its own runs alone; set seeds=N instead"
        )


def _pilot(study: Study, metric: str) -> tuple[int, ...]:
    """Return the seeds of the first stage: the study's own.

    The config in a results folder, which may be trained again, has those of both stages and records the first ones.
    """
    chosen = study.compare.two_stage
    return chosen.pilot if chosen is not None and chosen.metric == metric else study.seeds


def planned_lines(design: SequentialDesign, study: Study) -> str:
    """Return the lines that ``--until`` adds to a plan."""
    each = len(study.specs()) // len(study.seeds)
    if design.pilot is not None:
        return (
            f"until        {design.rule.text}: the spread of {len(design.pilot)} seeds chooses the number of all\n"
            f"at most      {design.max_seeds} seeds, {each * design.max_seeds} runs"
        )
    return (
        f"until        {design.rule.text}: looks after these seeds, then adds a quarter more at a time\n"
        f"at most      {design.max_seeds} seeds, {each * design.max_seeds} runs"
    )


def run_until(
    design: SequentialDesign, runner: Runner, larger: Callable[[Sequence[int], TwoStage | None], Runner], train: Train
) -> None:
    """Train the study, then the same study with more seeds, until the condition holds; report on stderr.

    Args:
        design: When to stop.
        runner: The study with the seeds of its config.
        larger: Plans the same study with these seeds, and with a record of how they were chosen.
        train: Trains the waiting runs of a runner.

    Raises:
        typer.Exit: When a run fails; with more seeds more would.
        LostResultsError: When results are not in the results folder any more.
    """
    from actbench.analysis.sequential import choose_seeds, grow, interim_look

    began, outcomes = time.perf_counter(), Counter[str]()

    def trained(seeds: tuple[int, ...], two_stage: TwoStage | None = None) -> Records:
        # The first look trains the runner that was planned already; each later one has to be planned with its seeds.
        is_first = seeds == runner.study.seeds and two_stage is None
        current = runner if is_first else larger(seeds, two_stage)
        found = train(current)
        outcomes.update(found.outcomes)
        if found.loss is not None:
            raise found.loss
        if outcomes["failed"]:
            why = f"; why: {error_logs(runner.store.folder)}" if found.is_logged else ""
            print_note(f"failed: {outcomes['failed']}{why}")
            raise typer.Exit(1)
        return _records(current)

    if design.pilot is not None:
        chosen = choose_seeds(design.pilot, trained(design.pilot), design.rule, max_seeds=design.max_seeds)
        print_note(printable(_choice(chosen, design)))
        look = interim_look(
            chosen.plan.all_seeds, trained(chosen.plan.all_seeds, chosen.plan), design.rule, at_most=True
        )
        print_note(printable(f"{runner.study.name}: {_exact_conclusion(look, chosen, design)}"))
        _finish(runner, outcomes, began)
        return
    for look in grow(runner.study.seeds, design.rule, trained, max_seeds=design.max_seeds):
        print_note(printable(_look_line(look, design)))
    print_note(printable(f"{runner.study.name}: {_conclusion(look, design)}"))
    _finish(runner, outcomes, began)


def _finish(runner: Runner, outcomes: Counter[str], began: float) -> None:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    print_note(f"{counts or 'nothing to train'} in {time.perf_counter() - began:.1f} s")
    print_note(f"compare: {command_text(['compare', runner.store.folder])}")


def _records(runner: Runner) -> Records:
    """Read the study's own runs, without others in its folder, and the settings by which to compare them."""
    from actbench.storage.reading import read_results

    wanted = {spec.digest for spec in runner.specs}
    found, study = read_results(runner.store.folder), runner.study
    runs = tuple(record for record in found if record.spec.digest in wanted)
    # The config that is kept may be of more runs, so how these seeds were chosen is that of the study at hand.
    own = {**found.settings.get(study.name, {}), "two_stage": study.compare.two_stage}
    return replace(found, runs=runs, settings={**found.settings, study.name: own})


def _look_line(look: InterimLook, design: SequentialDesign) -> str:
    if look.widest is None:
        known = "has no interval yet"
    else:
        width, name = look.widest
        known = f"known to {_half_width(width, design)} at worst ({name})"
    text = f"{_seeds(look)}: {design.rule.metric} {known}"
    return f"{text}; {len(look.open)} of {look.differences} differences open" if look.open else text


def _conclusion(look: InterimLook, design: SequentialDesign) -> str:
    """Report whether the condition holds, and the differences that no number of seeds will settle."""
    bound = _half_width(design.rule.bound, design)
    known = f"{look.differences - len(look.open) - len(look.hopeless)} of {look.differences} differences"
    text = f"{known} to the baseline are known to less than {bound} with {_seeds(look)}"
    if look.open:
        text += f"; stopped by --max-seeds {design.max_seeds}, with these open: {'; '.join(look.open)}"
    if look.hopeless:
        text += f"; no pair of runs has a value for: {'; '.join(look.hopeless)}"
    return text


def _choice(chosen: ChosenSeeds, design: SequentialDesign) -> str:
    """Report the number of seeds that the first ones choose, and the row that chose it."""
    width, name = chosen.widest
    bound, metric = _half_width(design.rule.bound, design), design.rule.metric
    first, count = _number(len(chosen.plan.pilot)), chosen.plan.seeds
    if chosen.needed == len(chosen.plan.pilot):
        text = f"{first} are enough for {metric} within {bound}: {_half_width(width, design)} at worst ({name})"
    elif chosen.needed > count:
        text = (
            f"{first} choose {chosen.needed:,} in all for {metric} within {bound}; with --max-seeds {count} it will be "
            f"known to {_half_width(width, design)} at worst ({name})"
        )
    else:
        text = f"{first} choose {count} in all, for {metric} within {bound} ({name} varies most)"
    if chosen.without:
        text += f"; too few pairs of runs for a spread: {'; '.join(chosen.without)}"
    return text


def _exact_conclusion(look: InterimLook, chosen: ChosenSeeds, design: SequentialDesign) -> str:
    """Report how many differences are known as well as was asked for, and those that are not."""
    bound = _half_width(design.rule.bound, design)
    known = look.differences - len(look.open) - len(look.hopeless)
    text = (
        f"{known} of {look.differences} differences to the baseline are known to {bound} or less with {_seeds(look)}, "
        f"chosen by the first {len(chosen.plan.pilot)}"
    )
    if look.open:
        text += f"; wider or without an interval: {'; '.join(look.open)}"
    if look.hopeless:
        text += f"; no pair of runs has a value for: {'; '.join(look.hopeless)}"
    return text


def _seeds(look: InterimLook) -> str:
    return _number(len(look.seeds))


def _number(seeds: int) -> str:
    return f"{seeds} seed{'s' if seeds > 1 else ''}"


def _half_width(width: float, design: SequentialDesign) -> str:
    """Spell the half-width of an interval in the unit of differences: ``±0.45 points``.

    Three digits, or as many as it takes not to be written like the bound, from which it differs.
    """
    from actbench.analysis.judgements.formatting import in_units
    from actbench.schema.metrics import METRICS

    scale = 100 if METRICS[design.rule.metric].unit == "fraction" else 1
    bound = f"{scale * design.rule.bound:.6g}"
    written = (f"{scale * width:.{digits}g}" for digits in range(3, 18))
    digits = bound if width == design.rule.bound else next((text for text in written if text != bound), bound)
    return f"±{in_units(design.rule.metric, digits)}"
