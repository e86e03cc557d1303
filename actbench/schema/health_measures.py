"""HEALTH_MEASURES: the one table of the rules by which hidden units are judged; all names, columns and metrics follow.

To add a measure, add a row here and, under the same name, a function to ``health/units/measures.py``. The layers'
entries in ``metrics.jsonl`` and ``result.json``, the tables of ``show`` and ``diff`` and the report of
``measure_health`` are made from the rows, in their order. Two things may be needed besides: ``metric="…"`` in the
row, without which the measure is not in ``METRICS`` and does not reach ``compare``; and a row of ``STATISTICS`` in
``health/units/accumulators.py``, if the function has to see something of the probe that none keeps yet.
(docs/results.md has to name the measure too; a test reminds you.)

The table lies here, and not beside the functions, because ``compare``, ``show`` and ``list`` work without torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HealthMeasure:
    """Describe a rule by which each hidden unit is judged.

    Args:
        rule: The definition, with its formula: z enters the activation f, over the probe's inputs and all positions.
        counts: Whether a unit fulfils the rule or not, so that units are counted; else each unit has a share in
            [0, 1], which is averaged.
        metric: One line for ``list metrics`` where the run's total is a metric that studies compare, with a column in
            ``metrics.jsonl``; empty where it is only stored with the layers and in ``result.json``.
        higher_is_better: As in ``Metric``; None where neither direction is better.
    """

    rule: str
    counts: bool = True
    metric: str = ""
    higher_is_better: bool | None = None

    def total(self, name: str) -> str:
        """Return the name of the share over all hidden units.

        >>> HEALTH_MEASURES["dead"].total("dead"), HEALTH_MEASURES["sparsity"].total("sparsity")
        ('dead_fraction', 'sparsity')
        """
        return f"{name}_fraction" if self.counts else name


NOT_FINITE = "not_finite"
"""The measure that comes before all others: of a unit whose numbers are not finite nothing else is known."""

HEALTH_MEASURES: dict[str, HealthMeasure] = {
    "dead": HealthMeasure(
        "max |f'(z)| over the probe ≤ dead_slope: no gradient reaches the unit",
        metric="hidden units that no gradient reaches on the probe",
        higher_is_better=False,
    ),
    "constant": HealthMeasure(
        "std of f(z) over the probe ≤ constant_std: it carries no information",
        metric="hidden units whose output does not vary on the probe",
        higher_is_better=False,
    ),
    "inert": HealthMeasure("dead or constant", metric="hidden units that are dead or constant", higher_is_better=False),
    "rare": HealthMeasure("z > 0 somewhere on less than 1 % of the inputs (ReLU family)"),
    "dormant": HealthMeasure("E|f(z)| ≤ 0.1 of its layer's mean (Sokar et al. 2023, arXiv 2302.12902)"),
    "always_on": HealthMeasure("z > 0 on more than 99 % of inputs and positions: linear for the ReLU family"),
    "sparsity": HealthMeasure(
        "share of outputs that are exactly zero", counts=False, metric="zeros among the hidden outputs on the probe"
    ),
    "saturation": HealthMeasure(
        "share of outputs with |f'(z)| ≤ dead_slope",
        counts=False,
        metric="hidden outputs at a slope at or below dead_slope",
    ),
    "spatially_silent": HealthMeasure(
        "share of positions of a channel that are dead over the probe; a dense unit has one position", counts=False
    ),
    NOT_FINITE: HealthMeasure(
        "z, f(z) or f'(z) is NaN or infinite somewhere on the probe: counted here alone, and in no other share"
    ),
}

COUNTED = tuple(name for name, measure in HEALTH_MEASURES.items() if measure.counts)
SHARES = tuple(name for name, measure in HEALTH_MEASURES.items() if not measure.counts)

DYNAMIC_COUNTS = ("born_dead", "died", "revived", "lost")
DYNAMICS = (*DYNAMIC_COUNTS, "first_death", "persistence")
"""Of a layer's units since epoch 0, as ``health.units.dynamics`` computes them; the counts are summed over layers."""

RECYCLED = "recycled"
"""Of a layer whose dormant units training lets begin anew: how many units that were since the epoch before."""

OF_SEVERAL = ("outputs", "pre_activations", "silent_pre_activations", "closed")
"""Of a layer whose units have several pre-activations or outputs, as gates, maxout and CReLU have; others lack them."""

LAYER_SIGNALS = ("z_mean", "z_std", "a_mean", "a_std", "a_max", "gradient_norm")
"""Of a layer as a whole: its pre-activations z, its outputs a, and the gradient of the loss with respect to z."""
