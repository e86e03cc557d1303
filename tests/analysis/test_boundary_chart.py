"""The chart of decision regions: hinges where pre-activations are 0, dead units in grey, and only of kept networks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn import artists
from factories import cells, only
from safetensors.numpy import load_file
from typer.testing import CliRunner

import actbench
from actbench.analysis.plots._figures import charts_of, draw_chart, figure_of
from actbench.analysis.plots._landscapes import HiddenLayer, Landscape, crossings
from actbench.analysis.plots.boundary import GREY
from actbench.cli import app
from actbench.cli.landscapes import landscapes_of
from actbench.config import Study
from actbench.errors import UsageError
from actbench.schema.record import RunRecord
from actbench.storage.reading import Records, read_results

STUDY = """\
study: plane
dataset: {name: moons, examples: 200}
model: {name: mlp, hidden: [6, 4]}
training: {epochs: 2, batch_size: 32, keep_weights: last, optimizer: {name: adam, lr: 0.1}}
bias_init: pytorch
seeds: 2
sweep: {activation: [relu, tanh]}
"""


def trained(folder: Path, text: str = STUDY) -> Records:
    actbench.run(Study.from_text(text), results=folder / "results", device="cpu", engine="inline")
    return read_results(folder / "results", curves=True)


def axes(count: int) -> tuple[np.ndarray, ...]:
    return tuple(np.linspace(-1, 1, 101) for _ in range(count))


def plane(weights: np.ndarray, biases: np.ndarray, dead: list[bool]) -> Landscape:
    """One hidden layer over the plane, of which class 1 is where the first unit is active."""
    x, y = axes(2)
    grid = np.stack(np.meshgrid(x, y), -1)
    z = grid @ weights.T + biases
    outputs = np.stack((-z[..., 0], z[..., 0]), -1)
    points = np.array([[0.5, 0.5], [-0.5, -0.5]])
    layer = HiddenLayer("hidden.0", z, np.array(dead))
    return Landscape((x, y), outputs, (layer,), points, np.array([1, 0]), ("a", "b"), epoch=1)


WEIGHTS, BIASES = np.array([[1.0, 2.0], [-3.0, 0.5], [0.1, 0.1]]), np.array([0.25, 1.0, 5.0])


def test_crossings_lie_where_the_pre_activation_is_zero() -> None:
    found = plane(WEIGHTS, BIASES, [False] * 3)
    for unit in range(2):
        places = crossings(found, found.layers[0].z[..., unit])
        assert len(places) > 50
        np.testing.assert_allclose(places @ WEIGHTS[unit] + BIASES[unit], 0, atol=1e-12)
        assert abs(places).max() <= 1
    assert len(crossings(found, found.layers[0].z[..., 2])) == 0, "its line lies outside"


def test_over_one_input_each_place_is_found_once() -> None:
    (x,) = axes(1)
    z = (x - 0.305) * (x + 0.705)
    layer = HiddenLayer("hidden.0", z[:, None], np.array([False]))
    found = Landscape((x,), x[:, None], (layer,), x[:, None], x, (), epoch=1)
    assert crossings(found, z)[:, 0] == pytest.approx([-0.705, 0.305], abs=1e-4)


def test_every_unit_has_a_mark_and_dead_ones_are_grey() -> None:
    comparison = only(cells({"relu": [0.9, 0.8, 0.7]}))
    view = lambda _: plane(WEIGHTS, BIASES, [False, True, True])  # noqa: E731
    (drawn,) = charts_of(comparison, ["boundary"], view=view)
    figure = figure_of(drawn)
    assert [mark.note for mark in drawn.data.marks] == [
        "hidden.0, unit 0",
        "hidden.0, unit 1, dead",
        "hidden.0, unit 2, dead: no hinge in this picture",
    ]
    for index, color in ((0, "#1b1b1e"), (1, GREY)):
        (lines,) = artists(figure, drawn.data.gid(index))
        found = tuple(round(255 * part) for part in lines.get_edgecolor()[0][:3])
        assert "#{:02x}{:02x}{:02x}".format(*found) == color
        mark = drawn.data.marks[index]
        assert np.array([mark.x, mark.y]) @ WEIGHTS[index] + BIASES[index] == pytest.approx(0, abs=1e-12)
    assert "2 of 3 dead" in drawn.data.panels[0].title
    assert not artists(figure, drawn.data.gid(2))


def test_hinges_of_a_trained_network_are_those_of_its_weights(tmp_path: Path) -> None:
    records = trained(tmp_path)
    comparison = actbench.compare(records).comparisons[0]
    (drawn,) = charts_of(comparison, ["boundary"], view=landscapes_of(records.folders))
    assert len(drawn.data.panels) == 2
    assert {mark.kind for mark in drawn.data.marks} == {"hidden.0", "hidden.1"}
    for series, row in enumerate(comparison.rows):
        (record,) = (one for one in row.records if one.spec.seed == 0)
        (file,) = (records.folders["plane"] / "runs" / record.run_id).glob("*.safetensors")
        tensors, landscape = load_file(file), drawn.data.landscapes[series]
        mean, std = normalisation(record)
        own = [mark for mark in drawn.data.marks if mark.series == series and mark.kind == "hidden.0"]
        seen = [mark for mark in own if mark.y is not None]
        assert len(own) == 6
        assert seen
        for mark in seen:
            unit = int(mark.note.split("unit ")[1].split(",")[0])
            place = (np.array([mark.x, mark.y]) - mean) / std
            z = tensors["hidden.0.weight"][unit] @ place + tensors["hidden.0.bias"][unit]
            assert z == pytest.approx(0, abs=1e-4)
        assert landscape.dead == sum(layer["dead"] for layer in record.health["layers"])


def normalisation(record: RunRecord) -> tuple[np.ndarray, np.ndarray]:
    from actbench import datasets

    data = datasets.load(record.spec.dataset, datasets.data_folder(None))
    return np.array(data.mean), np.array(data.std)


def test_a_curve_has_its_target_and_ticks(tmp_path: Path) -> None:
    text = STUDY.replace("{name: moons, examples: 200}", "{name: regression, examples: 200}").replace(
        "keep_weights: last", "keep_weights: last, loss: mse"
    )
    records = trained(tmp_path, text)
    (drawn,) = charts_of(actbench.compare(records).comparisons[0], ["boundary"], view=landscapes_of(records.folders))
    figure = figure_of(drawn)
    for found in drawn.data.landscapes:
        np.testing.assert_allclose(found.curve, abs(found.axes[0]), atol=1e-12)
    for index, mark in enumerate(drawn.data.marks):
        lines = artists(figure, drawn.data.gid(index))
        assert [list(line.get_xdata()) for line in lines] == ([] if mark.y is None else [[mark.x, mark.x]])


def test_without_kept_networks_or_with_images_the_reason_is_given(tmp_path: Path) -> None:
    for folder, text, reason in (
        ("bare", STUDY.replace(" keep_weights: last,", ""), "kept no weights: set training.keep_weights to last"),
        ("images", STUDY.replace("{name: moons, examples: 200}", "digits"), "over one or two numbers"),
    ):
        trained(tmp_path / folder, text.replace("epochs: 2", "epochs: 0").replace("seeds: 2", "seeds: 1"))
        target = tmp_path / "x.svg"
        found = CliRunner().invoke(app, ["plot", str(tmp_path / folder / "results"), "--boundary", "-o", str(target)])
        assert found.exit_code != 0
        assert reason in str(found.exception)
        assert not target.exists()


def test_the_option_draws_a_file_and_nothing_else(tmp_path: Path) -> None:
    trained(tmp_path, STUDY.replace("seeds: 2", "seeds: 1"))
    target = tmp_path / "x.png"
    found = CliRunner().invoke(app, ["plot", str(tmp_path / "results"), "--boundary", "-o", str(target)])
    assert found.exit_code == 0, found.output
    assert found.stdout == f"{target}: Decision regions and hinges\n"
    assert target.read_bytes().startswith(b"\x89PNG")


def test_it_is_drawn_only_where_it_is_asked_for() -> None:
    comparison = only(cells({"relu": [0.9, 0.8, 0.7]}))
    view = lambda _: plane(WEIGHTS, BIASES, [False] * 3)  # noqa: E731
    assert "boundary" not in [one.name for one in charts_of(comparison, view=view)]
    with pytest.raises(UsageError, match="no data for it"):
        draw_chart("boundary", comparison)
    many = replace(comparison, rows=comparison.rows * 8)
    (drawn,) = charts_of(many, ["boundary"], view=view)
    assert len(drawn.data.panels) == 6
    assert "2 further rows" in drawn.data.caption
    assert json.dumps(drawn.data.table())
