"""``actbench run``: train every run of a study that is not finished yet."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from actbench.cli import help_pages
from actbench.cli.interruption import Interruption, how_to_go_on, interruption
from actbench.cli.output import print_note, print_result, user_output_on_stderr
from actbench.cli.study_options import (
    AGAIN,
    Address,
    Cluster,
    CohortSize,
    Config,
    DataDir,
    Device,
    Engine,
    Exact,
    Jobs,
    MaxSeeds,
    Overrides,
    Results,
    Retry,
    Shard,
    Smoke,
    StudyOptions,
    Until,
    cluster_of,
    dealt_out,
    prepared,
    workers,
)
from actbench.errors import ClusterLostError, UsageError
from actbench.system.command_line import command_text, error_logs
from actbench.system.text import printable

if TYPE_CHECKING:
    from actbench.cli.until import Trained
    from actbench.execution.runner import Runner

EXAMPLES = {
    "actbench run study.yaml": "train what is not finished yet",
    "actbench run study.yaml seeds=10 training.optimizer.lr=0.05,0.1": "with ten seeds, at two learning rates",
    "actbench run study.yaml --smoke": "does it work at all? the same study cut to seconds",
    "actbench run study.yaml --until 'test.accuracy ci < 0.5pp' --max-seeds 20": "as many seeds as it takes",
}

Products = Annotated[
    Literal["auto", "default", "onednn"],
    typer.Option(metavar="NAME", help="Products on a CPU: auto, default, onednn.", rich_help_panel=help_pages.RARE),
]
Kernels = Annotated[
    Literal["auto", "native", "torch"],
    typer.Option(
        metavar="NAME",
        help="Activations, losses on a CPU: auto, native, torch.",
        rich_help_panel=help_pages.RARE,
    ),
]
Capture = Annotated[bool, typer.Option(help="Launch steps as a whole; on by default.", rich_help_panel=help_pages.RARE)]
Timeout = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="End a worker stuck for so long; 0: never.",
        rich_help_panel=help_pages.RARE,
    ),
]
Only = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A job's runs, as --engine slurm has it.", rich_help_panel=help_pages.RARE),
]
Force = Annotated[bool, typer.Option("--force", help="Repeat all of them.", rich_help_panel=AGAIN)]


def run(
    context: typer.Context,
    config: Config,
    overrides: Overrides = None,
    results: Results = Path("results"),
    jobs: Jobs = "auto",
    device: Device = "auto",
    data_dir: DataDir = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and train nothing.")] = False,
    smoke: Smoke = False,
    until: Until = None,
    max_seeds: MaxSeeds = None,
    exact: Exact = False,
    shard: Shard = None,
    report: Annotated[bool, typer.Option("--report", help="Write report.html into the study's folder.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first run that fails.")] = False,
    retry: Retry = "failed",
    force: Force = False,
    engine: Engine = "pool",
    cluster: Cluster = None,
    address: Address = None,
    cohort_size: CohortSize = None,
    products: Products = "auto",
    kernels: Kernels = "auto",
    capture: Capture = True,
    timeout: Timeout = 600,
    only: Only = None,
) -> None:
    """Train every run of a study that is not finished yet.

    Finished runs are kept. A run that was interrupted goes on from where it was saved.
    """
    from actbench.analysis.judgements.limits import unjudged_of_plan
    from actbench.cli.plan import plan_text
    from actbench.cli.until import design_of, run_until
    from actbench.execution import shards
    from actbench.schema.runtime import Runtime
    from actbench.system import fork_server

    runtime = Runtime(
        device,
        engine,
        jobs=workers(jobs),
        cohort_size=cohort_size,
        data_folder=data_dir,
        products=products,
        kernels=kernels,
        capture=capture,
        timeout=timeout,
        cluster=cluster_of(cluster, address),
    )
    options = StudyOptions(
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
        shard=None if shard is None else shards.Shard.parse(shard),
        only=None if only is None else dealt_out(only),
    )
    runner = prepared(context, options)
    design = design_of(options, runner.study)
    if dry_run:
        print_result(plan_text(runner, design))
        return
    if not runner.cohorts and design is None:
        fork_server.dismiss()
    for text in unjudged_of_plan(runner.study.expect, runner.study.specs()):
        print_note(printable(f"warning: {text}"))
    if design is not None and runner.is_detached:
        raise UsageError("--until looks at results before it adds seeds: leave --cluster detach out")
    # Jobs of a batch system go on when the terminal is closed in which they were submitted.
    with interruption(at_hangup=not runner.engine.delegates) as interrupted:
        train = partial(_train, interrupted=interrupted, fail_fast=fail_fast)
        if design is not None:
            run_until(design, runner, lambda *seeds: runner.with_study(options.study(*seeds)), train)
            if report:
                _write_report(runner)
            return
        began = time.perf_counter()
        trained = train(runner)
        print_note(_summary(runner, trained, time.perf_counter() - began))
        if report and runner.specs:
            _write_report(runner)
        if trained.loss is not None:
            raise trained.loss
        if trained.outcomes["failed"]:
            raise typer.Exit(1)


def _write_report(runner: Runner) -> None:
    """Write the page of all runs of the study into its folder."""
    from actbench.cli.page_file import write_page
    from actbench.storage.reading import read_results

    folder = runner.store.folder
    print_note(f"report: {write_page(read_results(folder, curves=True), folder / 'report.html')}")


def _train(runner: Runner, *, interrupted: Interruption, fail_fast: bool) -> Trained:
    """Train the waiting runs, show the events, and count the outcomes of the runs that are in the results folder then.

    Raises:
        typer.Exit: When interrupted, or a cluster is lost, after printing what is saved and the command that goes on.
    """
    from actbench.cli.progress import progress
    from actbench.cli.until import Trained
    from actbench.schema.events import Failed, Finished, Saved

    ended, failed, saved, is_logged = dict[str, str](), 0, set[str](), False
    ending: ClusterLostError | None = None
    # Saved runs are counted for the message of an interruption: each leaves the set when it ends.
    # What a user's code prints in this process goes where that of a worker goes: results alone are on standard output.
    try:
        with user_output_on_stderr(), progress(runner) as shown, interrupted.orderly(runner.stop, shown.say):
            for event in runner.run():
                shown.update(event)
                if isinstance(event, Finished):
                    ended[runner.store.run_id(event.record.spec)] = event.record.outcome
                    saved.discard(event.record.spec.digest)
                elif isinstance(event, Failed):
                    failed += len(event.cohort.specs)
                    is_logged = is_logged or any(map(runner.store.has_error_log, event.cohort.specs))
                    saved -= {spec.digest for spec in event.cohort.specs}
                    if fail_fast:
                        break  # the runner's generator is closed: workers end, locks are released
                elif isinstance(event, Saved):
                    saved |= {spec.digest for spec in event.cohort.specs}
    except ClusterLostError as error:  # those at work have saved, as at Ctrl-C
        ending = error
    loss = runner.loss()
    for run in loss.runs if loss is not None else ():
        ended.pop(run, None)  # it may have been finished by an earlier command
    outcomes = Counter(ended.values())
    if failed:
        outcomes["failed"] = failed
    if interrupted.asked or ending is not None:
        for reason in filter(None, (loss, ending)):
            print_note(f"actbench: {reason}")
        kept = len(saved & runner.saved())
        print_note(f"stopped: {_counts(outcomes)}, {kept} saved in training. {how_to_go_on()}")
        raise typer.Exit(interrupted.exit_code if ending is None else ending.exit_code)
    return Trained(outcomes, loss, is_logged)


def _counts(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()) or "no run finished"


def _summary(runner: Runner, trained: Trained, seconds: float) -> str:
    folder, outcomes = runner.store.folder, trained.outcomes
    if not runner.specs:
        return f"{runner.title} holds no runs: the study has {len(runner.study.specs())}; nothing to do"
    lost = trained.loss.runs if trained.loss is not None else ()
    skipped = runner.failed_before + sum(runner.store.run_id(spec) not in lost for spec in runner.finished_before)
    if not runner.waiting:
        failed = f", {runner.failed_before} of them failed" if runner.failed_before else ""
        done = f"{runner.title}: nothing to do, all {skipped} runs are finished{failed}"
    else:
        earlier = f", {skipped} finished earlier" if skipped else ""
        done = f"{runner.title}: {_counts(outcomes)} in {seconds:.1f} s{earlier}"
    if runner.waiting and runner.is_detached:
        return f"{runner.title}: the jobs go on by themselves\nhow they are: {command_text(['status', folder])}"
    failed = f"\nfailed runs say why in {error_logs(folder)}" if trained.is_logged else ""
    return f"{done}{failed}\ncompare: {command_text(['compare', folder])}"
