"""A table in which nothing can be shown says so first, in every format; one in which something can be does not."""

import json
from io import StringIO

import pytest
from factories import cells, only, record

from actbench.analysis.compare import compare
from actbench.analysis.judgements.limits import limits_of_plan, unjudged_of_plan
from actbench.config import Study
from actbench.schema.record import RunRecord
from actbench.schema.registry import load
from actbench.storage.reading import Records

SHARE = "health.dead_fraction"
ACCURACY = "test.accuracy"
SPECS = Study.from_text(
    "sweep: {activation: [relu, {name: elu, alpha: 0.2}], bias_init: [0.0, 0.01]}\nseeds: 2", source="x.yaml"
).specs()

NOTHING = "nothing can be shown in health.dead_fraction: with 3 paired seeds no p can be below 0.05 (smallest possible "
TOO_FEW = "fewer than 3 paired seeds"


def runs(seeds, *, names=("relu", "elu", "selu")):
    found = []
    for index, name in enumerate(names):
        values = [0.9 + 0.01 * index + 0.001 * ((7 * s + index) % 5) for s in range(seeds)]
        found += [
            record(value, dead=0.3 * (name == "relu") + 0.001 * (1 + index) * s, seed=s, activation=name)
            for s, value in enumerate(values)
        ]
    return found


def printed(records, form, **options):
    text = StringIO()
    load("reports", form).render(compare(records, **options), text)
    return text.getvalue()


def test_a_share_at_three_seeds_is_named_at_the_head_with_the_seeds_that_could_show_it():
    (limit,) = only(runs(3), metric=[ACCURACY, SHARE]).limits
    assert limit == f"{NOTHING}adjusted p = .25); 6 seeds are the fewest that can"


@pytest.mark.parametrize(
    ("seeds", "metrics", "limits"),
    [
        (2, [ACCURACY], [f"nothing can be shown in test.accuracy: {TOO_FEW}"]),
        (2, [ACCURACY, SHARE], [f"nothing can be shown: {TOO_FEW}"]),
        (3, [ACCURACY], []),
        (6, [ACCURACY, SHARE], []),
        (12, [ACCURACY, SHARE, "test.loss"], []),
    ],
)
def test_what_can_be_shown_has_no_limit(seeds, metrics, limits):
    assert list(only(runs(seeds), metric=metrics).limits) == limits


def test_the_level_decides_how_many_seeds_are_the_fewest():
    assert "8 seeds are the fewest" in only(runs(7), metric=SHARE, alpha=0.01).limits[0]
    assert only(runs(8), metric=SHARE, alpha=0.01).limits == ()
    assert only(runs(4), metric=SHARE, alpha=0.13).limits == ()
    # At alpha itself nothing is shown: p has to be below it.
    assert "6 seeds are the fewest" in only(runs(5), metric=SHARE, alpha=0.0625).limits[0]
    assert "no number of seeds can" in only(runs(20), metric=SHARE, alpha=0.0001).limits[0]


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
def test_whatever_has_a_star_is_in_no_limit(alpha):
    for seeds in range(2, 14):
        for metric in (ACCURACY, SHARE):
            found = only(runs(seeds), metric=metric, alpha=alpha)
            starred = any(one.vs_baseline[metric].significant for one in found.rows if one.vs_baseline)
            assert not (starred and found.limits)
            assert bool(found.limits) == bool(limits_of_plan([metric], [], seeds, alpha=alpha))


def test_hidden_rows_with_more_pairs_lift_no_limit_of_the_rows_that_are_shown():
    records = [one for one in runs(8) if one.spec.activation.name != "selu" or one.spec.seed < 3]
    assert only(records, metric=SHARE).limits == ()
    (limit,) = only(records, metric=SHARE, where={"activation": "selu"}).limits
    assert limit.startswith(NOTHING)


@pytest.mark.parametrize("form", ["table", "markdown", "latex"])
def test_the_limit_stands_above_the_first_row(form):
    text = " ".join(printed(runs(3), form, metric=SHARE).replace("\\", "").split())
    assert text.count("nothing can be shown in health.dead") == (2 if form == "latex" else 1)  # a comment, the notes
    assert text.index("nothing can be shown in health.dead") < text.index("(0.00")  # the range of the first row


def test_the_json_has_the_limit_as_its_first_warning():
    found = json.loads(printed([*runs(3), record(None, outcome="diverged", seed=9)], "json", metric=SHARE))
    assert found["warnings"][0].startswith(NOTHING)
    assert any("1 of 10 runs diverged" in text for text in found["warnings"][1:])


def test_of_several_tables_each_limit_has_its_title():
    found = compare([*runs(3), *cells({"relu": [0.9] * 2, "elu": [0.8] * 2}, study="other")], metric=SHARE)
    assert [text.partition(": ")[0] for text in found.all_warnings[:2]] == [
        "demo · mnist-5k · mlp",
        "other · mnist-5k · mlp",
    ]


def test_nothing_to_compare_is_no_limit():
    assert only(runs(2, names=("relu",)), metric=SHARE).limits == ()


def test_the_remark_that_small_p_rest_on_normal_differences_is_about_t_tests_alone():
    remark = "rests on normally distributed differences"
    assert not any(remark in text for text in compare(runs(3), metric=SHARE).warnings)
    (text,) = [text for text in compare(runs(3), metric=[SHARE, ACCURACY]).warnings if remark in text]
    assert "a smaller p in test.accuracy rests" in text
    assert not any(remark in text for text in compare(runs(6), metric=ACCURACY).warnings)


@pytest.mark.parametrize(
    ("metrics", "claims", "seeds", "alpha"),
    [
        ([SHARE], [], 6, 2 / 2**6),
        ([], ["health.dead_fraction < 5%"], 6, 2 / 2**6),
        ([], ["health.dead_fraction < 5%", "health.dead_fraction > 1%"], 7, 2 * 2 / 2**7),
    ],
)
def test_a_plan_has_a_limit_where_the_smallest_p_equals_alpha_and_none_where_it_is_below(metrics, claims, seeds, alpha):
    (limit,) = limits_of_plan(metrics, claims, seeds, alpha=alpha)
    assert f"{seeds + 1} seeds are the fewest that can" in limit
    assert limits_of_plan(metrics, claims, seeds, alpha=alpha + 1e-9) == ()


CLAIMS = [
    "health.dead_fraction: activation=elu < activation=relu",
    "health.dead_fraction < 5% where activation=selu",
    "test.accuracy > 10%",
]


@pytest.mark.parametrize("seeds", [3, 5, 6, 7, 8, 12])
@pytest.mark.parametrize("claims", [CLAIMS, CLAIMS[::2], CLAIMS[2:]])
def test_a_plan_calls_hypotheses_undecided_exactly_where_the_clearest_runs_would_leave_them_so(seeds, claims):
    records = Records(tuple(runs(seeds)), (), {"demo": {"expect": claims}})
    found = only(records).expectations
    undecided = any(one.verdict == "undecided" for one in found if one.text.startswith("health"))
    told = limits_of_plan([], claims, seeds, alpha=0.05)
    assert bool(told) == undecided
    if told:
        shares = len(claims) - 1
        entries = "1 entry" if shares == 1 else f"{shares} entries"
        assert f"expect: with {seeds} seeds sign flips can't decide {entries} on health shares" in told[0]
        assert f"; {6 if shares == 1 else 7} seeds are the fewest that can" in told[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("test.accuracy: bias_init=0.01 > bias_init=0.0", None),
        ("test.accuracy: activation=elu(alpha=0.2) > activation=ReLU where bias_init=0", None),
        ("test.accuracy > 90%", None),
        ("test.accuracy > 90% where training.epochs=5, dataset=mnist-5k", None),
        (
            "test.accuracy: training.optimizer.lr=0.1 > training.optimizer.lr=0.7",
            "no run has training.optimizer.lr=0.7; there are: 0.1",
        ),
        ("test.accuracy > 90% where weight_init=orthogonal", "no run has weight_init=orthogonal; there are: he_normal"),
        ("test.accuracy: bias_init=0.1 > bias_init=0.0", "no run has bias_init=0.1; there are: 0, 0.01"),
        (
            "test.accuracy: activation=relu > activation=elu",
            "no run has activation=elu; there are: relu, elu(alpha=0.2)",
        ),
        ("test.accuracy > 90% where activation.alpha=0.3", "no run has activation.alpha=0.3; there are: none, 0.2"),
    ],
)
def test_a_hypothesis_about_runs_that_are_not_planned_is_named_before_training_as_it_is_after(text, reason):
    found = unjudged_of_plan([text], SPECS)
    assert found == (() if reason is None else (f"expect: '{text}' can't be judged by these runs: {reason}",))

    trained = [RunRecord(spec, "ok", final={"test.accuracy": 0.9}, study="s") for spec in SPECS]
    (table,) = compare(Records(tuple(trained), settings={"s": {"expect": [text]}})).comparisons
    assert [one.note == reason for one in table.expectations] == [reason is not None]


@pytest.mark.parametrize(("where", "seeds"), [("", 7), (" where dataset=digits", 6), (" where dataset=mnist", 6)])
def test_a_plan_counts_an_entry_once_for_each_table(where, seeds):
    contexts = [[{"dataset": "digits"}], [{"dataset": "mnist"}]]
    claims = [
        f"{SHARE}: activation=elu < activation=relu{where}",
        f"{ACCURACY}: activation=elu > activation=relu{where}",
    ]
    found = [bool(limits_of_plan([], claims, count, alpha=0.05, contexts=contexts)) for count in (seeds - 1, seeds)]
    assert found == [True, False]
