"""Comparisons that every report format must render."""

import io
from dataclasses import replace

from factories import cells, record

from actbench.analysis.compare import compare
from actbench.schema import registry

RELU = [0.90, 0.91, 0.92]
ELU = [0.912, 0.918, 0.933]


def rendered(name, records, **options):
    """The comparison of these records in one format."""
    target = io.StringIO()
    registry.load("reports", name).render(compare(records, **options), target)
    return target.getvalue()


def varied():
    """Two factors, one diverged run, a dead fraction with a range, unequal parameter counts."""
    records = [
        record(0.9 + 0.01 * (b > 0) + 0.001 * s, activation=a, bias_init=b, seed=s, dead=0.01 * s)
        for a in ({"name": "elu", "alpha": 0.2}, "relu") for b in (0.0, 0.01) for s in range(4)
    ]  # fmt: skip
    records[-1] = record(None, outcome="diverged", activation="relu", bias_init=0.01, seed=3)
    records[0] = replace(records[0], final={**records[0].final, "parameters": 7.0})
    return records


DEGENERATE = {
    "one run": [record(0.9)],
    "two seeds": cells({"relu": [0.9, 0.8], "elu": [0.8, 0.9]}),
    "identical": cells({"relu": RELU, "elu": RELU}),
    "constant": cells({"relu": [0.9] * 3, "elu": [0.95] * 3}),
    "all failed": [record(None, outcome="failed", activation=a, seed=s) for a in ("relu", "elu") for s in range(3)],
    "two studies": [*cells({"relu": RELU}), *cells({"relu": RELU, "elu": ELU}, study="other")],
    "markup": cells({"relu": RELU, "x * sigmoid(x)": ELU}, study="[bold]:smile:"),
}
