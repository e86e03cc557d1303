"""The published values that configs/published/ runs again, each with its source: for the table beside our own.

All are of single runs, or of one set of runs, and none came with an interval. So the fair question is not whether our
mean is the published value, but whether that lies where one more run of ours would: ``compare --prediction``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from actbench.analysis.statistics import exact_interval, mean_interval, prediction_interval
from actbench.schema.metrics import METRICS
from actbench.schema.record import OUTCOMES, RunRecord

UVA = (
    "P. Lippe, UvA Deep Learning Tutorials, tutorial 3, Activation_Functions.ipynb, "
    "github.com/phlippe/uvadlc_notebooks at 0eafe495"
)
SNN = (
    "K. Schweighofer 2021, Pytorch/SelfNormalizingNetworks_MLP_MNIST.ipynb, github.com/bioinf-jku/SNNs at e62c72bd; "
    "Klambauer et al. 2017, arXiv:1706.02515"
)
NARROW = "Lu, Shin, Su, Karniadakis 2019, arXiv:1903.06733"
FIRST_LOOK = "a note from before this program, published nowhere: one run, 16 to 26 % dead in four of five layers"


@dataclass(frozen=True)
class Published:
    """A value that others stated, and the cell of our study that it is held against.

    Args:
        study: The config, as ``actbench run`` takes it.
        cell: ``KEY=VALUE``, as in ``expect`` and ``--where``.
        metric: A metric, or the outcome of which the value is a share.
        value: In stored units; a fraction is 0 … 1.
        source: Who stated it, and where.
        relation: ``=`` for a value, ``>`` where only more than it was stated.
        runs: How many runs of theirs it is from.
        note: What the value follows from, where it was not stated as it stands.
    """

    study: str
    cell: str
    metric: str
    value: float
    source: str
    relation: Literal["=", ">"] = "="
    runs: int = 1
    note: str = ""


@dataclass(frozen=True)
class Held:
    """A published value beside ours.

    Args:
        published: The value of theirs.
        n: Our runs that have a value.
        ours: Their mean, or the share of runs that ended so.
        low, high: The 95 % interval of that: Student's of a mean, the exact one of a share; None for shares of dead
            units, which are bounded and mostly 0, and for fewer than three runs.
        next_low, next_high: Where one more run of ours would lie, with 95 % certainty; for shares of dead units the
            range of our runs; None for a share of runs.
        answer: In words, whether theirs is such a run, or what they stated is shown by ours.
    """

    published: Published
    n: int
    ours: float
    low: float | None
    high: float | None
    next_low: float | None
    next_high: float | None
    answer: str


def held_against(published: Published, runs: Sequence[RunRecord]) -> Held:
    """Hold a published value against our runs of its cell.

    Args:
        published: The value of theirs.
        runs: All runs of ``published.cell``; at least three.

    Raises:
        ValueError: When fewer than three of them have a value.
    """
    if published.metric in OUTCOMES:
        return _held_share(published, runs)
    found = [run.final.get(published.metric) for run in runs]
    values = [value for value in found if value is not None]
    if len(values) < 3:
        raise ValueError(f"{published.study}, {published.cell}: {len(values)} runs have a {published.metric}")
    mean = mean_interval(values)
    assert mean.mean is not None
    is_bounded = published.metric.startswith("health.") and METRICS[published.metric].unit == "fraction"
    lowest, highest = (min(values), max(values)) if is_bounded else prediction_interval(values)
    kind = "the range of our runs" if is_bounded else "where one more run of ours would lie"
    if published.relation == ">":
        above = sum(value > published.value for value in values)
        answer = f"more in {above} of our {len(values)} runs"
    elif lowest <= published.value <= highest:
        answer = f"within {kind}"
    else:
        answer = f"{'below' if published.value < lowest else 'above'} {kind}"
    ends = (None, None) if is_bounded else (mean.low, mean.high)
    return Held(published, len(values), mean.mean, *ends, lowest, highest, answer)


def _held_share(published: Published, runs: Sequence[RunRecord]) -> Held:
    """Hold a published share of runs against ours, each run counted by how it ended."""
    if len(runs) < 3:
        raise ValueError(f"{published.study}, {published.cell}: {len(runs)} runs")
    count = sum(run.outcome == published.metric for run in runs)
    low, high = exact_interval(count, len(runs))
    if published.relation == "=":
        answer = "within our interval" if low <= published.value <= high else "outside our interval"
    elif low > published.value:
        answer = "shown by ours"
    else:
        answer = "refuted by ours" if high < published.value else "left open by ours"
    return Held(published, len(runs), count / len(runs), low, high, None, None, answer)


def _uva(activation: str, accuracy: float) -> Published:
    return Published("published/uva_activations", f"activation={activation}", "test.accuracy", accuracy, UVA)


def _uva_dead(metric: str, dead: int, units: int, note: str) -> Published:
    return Published("published/uva_activations", "activation=relu", metric, dead / units, UVA, note=note)


def _narrow(case: str) -> Published:
    return Published("published/narrow_collapse", f"case={case}", "collapsed", 0.9, NARROW, ">", 1000)


def _first_look(case: str, metric: str, value: float, note: str) -> Published:
    return Published("published/dying_adam", f"case={case}", metric, value, FIRST_LOOK, ">", note=note)


PUBLISHED = (
    _uva("sigmoid", 0.1000),
    _uva("tanh", 0.8759),
    _uva("relu", 0.8862),
    _uva("leaky_relu(negative_slope=0.1)", 0.8892),
    _uva("elu", 0.8727),
    _uva("swish", 0.8873),
    _uva_dead("health.dead_fraction", 3, 1152, "0, 0, 0 and 3 units of four layers of 512, 256, 256 and 128"),
    _uva_dead("health.worst_layer_dead_fraction", 3, 128, "3 units of the last hidden layer"),
    _uva_dead("health.born_dead_fraction", 13, 1152, "0, 0, 3 and 10 units before training"),
    Published("published/snn_mnist", "case=relu", "test.accuracy", 0.9076, SNN),
    Published("published/snn_mnist", "case=selu", "test.accuracy", 0.9204, SNN),
    _narrow("nine_hidden"),
    _narrow("ten_hidden"),
    *(_first_look(case, "health.dead_fraction", 0.128, "16 % in four of five layers") for case in ("he", "torch")),
    *(_first_look(case, "health.worst_layer_dead_fraction", 0.16, "16 % in each of four") for case in ("he", "torch")),
)
"""Every value that an ``expect`` line of configs/published/ states."""
