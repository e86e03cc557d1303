"""Stein's two-stage rule, from the choice of the seeds to the table: ``actbench run --until … --exact``."""

import json
import re
import shutil

import numpy as np
import pytest
import scipy.stats
import typer
from factories import record
from typer.testing import CliRunner

from actbench.analysis.compare import compare
from actbench.analysis.reports._sentences import caption
from actbench.analysis.sequential import choose_seeds, parse_rule
from actbench.cli.run import run
from actbench.config import TwoStage
from actbench.errors import ConfigError, UsageError
from actbench.storage.reading import Records

NOISE = {"elu": np.random.default_rng(4).normal(0, 0.01, 60), "gelu": np.random.default_rng(5).normal(0, 0.02, 60)}
GAPS = {"elu": 0.02, "gelu": 0.03}
RULE = parse_rule("test.accuracy ci < 1pp")


def trained(seeds, lost=()):
    """Relu at 0.9, and two others that are better by a gap and noise; runs in ``lost`` have diverged."""
    found = [record(0.9, activation="relu", seed=seed) for seed in seeds]
    for name, noise in NOISE.items():
        for seed in seeds:
            if (name, seed) in lost:
                found.append(record(None, outcome="diverged", activation=name, seed=seed))
            else:
                found.append(record(0.9 + GAPS[name] + noise[seed], activation=name, seed=seed))
    return found


def wanted_size(name, pilot, width=0.01):
    t = scipy.stats.t.ppf(0.975, pilot - 1)
    return max(pilot, int(np.ceil((t * NOISE[name][:pilot].std(ddof=1) / width) ** 2)))


def compared(seeds, plan, **options):
    return compare(Records(tuple(trained(seeds)), (), {"demo": {"two_stage": plan}}), **options)


@pytest.mark.parametrize("pilot", [3, 5, 8])
def test_the_row_that_varies_most_chooses_the_number_of_all(pilot):
    chosen = choose_seeds(tuple(range(pilot)), trained(range(pilot)), RULE, max_seeds=1000)
    sizes = {name: wanted_size(name, pilot) for name in NOISE}
    assert chosen.plan.seeds == chosen.needed == max(sizes.values())
    assert chosen.plan.all_seeds == tuple(range(chosen.needed))
    assert chosen.widest[0] <= 0.01
    assert sizes[chosen.widest[1].removeprefix("activation=")] == chosen.needed


def test_no_more_seeds_than_the_most_and_the_width_that_they_leave():
    chosen = choose_seeds((0, 1, 2, 3, 4), trained(range(5)), RULE, max_seeds=12)
    assert chosen.plan.seeds == 12 < chosen.needed == wanted_size("gelu", 5)
    half = scipy.stats.t.ppf(0.975, 4) * NOISE["gelu"][:5].std(ddof=1) / 12**0.5
    assert chosen.widest == (pytest.approx(half), "activation=gelu")


def test_the_choice_depends_on_no_mean():
    shifted = [record(0.2 + 0.5 * one.final["test.accuracy"], activation=one.spec.activation.label, seed=one.spec.seed)
               for one in trained(range(5)) if one.spec.activation.label != "gelu"]  # fmt: skip
    there = choose_seeds((0, 1, 2, 3, 4), shifted, parse_rule("test.accuracy ci < 0.5pp"))
    here = [one for one in trained(range(5)) if one.spec.activation.label != "gelu"]
    assert there.needed == choose_seeds((0, 1, 2, 3, 4), here, RULE).needed


def test_a_row_with_too_few_pairs_for_a_spread_chooses_nothing_and_is_named():
    lost = {("gelu", seed) for seed in (0, 1, 2)}
    chosen = choose_seeds((0, 1, 2, 3, 4), trained(range(5), lost), RULE)
    assert chosen.without == ("activation=gelu",)
    assert chosen.needed == wanted_size("elu", 5)
    everything = {(name, seed) for name in NOISE for seed in range(5)}
    with pytest.raises(UsageError, match="no row has 3 pairs of runs with a value"):
        choose_seeds((0, 1, 2, 3, 4), trained(range(5), everything), RULE)


def test_the_table_has_steins_interval_and_p():
    plan = TwoStage(metric="test.accuracy", pilot=(0, 1, 2, 3, 4), seeds=30)
    (table,) = compared(range(30), plan).comparisons
    contrasts = {row.factors["activation"]: row.vs_baseline["test.accuracy"] for row in table.rows if row.vs_baseline}
    t = scipy.stats.t(4)
    ps = {}
    for name, noise in NOISE.items():
        mean, scale = GAPS[name] + noise[:30].mean(), noise[:5].std(ddof=1) / 30**0.5
        found = contrasts[name].difference
        assert found.difference == pytest.approx(mean)
        assert (found.low, found.high) == pytest.approx((mean - t.ppf(0.975) * scale, mean + t.ppf(0.975) * scale))
        ps[name] = 2 * t.sf(abs(mean) / scale)
        assert found.p == pytest.approx(ps[name])
    small, large = sorted(ps, key=ps.get)
    assert contrasts[small].p_adjusted == pytest.approx(2 * ps[small])  # Holm's method, whatever the number of pairs
    assert contrasts[large].p_adjusted == pytest.approx(max(2 * ps[small], ps[large]))


def test_the_table_and_the_methods_text_say_whose_intervals_they_are():
    plan = TwoStage(metric="test.accuracy", pilot=(0, 1, 2, 3, 4), seeds=30)
    found = compared(range(30), plan, methods=True)
    (line,) = [text for text in caption(found.comparisons[0]) if "Stein" in text]
    match = re.search(
        r"in (\S+) are Stein's: the spread of the first (\d+) seeds, which chose (\d+), and t of (\d+)", line
    )
    assert match.groups() == ("test.accuracy", "5", "30", "4")
    assert line in found.comparisons[0].methods
    assert "paired t tests of two stages, adjusted by Holm's" in found.comparisons[0].methods
    assert not found.warnings


def test_other_metrics_and_means_keep_students_interval():
    plan = TwoStage(metric="test.loss", pilot=(0, 1, 2, 3, 4), seeds=30)
    (with_plan,), (without,) = (compared(range(30), one, metric="test.accuracy").comparisons for one in (plan, None))
    assert with_plan.rows == without.rows
    assert not any("Stein" in text for text in caption(with_plan))


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        (
            32,
            "2 of the 32 seeds are not among the 30 that `--exact` chose, so intervals in test.accuracy are",
        ),
        (28, "2 of the 30 seeds that `--exact` chose are not there, so intervals in test.accuracy are"),
    ],
)
def test_other_seeds_than_the_chosen_ones_are_told(seeds, told):
    plan = TwoStage(metric="test.accuracy", pilot=(0, 1, 2, 3, 4), seeds=30)
    found = compared(range(seeds), plan)
    assert any(text.startswith(told) for text in found.warnings)
    (table,) = found.comparisons
    usual = compared(range(seeds), None).comparisons[0]
    assert (table.rows == usual.rows) == (seeds > 30)


def test_a_hypothesis_has_the_interval_of_the_table():
    plan = TwoStage(metric="test.accuracy", pilot=(0, 1, 2, 3, 4), seeds=30)
    settings = {"demo": {"two_stage": plan, "expect": ["test.accuracy: activation=elu > activation=relu"]}}
    (table,) = compare(Records(tuple(trained(range(30))), (), settings)).comparisons
    (row,) = [row for row in table.rows if row.factors["activation"] == "elu"]
    found = row.vs_baseline["test.accuracy"].difference
    assert table.expectations[0].interval == (found.low, found.high)
    assert table.expectations[0].verdict == "supported"


def test_a_first_stage_without_spread_that_the_second_refutes_has_no_interval():
    runs = [record(0.9, activation="relu", seed=seed) for seed in range(8)]
    runs += [record(0.9 + (0.01 if seed < 3 else 0.01 * seed), activation="elu", seed=seed) for seed in range(8)]
    plan = TwoStage(metric="test.accuracy", pilot=(0, 1, 2), seeds=8)
    (table,) = compare(Records(tuple(runs), (), {"demo": {"two_stage": plan}})).comparisons
    (contrast,) = [row.vs_baseline["test.accuracy"] for row in table.rows if row.vs_baseline]
    assert (contrast.difference.low, contrast.difference.p, contrast.significant) == (None, None, False)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"metric": "test.accuracy", "pilot": [0, 1], "seeds": 9}, "at least 3 seeds"),
        ({"metric": "test.accuracy", "pilot": [0, 1, 2, 3], "seeds": 3}, "4 of 'pilot' included, not 3"),
        ({"metric": "health.dead_fraction", "pilot": [0, 1, 2], "seeds": 9}, "no interval"),
        ({"metric": "test.acuracy", "pilot": [0, 1, 2], "seeds": 9}, "did you mean 'test.accuracy'"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(values, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        TwoStage.parse(values)


STUDY = """\
study: tiny
dataset: {name: digits, train_size: 100, test_size: 100}
model: {name: mlp, hidden: [8]}
training: {epochs: 1, batch_size: 32}
seeds: 3
sweep:
  activation: [relu, tanh]
"""
UNTIL = ("--until", "test.accuracy ci < 20pp", "--exact")


@pytest.fixture
def command(tmp_path, data_folder, monkeypatch):
    """``actbench run study.yaml`` in an empty folder; a deliberate error is raised as it is."""
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACTBENCH_DATA", str(data_folder))
    app = typer.Typer()
    app.command()(run)

    def call(*arguments, config="study.yaml"):
        return CliRunner().invoke(app, [config, "--engine", "inline", *arguments], catch_exceptions=False)

    return call


def runs_in(folder):
    """Run folder -> seed."""
    paths = (folder / "results/tiny/runs").glob("*/result.json")
    return {path.parent: json.loads(path.read_text())["spec"]["seed"] for path in paths}


def seeds_in(folder):
    return sorted(set(runs_in(folder).values()))


def test_run_trains_as_many_seeds_as_the_first_ones_choose_and_records_it(command, tmp_path):
    done = command(*UNTIL)
    assert done.exit_code == 0, done.output
    chosen = re.search(r"3 seeds choose (\d+) in all, for test.accuracy within ±20 points", done.stderr)
    count = int(chosen[1])
    assert seeds_in(tmp_path) == list(range(count))
    assert f"known to ±20 points or less with {count} seeds, chosen by the first 3" in done.stderr
    kept = (tmp_path / "results/tiny/study.yaml").read_text()
    assert "two_stage:" in kept
    again = command(*UNTIL)
    assert "nothing to train" in again.stderr
    assert (tmp_path / "results/tiny/study.yaml").read_text() == kept


@pytest.mark.parametrize("config", ["study.yaml", "results/tiny/study.yaml"])
def test_an_interrupted_second_stage_goes_on_with_the_same_number(command, tmp_path, config):
    command(*UNTIL)
    before = seeds_in(tmp_path)
    for run_folder, seed in runs_in(tmp_path).items():
        if seed == before[-1]:
            shutil.rmtree(run_folder)
    assert seeds_in(tmp_path) == before[:-1]
    done = command(*UNTIL, config=config)
    assert "2 ok in" in done.stderr
    assert seeds_in(tmp_path) == before


def test_where_it_takes_more_than_the_most_seeds_the_width_is_told_beforehand(command, tmp_path):
    done = command("--until", "test.accuracy ci < 0.1pp", "--exact", "--max-seeds", "4")
    told = re.search(
        r"3 seeds choose ([\d,]+) in all .+; with --max-seeds 4 it will be known to (±\S+) points", done.stderr
    )
    assert int(told[1].replace(",", "")) > 4
    assert seeds_in(tmp_path) == [0, 1, 2, 3]
    assert "0 of 1 differences to the baseline are known to ±0.1 points or less" in done.stderr


def test_where_the_first_seeds_are_enough_none_is_added(command, tmp_path):
    done = command("--until", "test.accuracy ci < 99.9pp", "--exact")
    assert "3 seeds are enough for test.accuracy within ±99.9 points" in done.stderr
    assert seeds_in(tmp_path) == [0, 1, 2]
    assert "two_stage:" in (tmp_path / "results/tiny/study.yaml").read_text()


def test_a_dry_run_says_that_the_spread_chooses(command):
    done = command(*UNTIL, "--dry-run")
    assert "the spread of 3 seeds chooses the number of all" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--exact"], "--exact says how --until adds seeds: add --until"),
        ([*UNTIL, "seeds=2"], "--exact takes the spread of the study's own seeds, for which 2 are too few"),
        ([*UNTIL, "--max-seeds", "2"], "less than the study's own 3 seeds"),
        ([*UNTIL, "--smoke"], "can't go with --smoke"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_trained(command, tmp_path, arguments, told):
    with pytest.raises(UsageError) as error:
        command(*arguments)
    assert told in str(error.value)
    assert not (tmp_path / "results").exists()
