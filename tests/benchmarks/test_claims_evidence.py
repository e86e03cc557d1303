"""The questions that the page of claims asks of packed studies, against scipy and plain counting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import scipy.stats
from factories import record, save

from benchmarks.claims.answers import EvidenceError, Share, Verdict
from benchmarks.claims.evidence import ALL, Evidence, Study

RELU = [0.90, 0.91, 0.92, 0.94, 0.90, 0.93, 0.92, 0.91]
SELU = [0.91, 0.93, 0.925, 0.96, 0.93, 0.94, 0.95, 0.92]
CONFIG = """\
study: demo
expect:
  - "test.accuracy: activation=selu > activation=relu"
  - "test.accuracy: activation=selu < activation=relu"
  - "test.accuracy > 50% where dataset=mnist"
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two datasets, two activations, eight seeds; on the second dataset selu loses what it wins on the first."""
    records = [
        record(value - 0.2 * (dataset == "fashion_mnist"), activation=name, seed=seed, dataset=dataset, dead=dead)
        for dataset in ("mnist", "fashion_mnist")
        for name, values, dead in (("relu", RELU, 0.25), ("selu", SELU if dataset == "mnist" else RELU[::-1], 0.0))
        for seed, value in enumerate(values)
    ]
    return Study("demo", save(tmp_path_factory.mktemp("results"), records, text=CONFIG) / "demo")


def test_a_mean_and_a_paired_difference_are_those_of_scipy(study: Study) -> None:
    where = "dataset=mnist,activation="
    mean = study.mean("test.accuracy", f"{where}selu")
    effect = study.difference("test.accuracy", f"{where}selu", f"{where}relu")
    own, paired = scipy.stats.ttest_1samp(SELU, 0), scipy.stats.ttest_rel(SELU, RELU)

    assert mean.n == effect.n == 8
    assert (mean.found.low, mean.found.high) == pytest.approx(own.confidence_interval(0.95))
    assert (effect.found.low, effect.found.high) == pytest.approx(paired.confidence_interval(0.95))
    assert effect.p == pytest.approx(paired.pvalue)
    low, high = own.confidence_interval(0.95)
    assert str(mean) == f"93.31 % [{100 * low:.2f}, {100 * high:.2f}]"
    low, high = paired.confidence_interval(0.95)
    assert str(effect) == f"+1.69 points [+{100 * low:.2f}, +{100 * high:.2f}]"


def test_what_is_left_open_is_averaged_only_where_that_is_asked_for(study: Study) -> None:
    with pytest.raises(EvidenceError, match="more than one cell: name dataset"):
        study.mean("test.accuracy", "activation=relu")

    by_seed = [value - 0.1 for value in RELU]
    assert study.mean("test.accuracy", "activation=relu", over=ALL).value == pytest.approx(sum(by_seed) / 8)
    assert study.mean("test.accuracy", "activation=relu", over=["dataset"]).n == 8


def test_a_row_is_that_of_compare_with_its_adjusted_p(study: Study) -> None:
    cell = study.cell("dataset=mnist,activation=selu")
    (table,) = [one for one in study.comparisons.comparisons if one.context["dataset"] == "mnist"]
    (row,) = [one for one in table.rows if one.factors["activation"] == "selu"]

    assert cell.row is row
    assert cell.effect().p == row.vs_baseline["test.accuracy"].p_adjusted
    assert cell.effect().verdict(">").word == "supported"
    assert cell.effect().verdict("<").word == "contradicted"
    assert cell.context.name == "MNIST 256-256"
    assert study.cell("activation=relu,dataset=mnist").is_baseline


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("activation=selu", "2 rows have activation=selu"),
        ("activation=gelu", "no run has activation=gelu; there are relu and selu"),
        ("dataset=kmnist", "no run has dataset=kmnist; there are mnist and fashion_mnist"),
    ],
)
def test_a_question_about_no_row_or_several_is_refused(study: Study, where: str, says: str) -> None:
    with pytest.raises(EvidenceError, match=says):
        study.cell(where)


def test_a_verdict_is_one_word_where_all_tables_agree_and_mixed_where_not(study: Study) -> None:
    assert study.verdict("activation=selu >", where="dataset=mnist").word == "supported"
    assert str(study.verdict("activation=selu <")) == "mixed (1 contradicted, 1 undecided)"
    assert study.verdict("> 50%").word == "supported"
    assert study.verdict("activation=selu >", given=["> 50%"]).words == ("supported",)
    assert Verdict(()).word == "not judged"
    with pytest.raises(EvidenceError, match="no expect line with sigmoid"):
        study.verdict("sigmoid")


def test_a_tuned_row_says_its_value_and_whether_a_better_one_may_lie_beyond(tmp_path: Path) -> None:
    records = []
    for name, rates in (("relu", (0.9, 0.92, 0.91)), ("selu", (0.9, 0.91, 0.95))):
        for rate, accuracy in zip((0.01, 0.1, 1.0), rates, strict=True):
            for seed in range(3):
                training = {"optimizer": {"name": "sgd", "lr": rate}}
                one = record(accuracy + seed / 1000, activation=name, seed=seed, training=training)
                records.append(replace(one, final={**one.final, "val.accuracy": accuracy}))
    config = "study: demo\ntune: [training.optimizer.lr]\n"
    study = Study("demo", save(tmp_path, records, text=config) / "demo")
    relu, selu = (study.cell(f"activation={name}", tuned=True) for name in ("relu", "selu"))

    assert (relu.picked, relu.edge, relu.is_baseline) == ("0.1", "", True)
    assert (selu.picked, selu.edge) == ("1", "largest")
    assert study.largest(tuned=True).name == "selu"
    assert study.largest(tuned=True).effect().value == pytest.approx(0.03)
    assert study.rival_verdict(">", tuned=True).words == ("undecided",)  # the same difference in each seed


def test_shares_and_bins_count_runs(study: Study) -> None:
    assert study.share("test.accuracy > 90%", "activation=relu,dataset=mnist").text == "6 of 8"
    assert study.share("ok").text == "32 of 32"
    low, middle, high = study.bins("health.dead_fraction", [0, 0.1, 0.25, 1], "test.accuracy", "dataset=mnist")
    assert (low.n, middle.n, high.n) == (8, 0, 8)  # a bin holds its lower end
    assert (high.least, high.most, middle.median) == ("90.00 %", "94.00 %", "–")
    assert low.share("< 92.5%").text == "2 of 8"


def test_the_interval_of_a_share_is_the_exact_one_by_which_expect_decides() -> None:
    low, high = scipy.stats.binomtest(6, 10).proportion_ci(method="exact")

    assert str(Share(6, 10)) == f"6 of 10, 60 % [{100 * low:.0f}, {100 * high:.0f}]"


def test_the_difference_of_outcomes_is_paired_by_seed_and_tested_by_sign_flips(tmp_path: Path) -> None:
    records = [
        record(None if name == "relu" else 0.9, activation=name, seed=seed, outcome=outcome)
        for name, outcome in (("relu", "diverged"), ("tanh", "ok"))
        for seed in range(6)
    ]
    found = Study("demo", save(tmp_path, records) / "demo").outcome_difference(
        "diverged", "activation=relu", "activation=tanh"
    )

    assert found.value == 1.0
    assert found.p == pytest.approx(2 / 2**6)  # of the 64 patterns of signs the two that are all alike
    assert found.verdict(">").word == "supported"


def test_the_machine_is_what_the_runs_recorded(tmp_path: Path) -> None:
    environment = {"processor": "Abacus 3", "processors": 2, "actbench": "0.1", "git_commit": "abc"}
    study = Study("demo", save(tmp_path, [record(seed=seed, environment=environment) for seed in range(3)]) / "demo")

    assert study.machine.hardware == "2 × Abacus 3"
    assert study.machine.versions == "actbench 0.1, torch 2.14.0"
    assert study.machine.time == "4 s"  # three times 1.5 seconds


def test_a_study_without_results_is_not_there(tmp_path: Path) -> None:
    assert not Evidence(tmp_path).has("bias")
    with pytest.raises(EvidenceError, match="no packed results of 'bias'"):
        Evidence(tmp_path).study("bias")
