"""How fast actbench is beside its peers: all of them in turn, on the same cores, as ratios with their spread.

    python -m benchmarks.compare_peers [--quick] [--workload cifar10_cnn] [--data FOLDER]
    python -m benchmarks.compare_peers --busy      # how much two other busy processes slow actbench down

Prints a table and writes ``benchmarks/results/<workload>-<what>-<date>.json``. A peer whose library is absent is left
out, by name; one that learns something else than actbench ends the comparison. The method: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import machine, peer_table
from benchmarks.busy import spinning
from benchmarks.launch import BrokenPeerError, Measured, Setting, UnusableError, measure, processors
from benchmarks.peers.program import PRECISIONS
from benchmarks.settings import BUSY_GOAL, CORES, CUDA_RUNS, SUBJECT, WHOLE, goals, peers, subject
from benchmarks.turns import Spread, disagreement, order, ratios
from benchmarks.workloads import WORKLOADS, Size, Workload

RESULTS = Path(__file__).parent / "results"
WARM_UP = ("--epochs", "1", "--examples", "2000")


class DisagreementError(Exception):
    """A peer has trained something else than actbench: their times can't be compared."""


@dataclass(frozen=True)
class Campaign:
    """What is to be measured.

    Args:
        mode: ``full`` or ``quick``.
        data: The folder of datasets.
        only: Names of peers; empty for all.
        precision: Of actbench and of every peer.
    """

    workload: Workload
    size: Size
    mode: str
    device: str
    data: Path
    only: tuple[str, ...]
    precision: str = PRECISIONS[0]

    @property
    def arguments(self) -> list[str]:
        """What every program is told."""
        named = {
            "--workload": self.workload.name,
            "--epochs": self.size.epochs,
            "--examples": self.workload.examples,
            "--device": self.device,
            "--precision": self.precision,
        }
        return [word for key, value in named.items() for word in (key, str(value))] + ["--data", str(self.data)]

    @property
    def cores(self) -> list[int]:
        """Two processors, or all that there are where a GPU computes."""
        return processors()[:CORES] if self.device == "cpu" else processors()

    def measure(self, setting: Setting) -> Measured:
        """One measurement of actbench or a peer."""
        runs = self.size.runs if setting.name == SUBJECT else self.size.peer_runs
        print(f"{setting.name}: ", end="", file=sys.stderr, flush=True)
        found = measure(setting, self.arguments, runs=runs, cores=self.cores)
        print(f"{found.seconds:.3g} s a run", file=sys.stderr)
        return found


def main() -> int:
    given = _parser().parse_args()
    try:
        campaign = _campaign(given)
        _warm_up(campaign)
        result = busy(campaign) if given.busy else compare(campaign)
    except (UnusableError, BrokenPeerError, DisagreementError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2 if isinstance(error, UnusableError) else 1
    print(f"written: {_written(result, campaign, given)}", file=sys.stderr)
    return 0


def compare(campaign: Campaign) -> dict[str, Any]:
    """Measure all in turn, check that they learn the same, show the table."""
    size, settings = campaign.size, [one for one in _peers(campaign) if _wanted(one, campaign.only)]
    before, left_out = machine.load_average(), {}
    by_name = {one.name: one for one in (subject(campaign.device), *settings)}
    measured: list[Measured] = []
    for name in order(SUBJECT, [one.name for one in settings], rounds=size.rounds, together=size.together):
        if name in left_out:
            continue
        try:
            measured.append(campaign.measure(by_name[name]))
        except UnusableError as error:
            if name == SUBJECT:
                raise
            left_out[name] = str(error)
            print(f"left out: {error}", file=sys.stderr)
            continue
        check(measured[0], measured[-1], size.margin)
    wanted = goals(campaign.workload.name, campaign.device, epochs=size.epochs, precision=campaign.precision)
    found = peer_table.rows(SUBJECT, settings, measured, wanted)
    result = _described(campaign, before) | peer_table.to_json(SUBJECT, found, measured)
    result |= {"goals": peer_table.goal_list(found, wanted), "left_out": left_out, "notes": _notes(campaign)}
    peer_table.show(result)
    return result


def check(own: Measured, other: Measured, margin: float) -> None:
    """Compare the test accuracies of the runs that both have trained.

    Raises:
        DisagreementError: When their means differ by more than the margin, or a run of actbench's has diverged.
    """
    diverged = [run for one in (own, other) for said in one.said for run in said.get("diverged", ())]
    if diverged:
        raise DisagreementError(f"{diverged[0]} has diverged: there is nothing to compare")
    difference = disagreement(own.accuracies, other.accuracies)
    if difference is not None and abs(difference) > margin:
        raise DisagreementError(
            f"{other.name} differs from {own.name} by {100 * difference:+.2f} points of test accuracy, more than "
            f"{100 * margin:g}: they did not train the same, so their times are not compared"
        )


def busy(campaign: Campaign) -> dict[str, Any]:
    """Actbench with and without two other busy processes on its cores, in turn."""
    before, measured = machine.load_average(), []
    for name in order("alone", ["beside two busy processes"], rounds=campaign.size.rounds, together=1):
        if name == "alone":
            found = campaign.measure(subject(campaign.device))
        else:
            with spinning(campaign.cores):
                found = campaign.measure(subject(campaign.device))
        measured.append(replace(found, name=name))
    (slowdown,) = ratios("alone", [(one.name, one.seconds) for one in measured]).values()
    (of_command,) = ratios("alone", [(one.name, one.whole_seconds) for one in measured]).values()
    spread, whole = Spread.of(slowdown), Spread.of(of_command)
    reached = spread.median <= BUSY_GOAL
    print(
        f"slowdown of training {spread.median:.2f} [{spread.low:.2f}, {spread.high:.2f}], of the whole command "
        f"{whole.median:.2f} [{whole.low:.2f}, {whole.high:.2f}], n = {spread.n}; goal at most {BUSY_GOAL:g}: "
        f"{'reached' if reached else 'not reached'}"
    )
    return _described(campaign, before) | {
        "slowdown": asdict(spread),
        "slowdown_of_command": asdict(whole),
        "goal": BUSY_GOAL,
        "reached": reached,
        "measurements": [asdict(one) for one in measured],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="mnist_mlp")
    parser.add_argument("--quick", action="store_true", help="under five minutes on two cores")
    parser.add_argument("--busy", action="store_true", help="measure actbench beside two busy processes instead")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0], help="of actbench and every peer")
    parser.add_argument("--data", type=Path, help="folder of datasets [default: $ACTBENCH_DATA or the user's cache]")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="only peers whose name has this")
    parser.add_argument("--rounds", type=int, help="measurements of each peer")
    parser.add_argument("--runs", type=int, help="runs that actbench trains at a time")
    parser.add_argument("--epochs", type=int, help="passes over the training images, for all")
    parser.add_argument("--examples", type=int, help="training images an epoch, for all: few, to try the programs")
    parser.add_argument("--peer-runs", type=int, help="runs that each process of a peer trains at a time")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the written result")
    return parser


def _campaign(given: argparse.Namespace) -> Campaign:
    from actbench.datasets import data_folder

    workload, mode = WORKLOADS[given.workload], "quick" if given.quick else "full"
    size = workload.sizes[mode]
    if given.device != "cpu":
        size = replace(size, runs=CUDA_RUNS)
    elif len(processors()) < CORES:
        raise UnusableError(f"the comparison is made for {CORES} processors, and this process may use only one")
    asked = {"rounds": given.rounds, "runs": given.runs, "peer_runs": given.peer_runs, "epochs": given.epochs}
    size = replace(size, **{key: value for key, value in asked.items() if value is not None})
    if given.examples:  # accuracies after fewer images scatter more widely
        size = replace(size, margin=size.margin * math.sqrt(workload.examples / given.examples))
        workload = replace(workload, examples=given.examples)
    data = data_folder(given.data).absolute()
    return Campaign(workload, size, mode, given.device, data, tuple(given.only), given.precision)


def _warm_up(campaign: Campaign) -> None:
    """Train a little once, so that the images are there, decoded and cached before anything is measured."""
    arguments = [*campaign.arguments, *WARM_UP]
    measure(subject(campaign.device), arguments, runs=1, cores=campaign.cores)


def _peers(campaign: Campaign) -> tuple[Setting, ...]:
    return peers(campaign.device, campaign.workload.name)


def _wanted(setting: Setting, only: Sequence[str]) -> bool:
    return not only or any(text.lower() in setting.name.lower() for text in only)


def _described(campaign: Campaign, load_before: list[float] | None) -> dict[str, Any]:
    size, workload = campaign.size, campaign.workload
    where = machine.described(campaign.device)
    what = f"{workload.name} ({campaign.mode}, {campaign.precision})"
    title = f"{what}, {where['processor']}, {len(campaign.cores)} cores, {where['device']}"
    return {
        "schema": 1,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "title": title,
        "workload": workload.name,
        "mode": campaign.mode,
        "precision": campaign.precision,
        "size": asdict(size),
        "examples": workload.examples,
        "machine": where,
        "load_before": load_before,
        "load_after": machine.load_average(),
    }


def _notes(campaign: Campaign) -> list[str]:
    size, examples = campaign.size, campaign.workload.examples
    return [
        "median [lowest, highest] of n; a ratio is a peer's training seconds a run over actbench's, measured just "
        "before and just after",
        f"each run: {examples:,} training examples an epoch, {size.epochs} epoch{'s' if size.epochs > 1 else ''}",
        f"actbench trains a sweep of {size.runs} runs at a time; each process of a peer trains {size.peer_runs} of the "
        "same runs, the first ones, whose activations (ReLU, leaky ReLU …) cost least",
        f"{WHOLE}: a peer's whole program for {size.runs} runs over actbench's command for as many: what surrounds its "
        "training once, its training as often as the process with most runs has to; JAX's compile seconds an "
        "activation times the activations of a process; tests of further runs are left out",
        "a peer's seconds are training alone; actbench's also hold the untrained network's evaluation, validation and "
        "health after every epoch, and the test: the fewer the epochs, the more these weigh",
        f"mean test accuracies over common runs agree within {100 * size.margin:.3g} points",
    ]


def _written(result: dict[str, Any], campaign: Campaign, given: argparse.Namespace) -> Path:
    what = "busy" if given.busy else campaign.mode
    device = "" if campaign.device == "cpu" else f"-{campaign.device.replace(':', '')}"
    precision = "" if campaign.precision == PRECISIONS[0] else f"-{campaign.precision}"
    return written(result, given.output, f"{campaign.workload.name}{device}{precision}-{what}")


def written(result: Mapping[str, Any], folder: Path, name: str) -> Path:
    """Write a result under its name and today's date; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{datetime.date.today().isoformat()}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


if __name__ == "__main__":
    raise SystemExit(main())
