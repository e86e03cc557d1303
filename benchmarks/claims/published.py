"""The published values that configs/published/ runs again, each with its source: for the table beside our own.

All are of single runs, or of one set of runs, and none came with an interval. So the fair question is not whether our
mean is the published value, but whether that lies where one more run of ours would: ``compare --prediction``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
