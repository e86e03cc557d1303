"""The keys of the lessons: the page's commands are run in full, and each statement is held against the statistics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from forked_commands import Server
from lessons import difference, row, table
from shown_commands import steps_of

from actbench import read_results

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "classroom.md"
LESSONS = re.split(r"^## (?=\d\. )", PAGE.read_text("utf-8").partition("\n## Keys\n")[0], flags=re.MULTILINE)[1:]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lessons(forking: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder with all results, and what each command printed."""
    folder, printed = tmp_path_factory.mktemp("lessons"), {}
    for step in steps_of(PAGE):
        words = step.words[1:]
        assert forking.do(folder, *words, ACTBENCH_RUN_ENGINE="inline", COLUMNS="120") == 0, step.line
        printed[step.line] = (folder / "stdout").read_text("utf-8") + (folder / "stderr").read_text("utf-8")
    return folder / "results", printed


@pytest.fixture
def results(lessons: tuple[Path, dict[str, str]]) -> Path:
    return lessons[0]


def test_units_of_relu_die_at_a_high_rate_and_those_of_leaky_relu_at_none(results: Path) -> None:
    found = table(results, "classroom-dying")
    rate = "training__optimizer__lr"

    p, more = difference(found, "health.dead_fraction", activation="relu", **{rate: 0.04})
    assert (p < 0.05, more > 0.2) == (True, True)
    assert [one.verdict for one in found.expectations] == ["supported"] * 2
    leaky = [one for one in found.rows if one.factors["activation"] == "leaky_relu"]
    assert [one.metrics["health.dead_fraction"].mean for one in leaky] == [0.0] * 3


def test_a_network_may_lose_half_of_its_units_and_not_be_shown_to_be_worse(results: Path) -> None:
    at_rate = table(
        results,
        "classroom-dying",
        baseline={"activation": "relu", "training.optimizer.lr": 0.04},
        metric=("test.accuracy",),
    )
    p, _ = difference(at_rate, "test.accuracy", activation="leaky_relu", training__optimizer__lr=0.04)
    assert p > 0.1
    best = table(
        results,
        "classroom-dying",
        baseline={"activation": "relu", "training.optimizer.lr": 0.01},
        metric=("test.accuracy",),
    )
    for activation in ("relu", "leaky_relu"):
        p, less = difference(best, "test.accuracy", activation=activation, training__optimizer__lr=0.04)
        assert (p < 0.05, less < 0) == (True, True)


def test_no_difference_is_shown_between_biases_from_0_and_from_one_hundredth(results: Path) -> None:
    found = table(results, "classroom-bias")

    for metric in found.metrics:
        assert difference(found, metric, bias_init=0.01)[0] > 0.1
    p, more = difference(found, "health.dead_fraction", bias_init=1.0)
    assert (p < 0.05, more > 0) == (True, True)
    assert any("needs about" in verdict for verdict in found.verdicts)


def test_no_activation_beats_relu_with_ten_seeds(results: Path) -> None:
    found = table(results, "classroom-winner")

    assert [one.tied for one in found.rows] == [True] * 6
    assert min(one.vs_baseline["test.accuracy"].p_adjusted or 0 for one in found.rows if one.vs_baseline) > 0.1
    needed = [re.search(r"needs about ([\d,]+) seeds", verdict) for verdict in found.verdicts]
    assert min(int(one[1].replace(",", "")) for one in needed if one) > 100


def test_single_seeds_have_different_winners_and_relu_is_never_the_only_one(results: Path) -> None:
    by_seed: dict[int, dict[str, float]] = {}
    for record in read_results(results / "classroom-winner"):
        accuracy = record.final["test.accuracy"]
        assert accuracy is not None
        by_seed.setdefault(record.spec.seed, {})[record.spec.activation.label] = accuracy
    winners = [{name for name, value in found.items() if value == max(found.values())} for found in by_seed.values()]

    assert len(winners) == 10
    assert {"relu"} not in winners
    assert len(set.union(*(one for one in winners if len(one) == 1))) >= 3


def test_a_single_seed_gets_no_interval_and_no_test(lessons: tuple[Path, dict[str, str]]) -> None:
    assert "no interval and no test" in lessons[1]["actbench compare group-4"]


def test_theory_and_measurement_agree_on_what_arrives_through_twelve_layers_of_sigmoid(
    lessons: tuple[Path, dict[str, str]],
) -> None:
    results, printed = lessons
    found = table(results, "classroom-depth")
    measured = row(found, activation="sigmoid", weight_init="he_normal").metrics["health.gradient_ratio"].mean
    (line,) = [line for line in printed["actbench show --theory classroom_depth"].splitlines() if "2.8e-06" in line]

    assert line.split()[:2] == ["sigmoid", "he_normal"]
    assert 0.5 < measured / 2.8e-6 < 2
    for scheme in ("he_normal", "xavier_normal"):
        guesses = row(found, activation="sigmoid", weight_init=scheme).metrics["test.accuracy"]
        assert guesses.mean == pytest.approx(0.1, abs=0.02)


def test_the_initialisation_decides_for_relu_what_arrives_and_whether_it_learns(results: Path) -> None:
    found = table(results, "classroom-depth")

    for metric in ("test.accuracy", "health.gradient_ratio"):
        p, less = difference(found, metric, activation="relu", weight_init="xavier_normal")
        assert (p < 0.05, less < 0) == (True, True), metric
    for scheme in ("he_normal", "xavier_normal"):
        assert row(found, activation="tanh", weight_init=scheme).metrics["test.accuracy"].mean > 0.8


def test_every_lesson_has_its_five_parts_in_their_order_and_a_key() -> None:
    parts = ["**Objective.**", "**Words.**", "**Predict.**", "```sh", "**Read three numbers", "**Discuss.**"]

    assert len(LESSONS) == 5
    for lesson in LESSONS:
        places = [lesson.find(part) for part in parts]
        assert places == sorted(places)
        assert -1 not in places
        assert [*re.findall(r"^(\d)\. ", lesson.partition("**Read three")[2], re.MULTILINE)] == ["1", "2", "3"]
    keys = PAGE.read_text("utf-8").partition("\n## Keys\n")[2]
    for number, lesson in enumerate(LESSONS, 1):
        key = keys.partition(f"\n**{number}.** ")[2].partition("\n\n")[0]
        letters = re.findall(r"^- ([a-d])\. ", lesson, re.MULTILINE)
        assert [letter for letter in letters if not re.search(rf"(^|\s){letter}\. ", key)] == [], number
