"""The example notebook runs as it is, in a kernel of its own, and its cells show what the text promises."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "first-study.ipynb"


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel of this Python that finds this package, and whose files lie in no home."""
    folder = tmp_path / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(f'{{"argv": {command!r}, "display_name": "x"}}'.replace("'", '"'))
    for name in ("PATH", "DATA_DIR", "RUNTIME_DIR", "CONFIG_DIR"):
        monkeypatch.setenv(f"JUPYTER_{name}", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def executed(cells: list[Any], folder: Path) -> list[Any]:
    """The code cells of a notebook with their outputs, after a run in this folder."""
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any) -> dict[str, Any]:
    """The last output of a cell by its type."""
    found: dict[str, Any] = cell.outputs[-1]["data"]
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.usefixtures("kernels")
def test_the_example_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    cells = nbformat.read(EXAMPLE, as_version=4).cells
    nbformat.validate(nbformat.read(EXAMPLE, as_version=4))
    _, made, ran, compared, plotted, framed, curves = executed(cells, tmp_path)

    assert shown(made)["text/plain"] == "(27, ('activation',))"
    progress = ran.outputs[0]["data"]
    assert progress["text/plain"] == "first-study: 27 of 27 runs"
    assert progress["text/html"].startswith('<div><progress max="108" value="108">')
    assert shown(ran)["text/plain"] == "<Records 27 runs of first-study>"
    assert "<b>first-study · digits" in shown(compared)["text/html"]
    assert "bump" in shown(compared)["text/html"]
    assert "image/png" in shown(plotted)
    assert "image/png" in shown(curves)
    assert "bump" in shown(framed)["text/html"]


def test_the_example_is_kept_without_outputs() -> None:
    cells = nbformat.read(EXAMPLE, as_version=4).cells
    assert [cell for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.usefixtures("kernels")
def test_a_notebook_names_what_failed_and_keeps_still_when_asked(tmp_path: Path) -> None:
    text = (
        "import actbench, torch\n"
        "def breaks(z):\n"
        "    if len(z.shape) == 3 and z.shape[1] > 20:\n"
        "        raise ValueError('<b>too many</b>')\n"
        "    return z\n"
        "study = actbench.Study(study='s', dataset={'name': 'digits', 'train_size': 100}, model={'name': 'mlp',\n"
        "    'hidden': [4]}, training={'epochs': 1, 'batch_size': 50}, activation=breaks, seeds=1)\n"
        "actbench.run(study, engine='inline', device='cpu')[0].outcome"
    )
    still = "actbench.run(actbench.Study.from_text(study.text, 'seeds=2'), engine='inline', progress=False)[0].outcome"
    first, second = executed([nbformat.v4.new_code_cell(one) for one in (text, still)], tmp_path)

    assert shown(first)["text/plain"] == "'failed'"
    lines = first.outputs[0]["data"]["text/plain"].split("\n")
    assert lines[0] == "s: 1 of 1 runs"
    assert lines[1].startswith("failed: seed 0: 1 run of breaks: ")
    assert "&lt;b&gt;too many" in first.outputs[0]["data"]["text/html"]
    assert [output.output_type for output in second.outputs] == ["execute_result"]
