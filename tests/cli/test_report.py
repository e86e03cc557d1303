"""``actbench report``: one file, the options of ``compare``, one message for what can't be done; ``run --report``."""

import base64
import json
import os
import pty
import shlex
import subprocess
import sys
from dataclasses import replace
from inspect import signature
from pathlib import Path

import pytest
from commands import in_this_process
from comparisons import varied
from factories import cells, record, save
from parsed_page import parsed
from reading_commands import python

from actbench.cli.compare import compare
from actbench.cli.report import report


@pytest.fixture
def results(tmp_path):
    save(tmp_path / "results", varied())
    return tmp_path / "results"


@pytest.fixture
def actbench(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    return in_this_process(monkeypatch, capfd)


def test_the_page_is_written_where_it_is_wanted_and_named_in_one_line(results, actbench, tmp_path):
    done = actbench("report", "results", "-o", "page.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("page.html: 16 runs, 0.")
    assert len(done.stdout.splitlines()) == 1
    assert parsed((tmp_path / "page.html").read_text("utf-8")).one("h1").text == "demo"


def test_results_and_report_html_are_what_is_meant_without_arguments(results, actbench, tmp_path):
    assert actbench("report").returncode == 0
    assert [path.name for path in tmp_path.glob("*.html")] == ["report.html"]


def test_the_options_of_compare_decide_the_table(results, actbench, tmp_path):
    done = actbench(
        "report",
        "results",
        "--by",
        "activation",
        "--metric",
        "test.loss",
        "--baseline",
        "activation=relu",
        "--alpha",
        "0.1",
    )
    assert done.returncode == 0, done.stderr
    page = parsed((tmp_path / "report.html").read_text("utf-8"))
    table = page.all("table", class_="rows")[0]
    assert [one.text for one in table.one("thead").all("th")][:2] == ["activation", "test.loss"]
    assert table.attributes["data-baseline-name"] == "relu"
    assert "p < 0.1" in page.text


def test_two_folders_of_the_same_runs_are_compared_as_base_and_new(results, actbench, tmp_path):
    save(tmp_path / "new", varied())
    done = actbench("report", "results", "new", "-o", "page.html")
    assert done.returncode == 0, done.stderr
    assert "baseline (results=base" in parsed((tmp_path / "page.html").read_text("utf-8")).text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere"),
        (["results", "--metric", "test.acuracy"], "did you mean 'test.accuracy'?"),
        (["results", "--by", "activaton"], "did you mean 'activation'?"),
        (["results", "--baseline", "activation=selu"], "no baseline"),
        (["results", "--alpha", "2"], "alpha should lie between 0 and 1"),
        (["results", "--delta", "wide"], "--delta"),
        (["results", "-o", "no/folder/x.html"], "no/folder"),
        (["results", "-o", "."], "."),
        (["results", "--where", "activation=gelu"], "no run has activation=gelu"),
    ],
)
def test_nonsense_gets_one_message_and_leaves_no_file(results, actbench, tmp_path, arguments, message):
    done = actbench("report", *arguments)
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("*.html")) == []


def test_a_run_can_write_its_page(actbench, tmp_path, data_folder):
    (tmp_path / "study.yaml").write_text(
        "study: tiny\ndataset: {name: digits, train_size: 100, test_size: 50}\nmodel: {name: mlp, hidden: [8]}\n"
        "training: {epochs: 1, batch_size: 32}\nsweep: {activation: [relu, elu]}\nseeds: 1\n"
    )
    done = actbench("run", "study.yaml", "--engine", "inline", "--data-dir", str(data_folder), "--report")
    assert done.returncode == 0, done.stderr
    target = Path("results/tiny/report.html")
    assert f"report: {target}: 2 runs, " in done.stderr
    page = parsed((tmp_path / target).read_text("utf-8"))
    assert len(page.all("details", class_="run")) == 2
    again = actbench("compare", "results")
    assert again.returncode == 0, "the page lies beside the runs and disturbs nobody"


def on_a_terminal(folder, *arguments):
    """Standard error of a command whose output is a terminal."""
    own, terminal = pty.openpty()
    command = [sys.executable, "-m", "actbench", *arguments]
    paths = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])}
    done = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, cwd=folder, env=os.environ | paths)
    os.close(terminal)
    os.close(own)
    return done.stderr.decode()


SHARED = {
    "--by": ["activation"],
    "--baseline": ["activation=elu(alpha=0.2)"],
    "--metric": ["test.loss", "test.accuracy"],
    "--where": ["bias_init=0"],
    "--alpha": ["0.2"],
    "--delta": ["0.37pp"],
    "--tune": ["bias_init"],
    "--against": ["an older one"],
    "--anytime": [None],
}
"""Options of ``compare`` that ``report`` has, too, each with values that change the comparison; None for an
option without one."""


def test_the_options_that_compare_and_report_share_are_all_known_here():
    one, other = (signature(command).parameters for command in (compare, report))
    names = set(one) & set(other) - {"paths", "output"}
    assert {f"--{name}" for name in names} == set(SHARED)
    assert all(one[name].default == other[name].default for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [[*SHARED][:6], ["--tune", "--alpha"], ["--against", "--delta"], ["--anytime"], []])
def test_a_terminal_is_told_the_command_that_writes_the_same_comparison_as_a_page(actbench, tmp_path, chosen):
    for name, runs in {"results": varied(), "an older one": varied()[::-1]}.items():
        save(tmp_path / name, [replace(one, final=one.final | {"val.accuracy": 0.9}) for one in runs])
    typed = [(name, value) for name in chosen for value in SHARED[name]]
    options = [word for pair in typed for word in pair if word is not None]
    line = on_a_terminal(tmp_path, "compare", "results", *options).splitlines()[-1]
    assert line.startswith("as a page: ")
    words = shlex.split(line.removeprefix("as a page: "))
    own = words[words.index("report") + 1 :]
    assert sorted(own) == sorted(
        [*(name if value is None else f"{name}={value}" for name, value in typed), "-o", "report.html", "results"]
    )
    assert actbench("report", *own).returncode == 0
    page = parsed((tmp_path / "report.html").read_text("utf-8"))
    data = page.one("a", download="compare.json").attributes["href"].partition(",")[2]
    expected = actbench("compare", "results", *options, "--methods", "--json").stdout
    assert json.loads(base64.b64decode(data)) == json.loads(expected)


def test_a_pipe_is_told_no_command(results, actbench):
    assert "as a page" not in actbench("compare", "results").stderr


def test_a_study_of_one_run_has_a_page(actbench, tmp_path):
    save(tmp_path / "results", cells({"relu": [0.9]}))
    assert actbench("report").returncode == 0


def with_layers(one):
    layers = [{"name": "hidden.0", "units": 8, "dead": 0}]
    return replace(one, curves=tuple({**row, "layers": layers} for row in one.curves))


def test_the_page_draws_the_activations_but_runs_no_code_of_a_user(actbench, tmp_path):
    mine = {"name": "mine", "path": "no_such_module:f"}
    runs = [record(0.9 + s / 100, activation=one, seed=s) for one in ("relu", "elu", mine) for s in range(3)]
    save(tmp_path / "results", [with_layers(one) for one in runs])
    assert actbench("report").returncode == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    picture = page.partition('id="t0-functions"')[2].partition("</figure>")[0]
    assert "relu · z" in picture
    assert "elu · z" in picture
    assert "mine" not in picture


def test_too_many_activations_have_no_picture(actbench, tmp_path):
    names = ("relu", "elu", "selu", "gelu", "tanh", "silu", "mish", "sigmoid", "softplus")
    save(tmp_path / "results", [with_layers(record(0.9, activation=name, seed=0)) for name in names])
    assert actbench("report").returncode == 0
    assert 'id="t0-functions"' not in (tmp_path / "report.html").read_text("utf-8")


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["torchvision"] = None  # an import of either fails, and none of them is found
sys.argv = ["actbench", *sys.argv[1:]]
from actbench.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", [("report", "-o", "x.html"), ("plot", "--chart", "signal_depth", "-o", "x.svg")])
def test_stored_runs_are_drawn_without_torch(tmp_path, command):
    runs = [record(0.9 + s / 100, activation=one, seed=s) for one in ("relu", "elu") for s in range(3)]
    save(tmp_path / "results", [with_signals(one) for one in runs])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    written = (tmp_path / command[-1]).read_text("utf-8")
    if command[0] == "report":
        assert "torch, which computes it, is not installed here" in written
        assert 'id="t0-functions"' not in written


WITHOUT_IMPORT = """
import sys
sys.argv = ["actbench", "report", "-o", "apart.html"]
from actbench.cli import main
try:
    main()
finally:
    assert "torch" not in sys.modules and "matplotlib" in sys.modules
"""


@pytest.mark.slow
def test_a_page_whose_theory_another_process_computes_has_the_same_bytes(actbench, tmp_path):
    runs = [record(0.9 + s / 100, activation=one, seed=s) for one in ("relu", "elu") for s in range(3)]
    save(tmp_path / "results", [with_signals(one) for one in runs])
    done = python("-c", WITHOUT_IMPORT)
    assert done.returncode == 0, done.stderr
    import torch  # noqa: F401  the page is now written by this process alone

    assert actbench("report").returncode == 0
    apart = (tmp_path / "apart.html").read_text("utf-8")
    assert apart == (tmp_path / "report.html").read_text("utf-8")
    order = [apart.index(f'id="t0-{name}"') for name in ("differences", "signal-depth", "functions")]
    assert order == sorted(order)


def with_signals(one):
    layers = [{"name": f"hidden.{i}", "units": 8, "dead": 0, "z_mean": 0.1, "z_std": 1.0 + i} for i in range(2)]
    return replace(one, curves=tuple({**row, "layers": layers} for row in one.curves))
