"""Rows whose networks differ in size because an activation changes the width say so, with the numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from factories import record

from actbench.analysis.compare import compare

WARNING = "rows differ in size, since an activation changes the width of its layers"


def sized(activation: Any, parameters: int, widths: list[int], seed: int = 0, **changes: Any) -> Any:
    one = record(0.9 + 0.01 * seed, activation=activation, seed=seed, **changes)
    layers = [
        {"name": f"hidden.{index}", "units": width, "dead": 0, "inert": 0, "outputs": width}
        for index, width in enumerate(widths)
    ]
    return replace(one, final={**one.final, "parameters": parameters}, health={**one.health, "layers": layers})


def told(records: list[Any]) -> list[str]:
    return [text for text in compare(records).warnings if WARNING in text]


def test_rows_of_other_widths_are_named_with_parameters_and_widths() -> None:
    runs = [sized("relu", 3122, [32, 24], seed) for seed in range(2)]
    runs += [sized("swiglu", 5994, [32, 24], seed) for seed in range(2)]
    runs += [sized("glu", 5994, [32, 24], seed) for seed in range(2)]
    assert told(runs) == [
        f"{WARNING} (relu: 3,122 parameters at widths 32-24; swiglu, glu: 5,994 parameters at widths 32-24)"
    ]


def test_rows_of_one_size_and_of_elementwise_activations_need_no_word() -> None:
    assert told([sized("glu", 5994, [32]), sized("swiglu", 5994, [32])]) == []
    assert told([sized("relu", 3122, [32]), sized("tanh", 3122, [32]), sized("prelu", 3124, [32])]) == []


def test_a_deep_network_shows_its_first_layers_and_their_number() -> None:
    (text,) = told([sized("relu", 9, [8] * 9), sized("maxout", 9, [5] * 9)])
    assert "maxout: 9 parameters at widths 5-5-5-5-5-5-… (9 layers)" in text
