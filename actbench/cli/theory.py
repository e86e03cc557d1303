"""``actbench show --theory``: what theory expects of a study's networks before any is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from actbench.analysis.table.result import Prediction
    from actbench.health.theory.forecast import Forecast
    from actbench.schema.components import Component
    from actbench.schema.spec import RunSpec

NOTES = (
    "Mean-field theory: infinitely wide layers with independent weights at initialisation, evaluation mode, an input "
    "of the training data's mean square (1 unless dataset.scale says otherwise); over weights (arXiv:1606.05340, "
    "1611.01232).",
    "var z: variance of the first → last hidden layer's pre-activations. χ: factor on the gradient's squared norm, "
    "from each layer to the one below, geometric mean. first/last: the gradient's norm with respect to z in the "
    "first hidden layer over that in the last; vanish below {low:g}, explode above {high:g}.",
    "silenced: probability that a whole layer is zero at one given input, a theorem at any width (≤: an upper bound, "
    "because biases are positive; arXiv:1903.06733), and an upper bound of the probability that the network is born "
    "dead, zero on every input. zeros: expected share of outputs that are exactly zero.",
)

BORN_DEAD_NOTE = (
    "born dead: bounds of the probability that the network is zero on every input, for one input and zero biases "
    "(arXiv:1903.06733)."
)


@dataclass(frozen=True)
class ForecastRow:
    """One distinct architecture of a study, with what theory forecasts for it.

    Args:
        spec: Any of its runs.
        forecast: The expectations of theory.
    """

    spec: RunSpec
    forecast: Forecast

    def to_json(self) -> dict[str, Any]:
        """Return plain data, for ``--json``."""
        chosen = {key: getattr(self.spec, key).label for key in ("dataset", "model", "activation", "weight_init")}
        return {**chosen, "bias_init": self.spec.bias_init.to_json(), **self.forecast.to_json()}


def forecast_rows(config: Path, overrides: Sequence[str], data_dir: Path | None) -> list[ForecastRow]:
    """Forecast each distinct dataset, model, activation, weight_init and bias_init of the study, in its order.

    A dataset is read only where the size of its images matters, as it does for xavier weights, and is not known; or
    where the mean square of its numbers is not known to be 1.

    Raises:
        UsageError: For a config with problems, or a dataset or an activation that can't be had.
    """
    from functools import cache, partial

    from actbench.analysis.plots._predictions import network_key
    from actbench.config import Study
    from actbench.health.theory.forecast import depends_on_inputs, depends_on_pixels, forecast

    distinct: dict[str, RunSpec] = {}
    for spec in Study.from_yaml(config, overrides).specs():
        distinct.setdefault(network_key(spec), spec)
    example_size = cache(partial(_example_size, data_dir=data_dir))
    data_moment = cache(partial(_data_moment, data_dir=data_dir))
    found = []
    for spec in distinct.values():
        inputs = example_size(spec.dataset, must_be_known=depends_on_inputs(spec))
        moment = data_moment(spec.dataset) if depends_on_pixels(spec) else 1.0
        found.append(ForecastRow(spec, forecast(spec, inputs, data_moment=moment)))
    return found


def _example_size(dataset: Component, *, must_be_known: bool, data_dir: Path | None) -> int | None:
    """Return the numbers of one example; None where only the data knows them and they are not needed."""
    from math import prod

    from actbench import datasets

    shape = datasets.image_shape(dataset)
    if shape is None and must_be_known:
        shape = datasets.load(dataset, datasets.data_folder(data_dir)).shape
    return None if shape is None else prod(shape)


def _data_moment(dataset: Component, data_dir: Path | None) -> float:
    from actbench import datasets

    return datasets.load(dataset, datasets.data_folder(data_dir)).input_moment


def has_torch() -> bool:
    """Return whether torch is installed: stored runs are also drawn where nothing is trained."""
    from importlib.util import find_spec

    return find_spec("torch") is not None


def prediction(spec: RunSpec) -> Prediction:
    """Return what theory expects of a run's network before training, for charts of stored runs.

    No code that the results name is run for a chart, and no dataset read: there is no prediction for a user's own
    function, nor where it depends on the size of images that only the data knows.
    """
    from math import prod, sqrt

    from actbench.analysis.table.result import Prediction
    from actbench.datasets import image_shape
    from actbench.errors import ActbenchError

    if not has_torch():
        return Prediction(note="torch, which computes it, is not installed here")
    from actbench.health.theory.forecast import depends_on_inputs, depends_on_pixels, forecast

    if spec.activation.path is not None or spec.weight_init.path is not None:
        return Prediction(note="a user's own code is not run for a chart")
    if depends_on_pixels(spec):
        return Prediction(note="it depends on how bright the images are, which only the data knows")
    shape = image_shape(spec.dataset)
    try:
        if shape is None and depends_on_inputs(spec):
            return Prediction(note="it depends on the size of the images, which only the data knows")
        found = forecast(spec, None if shape is None else prod(shape))
    except ActbenchError as error:
        return Prediction(note=str(error))
    mean_squares = tuple(variance + spec.bias_init.value**2 for variance in found.variances)
    layers = len(found.factors) + 1 if mean_squares else 0
    norms = tuple(sqrt(prod(found.factors[layer:])) for layer in range(layers))
    return Prediction(mean_squares, norms, found.note)


def print_forecasts(console: Console, found: Sequence[ForecastRow]) -> None:
    """Print a table for each dataset and model, then the meaning and the assumptions of the columns."""
    from rich.text import Text

    from actbench.health.units.diagnosis import EXPLODING, VANISHING

    titles = dict.fromkeys(_title(one) for one in found)
    for title in titles:
        console.print(f"{title}\n", style="bold")
        rows = [one for one in found if _title(one) == title]
        console.print(_table(rows))
        for mark, remarks in (
            ("–", [one.forecast.note for one in rows]),
            ("*", [one.forecast.warning for one in rows]),
        ):
            for remark in filter(None, dict.fromkeys(remarks)):
                named = (" ".join(_chosen(one)) for one, own in zip(rows, remarks, strict=True) if own == remark)
                console.print(Text(f"{mark} {', '.join(named)}: {remark}", style="yellow"))
        console.print()
    for note in NOTES:
        console.print(note.format(low=VANISHING, high=EXPLODING), style="dim")
    if any(one.forecast.born_dead_at_least is not None for one in found):
        console.print(BORN_DEAD_NOTE, style="dim")


def _title(one: ForecastRow) -> str:
    return f"Expected at initialisation: {one.spec.model.label} on {one.spec.dataset.label}"


def _table(rows: Sequence[ForecastRow]) -> Any:
    from rich.text import Text

    from actbench.analysis.reports.table import grid

    table = grid()
    bounded = any(one.forecast.born_dead_at_least is not None for one in rows)  # for networks of one input alone
    columns = COLUMNS | ({"born dead": _born_dead} if bounded else {})
    for index, name in enumerate(("activation", "weight_init", "bias_init", *columns)):
        # broken at the underscore, which lets the table fit 80 columns
        table.add_column(Text(name.replace("_", "_\n")), justify="left" if index < 2 else "right", overflow="fold")
    for one in rows:
        table.add_row(*map(Text, _chosen(one)), *(Text(cell(one.forecast)) for cell in columns.values()))
    return table


def _chosen(one: ForecastRow) -> tuple[str, str, str]:
    """Return what a row's network has chosen."""
    from actbench.analysis.table.factors import show

    return one.spec.activation.label, one.spec.weight_init.label, show(one.spec.bias_init.to_json())


def _variances(forecast: Forecast) -> str:
    ends = [f"{value:.3g}" for value in forecast.variances]
    return " → ".join((ends[0], ends[-1]) if len(ends) > 1 else ends) or "–"


def _factor(forecast: Forecast) -> str:
    return "–" if forecast.factor_per_layer is None else f"{forecast.factor_per_layer:.3f}"


def _ratio(forecast: Forecast) -> str:
    if forecast.gradient_ratio is None:
        return "–"
    return f"{forecast.gradient_ratio:.2g} {forecast.gradients}{'*' if forecast.warning else ''}"


def _silenced(forecast: Forecast) -> str:
    if forecast.silenced is None:
        return "–"
    return f"{'≤ ' if forecast.silenced_at_most else ''}{forecast.silenced:.2g}"


def _born_dead(forecast: Forecast) -> str:
    if forecast.born_dead_at_least is None:
        return "–"
    return f"{forecast.born_dead_at_least:.4g} to {forecast.silenced:.4g}"


def _zeros(forecast: Forecast) -> str:
    return "–" if forecast.zeros is None else f"{forecast.zeros:.1%}".replace("%", " %")


COLUMNS = {"var z": _variances, "χ": _factor, "first/last": _ratio, "silenced": _silenced, "zeros": _zeros}
