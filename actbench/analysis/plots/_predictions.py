"""Give each row of a comparison what theory expects of its networks, by a function that the caller brings.

The theory lies in ``health`` and computes with torch; ``analysis`` imports neither. So ``analysis`` says what it
needs, a function from a run's spec to a ``Prediction``, and the commands hand over ``cli.theory.prediction``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from actbench.analysis.table.result import Comparison, Prediction, Row
from actbench.schema.spec import RunSpec, canonical_json

Predict = Callable[[RunSpec], Prediction]

NETWORK = ("dataset", "model", "activation", "weight_init", "bias_init")
"""What decides a run's network before training, but for its seed."""


def with_predictions(comparison: Comparison, predict: Predict) -> Comparison:
    """Return a comparison whose rows have their prediction; each distinct network is asked for once."""
    known: dict[str, Prediction] = {}

    def predicted(row: Row) -> Row:
        for spec in (record.spec for record in row.records):
            if (key := network_key(spec)) not in known:
                known[key] = predict(spec)
        own = {known[network_key(record.spec)] for record in row.records}
        if len(own) > 1:
            return replace(row, prediction=Prediction(note="a mean over several networks"))
        return replace(row, prediction=next(iter(own), None))

    return replace(comparison, rows=tuple(map(predicted, comparison.rows)))


def network_key(spec: RunSpec) -> str:
    """Return a text that two specs share exactly if theory expects the same of their networks."""
    return canonical_json({key: value for key, value in spec.to_json().items() if key in NETWORK})
