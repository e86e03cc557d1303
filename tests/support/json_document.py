"""The schema of ``compare --format json``: every key and its type."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Value = str | int | float | bool | None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Metric(Strict):
    mean: float | None
    low: float | None
    high: float | None
    sd: float | None
    min: float | None
    max: float | None
    n: int
    beyond_scale: list[str]
    prediction: list[float] | None


class Share(Strict):
    share: float
    low: float
    high: float


class WithinDelta(Strict):
    delta: float
    worse: Share
    same: Share
    better: Share


class NewSeed(Share):
    within_delta: WithinDelta | None


class Contrast(Strict):
    difference: float | None
    low: float | None
    high: float | None
    beyond_scale: list[str]
    p: float | None
    p_adjusted: float | None
    n_pairs: int
    wins: int
    pairing_gain: float | None
    significant: bool
    new_seed: NewSeed | None


class Outcomes(Strict):
    ok: int
    collapsed: int
    diverged: int
    failed: int


class Row(Strict):
    factors: dict[str, Value]
    runs: int
    outcomes: Outcomes
    metrics: dict[str, Metric]
    vs_baseline: dict[str, Contrast]
    tied_with_best: bool | None
    failure_rate: list[float] | None


class Effect(Strict):
    at: dict[str, Value]
    from_: dict[str, Value]
    difference: float
    low: float | None
    high: float | None
    beyond_scale: list[str]
    n_pairs: int

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=lambda name: name.rstrip("_"))


class Interaction(Strict):
    metric: str
    factors: list[str]
    p: float
    largest: Effect


class OwnCell(Strict):
    factors: dict[str, Value]
    picked: dict[str, Value]


class OwnRows(Strict):
    factors: list[str]
    by: str
    cells: list[OwnCell]


class Expectation(Strict):
    text: str
    verdict: Literal["supported", "contradicted", "undecided"]
    estimate: float | None
    interval: list[float] | None
    n: int
    p: float | None
    p_adjusted: float | None
    averaged: list[str]
    left_out: str
    note: str
    counts: list[tuple[int, int]] | None = None
    tuned: OwnRows | None = None


class Tuned(Strict):
    factors: list[str]
    by: str
    picked: list[dict[str, Value]]


class Comparison(Strict):
    study: str
    context: dict[str, str]
    factors: list[str]
    baseline: dict[str, Value] | None
    rows: list[Row]
    interaction: Interaction | None
    verdicts: list[str]
    expectations: list[Expectation]
    tuned: Tuned | None = None


class Document(Strict):
    schema_: Literal[1]
    comparisons: list[Comparison]
    warnings: list[str]

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=lambda name: name.rstrip("_"))
