"""Studies drawn at random from a seed: few and many pairs, ties, equal and constant rows, lost runs, huge and tiny."""

from dataclasses import dataclass, replace

import numpy as np
from factories import health, record
from layered_runs import layered

from actbench.schema.metrics import METRICS as METRICS_OF

FRACTIONS = ("test.accuracy", "val.accuracy", "health.dead_fraction", "health.saturation")
METRICS = (*FRACTIONS, "test.loss", "train.loss", "health.gradient_ratio", "seconds")
"""All three directions: higher is better, lower is, neither is; shares with and without an interval."""

ACTIVATIONS = ("relu", "elu", "selu", "gelu", "tanh", {"name": "elu", "alpha": 0.2})
SHAPES = ("noise", "noise", "noise", "ties", "equal", "constant", "few far out", "two kinds", "zeros")
"""How a row differs from the baseline, seed by seed."""


@dataclass(frozen=True)
class GeneratedStudy:
    """Records with the options to compare them by.

    Args:
        records: Of one study, dataset and model.
        options: Keywords of ``compare``.
        expect: The study's hypotheses: metric, activation, operator, activation.
        gates: Conditions for ``--fail-if``.
    """

    records: list
    options: dict
    expect: list
    gates: list

    @property
    def texts(self):
        """The hypotheses as a config has them."""
        return [f"{metric}: activation={a} {operator} activation={b}" for metric, a, operator, b in self.expect]

    @property
    def metric(self):
        """The leading metric."""
        return self.options["metric"][0]


def generated(seed):
    """Return the study of a seed."""
    rng = np.random.default_rng(seed)
    metrics = list(rng.choice(METRICS, size=rng.choice([1, 1, 2]), replace=False))
    metrics = [str(one) for one in metrics]
    activations = [ACTIVATIONS[0], *(ACTIVATIONS[i] for i in rng.permutation(range(1, 6))[: rng.integers(0, 5)])]
    biases = [[0.0], [0.0], [0.0, 0.01], [0.0, None]][rng.integers(4)]
    seeds = range(int(rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16])))
    lost, missing = rng.choice([0, 0, 0.1, 0.4]), rng.choice([0, 0, 0, 0.2])
    drawn = {name: values_of(rng, name, activations, biases, len(seeds)) for name in metrics}
    records = []
    for a, activation in enumerate(activations):
        for b, bias in enumerate(biases):
            for s in seeds:
                if rng.random() < missing and (a, b, s) != (0, 0, 0):
                    continue
                found = {name: float(values[a, b, s]) for name, values in drawn.items()}
                records.append(one_run(rng, found, lost, activation=activation, bias_init=bias, seed=s))
    labels = list(dict.fromkeys(one.spec.activation.label for one in records))
    pairs = [(str(rng.choice(labels)), str(rng.choice(labels))) for _ in range(rng.integers(0, 4))]
    # Two means are the same up to a distance, which only fractions have by default.
    operators = ["<", ">", "<=", "="] if metrics[0] in FRACTIONS else ["<", ">", "<="]
    expect = [(metrics[0], a, str(rng.choice(operators)), b) for a, b in pairs if a != b]
    expect += [("diverged", a, "<>"[seed % 2], b) for a, b in pairs[:1] if a != b and seed % 3 == 0]
    return GeneratedStudy(records, options_of(rng, metrics, records), expect, gates_of(rng, metrics[0]))


def two_sides(seed):
    """Return the study of a seed without its hypotheses, and another side to compare it with: ``(study, base)``.

    Of the two some runs or a whole row may be missing, values are equal or moved, and seeds may be others.
    """
    study, rng = generated(seed), np.random.default_rng([seed, 1])
    options = {key: value for key, value in study.options.items() if key not in ("baseline", "where")}
    missing, moved, later = rng.choice([0, 0, 0.2, 0.5]), rng.choice([0, 0.02, 0.02]), int(rng.choice([0, 0, 2]))
    base = [
        replace(one, spec=one.spec.with_seed(one.spec.seed + later), final=moved_values(rng, one.final, moved))
        for one in study.records
        if rng.random() >= missing
    ]
    new, gone = study.records, str(rng.choice([one.spec.activation.label for one in study.records]))
    if rng.random() < 0.3:
        new = [one for one in new if one.spec.activation.label != gone] or new
    return replace(study, records=new, options=options, expect=[]), base


def moved_values(rng, final, by):
    """Return the metrics of a run, each scaled by about 1 + by; fractions stay fractions."""
    return {
        name: min(value * (1 + by + rng.normal(0, by)), 1.0 if name in FRACTIONS else np.inf)
        if by and name in METRICS and value is not None
        else value
        for name, value in final.items()
    }


def gates_of(rng, metric):
    """Return two conditions for ``--fail-if`` in the metric's own unit."""
    unit = METRICS_OF[metric].unit
    bare = {"fraction": ("pp", "%"), "nats": ("", ""), "seconds": ("", ""), "ratio": ("", "")}[unit]
    small, large = rng.choice([0.1, 1.0, 20.0]), rng.choice([1.0, 50.0, 95.0])
    return [
        f"{metric} {rng.choice(['drop', 'rise'])} > {small:g}{bare[0]}",
        f"{metric} {rng.choice(['<', '>'])} {large:g}{bare[1]}",
    ]


def values_of(rng, metric, activations, biases, seeds):
    """Return values (A, B, S) of one metric: the baseline's scatter, and a difference of some shape for each row."""
    is_fraction = metric in FRACTIONS
    unit = 1.0 if is_fraction else 10.0 ** rng.choice([-9, -3, 0, 0, 0, 4, 12])
    level, spread = (rng.choice([0.02, 0.5, 0.93, 0.99]), rng.choice([0.0005, 0.01, 0.2])) if is_fraction else (2, 0.3)
    base = level + spread * rng.normal(size=seeds)
    values = np.empty((len(activations), len(biases), seeds))
    for a in range(len(activations)):
        for b in range(len(biases)):
            shape = "equal" if a == b == 0 else str(rng.choice(SHAPES))
            values[a, b] = base + differences(rng, shape, seeds) * rng.choice([0.1, 1, 1, 5]) * spread
    if rng.random() < 0.2:
        values = values.round(2)
    if metric.startswith("health.") and is_fraction and rng.random() < 0.3:
        values = np.where(rng.random(values.shape) < 0.6, 0.0, values)  # no unit is dead in most runs
    return np.clip(values, 0, 1) if is_fraction else unit * np.abs(values)


def differences(rng, shape, n):
    """Return n differences, in units of the baseline's scatter."""
    sign = rng.choice([-1, 1])
    if shape == "equal":
        return np.zeros(n)
    if shape == "constant":
        return np.full(n, sign * 1.0)
    if shape == "ties":
        return sign * rng.choice([0.0, 0.0, 1.0, 1.1], size=n)
    if shape == "zeros":
        return sign * np.where(rng.random(n) < 0.5, 0.0, rng.random(n))
    if shape == "few far out":  # the mean has one sign and most seeds the other
        return sign * np.where(
            np.arange(n) < max(1, n // 2), rng.normal(8, 0.2, size=n), rng.normal(-0.05, 0.01, size=n)
        )
    if shape == "two kinds":
        return sign * np.where(np.arange(n) == n - 1, 40.0, 0.1 + 0.001 * np.arange(n))
    return rng.normal(sign * rng.choice([0, 0.5, 3]), rng.choice([0.05, 1, 3]), size=n)


def one_run(rng, values, lost, **spec):
    """Return a run with these values, or one that diverged or failed and has none."""
    if rng.random() < lost:
        outcome = str(rng.choice(["diverged", "failed"]))
        found = layered(record(None, outcome=outcome, **spec), epochs=2, ends=1).record
        return replace(found, final={k: v for k, v in found.final.items() if k == "parameters"}, health={})
    outcome = "collapsed" if rng.random() < 0.05 else "ok"
    learned = ["slope"] if spec["activation"] == "selu" else []
    found = layered(record(0.9, outcome=outcome, **spec), epochs=2, learned=learned).record
    size = 199210.0 if spec["bias_init"] is not None else 198666.0
    probe = int(rng.choice([1000, 1000, 1000, 2000]))
    return replace(
        found, final=found.final | {"parameters": size} | values, health=health(0.01) | {"probe_size": probe}
    )


def options_of(rng, metrics, records):
    """Return keywords for ``compare``."""
    options = {"metric": metrics, "alpha": float(rng.choice([0.05, 0.05, 0.01, 0.2]))}
    if rng.random() < 0.3:
        options["delta"] = float(rng.choice([0.001, 5.0, 50.0]))
    labels = list(dict.fromkeys(one.spec.activation.label for one in records))
    if rng.random() < 0.2:
        options["where"] = {"activation": str(rng.choice(labels))}
    if rng.random() < 0.2 and len({one.spec.bias_init.to_json() for one in records}) > 1:
        options["by"] = ["activation"]
    if rng.random() < 0.2:
        options["baseline"] = {"activation": str(rng.choice(labels))}
    return options | {"all_pairs": True, "methods": True}
