"""float32 beside bfloat16: the arithmetic of speed-ups and paired differences. No timing is judged."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RUNS = ("relu, bias 0, seed 0", "elu, bias 0, seed 0", "gelu, bias 0, seed 0")


@pytest.fixture
def precisions(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT)
    return import_module("benchmarks.precisions")


def measured(precisions: ModuleType, name: str, steps: float, whole: float, **said: Any):
    told = {"accuracies": {}, "dead_fractions": {}, "diverged": [], **said}
    return precisions.Measured(name, steps, steps, whole, 3, told["accuracies"], [told])


def series(precisions: ModuleType) -> list:
    before = {"accuracies": dict(zip(RUNS, (0.90, 0.80, 0.70), strict=True)), "dead_fractions": {RUNS[0]: 0.25}}
    after = {"accuracies": dict(zip(RUNS[:2], (0.91, 0.83), strict=True)), "dead_fractions": {RUNS[0]: 0.5}}
    return [
        measured(precisions, "float32", 1.0, 2.0, **before),
        measured(precisions, "bfloat16", 1.0, 1.0, **after, diverged=[RUNS[2]]),
        measured(precisions, "float32", 3.0, 2.0, **before),
    ]


def test_a_speed_up_is_float32_s_seconds_over_bfloat16_s(precisions: ModuleType) -> None:
    found = precisions.figures(series(precisions))["speedups"]

    assert (found["steps alone"]["median"], found["steps alone"]["reached"]) == (2.0, True)
    assert (found["whole command"]["median"], found["whole command"]["n"]) == (2.0, 1)


def test_a_goal_that_is_missed_is_said_to_be(precisions: ModuleType) -> None:
    slow = [measured(precisions, name, 1.0, 1.4 if name == "float32" else 1.0) for name in ("float32", "bfloat16")]
    result = {"title": "a title", **precisions.figures([*slow, slow[0]])}

    assert precisions.lines(result) == [
        "a title",
        "whole command, float32 ÷ bfloat16: 1.4 [1.4, 1.4], n = 1; goal ≥ 1.5: not reached",
        "steps alone, float32 ÷ bfloat16: 1 [1, 1], n = 1; goal ≥ 1.5: not reached",
        "test accuracy, bfloat16 − float32: no pair of runs has both values",
        "dead fraction, bfloat16 − float32: no pair of runs has both values",
    ]


def test_differences_are_those_of_runs_that_both_precisions_have_finished(precisions: ModuleType) -> None:
    result = json.loads(json.dumps({"title": "a title", **precisions.figures(series(precisions))}))
    text = "\n".join(precisions.lines(result))

    accuracy = result["differences"]["test accuracy"]
    assert accuracy["by_run"] == pytest.approx({RUNS[0]: 0.01, RUNS[1]: 0.03})
    assert (accuracy["mean"], accuracy["n"]) == (pytest.approx(0.02), 2)
    assert "test accuracy, bfloat16 − float32: +2.000 points, n = 2 pairs: too few for an interval" in text
    assert "dead fraction, bfloat16 − float32: +25.000 points, n = 1 pairs" in text
    assert f"diverged in bfloat16: {RUNS[2]}" in text


def test_three_pairs_have_student_s_interval(precisions: ModuleType) -> None:
    before = dict(zip(RUNS, (0.5, 0.5, 0.5), strict=True))
    after = dict(zip(RUNS, (0.51, 0.52, 0.53), strict=True))
    found = precisions.difference({"float32": {"accuracies": before}, "bfloat16": {"accuracies": after}}, "accuracies")

    half = 4.302652729911275 * 0.01 / 3**0.5  # t(0.975, 2), from a table
    assert (found["low"], found["high"]) == (pytest.approx(0.02 - half), pytest.approx(0.02 + half))
