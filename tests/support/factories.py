"""Synthetic runs: records made of numbers that a test chooses, and results folders that hold them."""

from actbench.analysis.compare import compare
from actbench.schema.record import RunRecord
from actbench.schema.spec import RunSpec
from actbench.storage.store import Store

RELU = [0.90, 0.91, 0.92, 0.94]
ELU = [0.91, 0.93, 0.925, 0.96]
SELU = [0.85, 0.86, 0.88, 0.87]
LAYER = {"units": 256, "dead": 3, "constant": 3, "inert": 3, "sparsity": 0.61, "saturation": 0.6}


ACTIVATIONS = (
    *("relu", "elu", "selu", "gelu", "tanh", "silu"),
    *("mish", "sigmoid", "softplus", "prelu", "leaky_relu", "celu"),
)
"""Twelve names, for tables of many rows."""


def health(dead=0.01):
    """Health of two layers with this dead fraction."""
    layers = [{"name": f"hidden.{i}", **LAYER, "dead": round(256 * dead)} for i in range(2)]
    units = sum(layer["units"] for layer in layers)
    return {"units": units, "dead": round(units * dead), "dead_fraction": dead, "layers": layers, "probe_size": 2000}


def record(accuracy=0.9, *, dead=0.01, outcome="ok", study="demo", environment=None, **spec):
    """One run; without an accuracy it has no metric but its size, as a diverged one."""
    final = {"test.accuracy": accuracy, "test.loss": None if accuracy is None else 1 - accuracy}
    final |= {"health.dead_fraction": None if accuracy is None else dead, "parameters": 199210.0, "seconds": 1.5}
    rows = [
        {"epoch": epoch, "train.loss": 2.3 - epoch, "val.accuracy": 0.1 + 0.4 * epoch, "health.dead_fraction": dead}
        for epoch in range(2)
    ]
    return RunRecord(
        spec=RunSpec(**spec),
        outcome=outcome,
        curves=tuple(rows),
        final=final if outcome != "failed" else {},
        health=health(dead) if outcome != "failed" else {},
        environment={"torch": "2.14.0", "device": "cpu", **(environment or {})},
        timing={"cohort_runs": 2, "cohort_seconds": 3.0, "seconds": 1.5},
        message="" if outcome == "ok" else f"it {outcome}",
        study=study,
    )


def cells(accuracies, **common):
    """Records of several activations: ``{"relu": [0.9, 0.91], "elu": [...]}``, one number a seed."""
    return [
        record(accuracy, activation=activation, seed=seed, **common)
        for activation, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


def save(root, records, *, text="study: demo\n"):
    """Write finished and failed records as ``actbench run`` would."""
    for one in records:
        store = Store(root, one.study)
        store.create(text)
        store.begin(one.spec)
        for row in one.curves:
            store.append(one.spec, row)
        if one.outcome == "failed":
            store.fail(one.spec, one.message, "Traceback …")
        else:
            store.finish(one)
    return root


def only(records, **options):
    """The one table that these records make."""
    (found,) = compare(records, **options).comparisons
    return found


def row(comparison, **factors):
    """The one row with these values."""
    (found,) = [one for one in comparison.rows if factors.items() <= one.factors.items()]
    return found


def grid(value, *, activations=("relu", "elu"), biases=(0.0, 0.01), seeds=range(3), **common):
    """Records over activation x bias; ``value(activation, bias, seed)`` gives the accuracy."""
    return [
        record(value(a, b, s), activation=a, bias_init=b, seed=s, **common)
        for a in activations
        for b in biases
        for s in seeds
    ]


def smooth(activation, bias, seed):
    """An accuracy that depends on all three, with a difference that varies over seeds."""
    return 0.9 + 0.02 * (activation == "elu") + bias + 0.001 * seed * (1 + (activation == "elu") + 50 * bias)
