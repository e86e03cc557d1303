"""``compare --against``: each cell of new results against the same cell of earlier ones."""

import pytest
from factories import ELU, RELU, SELU, cells, grid, only, record, row, smooth

from actbench.analysis.compare import compare
from actbench.errors import ResultsError, UsageError
from actbench.storage.reading import Records


def lowered(by):
    return {"relu": [one - by - 0.0001 * i for i, one in enumerate(RELU)], "elu": ELU}


def test_each_row_is_compared_to_the_same_cell_of_the_base():
    found = only(cells(lowered(0.02)), against=cells({"relu": RELU, "elu": ELU, "selu": SELU}))
    assert found.baseline == {"results": "base"}
    assert [one.factors for one in found.rows] == [
        {"activation": "elu", "results": "new"}, {"activation": "relu", "results": "new"},
    ]  # fmt: skip
    relu = row(found, activation="relu").vs_baseline["test.accuracy"].difference
    assert (relu.difference, relu.n_pairs) == (pytest.approx(-0.02015), 4)
    assert row(found, activation="elu").vs_baseline["test.accuracy"].difference.note == "identical"


def test_the_base_is_neither_the_best_nor_tied_nor_judged():
    expect = {"demo": {"expect": ["test.accuracy < 0.8"]}}
    new = Records(tuple(cells({"relu": [0.71, 0.70, 0.73], "elu": [0.61, 0.60, 0.66]})), (), expect)
    found = only(new, against=cells({"relu": RELU, "elu": ELU}))
    assert found.best == {"activation": "relu", "results": "new"}
    assert [one.verdict for one in found.expectations] == ["supported"]


def test_a_drop_below_the_base_trips_a_gate():
    base = cells({"relu": RELU, "elu": ELU})
    (found,) = compare(cells(lowered(0.02)), against=base, fail_if=["test.accuracy drop > 1pp"]).gates
    assert found.tripped_reason.startswith("relu (results=new): test.accuracy drop +2.0")
    (found,) = compare(base, against=base, fail_if=["test.accuracy drop > 1pp"]).gates
    assert (found.tripped_reason, found.undecided_reason) == ("", "")


def test_single_studies_match_whatever_they_are_called_and_several_by_name():
    assert only(cells({"relu": SELU}), against=cells({"relu": RELU}, study="before")).rows[0].vs_baseline
    both = [*cells({"relu": RELU}, study="demo"), *cells({"relu": RELU}, study="other")]
    assert only(cells({"relu": SELU}), against=both).study == "demo"
    with pytest.raises(UsageError, match="no study is on both sides: demo, other against more"):
        compare(cells({"relu": SELU}, study="more"), against=both)


def test_base_studies_without_a_counterpart_belong_to_no_table():
    both = [*cells({"relu": RELU}, study="demo"), *cells({"tanh": RELU}, study="other")]
    with pytest.raises(UsageError, match="no run has activation=tanh; there are: relu, selu"):
        compare(cells({"relu": SELU, "selu": SELU}), against=both, where={"activation": "tanh"})


def test_one_new_study_matches_one_of_several_by_name_alone():
    new = [*cells({"relu": SELU}, study="demo"), *cells({"relu": SELU}, study="more")]
    with pytest.raises(UsageError, match="no study is on both sides: before against demo, more"):
        compare(new, against=cells({"relu": RELU}, study="before"))


def test_versions_that_differ_between_the_sides_are_told():
    new = [record(seed=seed, environment={"torch": "2.15.0"}) for seed in range(3)]
    assert "runs differ in torch: 2.14.0, 2.15.0" in compare(new, against=cells({"relu": RELU})).warnings


def test_by_averages_each_side_by_itself():
    found = only(grid(smooth), against=grid(smooth), by=["activation"])
    assert (found.factors, found.averaged) == (("activation", "results"), ("bias_init",))
    assert all(one.vs_baseline["test.accuracy"].difference.note == "identical" for one in found.rows)


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"against": []}, ResultsError, "no finished run to compare on the base side"),
        ({"against": cells({"relu": RELU}), "baseline": {"activation": "relu"}}, UsageError, "either --baseline or"),
        ({"against": cells({"relu": RELU}, dataset="digits")}, UsageError, "no run has results=base"),
    ],
)
def test_two_sides_that_can_not_be_compared_are_refused(options, kind, told):
    with pytest.raises(kind, match=told):
        compare(cells({"relu": RELU}), **options)
