"""``actbench plan`` and ``run --dry-run``: what would be run, with what time and disk it may take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actbench.cli import study_options
from actbench.system.text import printable

if TYPE_CHECKING:
    from actbench.cli.until import SequentialDesign
    from actbench.execution.cost_model import Basis
    from actbench.execution.runner import Runner

EXAMPLES = {
    "actbench plan study.yaml": "how many runs, and how long they may take",
    "actbench plan study.yaml seeds=20 -j 4": "with other keys and options, as `run` takes them",
    "actbench plan study.yaml --shard 5": "in five parts, for machines that share nothing",
}

SAMPLED = 50
"""Finished runs whose files are measured: enough for the size of one."""


def plan(
    context: typer.Context,
    config: study_options.Config,
    overrides: study_options.Overrides = None,
    results: study_options.Results = Path("results"),
    jobs: study_options.Jobs = "auto",
    device: study_options.Device = "auto",
    smoke: study_options.Smoke = False,
    until: study_options.Until = None,
    max_seeds: study_options.MaxSeeds = None,
    exact: study_options.Exact = False,
    shard: study_options.Shard = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    retry: study_options.Retry = "failed",
    force: Annotated[
        bool, typer.Option("--force", help="As if none had.", rich_help_panel=study_options.AGAIN)
    ] = False,
    engine: study_options.Engine = "pool",
    cluster: study_options.Cluster = None,
    address: study_options.Address = None,
    cohort_size: study_options.CohortSize = None,
) -> None:
    """Show what `run` would do: runs, estimated time and disk.

    Trains nothing and writes nothing.
    """
    from actbench.cli.output import as_json, print_result
    from actbench.cli.plan_shards import shards_json, shards_text
    from actbench.cli.until import design_of, refuse_shards
    from actbench.execution import shards
    from actbench.schema.runtime import Runtime

    refuse_shards(until, shard)
    is_of_all = shard is not None and "/" not in shard
    number = shards.count(shard) if shard is not None and is_of_all else 0

    runtime = Runtime(
        device,
        engine,
        jobs=study_options.workers(jobs),
        cohort_size=cohort_size,
        cluster=study_options.cluster_of(cluster, address),
    )
    options = study_options.StudyOptions(
        config,
        overrides or (),
        results=results,
        runtime=runtime,
        smoke=smoke,
        retry=retry,
        force=force,
        until=until,
        max_seeds=max_seeds,
        exact=exact,
        shard=None if shard is None or is_of_all else shards.Shard.parse(shard),
    )
    runner = study_options.prepared(context, options)
    design = design_of(options, runner.study)
    if is_of_all:
        print_result(as_json(shards_json(runner, number)) if json else shards_text(runner, number))
        return
    print_result(as_json(plan_json(runner, design)) if json else plan_text(runner, design))


def plan_text(runner: Runner, design: SequentialDesign | None) -> str:
    """Return the plan as aligned lines of text; what so many seeds can't show comes first."""
    from actbench.cli.progress import resumed_note
    from actbench.cli.until import planned_lines

    specs, study = runner.specs, runner.study
    if not specs:
        return printable(f"{runner.title} holds no runs: the study has {len(study.specs())}")
    lines = {
        "study": f"{runner.title} -> {runner.store.folder}",
        "data, model": "; ".join(" · ".join(pair) for pair in _contexts(runner)),
        "factors": ", ".join(study.factors) or "none",
        "seeds": _seed_list(_all_seeds(runner)) if runner.shard is None else _seeds_of_shard(runner),
        "runs": f"{len(specs)}: {len(specs) - len(runner.waiting)} done, "
        f"{len(runner.waiting)} to do{resumed_note(runner)}",
        "cohorts": f"{len(runner.cohorts)} on {runner.jobs} worker(s), {runner.runtime.device}",
        **({"jobs": _jobs_text(runner)} if runner.job_sizes else {}),
        "time": _time(runner),
        "disk": _disk(runner),
    }
    limits = [f"{'warning':12} {text}" for text in _limits(runner, design)]
    sizes = [f"{'' if place else 'sizes':12} {text}" for place, text in enumerate(_network_sizes(runner))]
    facts = [f"{name:12} {value}" for name, value in lines.items()]
    text = "\n".join(map(printable, (*limits, *facts, *sizes)))
    return text if design is None else f"{text}\n{planned_lines(design, runner.study)}"


def _jobs_text(runner: Runner) -> str:
    """Spell how many jobs a batch system would be given, and of how many cohorts each.

    >>> from types import SimpleNamespace
    >>> _jobs_text(SimpleNamespace(job_sizes=[3, 3, 1], jobs=2))
    '3 of up to 3 cohort(s), each with 2 worker(s)'
    """
    sizes = runner.job_sizes
    most = f"up to {max(sizes)}" if len(set(sizes)) > 1 else str(sizes[0])
    return f"{len(sizes)} of {most} cohort(s), each with {runner.jobs} worker(s)"


def _seeds_of_shard(runner: Runner) -> str:
    """Spell the seeds of a shard, those that it shares with others apart."""
    from actbench.cli.plan_shards import seeds_of, spelled_seeds

    return spelled_seeds(*seeds_of(runner.specs, runner.study.specs()))


def plan_json(runner: Runner, design: SequentialDesign | None) -> dict[str, Any]:
    """Return the plan as plain data, for ``plan --json``."""
    seconds, basis = _expected(runner)
    each, to_do = _bytes_a_run(runner), len(runner.waiting)
    return {
        "schema": 1,
        "study": runner.study.name,
        "folder": str(runner.store.folder),
        "contexts": [{"dataset": dataset, "model": model} for dataset, model in _contexts(runner)],
        "factors": list(runner.study.factors),
        "network_sizes": _network_sizes(runner),
        "shard": None if runner.shard is None else str(runner.shard),
        "seeds": _all_seeds(runner),
        "runs": {"all": len(runner.specs), "done": len(runner.specs) - to_do, "to_do": to_do},
        "cohorts": len(runner.cohorts),
        "workers": runner.jobs,
        "jobs": runner.job_sizes,
        "engine": runner.runtime.engine,
        "device": runner.runtime.device,
        "time": {"seconds": seconds, "basis": basis},
        "disk": {"bytes": None if each is None else round(each * to_do), "bytes_a_run": each},
        "until": design
        and {"condition": design.rule.text, "max_seeds": design.max_seeds, "is_exact": design.pilot is not None},
        "warnings": list(_limits(runner, design)),
    }


def _limits(runner: Runner, design: SequentialDesign | None) -> tuple[str, ...]:
    """Return what the runs of all shards will not show; under ``--until`` what the most seeds allowed will not."""
    from actbench.analysis.compare_options import DEFAULT_ALPHA
    from actbench.analysis.judgements.families import context_settings
    from actbench.analysis.judgements.limits import limits_of_plan, unjudged_of_plan
    from actbench.analysis.table.factors import context, flat_spec

    study, specs = runner.study, runner.study.specs()
    seeds = len(study.seeds)
    flats = [(spec, flat_spec(spec)) for spec in dict.fromkeys(spec.with_seed(0) for spec in specs)]
    tables = {tuple(context(spec, flat, ()).values()): [context_settings(flat)] for spec, flat in flats}
    is_compared = len(specs) > seeds * len(tables)  # a table of one row compares nothing
    most = seeds if design is None else max(seeds, design.max_seeds)
    metrics = study.compare.metric if is_compared else ()
    unjudged = unjudged_of_plan(study.expect, specs)
    contexts = list(tables.values())
    return (*limits_of_plan(metrics, study.expect, most, alpha=DEFAULT_ALPHA, contexts=contexts), *unjudged)


def _network_sizes(runner: Runner) -> list[str]:
    """Return the sizes of networks, if an activation changes the width of its layers and the data's shape is known."""
    from actbench.errors import ModelError
    from actbench.execution.cost_model import SHAPES
    from actbench.schema.unit_groups import group_of, layer_widths

    kinds = {
        (spec.activation.label, spec.model.label, spec.dataset.name, spec.bias_init.kind == "none"): spec
        for spec in runner.specs
    }
    if all(group_of(spec.activation).is_elementwise for spec in kinds.values()):
        return []
    several = len({model for _, model, _, _ in kinds}) > 1
    found: dict[str, list[str]] = {}
    for (activation, model, dataset, has_none), spec in kinds.items():
        shape = SHAPES.get(dataset)
        if shape is None or spec.model.path is not None:
            continue
        try:
            network = spec.model.build().stated(shape.image, shape.classes)
            widths = layer_widths(network, group_of(spec.activation), spec.model.options["match"])
        except ModelError:  # the run itself will say so
            continue
        outputs = "-".join(str(width.outputs) for width in widths.values())
        numbers = f"{network.parameters(widths, bias=not has_none):,} weights and biases at widths {outputs}"
        names = found.setdefault(f"{numbers}, {model}" if several else numbers, [])
        if activation not in names:
            names.append(activation)
    return [f"{', '.join(names)}: {size}" for size, names in found.items()]


def _contexts(runner: Runner) -> list[tuple[str, str]]:
    """Return the pairs of dataset and model."""
    return sorted({(spec.dataset.label, spec.model.label) for spec in runner.specs})


def _all_seeds(runner: Runner) -> list[int]:
    return list(dict.fromkeys(spec.seed for spec in runner.specs))


def _seed_list(seeds: list[int]) -> str:
    """Spell all seeds, or the first and the last of many."""
    if len(seeds) <= 12:
        return ", ".join(map(str, seeds))
    return f"{seeds[0]}, {seeds[1]}, {seeds[2]} … {seeds[-1]} ({len(seeds)} in all)"


def _time(runner: Runner) -> str:
    """Spell the time of the whole command and its basis."""
    from actbench.cli.output import rough_duration

    seconds, basis = _expected(runner)
    if not runner.waiting:
        return "nothing to do"
    if seconds is None:
        return "unknown until a run of this kind has finished"
    if runner.job_sizes:
        return f"{rough_duration(seconds)} if one job ran after another, on machines like this one"
    grounds = "finished runs of this kind" if basis == "kind" else "runs of this dataset and model, set otherwise"
    return f"{rough_duration(seconds)}, by {grounds}"


def _expected(runner: Runner) -> tuple[float | None, Basis | None]:
    """Return the seconds of the whole command, and the weakest basis among its cohorts.

    Both are None when nothing like one of them has finished; with no work, the seconds are 0 and the basis is None.
    """
    from actbench.execution.estimates import RemainingTime

    expected = RemainingTime(runner.cohorts, runner.jobs, runner.estimates, runner.resumed).seconds
    if not expected:
        return expected, None
    bases = {runner.estimates.expect(cohort.specs).basis for cohort in runner.cohorts}
    return expected, "kind" if bases == {"kind"} else "family"


def _disk(runner: Runner) -> str:
    each = _bytes_a_run(runner)
    if each is None:
        return "unknown until a run has finished; a few KB a run"
    return f"about {each * len(runner.waiting) / 1024:.0f} KB, {each / 1024:.1f} KB a run"


def _bytes_a_run(runner: Runner) -> float | None:
    """Return the mean size of some of this study's finished runs; None while there are none."""
    sizes = list(islice(_sizes(runner.store.folder / "runs"), SAMPLED))
    return sum(sizes) / len(sizes) if sizes else None


def _sizes(runs: Path) -> Iterator[int]:
    """Yield the size of each finished run in bytes."""
    from actbench.storage.folders import subfolders

    for run in subfolders(runs):
        try:
            if os.path.isfile(run / "result.json"):
                yield sum(file.lstat().st_size for file in run.iterdir())
        except OSError:
            continue  # it changes, or can't be read: others show the size as well
