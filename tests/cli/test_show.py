"""``show`` and ``list`` as a user calls them, and what holds for every command that reads results."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from factories import record, save
from reading_commands import RECORDS, call, command, python

from actbench.cli.activation import default_component
from actbench.cli.list_ import KINDS
from actbench.cli.pictures import function_and_slope
from actbench.errors import UnknownNameError, UsageError
from actbench.nn.chosen_activations import row_of
from actbench.schema import registry
from actbench.schema.spec import RunSpec
from actbench.storage.store import Store


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return save(tmp_path_factory.mktemp("results"), RECORDS)


def test_show_prints_a_runs_whole_page(results):
    text = call("show", "elu-alpha", "--results", results)
    for part in (
        "demo / elu-alpha-0.2-bias-0.01-seed-0-", "ok", "activation   elu(alpha=0.2)", "test.accuracy         93.00 %",
        "hidden.1", "61.00 %", "0.15 %", "Curve", "2.3000", "torch   2.14.0", "cohort_seconds  3",
    ):  # fmt: skip
        assert part in text


def test_show_prints_every_figure_of_a_layer_uncut_and_what_went_wrong(tmp_path):
    units = ("rare", "dormant", "always_on", "spatially_silent")
    lives = ("born_dead", "died", "revived", "lost", "first_death", "persistence")
    figures = (*units, *lives, "z_mean", "z_std", "a_mean", "a_std", "a_max", "gradient_norm")
    one = record(outcome="collapsed")
    layers = [{**layer, **dict.fromkeys(figures, 0.125), "learned": {"slope": 0.25}} for layer in one.health["layers"]]
    told = ["it collapsed", "hidden.0: 40% dead since epoch 1"]
    save(tmp_path, [replace(one, health={**one.health, "layers": layers, "diagnosis": told})])
    text = call("show", "relu-", "--results", tmp_path)
    headings = {word for line in text.splitlines() for word in line.split()}
    assert {*figures, "slope"} <= headings
    assert "…" not in text
    assert (text.count(told[0]), text.count(told[1])) == (1, 1)


def test_show_counts_the_units_that_began_anew(tmp_path):
    one = record()
    layers = [{**layer, "recycled": 3} for layer in one.health["layers"]]
    curves = [{**row, "layers": [{**layer, "recycled": row["epoch"] * 4} for layer in layers]} for row in one.curves]
    curves.append({**curves[-1], "epoch": 2})
    save(tmp_path, [replace(one, health={**one.health, "layers": layers}, curves=tuple(curves))])
    text = call("show", "relu-", "--results", tmp_path)
    assert "recycled: 16 times in all a dormant unit began anew; by epoch: 8, 8" in text


@pytest.mark.parametrize(("probe", "share"), [(1, "95.00 %"), (2, "77.64 %"), (1000, "0.30 %")])
def test_show_says_what_silence_on_the_probe_means(tmp_path, probe, share):
    one = record()  # of a unit that is active on this share of images, 5 % of such probes would show nothing
    save(tmp_path, [replace(one, health={**one.health, "probe_size": probe})])
    text = " ".join(call("show", "relu-", "--results", tmp_path).split())
    assert f"on {probe:,} training image{'s' if probe > 1 else ''}; " in text
    assert f"active on fewer than {share} of such images (95 %)" in text


def test_show_tells_why_a_run_failed(results):
    text = call("show", "tanh-", "--results", results)
    assert "failed: it failed" in text
    assert "Health" not in text


def test_show_gives_programs_the_record_and_its_curve(results):
    run, activation = json.loads(call("show", "elu-alpha", "gelu", "--results", results, "--json"))
    assert (run["outcome"], run["final"]["test.accuracy"], len(run["curves"])) == ("ok", 0.93, 2)
    assert activation["constants"]["minimum"] == pytest.approx(-0.16997, abs=1e-5)
    assert activation["constants"]["minimum_at"] == pytest.approx(-0.7518, abs=1e-4)


@pytest.mark.parametrize("name", registry.names("activations"))
def test_show_explains_every_activation(name):
    text = call("show", name)
    row = registry.load("activations", name)
    assert row.formula in text
    assert row.derivative in text
    assert row.reference in text


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("lrelu", "leaky_relu", {"negative_slope": 0.01}),
        ("Leaky ReLU", "leaky_relu", {"negative_slope": 0.01}),
        ("celu(alpha=0.5)", "celu(alpha=0.5)", {"alpha": 0.5}),
        ("max(x, 0.5 * x)", "max(x, 0.5 * x)", {"formula": "max(x, 0.5 * x)"}),
    ],
)
def test_show_takes_an_activation_as_a_config_does(results, text, name, options):
    (found,) = json.loads(call("show", text, "--results", results, "--json"))
    assert (found["name"], found["options"]) == (name, options)


def test_show_states_the_finite_limits_of_an_activation():
    text = command("show", "isrlu", "golu", "tanh", "sine", "log_sigmoid")
    facts = {part.split()[0]: part for part in text.partition("\nf(z) ")[0].split("\n\n")}
    assert "  limits           -1 for z → −∞\n" in facts["isrlu"]
    assert "  limits           0 for z → −∞\n" in facts["golu"]
    assert "  limits           -1 for z → −∞, 1 for z → ∞\n" in facts["tanh"]
    assert "  limits           0 for z → ∞\n" in facts["log_sigmoid"]
    assert "limits" not in facts["sine"]


def test_show_computes_constants_at_the_options_that_are_given(results):
    # E[f(Z)²] of max(z, s·z) with Z ~ N(0, 1) is (1 + s²)/2, half of it from either side.
    for text, slope in (("leaky_relu(negative_slope=0.5)", 0.5), ("max(x, 0.5 * x)", 0.5), ("lrelu", 0.01)):
        (found,) = json.loads(call("show", text, "--results", results, "--json"))
        assert found["constants"]["second_moment"] == pytest.approx((1 + slope**2) / 2, abs=1e-6)


def test_show_explains_a_name_of_other_tools_instead_of_offering_a_lookalike(results):
    with pytest.raises(UsageError, match="unknown activation 'softmax' — its outputs depend on each other"):
        call("show", "softmax", "--results", results)


@pytest.mark.parametrize("name", ["", " "])
@pytest.mark.parametrize("words", [["show"], ["show", "relu"]])
def test_an_empty_name_is_called_so(results, words, name):
    with pytest.raises(UsageError, match="an empty name is"):
        call(*words, name, "--results", results)


def test_show_offers_the_nearest_name(results):
    with pytest.raises(UsageError, match=r"no run 'reluu' in .* or the activation 'relu'"):
        call("show", "reluu", "--results", results)
    with pytest.raises(UsageError, match="fits 3 runs"):
        call("show", "relu-", "--results", results)


@pytest.mark.parametrize(("said", "kind"), [one for one in KINDS.items() if one[0] != "configs"])  # files
def test_list_has_a_line_for_every_name(said, kind):
    said_of_each = re.split(r"\n(?! )", call("list", said).rstrip("\n"))  # what doesn't fit goes on below, indented
    assert [text.split()[0] for text in said_of_each] == list(registry.names(kind))
    assert all(len(text.split()) > 2 for text in said_of_each)
    assert [one["name"] for one in json.loads(call("list", said, "--json"))] == list(registry.names(kind))


def test_list_offers_the_nearest_kind():
    with pytest.raises(UnknownNameError, match="did you mean 'models'"):
        call("list", "model")


def test_a_torn_curve_is_told_on_standard_error_and_the_rest_is_shown(tmp_path):
    save(tmp_path, [record()])
    (curve,) = tmp_path.glob("demo/runs/*/metrics.jsonl")
    curve.write_text(curve.read_text()[:-9])
    found = python("-m", "actbench", "show", "relu-", "--results", str(tmp_path))
    assert (found.returncode, found.stderr.count("\n")) == (0, 1)
    assert "metrics.jsonl: line 2 is torn and ignored" in found.stderr
    assert "demo / relu" in found.stdout


def test_a_small_alphabet_is_no_reason_to_fail(results):
    assert "92.10" in command("compare", results, PYTHONIOENCODING="ascii")
    assert "relu" in command("show", "relu-bias-0.0-seed-0", "--results", results, PYTHONIOENCODING="ascii")


def test_no_command_here_loads_torch(results):
    calls = [*(["list", said] for said in KINDS), ["show", "elu-alpha", "--results", results], ["compare", results]]
    code = (
        "import sys; from typer.testing import CliRunner; from reading_commands import app\n"
        f"for call in {[[str(word) for word in call] for call in calls]!r}:\n"
        "    found = CliRunner().invoke(app, call); assert not found.exit_code, found\n"
        "print([m for m in ('torch', 'scipy.stats', 'matplotlib', 'sklearn', 'pandas') if m in sys.modules])"
    )
    assert python("-c", code).stdout.strip() == "[]"


@pytest.mark.parametrize("words", [["elu"], ["elu", "swish"], ["elu", "relu", "tanh", "mish", "selu"]])
def test_show_draws_activations_below_their_facts_in_the_width_that_there_is(words):
    text = call("show", *words)
    facts, _, picture = text.partition("\nf(z) ")
    assert all(f"\n{word}  " in f"\n{facts}" for word in words)
    assert max(map(len, picture.splitlines())) <= 120
    legend = [line.split() for line in picture.splitlines() if line.startswith("  ") and len(line.split()) == 2]
    named = [found[1] for found in legend if found[0] in "abcd"]
    assert named == (words if len(words) > 1 else [])


@pytest.mark.slow
def test_show_draws_no_more_than_ascii_where_a_terminal_has_no_more(results):
    for environment in ({"PYTHONIOENCODING": "ascii"}, {"TERM": "dumb"}):
        text = command("show", "elu", "swish", **environment).partition("\nf(z) ")[2]
        assert "aaa" in text
        assert text.isascii()
    run = command("show", "relu-bias-0.0-seed-0", "--results", results, TERM="dumb").partition("loss by epoch")[2]
    assert run.partition("Environment")[0].isascii()


@pytest.mark.parametrize("name", registry.names("activations"))
def test_what_is_drawn_of_an_activation_is_its_value_and_the_slope_between_two_of_its_points(name):
    component = default_component(name)
    if component is None:
        return
    function, slope = function_and_slope(component, row_of(component).kinks, 4.0)
    known = {x: y for x, y in slope if y is not None}
    checked = 0
    for (x, y), (later, after) in pairwise(function):
        if y is None or after is None or later - x < 1e-3 or x not in known or later not in known:
            continue
        # On a stretch without a kink the difference quotient lies near the mean of the slopes at its ends.
        assert (after - y) / (later - x) == pytest.approx((known[x] + known[later]) / 2, abs=0.01)
        checked += 1
    assert checked > 400


def test_what_is_drawn_of_relu_has_a_gap_in_its_slope_alone():
    function, slope = function_and_slope(default_component("relu"), (0.0,), 4.0)
    assert all(y == max(x, 0.0) for x, y in function)
    assert [(x, y) for x, y in slope if y is None] == [(0.0, None)]
    assert all(y == (x > 0) for x, y in slope if y is not None)


def layered(epoch, dead):
    """A row of a curve whose layers of ten and a hundred units have so many dead."""
    layers = [{"name": f"hidden.{i}", "units": 10 ** (i + 1), "dead": count} for i, count in enumerate(dead)]
    return {"epoch": epoch, "train.loss": 2.0 - epoch, "val.loss": 3.0, "val.accuracy": 0.1 * epoch, "layers": layers}


def strip(text):
    """Layer -> what stands behind its name."""
    return {line.split()[0]: line for line in text.splitlines() if line.startswith("hidden.") and ("→" in line)}


def test_a_runs_strip_of_dead_units_follows_dead_over_units_of_each_layer(tmp_path):
    dead = [(0, 0), (1, 0), (2, 10), (8, 5)]
    rows = [layered(epoch, pair) for epoch, pair in enumerate(dead)]
    save(tmp_path, [replace(record(), curves=tuple(rows))])
    text = call("show", "relu-", "--results", tmp_path)
    # The scale ends at 8 of 10: an eighth of it is 10 %.
    assert strip(text)["hidden.0"].split()[1:] == ["·▂▃█", "0.00", "%", "→", "80.00", "%"]
    assert strip(text)["hidden.1"].split()[1:] == ["··▂▁", "0.00", "%", "→", "5.00", "%"]
    assert "· none, ▁ up to 10.00 %, █ up to 80.00 % of the layer's units" in text
    assert text.index("Curve (epoch 0") < text.index("loss by epoch") < text.index("Dead units of each layer")
    assert "accuracy by epoch" in text


def test_a_run_without_a_dead_unit_is_told_so_and_one_epoch_is_no_curve(tmp_path):
    save(tmp_path / "none", [replace(record(), curves=tuple(layered(epoch, (0, 0)) for epoch in range(3)))])
    assert "no dead unit in any layer at any epoch" in call("show", "relu-", "--results", tmp_path / "none")
    save(tmp_path / "one", [replace(record(), curves=(layered(0, (0, 0)),))])
    text = call("show", "relu-", "--results", tmp_path / "one")
    assert "by epoch" not in text
    assert "Dead units of each" not in text


def test_a_long_strip_is_thinned_to_the_width_and_says_so(tmp_path):
    rows = tuple(layered(epoch, (epoch % 10, epoch % 100)) for epoch in range(401))
    save(tmp_path, [replace(record(), curves=rows)])
    text = call("show", "relu-", "--results", tmp_path)
    assert max(map(len, strip(text).values())) <= 120
    assert "of 401 epochs are shown" in text


TRACEBACK = """\
Traceback (most recent call last):
  File "/home/me/lib/actbench/training/loop.py", line 39, in run_cohort
    yield from events
  File "/home/me/mine.py", line 8, in bad
    return helper(z)
  File "/home/me/mine.py", line 12, in helper
    raise RuntimeError("no entry")
  File "/home/me/lib/actbench/system/user_code.py", line 71, in call
    return function(z)
RuntimeError: no entry
"""


@pytest.mark.parametrize(
    ("traceback", "rows", "told"),
    [
        (TRACEBACK, 3, ['- at /home/me/mine.py:12, in helper: raise RuntimeError("no entry")', "- after epoch 2 of 5"]),
        ("Traceback …", 0, ["- before its first epoch had ended"]),
    ],
)
def test_a_failed_run_leads_with_why(tmp_path, traceback, rows, told):
    store, spec = Store(tmp_path, "demo"), RunSpec()
    store.begin(spec)
    for epoch in range(rows):
        store.append(spec, {"epoch": epoch, "train.loss": 2.0})
    store.fail(spec, "RuntimeError: no entry", traceback)
    lines = call("show", "relu-", "--results", tmp_path).splitlines()
    whole = f"- whole traceback: demo/runs/{spec.run_id}/error.txt"
    assert lines[: len(told) + 3] == [f"demo / {spec.run_id}", "failed: RuntimeError: no entry", *told, whole]
    assert lines.index("Settings") > lines.index(whole)


def test_a_collapsed_run_leads_with_why(tmp_path):
    one = record(outcome="collapsed")
    one = replace(one, message="98% are inert", health={**one.health, "diagnosis": ["hidden.0: dead since epoch 1"]})
    save(tmp_path, [one])
    lines = call("show", "relu-", "--results", tmp_path).splitlines()
    assert lines[1:3] == ["collapsed: 98% are inert", "- hidden.0: dead since epoch 1"]
