"""Every sentence of a comparison, of hundreds of generated studies, held to the table that it is about."""

import pytest
from generated_studies import generated, two_sides
from sentence_oracle import (
    Runs,
    TwoSides,
    check_caption,
    check_expectations,
    check_gate,
    check_outlook,
    check_ps,
    check_verdicts,
    check_warnings,
)

from actbench.analysis.compare import compare
from actbench.analysis.reports._sentences import Shown, caption, lists
from actbench.config import TwoStage
from actbench.errors import ResultsError, UsageError
from actbench.schema.metrics import is_bounded
from actbench.storage.reading import Records

STUDIES, QUICK, BATCH = 400, 100, 20

BRIEF = Shown(has_range=False, is_brief=True, left_out=("n",), renamed={"accuracy": "test.accuracy"})


@pytest.mark.parametrize(
    "start",
    [pytest.param(start, marks=pytest.mark.slow if start >= QUICK else ()) for start in range(0, STUDIES, BATCH)],
)
def test_every_sentence_says_what_the_table_says(start):
    read = 0
    for seed in range(start, start + BATCH):
        study = generated(seed)
        try:
            settings = {"demo": {"expect": study.texts}}
            records = Records(tuple(study.records), (), settings)
            found = compare(records, fail_if=study.gates, **study.options)
        except UsageError:  # such as a baseline that lost all its runs
            continue
        read += 1
        report = found.to_dict()
        (comparison,) = report["comparisons"]
        runs, metrics, options = Runs(study.records, comparison), study.options["metric"], study.options
        check_verdicts(comparison, runs, metrics[0], options)
        check_warnings(report, comparison, runs, study.records, metrics, options)
        check_ps(comparison, runs, metrics)
        check_expectations(lists(found.comparisons[0], found)[1], comparison, runs, study.expect)
        for gate in found.gates:
            check_gate(gate, comparison, runs, options["alpha"])
        check_caption(caption(found.comparisons[0]), comparison, runs, metrics, options)
        check_caption(caption(found.comparisons[0], BRIEF), comparison, runs, metrics, options, is_brief=True)
    assert read > BATCH / 2


@pytest.mark.parametrize(
    ("start", "anytime"),
    [
        pytest.param(start, anytime, marks=pytest.mark.slow if start >= BATCH else ())
        for start in range(0, QUICK, BATCH)
        for anytime in ({}, {"anytime": True})
    ],
)
def test_every_sentence_about_new_seeds_and_growing_studies_says_what_the_table_says(start, anytime):
    read = 0
    for seed in range(start, start + BATCH):
        study = generated(seed)
        options = {**study.options, "prediction": True, "chance": True, **anytime}
        try:
            settings = {"demo": {"expect": study.texts}}
            found = compare(Records(tuple(study.records), (), settings), fail_if=study.gates, **options)
        except UsageError:
            continue
        read += 1
        report = found.to_dict()
        (comparison,) = report["comparisons"]
        runs, metrics = Runs(study.records, comparison), study.options["metric"]
        check_outlook(comparison, runs, metrics[0], options)
        check_verdicts(comparison, runs, metrics[0], options)
        check_warnings(report, comparison, runs, study.records, metrics, options)
        check_ps(comparison, runs, metrics, options)
        check_expectations(lists(found.comparisons[0], found)[1], comparison, runs, study.expect)
        for gate in found.gates:
            check_gate(gate, comparison, runs, options["alpha"], anytime=bool(anytime))
        check_caption(caption(found.comparisons[0]), comparison, runs, metrics, options)
        check_caption(caption(found.comparisons[0], BRIEF), comparison, runs, metrics, options, is_brief=True)
        assert not anytime or comparison["interaction"] is None
    assert read > BATCH / 2


@pytest.mark.parametrize(
    "start",
    [pytest.param(start, marks=pytest.mark.slow if start >= BATCH else ()) for start in range(0, QUICK, BATCH)],
)
def test_every_sentence_about_seeds_by_the_two_stage_rule_says_what_the_table_says(start):
    read = 0
    for seed in range(start, start + 2 * BATCH):
        study = generated(seed)
        metrics, seeds = study.options["metric"], sorted({one.spec.seed for one in study.records})
        if is_bounded(metrics[-1]) or len(seeds) < 3:
            continue
        pilot = tuple(seeds[: 3 + seed % 3])
        plan = TwoStage(metric=metrics[-1], pilot=pilot, seeds=max(len(pilot), max(seeds) + 1 + seed % 2))
        settings = {"demo": {"expect": study.texts, "two_stage": plan}}
        try:
            found = compare(Records(tuple(study.records), (), settings), fail_if=study.gates, **study.options)
        except UsageError:
            continue
        read += 1
        report = found.to_dict()
        (comparison,) = report["comparisons"]
        runs, options = Runs(study.records, comparison), {**study.options, "two_stage": plan}
        check_verdicts(comparison, runs, metrics[0], options)
        check_warnings(report, comparison, runs, study.records, metrics, options)
        check_ps(comparison, runs, metrics, options)
        check_expectations(lists(found.comparisons[0], found)[1], comparison, runs, study.expect)
        for gate in found.gates:
            check_gate(gate, comparison, runs, options["alpha"], options=options)
        check_caption(caption(found.comparisons[0]), comparison, runs, metrics, options)
    assert read > BATCH / 4


@pytest.mark.parametrize(
    "start",
    [pytest.param(start, marks=pytest.mark.slow if start >= BATCH else ()) for start in range(0, QUICK, BATCH)],
)
def test_every_sentence_about_two_sides_says_what_their_table_says(start):
    read = 0
    for seed in range(start, start + BATCH):
        study, base = two_sides(seed)
        try:
            found = compare(study.records, against=base, **study.options)
        except (UsageError, ResultsError):  # such as a side without any run
            continue
        read += 1
        report = found.to_dict()
        (comparison,) = report["comparisons"]
        runs, metrics = TwoSides(study.records, base, comparison), study.options["metric"]
        check_verdicts(comparison, runs, metrics[0], study.options)
        check_warnings(report, comparison, runs, study.records, metrics, study.options)
        check_ps(comparison, runs, metrics)
        check_caption(caption(found.comparisons[0]), comparison, runs, metrics, study.options)
    assert read > BATCH / 2
