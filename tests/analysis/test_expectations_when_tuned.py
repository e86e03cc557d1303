"""``expect`` entries ``when tuned``: each cell at its own best value, judged as in the tuned table."""

import pytest
import scipy.stats
from factories import row
from tuned_study import LR, VALIDATION, run, score, study

from actbench.analysis.compare import compare
from actbench.analysis.judgements.formatting import p_value
from actbench.analysis.reports import _sentences
from actbench.config import Study
from actbench.config.hypotheses import parse_expectation
from actbench.errors import ConfigError
from actbench.storage.reading import Records

HIGHER = "test.accuracy: activation=elu > activation=relu when tuned"
LOWER = "test.accuracy: activation=elu < activation=relu when tuned"


def tables(records, *texts, tune=(LR,), **options):
    own = {"demo": {"expect": list(texts), "tune": tune}}
    return compare(Records(tuple(records), (), own), **options).comparisons


def judged(records, *texts, **options):
    return tables(records, *texts, **options)[0].expectations


def differences(seeds):
    return [score("elu", 1.0, seed) - score("relu", 0.1, seed) for seed in range(seeds)]


@pytest.mark.parametrize(
    "text",
    [
        "test.accuracy: activation=elu < activation=relu when tuned where dataset=mnist-5k",
        "test.accuracy: activation=elu < activation=relu where dataset=mnist-5k when tuned",
    ],
)
def test_the_suffix_is_read_behind_the_claim_and_behind_where(text):
    found = parse_expectation(text)
    assert (found.is_tuned, found.where, found.text) == (True, {"dataset": "mnist-5k"}, text)
    assert not parse_expectation("test.accuracy > 90%").is_tuned


@pytest.mark.parametrize("seeds", [4, 8])
def test_the_difference_is_that_of_the_tuned_table_adjusted_over_all_entries(seeds):
    common, tuned = tables(study(seeds=seeds), LOWER, "test.accuracy > 85%", "test.accuracy < 99%")
    found = common.expectations[0]
    contrast = row(tuned, activation="elu").vs_baseline["test.accuracy"]
    assert found.verdict == "supported"
    assert found.estimate == pytest.approx(contrast.difference.difference)
    assert found.interval == pytest.approx((contrast.difference.low, contrast.difference.high))
    assert found.p == pytest.approx(scipy.stats.ttest_1samp(differences(seeds), 0).pvalue)
    assert found.p_adjusted >= max(found.p, contrast.p_adjusted)
    assert tuned.expectations == ()
    assert judged(study(seeds=seeds), HIGHER)[0].verdict == "contradicted"


def test_the_sentence_and_the_json_name_what_was_picked():
    (found,) = judged(study(), LOWER)
    words = f"each at its own {LR}, picked on validation (val.accuracy): elu 1, relu 0.1"
    assert words in _sentences.expectation(found)
    assert found.to_dict()["tuned"] == {
        "factors": [LR],
        "by": "val.accuracy",
        "cells": [
            {"factors": {"activation": "elu"}, "picked": {LR: 1.0}},
            {"factors": {"activation": "relu"}, "picked": {LR: 0.1}},
        ],
    }
    assert "tuned" not in judged(study(), "test.accuracy > 50%")[0].to_dict()


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("test.accuracy > 70% when tuned", "supported"),
        ("test.accuracy > 90% when tuned", "contradicted"),
        ("test.accuracy: activation=elu <= activation=relu when tuned", "supported"),
        ("test.accuracy: activation=elu = activation=relu ± 20pp when tuned", "supported"),
        ("test.accuracy: activation=elu >= activation=relu when tuned", "contradicted"),
        ("test.accuracy = 90% ± 5pp when tuned where activation=relu", "supported"),
    ],
)
def test_every_form_can_be_tuned(text, verdict):
    assert judged(study(seeds=8), text)[0].verdict == verdict


def test_test_metrics_never_choose_what_an_entry_is_judged_by():
    (found,) = judged(study(lambda a, rate, seed: 0.99 - 0.4 * (rate == VALIDATION and 0)), HIGHER)
    assert [cell.picked[LR] for cell in found.own.cells] == [1.0, 0.1]


def test_another_factor_is_averaged_over_cells_that_each_have_their_own_value():
    records = [
        run(a, rate, seed, test=0.8 + 0.01 * (a == "elu") + 0.1 * rate + 0.002 * seed * (a == "elu"),
            val=0.9 - abs(rate - best) + 0.001 * seed, bias_init=bias)
        for a in ("relu", "elu") for bias, best in ((0.0, 0.1), (0.01, 1.0)) for rate in (0.1, 1.0) for seed in range(6)
    ]  # fmt: skip
    (found,) = judged(records, HIGHER)
    assert (found.verdict, found.averaged) == ("supported", ("bias_init",))
    assert found.estimate == pytest.approx(0.01 + 0.002 * 2.5)
    assert "elu 0.1 or 1, relu 0.1 or 1" in found.note
    picked = {(cell.factors["activation"], cell.factors["bias_init"]): cell.picked[LR] for cell in found.own.cells}
    assert picked == {("elu", 0.0): 0.1, ("elu", 0.01): 1.0, ("relu", 0.0): 0.1, ("relu", 0.01): 1.0}


def test_hiding_and_averaging_change_no_judgement():
    views = [
        {},
        {"where": {"activation": "elu"}},
        {"where": {LR: 0.1}},
        {"by": ["activation"]},
        {"metric": "test.loss"},
    ]
    own = {"demo": {"expect": [LOWER], "tune": (LR,), "metric": "test.accuracy"}}
    found = [compare(Records(tuple(study()), (), own), **view).comparisons[0].expectations for view in views]
    assert found == [found[0]] * len(views)


@pytest.mark.parametrize(
    ("text", "speaks_against"), [(HIGHER, True), (LOWER, False), ("test.accuracy > 50% when tuned", True)]
)
def test_a_cell_of_which_no_value_kept_all_its_runs_is_never_a_pass(text, speaks_against):
    records = study(seeds=8, outcome=lambda a, _, seed: "diverged" if (a, seed) == ("elu", 1) else "ok")
    (found,) = judged(records, text)
    assert (found.verdict, found.is_of_survivors) == ("undecided", speaks_against)
    assert f"1 of 2 cells left out: no {LR} at which all runs have val.accuracy" in found.note
    if speaks_against:
        own = {"demo": {"expect": [text], "tune": (LR,)}}
        (gate,) = compare(Records(tuple(records), (), own), fail_if=["expect"]).gates
        assert gate.tripped_reason


@pytest.mark.parametrize(
    ("records", "tune", "told"),
    [
        (study(), (), "the study has no 'tune'"),
        (
            [one for one in study() if one.spec.training.optimizer.options["lr"] == 0.1],
            (LR,),
            "the runs have one value of",
        ),
    ],
)
def test_without_values_to_pick_from_it_is_undecided(records, tune, told):
    (found,) = judged(records, HIGHER, tune=tune)
    assert found.verdict == "undecided"
    assert told in found.note


CONFIG = """study: demo
sweep: {{activation: [relu, elu], training.optimizer.lr: [0.1, 1.0]}}
{tune}
expect:
  - "{text}"
"""


def config(text, tune="tune: [training.optimizer.lr]"):
    return Study.from_text(CONFIG.format(text=text, tune=tune), source="x.yaml")


@pytest.mark.parametrize(
    ("text", "tune", "told"),
    [
        (HIGHER, "", "'when tuned' needs factors to tune: add them to the config, such as 'tune: ["),
        ("test.accuracy > 50% where training.optimizer.lr=0.1 when tuned", "tune: [training.optimizer.lr]",
         "'training.optimizer.lr' is tuned, so an entry 'when tuned' can't name one value of it"),
    ],
)  # fmt: skip
def test_check_refuses_an_entry_that_can_not_be_tuned(text, tune, told):
    with pytest.raises(ConfigError) as error:
        config(text, tune)
    assert told in str(error.value)
    assert [problem.where for problem in error.value.problems] == ["x.yaml:5:5"]


def test_check_takes_an_entry_that_can_be_tuned():
    assert config(HIGHER).expect == (HIGHER,)


def test_it_is_held_to_the_p_of_the_table():
    found, _ = tables([*study(seeds=8)], LOWER)
    (one,) = found.expectations
    contrast = row(tables(study(seeds=8), LOWER)[1], activation="elu").vs_baseline["test.accuracy"]
    assert one.p_adjusted == contrast.p_adjusted > one.p  # by sign flips, which eight seeds take to .008
    assert f"adjusted p {p_value(contrast.p_adjusted)} over the table's 1 differences" in one.note
