"""The headline: a winner is named only where the table marks one, over any study; it is read and held to the JSON."""

import re

import pytest
from factories import cells, only, record
from generated_studies import generated

from actbench.analysis.compare import compare
from actbench.analysis.judgements.formatting import quantity
from actbench.analysis.judgements.headline import headline
from actbench.analysis.table.factors import row_name
from actbench.schema.metrics import METRICS

MEAN = r"(?P<mean>[\d.,e+−-]+(?: [%s])?)(?: \[[^\]]+\](?:, cut at the end of the scale,)?)? over (?P<n>\d+) seeds?"
WINS = re.compile(
    rf"(?P<name>.+) wins in (?P<metric>\S+)(?: among the rows shown)? with {MEAN}: (?:each of the (?P<count>\d+) other "
    r"rows|the other row) is worse, adjusted p < (?P<alpha>[\d.]+)\."
)
OPEN = re.compile(
    rf"No winner is shown in (?P<metric>\S+): (?P<name>.+) has the best mean, {MEAN}, but (?:(?P<tied>\d+) rows? can't "
    r"be told from it(?: \(.+?\))?)?(?: and )?(?:of (?P<unknown>\d+) rows? nothing can be said(?: \(.+\))?)?"
    r"(?P<base>its difference to the baseline is not shown)?\."
)
NO_ROW = re.compile(r"No winner is shown in (\S+): no row has a value from each of its runs\.")
NO_DIRECTION = re.compile(r"No row can win: in (\S+) neither direction is better\.")
HIDDEN = re.compile(r"The best row in (\S+), (.+), is not among the rows shown\.")
ALONE = re.compile(rf"(?P<name>.+) has (?P<metric>\S+) {MEAN}; there is no other row to compare it to\.")


def hold(found, metric, alpha):
    """Hold the headline of one comparison to its JSON."""
    first, *rest = headline(found)
    table = found.to_dict()
    rows = {row_name(row["factors"]): row for row in table["rows"]}
    marks = {name: row["tied_with_best"] for name, row in rows.items()}
    for sentence in rest:
        is_gap = sentence.startswith("The next row, ")
        assert is_gap or sentence[0].lower() + sentence[1:-1] in table["verdicts"] or sentence[:-1] in table["verdicts"]
    if METRICS[metric].higher_is_better is None:
        assert NO_DIRECTION.fullmatch(first)
        return "no direction"
    if NO_ROW.fullmatch(first):
        assert not any(marks.values())
        return "no row"
    if hidden := HIDDEN.fullmatch(first):
        assert hidden[2] not in rows
        return "hidden"
    match = WINS.fullmatch(first) or OPEN.fullmatch(first) or ALONE.fullmatch(first)
    assert match, first
    own = rows[match["name"]]
    assert match["metric"] == metric
    assert match["mean"] == quantity(metric, own["metrics"][metric]["mean"])
    assert int(match["n"]) == own["metrics"][metric]["n"]
    assert own is next(iter(rows.values())), "the best row stands first"
    others = {name: mark for name, mark in marks.items() if name != match["name"]}
    if ALONE.fullmatch(first):
        assert not others
        return "alone"
    if OPEN.fullmatch(first):
        assert int(match["tied"] or 0) == sum(mark is True for mark in others.values())
        assert int(match["unknown"] or 0) == sum(mark is None for mark in others.values())
        assert match["tied"] or match["unknown"] or match["base"]
        return "open"
    assert set(others.values()) == {False}
    assert int(match["count"] or 1) == len(others)
    assert float(match["alpha"]) == alpha
    contrast = own["vs_baseline"].get(metric)
    assert contrast is None or contrast["significant"], "the winner has its star"
    if contrast is not None:
        higher = METRICS[metric].higher_is_better
        assert (contrast["difference"] > 0) == higher
    return "won"


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 200, 50))
def test_the_headline_of_any_study_is_what_its_table_shows(start):
    kinds = set()
    for seed in range(start, start + 50):
        study = generated(seed)
        for found in compare(study.records, **study.options).comparisons:
            kinds.add(hold(found, study.metric, study.options["alpha"]))
    assert {"won", "open", "no direction"} <= kinds


def test_a_winner_is_named_with_its_lead_and_its_evidence():
    found = only(cells({"relu": [0.90, 0.91, 0.92, 0.93], "elu": [0.94, 0.951, 0.96, 0.969]}))
    first, second = headline(found)
    assert first.startswith("elu wins in test.accuracy with 95.50 % [")
    assert first.endswith("over 4 seeds: the other row is worse, adjusted p < 0.05.")
    assert second.startswith("elu beats relu by 4.00 points [")
    assert second.endswith(", better in 4 of 4).")


def test_equal_rows_have_no_winner():
    first, _ = headline(only(cells({"relu": [0.90, 0.91, 0.92], "elu": [0.901, 0.909, 0.921]})))
    assert first.startswith("No winner is shown in test.accuracy: elu has the best mean, ")
    assert first.endswith("but 1 row can't be told from it (relu).")


def test_a_row_that_lost_runs_is_no_winner_and_keeps_others_from_winning():
    good = cells({"elu": [0.99, 0.98, 0.99], "relu": [0.5, 0.51, 0.5]})
    first, *_ = headline(only([*good, record(None, outcome="diverged", activation="elu", seed=3)]))
    assert first.startswith("No winner is shown")


def test_the_baseline_itself_can_win():
    first, second = headline(only(cells({"elu": [0.5, 0.52, 0.51], "relu": [0.9, 0.91, 0.93]})))
    assert first.startswith("relu wins in test.accuracy")
    assert second.startswith("relu beats elu by 40.33 points")
