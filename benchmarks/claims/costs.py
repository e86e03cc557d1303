"""What activations cost, of the file that ``benchmarks.claims.activation_cost`` writes, as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actbench.analysis.judgements.expectations import CONTRADICTED, SUPPORTED, UNDECIDED
from actbench.analysis.judgements.formatting import MINUS
from benchmarks.claims.answers import Verdict

IDENTITY, RELU = "identity", "relu"
ELEMENT, STEP = "an element", "a training step"


@dataclass(frozen=True)
class Cost:
    """What one activation costs beside ReLU, in one setting.

    Args:
        activation: Its name.
        where: ``forward and backward, cache``, or a network and what trained it.
        of: ``an element`` or ``a training step``.
        ratio: Median of its time over ReLU's, with the smallest and the largest of the rounds.
        share: The same of its share of a training step; None for an element.
    """

    activation: str
    where: str
    of: str
    ratio: Mapping[str, float]
    share: Mapping[str, float] | None = None

    @property
    def ratio_text(self) -> str:
        """Return the ratio with its range: ``1.32 (1.28–1.40)``."""
        return "{:.3g} ({:.3g}–{:.3g})".format(*(self.ratio[key] for key in ("median", "low", "high")))

    @property
    def share_text(self) -> str:
        """Return the share in percent with its range."""
        if self.share is None:
            return "–"
        median, low, high = (100 * self.share[key] for key in ("median", "low", "high"))
        return f"{_signed(median)} % ({_signed(low)} to {_signed(high)})"

    @property
    def verdict(self) -> Verdict:
        """Return the verdict on the claim that it costs more than ReLU, which it has to do in every round."""
        word = SUPPORTED if self.ratio["low"] > 1 else CONTRADICTED if self.ratio["high"] < 1 else UNDECIDED
        return Verdict((word,))


@dataclass(frozen=True)
class Costs:
    """All that was measured.

    Args:
        rows: One an activation and setting, ReLU itself and identity included.
        machine: The processor, with the versions.
        rounds: How often each was measured.
    """

    rows: tuple[Cost, ...]
    machine: str
    rounds: int

    def of(self, what: str) -> list[Cost]:
        """Return the rows about ``an element`` or ``a training step``."""
        return [row for row in self.rows if row.of == what]

    def settings(self, what: str) -> list[str]:
        """Return the settings of these rows, in their order."""
        return list(dict.fromkeys(row.where for row in self.of(what)))

    def activations(self, what: str) -> list[str]:
        """Return the activations of these rows, the cheapest first, by their largest ratio."""
        rows = self.of(what)
        worst = {name: max(row.ratio["median"] for row in rows if row.activation == name)
                 for name in dict.fromkeys(row.activation for row in rows)}  # fmt: skip
        return sorted(worst, key=lambda name: worst[name])

    def row(self, activation: str, where: str) -> Cost | None:
        """Return what an activation costs in one setting; None where it was not measured."""
        return next((row for row in self.rows if (row.activation, row.where) == (activation, where)), None)

    def rivals(self, what: str) -> list[Cost]:
        """Return the rows of all but ReLU and identity."""
        return [row for row in self.of(what) if row.activation != RELU and not row.activation.startswith(IDENTITY)]

    def verdict(self, what: str) -> Verdict:
        """Return the verdict on the claim that each rival costs more than ReLU."""
        return Verdict(tuple(word for row in self.rivals(what) for word in row.verdict.words))

    def dearest(self, what: str) -> Cost:
        """Return the row with the largest ratio."""
        return max(self.rivals(what), key=lambda row: row.ratio["median"])


def costs(content: Mapping[str, Any]) -> Costs:
    """Return the rows of the file's content."""
    machine = content["machine"]
    versions = machine.get("versions", {})
    text = f"{machine['processor']}, torch {versions.get('torch', '?')}, Python {machine['python']}"
    return Costs((*_elements(content["elementwise"]), *_steps(content["steps"])), text, content["rounds"])


def _elements(content: Mapping[str, Any]) -> list[Cost]:
    return [
        Cost(row["activation"], f"in {row['size']}", ELEMENT, row["forward_backward"]["ratio_to_relu"])
        for row in content["rows"]
        if not row["activation"].endswith("(written)")
    ]


def _steps(rows: Sequence[Mapping[str, Any]]) -> list[Cost]:
    return [
        Cost(row["activation"], f"{row['network']}, {row['trainer']}", STEP, row["ratio_to_relu"], row["share"])
        for row in rows
    ]


def _signed(value: float) -> str:
    return f"{MINUS if round(value, 1) < 0 else ''}{abs(value):.1f}"
