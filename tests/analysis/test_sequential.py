"""Adding seeds until differences are known well enough: the condition, the looks, ``actbench run --until``."""

import json

import numpy as np
import pytest
import typer
from factories import record
from scipy import stats
from typer.testing import CliRunner

from actbench.analysis.sequential import InterimLook, grow, interim_look, more_seeds, parse_rule
from actbench.cli.run import run
from actbench.cli.until import SequentialDesign, _conclusion, _look_line
from actbench.errors import UnknownNameError, UsageError

NOISE = np.random.default_rng(4).normal(0, 0.01, 40)
LOOKS = [3, 4, 5, 7, 9, 12, 15, 19, 24, 30]
"""Three seeds, then a quarter more each time, rounded up."""


def trained(seeds, *, gap=0.02, sign=1):
    """Relu at 0.9 and an elu that is ``gap`` better, give or take the noise."""
    elu = [record(0.9 + sign * (gap + NOISE[seed]), activation="elu", seed=seed) for seed in seeds]
    return [*elu, *(record(0.9, activation="relu", seed=seed) for seed in seeds)]


def half_width(n):
    """Student's half-width of the first n differences, from scipy."""
    return float(stats.sem(NOISE[:n]) * stats.t.ppf(0.975, n - 1))


@pytest.mark.parametrize(
    ("text", "metric", "bound"),
    [
        ("test.accuracy ci < 0.2pp", "test.accuracy", 0.002),
        ("  test.accuracy  ci<.5 pp ", "test.accuracy", 0.005),
        ("test.accuracy ci < 0.2 %", "test.accuracy", 0.002),
        ("test.loss ci < 1e-2", "test.loss", 0.01),
    ],
)
def test_a_condition_is_read_in_the_metrics_own_unit(text, metric, bound):
    found = parse_rule(text)
    assert (found.metric, found.bound) == (metric, pytest.approx(bound, rel=1e-12))


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("test.accuracy < 0.2pp", UsageError, "expected METRIC ci < NUMBER"),
        ("test.accuracy p < 0.05", UsageError, "expected METRIC ci < NUMBER"),
        ("test.accuracy ci > 0.2pp", UsageError, "expected METRIC ci < NUMBER"),
        ("test.acuracy ci < 0.2pp", UnknownNameError, "did you mean 'test.accuracy'?"),
        ("test.accuracy ci < 1.2.3", UsageError, "--until: '1.2.3' is not an amount of test.accuracy: write 0.5pp"),
        ("test.accuracy ci < 0.2", UsageError, "--until: test.accuracy is a fraction, so a difference in it needs"),
        ("test.accuracy ci < 0.002", UsageError, "write 0.002pp (or 0.2pp), not 0.002"),
        ("test.accuracy ci < 0pp", UsageError, "above 0"),
        ("test.accuracy ci < 1e999", UsageError, "too large a number"),
        ("test.loss ci < 0.2pp", UsageError, "test.loss is in nats, not a fraction: leave out 'pp'"),
        ("health.dead_fraction ci < 1pp", UsageError, "no interval"),
    ],
)
def test_another_condition_is_refused_with_a_remedy(text, kind, told):
    with pytest.raises(kind) as error:
        parse_rule(text)
    assert told in str(error.value)


@pytest.mark.parametrize("bound", [half_width(n) * 1.001 for n in (5, 12, 24)])
def test_seeds_are_added_until_the_interval_is_narrow_enough_and_no_further(bound):
    wanted = LOOKS[: next(i for i, n in enumerate(LOOKS) if half_width(n) < bound) + 1]
    looks = list(grow((0, 1, 2), parse_rule(f"test.accuracy ci < {100 * bound!r}pp"), trained))

    assert [len(one.seeds) for one in looks] == wanted
    assert [one.widest[0] for one in looks] == pytest.approx([half_width(n) for n in wanted])
    assert [one.open for one in looks] == [("activation=elu",)] * (len(wanted) - 1) + [()]


def test_growing_ends_at_the_most_seeds_and_tells_what_is_open():
    looks = list(grow((0, 1, 2), parse_rule("test.accuracy ci < 0.01pp"), trained, max_seeds=8))
    assert [len(one.seeds) for one in looks] == [3, 4, 5, 7, 8]
    assert looks[-1].open == ("activation=elu",)


@pytest.mark.parametrize(("gap", "sign"), [(0.0, 1), (0.05, 1), (0.02, -1)])
def test_when_to_stop_depends_neither_on_the_size_nor_on_the_side_of_the_difference(gap, sign):
    condition = parse_rule("test.accuracy ci < 0.5pp")
    looks = list(grow((0, 1, 2), condition, lambda seeds: trained(seeds, gap=gap, sign=sign)))
    usual = list(grow((0, 1, 2), condition, trained))
    assert [one.seeds for one in looks] == [one.seeds for one in usual]
    assert len(usual) > 2


@pytest.mark.parametrize(("first", "floor"), [(3, 0.89), (5, 0.91), (10, 0.925)])
def test_stopping_on_width_costs_little_coverage_and_stopping_on_p_would_cost_much(first, floor):
    studies, seeds = np.random.default_rng(first).normal(size=(4000, 30)), tuple(range(first))
    covered, stopped, found = (np.zeros(4000, bool) for _ in range(3))
    while not stopped.all():
        n = len(seeds)
        half = stats.t.ppf(0.975, n - 1) * stats.sem(studies[:, :n], axis=1)
        inside = abs(studies[:, :n].mean(axis=1)) < half
        now = ~stopped & ((half < 0.6) | (n == 30))
        covered, stopped, found = covered | (now & inside), stopped | now, found | ~inside
        seeds = more_seeds(seeds, 30)
    assert covered.mean() > floor
    assert found.mean() > 0.1


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 29, 30])
def test_more_seeds_keep_those_there_are_and_never_exceed_the_most(count):
    seeds = tuple(range(3, 3 + count))
    found = more_seeds(seeds, 30)
    assert found[:count] == seeds
    assert len(set(found)) == len(found) <= 30
    assert len(found) > count or count == 30


def test_two_seeds_have_no_interval_and_leave_every_difference_open():
    found = interim_look((0, 1), trained([0, 1]), parse_rule("test.accuracy ci < 50pp"))
    assert (found.open, found.hopeless, found.widest) == (("activation=elu",), (), None)


def test_a_row_that_always_diverges_is_named_and_holds_nothing_up():
    seeds = (0, 1, 2)
    lost = [record(None, outcome="diverged", activation="tanh", seed=seed) for seed in seeds]
    found = interim_look(seeds, [*trained(seeds), *lost], parse_rule("test.accuracy ci < 50pp"))
    assert (found.differences, found.open, found.hopeless) == (2, (), ("activation=tanh",))


def test_identical_rows_are_known_exactly():
    runs = [record(0.9, activation=name, seed=seed) for name in ("relu", "elu") for seed in range(3)]
    found = interim_look((0, 1, 2), runs, parse_rule("test.accuracy ci < 0.1pp"))
    assert (found.open, found.widest) == ((), (0.0, "activation=elu"))


def test_rows_of_several_tables_are_told_apart():
    runs = [one for name in ("mnist-5k", "digits") for one in trained_on(name)]
    found = interim_look((0, 1, 2), runs, parse_rule("test.accuracy ci < 0.0001pp"))
    assert len(set(found.open)) == found.differences == 2


def trained_on(dataset):
    return [
        record(0.9 + NOISE[seed] * (name == "elu"), dataset=dataset, activation=name, seed=seed)
        for name in ("relu", "elu")
        for seed in range(3)
    ]


def test_nothing_to_compare_is_an_error():
    with pytest.raises(UsageError, match="nothing is compared to a baseline"):
        interim_look((0, 1, 2), [record(0.9, seed=seed) for seed in range(3)], parse_rule("test.accuracy ci < 1pp"))


@pytest.mark.parametrize(
    ("condition", "widest", "known", "wanted"),
    [
        ("test.accuracy ci < 0.2pp", 0.0020004, "±0.20004 points", "±0.2 points"),
        ("test.accuracy ci < 0.2pp", 0.0019996, "±0.19996 points", "±0.2 points"),
        ("test.accuracy ci < 0.2pp", 0.0027912, "±0.279 points", "±0.2 points"),
        ("test.accuracy ci < 99.99pp", 0.02, "±2 points", "±99.99 points"),
        ("test.loss ci < 0.0125", 0.01251, "±0.01251 nats", "±0.0125 nats"),
        ("parameters ci < 1", 0.0, "±0", "±1"),
    ],
)
def test_a_width_is_never_printed_as_the_bound_that_it_differs_from(condition, widest, known, wanted):
    design = SequentialDesign(parse_rule(condition), 30)
    metric = design.rule.metric
    name = "activation=elu"
    look = InterimLook((0, 1, 2), 1, (name,) if widest >= design.rule.bound else (), (), (widest, name))
    assert _look_line(look, design).startswith(f"3 seeds: {metric} known to {known} at worst (activation=elu)")
    assert f"to the baseline are known to less than {wanted} with 3 seeds" in _conclusion(look, design)


def test_one_seed_is_called_a_seed():
    design = SequentialDesign(parse_rule("test.accuracy ci < 1pp"), 1)
    look = InterimLook((4,), 1, ("activation=elu",), (), None)
    assert _look_line(look, design).startswith("1 seed: test.accuracy has no interval yet")
    assert "with 1 seed; stopped" in _conclusion(look, design)


STUDY = """\
study: tiny
dataset: {name: digits, train_size: 100, test_size: 100}
model: {name: mlp, hidden: [8]}
training: {epochs: 1, batch_size: 32}
seeds: 2
sweep:
  activation: [relu, tanh]
"""


@pytest.fixture
def command(tmp_path, data_folder, monkeypatch):
    """``actbench run study.yaml`` in an empty folder; a deliberate error is raised as it is."""
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTBENCH_DATA", str(data_folder))
    app = typer.Typer()
    app.command()(run)

    def call(*arguments):
        return CliRunner().invoke(app, ["study.yaml", "--engine", "inline", *arguments], catch_exceptions=False)

    return call


def seeds_in(folder):
    paths = (folder / "results/tiny/runs").glob("*/result.json")
    return sorted(json.loads(path.read_text())["spec"]["seed"] for path in paths)


def test_run_adds_seeds_until_the_condition_holds(command, tmp_path):
    done = command("--until", "test.accuracy ci < 99.9pp")
    assert done.exit_code == 0, done.output
    assert "2 seeds: test.accuracy has no interval yet" in done.stderr
    assert "tiny: 1 of 1 differences to the baseline are known to less than ±99.9 points with 3 seeds\n" in done.stderr
    assert "6 ok in" in done.stderr
    assert seeds_in(tmp_path) == [0, 0, 1, 1, 2, 2]
    assert "seeds=[0, 1, 2]" in (tmp_path / "results/tiny/study.yaml").read_text()


def test_run_stops_at_the_most_seeds_and_begins_nothing_twice(command, tmp_path):
    first = command("--until", "test.accuracy ci < 0.0001pp", "--max-seeds", "4")
    assert first.exit_code == 0, first.output
    assert "with 4 seeds; stopped by --max-seeds 4, with these open: activation=tanh" in first.stderr
    assert seeds_in(tmp_path) == [0, 0, 1, 1, 2, 2, 3, 3]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.json*")}
    again = command("--until", "test.accuracy ci < 0.0001pp", "--max-seeds", "4")
    assert "nothing to train" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.json*")} == before


def test_the_width_is_that_of_the_study_whatever_else_its_folder_holds(command):
    alone = command("--until", "test.accuracy ci < 0.0001pp", "--max-seeds", "3").stderr
    command("seeds=6", "bias_init=0,0.5")
    company = command("--until", "test.accuracy ci < 0.0001pp", "--max-seeds", "3").stderr
    (known,) = (line for line in alone.splitlines() if line.startswith("3 seeds: "))
    assert known in company


def test_a_failing_run_ends_the_growth(command, tmp_path):
    broken = "activation=relu,{name: mine, path: 'broken_activation:raises_when_training'}"
    done = command(broken, "--until", "test.accuracy ci < 1pp")
    assert done.exit_code == 1
    assert "failed: 2; why: results/tiny/runs/*/error.txt" in done.stderr
    assert seeds_in(tmp_path) == [0, 1]


def test_a_dry_run_tells_the_condition_and_how_much_it_may_become(command, tmp_path):
    done = command("--until", "test.accuracy ci < 1pp", "--max-seeds", "20", "--dry-run")
    assert "until        test.accuracy ci < 1pp" in done.stdout
    assert "20 seeds, 40 runs" in done.stdout
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--max-seeds", "9"], "add --until"),
        (["--until", "test.accuracy ci < 1pp", "--max-seeds", "1"], "less than the study's own 2 seeds"),
        (["--until", "test.accuracy ci < 1pp", "--smoke"], "can't go with --smoke"),
        (["--until", "test.accuracy ci < 1pp", "--force"], "can't go with --force"),
        (["--until", "test.accuracy ci < 1pp", "--retry", "all"], "can't go with --retry all"),
        (["--until", "test.accuracy ci < 1pp", "activation=relu"], "differ in the seed alone"),
        (["--until", "accuracy"], "expected METRIC ci < NUMBER"),
    ],
)
def test_options_that_make_no_sense_together_are_refused_before_anything_is_trained(command, tmp_path, arguments, told):
    with pytest.raises(UsageError) as error:
        command(*arguments)
    assert told in str(error.value)
    assert not (tmp_path / "results").exists()
