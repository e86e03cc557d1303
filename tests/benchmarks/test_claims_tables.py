"""The tables of the page of claims that are not of one study's rows: what activations cost, and published values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import scipy.stats
from factories import record, save

from benchmarks.claims.costs import costs
from benchmarks.claims.evidence import Study
from benchmarks.claims.reproduced import beside

STEPS = {"relu": (1.0, 1.0, 1.0), "gelu": (1.2, 1.1, 1.3), "tanh": (1.0, 0.9, 1.1), "leaky_relu": (0.9, 0.8, 0.95)}


def spread(values: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("median", "low", "high"), values, strict=True))


@pytest.fixture
def measured() -> dict[str, Any]:
    """The parts of the file that the page reads."""
    share = spread((-0.001, -0.02, 0.01))
    rows = [
        {"network": "MLP", "trainer": "torch", "activation": name, "ratio_to_relu": spread(values), "share": share}
        for name, values in STEPS.items()
    ]
    written = {"activation": "identity (written)", "size": "cache"}
    elements = [{"activation": name, "size": "cache", "forward_backward": {"ratio_to_relu": spread(values)}}
                for name, values in STEPS.items()]  # fmt: skip
    return {
        "machine": {"processor": "Abacus", "python": "3.11", "versions": {"torch": "2"}},
        "rounds": 5,
        "elementwise": {"rows": [written, *elements]},
        "steps": rows,
    }


def test_an_activation_is_dearer_than_relu_only_if_it_was_so_in_every_round(measured: dict[str, Any]) -> None:
    found = costs(measured)

    assert found.verdict("a training step").counts == "1 supported, 1 contradicted, 1 undecided"
    assert found.dearest("a training step").activation == "gelu"
    assert found.activations("a training step") == ["leaky_relu", "relu", "tanh", "gelu"]
    assert found.activations("an element") == ["leaky_relu", "relu", "tanh", "gelu"]
    row = found.row("gelu", "MLP, torch")
    assert row is not None
    assert (row.ratio_text, row.share_text) == ("1.2 (1.1–1.3)", "−0.1 % (−2.0 to 1.0)")
    assert found.machine == "Abacus, torch 2, Python 3.11"


def test_a_published_value_stands_beside_ours_and_beside_one_more_run(tmp_path: Path) -> None:
    values = [0.905, 0.91, 0.92, 0.90, 0.915]
    config = """\
study: demo
cases:
  relu: {activation: relu}
  selu: {activation: selu}
expect:
  - "test.accuracy: case=relu = 90.76% ± 1pp"
  - "test.accuracy: case=selu = 92.04% ± 1pp"
"""
    records = [record(value - 0.05 * (name == "selu"), activation=name, seed=seed)
               for name in ("relu", "selu") for seed, value in enumerate(values)]  # fmt: skip
    relu, selu = beside(Study("published/snn_mnist", save(tmp_path, records, text=config) / "demo"))

    n, sd = len(values), scipy.stats.tstd(values)
    half = scipy.stats.t.ppf(0.975, n - 1) * sd * (1 + 1 / n) ** 0.5
    assert relu.further == pytest.approx((0.91 - half, 0.91 + half))
    assert (relu.said, relu.ours.value) == ("90.76 %", pytest.approx(0.91))
    assert relu.further_text.startswith("inside [")
    assert selu.further_text.startswith("outside [")
    assert (relu.verdict.word, selu.verdict.word) == ("undecided", "contradicted")
    assert beside(Study("bias", tmp_path / "demo")) == []
