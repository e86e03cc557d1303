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


def test_rows_of_the_base_that_the_new_results_lack_are_named_and_leave_a_gate_on_change_open():
    base = cells({"relu": RELU, "elu": ELU, "selu": SELU})
    found = compare(cells({"elu": ELU}), against=base, fail_if=["test.accuracy drop > 1pp"])
    assert "rows of the base that have no runs among the new results: relu, selu" in found.warnings
    assert "relu (results=base): has no runs among the new results, and 1 more" in found.gates[0].undecided_reason
    hidden = compare(cells({"relu": RELU, "elu": ELU}), against=base, where={"activation": "elu"}).warnings
    assert not any("rows of the base" in text for text in hidden)
    assert not any("rows of the base" in text for text in compare(base, against=cells({"elu": ELU})).warnings)


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        (range(4), None),
        (range(3), "rows have 3 to 4 seeds (relu (results=new): 3): a difference uses only those that both sides have"),
        (
            range(2, 7),
            "rows have 4 to 5 seeds (relu (results=base): 4): a difference uses only those that both sides have",
        ),
        (range(1, 5), "rows have different seeds: a difference uses only those that both sides have"),
        (range(10, 14), "rows have different seeds: a difference uses only those that both sides have"),
    ],
)
def test_seeds_that_the_sides_do_not_share_are_told(seeds, told):
    new = [record(0.9 + 0.003 * seed**2 % 0.01, seed=seed) for seed in seeds]
    found = compare(new, against=cells({"relu": RELU}))
    assert [text for text in found.warnings if text.startswith("rows have")] == ([told] if told else [])
    (one,) = found.comparisons[0].rows
    assert one.vs_baseline["test.accuracy"].difference.n_pairs == len(set(seeds) & set(range(4)))


def test_a_row_of_the_base_that_diverged_is_named_though_it_is_hidden():
    lost = [record(None, outcome="diverged", seed=seed) for seed in range(4)]
    found = compare(cells({"relu": RELU, "elu": ELU}), against=[*lost, *cells({"elu": SELU})])
    assert (
        "fewer than 3 seeds with a value in 1 of 4 rows: no interval and no test (relu (results=base): 4 of 4 runs "
        "diverged)"
    ) in found.warnings


def mine(path, values):
    return cells_of({"name": "mine", "path": path}, values)


def cells_of(activation, values):
    return [record(value, activation=activation, seed=seed) for seed, value in enumerate(values)]


def test_a_function_finds_its_base_by_its_path_where_either_side_has_two_of_its_name():
    found = only([*mine("a:f", RELU), *mine("b:f", SELU)], against=mine("a:f", ELU))
    assert row(found, activation="mine from a:f").vs_baseline["test.accuracy"].difference.n_pairs == 4
    assert not row(found, activation="mine from b:f").vs_baseline
    found = only(mine("a:f", RELU), against=[*mine("b:f", SELU), *mine("a:f", ELU)])
    (one,) = found.rows
    assert one.vs_baseline["test.accuracy"].difference.difference == pytest.approx((sum(RELU) - sum(ELU)) / 4)
    # Moved to another file it is compared by its name.
    assert only(mine("b:f", RELU), against=mine("a:f", ELU)).rows[0].vs_baseline


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
