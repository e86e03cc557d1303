"""Tables in narrow and wide terminals: nothing is broken amid a word, and what has no room is named below."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from comparisons import rendered, varied
from factories import cells, grid, only, record
from rich.cells import cell_len

from actbench.analysis.compare import compare
from actbench.analysis.reports._columns import columns, pair_columns
from actbench.analysis.reports._layout import Form, full_width, lay_out, left_out_names, plans
from actbench.analysis.reports._wrapping import narrowest, wrapped

WIDTHS = (60, 80, 100, 120)
METRICS = ["test.accuracy", "health.dead_fraction", "test.loss", "seconds"]
LONG = "max(0.0100000001 * x, x) + 0.0000001 * sigmoid(1.7020001 * x)"


def smooth(activation, bias, seed):
    """An accuracy whose differences vary over seeds."""
    return 0.9 + 0.01 * (len(str(activation)) % 5) + bias + 0.001 * seed * (1 + len(str(activation)) % 3)


def long_names():
    names = ("relu", {"name": "elu", "alpha": 0.25}, {"name": LONG, "path": "my_parts:f"})
    return grid(smooth, activations=names, seeds=range(4))


def diverged():
    lost = [
        record(None, outcome="diverged", activation="selu", bias_init=bias, seed=seed)
        for bias in (0.0, 0.01)
        for seed in range(3)
    ]
    return [*grid(smooth), *lost]


def over_rates():
    found = [
        record(0.8 + 0.01 * rate + 0.001 * s, activation=a, seed=s, training={"optimizer": {"name": "sgd", "lr": rate}})
        for a in ("relu", "leaky_relu")
        for rate in (0.001, 0.01, 0.1)
        for s in range(3)
    ]
    return [replace(one, final={**one.final, "val.accuracy": one.final["test.accuracy"]}) for one in found]


STUDIES = {
    "plain": (cells({"relu": [0.9, 0.91, 0.92], "elu": [0.912, 0.918, 0.933]}), {}),
    "two factors": (varied(), {}),
    "long names": (long_names(), {}),
    "diverged": (diverged(), {}),
    "a swept rate": (over_rates(), {}),
    "tuned": (over_rates(), {"tune": ["training.optimizer.lr"]}),
    "all pairs": (long_names(), {"all_pairs": True}),
    "epochs": (long_names(), {"reach": 0.4}),
}


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("test.accuracy", 13, ["test.accuracy"]),
        ("test.accuracy", 12, ["test.", "accuracy"]),
        ("health.dead_fraction (%)", 12, ["health.dead_", "fraction (%)"]),
        ("elu(alpha=0.25)", 13, ["elu", "(alpha=0.25)"]),
        ("elu(alpha=0.25)", 9, ["elu", "(alpha=", "0.25)"]),
        ("3 of 3 diverged", 10, ["3 of 3", "diverged"]),
        ("0.0001", 6, ["0.0001"]),
        ("Δ baseline\n(points)", 20, ["Δ baseline", "(points)"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("猫猫", 3, ["猫", "猫"]),
        ("", 5, [""]),
    ],
)
def test_a_text_breaks_at_spaces_points_underscores_and_brackets_and_amid_a_word_only_where_nothing_else_is_left(
    text, width, lines
):
    assert wrapped(text, width) == lines
    assert all(cell_len(line) <= max(width, 2) for line in lines)


@pytest.mark.parametrize("text", ["test.accuracy", LONG, "elu(alpha=0.25)", "my_very_long_name", "3 of 3 diverged"])
def test_no_text_is_cut_amid_a_word_down_to_its_narrowest_width(text):
    whole = re.split(r"[\s._(),]+", text)
    for width in range(narrowest(text), len(text) + 1):
        lines = wrapped(text, width)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        pieces = {piece for line in lines for piece in re.split(r"[\s._(),]+", line)}
        assert pieces - {""} <= {*whole, *(f"{a}.{b}" for a, b in pairwise(whole))}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", range(1, 5))
@pytest.mark.parametrize("name", STUDIES)
def test_a_table_fits_and_keeps_every_row_its_leading_mean_and_whole_words(monkeypatch, name, count, width):
    monkeypatch.setattr("actbench.system.console.PLAIN_WIDTH", width)
    records, options = STUDIES[name]
    options = {"metric": METRICS[:count], **options}
    text = rendered("table", records, **options)
    assert max(map(cell_len, text.splitlines())) <= width
    table = re.search(r"─+\n(.*?)\n\n", text, re.DOTALL)[1]
    for row in rows_with_means(records, options):
        assert f"{100 * row.metrics['test.accuracy'].mean:.2f}" in table
    for head in heads(text):
        words = set(re.findall(r"[^\W\d_]{2,}", head))
        assert words <= WORDS, words - WORDS


WORDS = {
    *(
        "activation",
        "bias",
        "init",
        "lr",
        "picked",
        "test",
        "accuracy",
        "loss",
        "health",
        "dead",
        "fraction",
        "seconds",
    ),
    *("baseline", "points", "nats", "better", "higher", "in", "outcomes", "epochs", "to", "parameters", "row"),
    *("against", "adjusted", "pairs"),
}
"""The whole words of all heads."""


def rows_with_means(records, options):
    (comparison, *_) = compare(records, **options).comparisons
    return [row for row in comparison.rows if row.metrics["test.accuracy"].mean is not None]


def heads(text):
    """The lines between an empty one and the line below the headings."""
    return re.findall(r"\n\n((?:[^\n]+\n)+)─", text)


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("count", [1, 4])
def test_every_column_is_in_the_table_or_named_below_it(name, count):
    records, options = STUDIES[name]
    (comparison, *_) = compare(records, metric=METRICS[:count], **options).comparisons
    found = columns(comparison)
    for width in range(30, 320, 10):
        layout = lay_out(found, width)
        shown = {column.key for column in layout.columns}
        names = left_out_names(found, layout)
        for column in found:
            is_named = any(
                one == column.title or (one.startswith(f"{column.title} (") and column.metric in one) for one in names
            )
            is_in_caption = column.role == "n" and len({cell.value for cell in column.cells}) == 1
            assert column.key in shown or is_named or is_in_caption
        assert ("mean", "test.accuracy") in shown
        assert [column.key for column in found if column.role in ("factor", "picked", "tie", "outcomes")] == [
            column.key for column in layout.columns if column.role in ("factor", "picked", "tie", "outcomes")
        ]


@pytest.mark.parametrize("name", STUDIES)
def test_from_the_width_that_the_note_names_on_nothing_is_left_out(name):
    records, options = STUDIES[name]
    for comparison in compare(records, metric=METRICS, **options).comparisons:
        tables = [columns(comparison), *([pair_columns(comparison.pairs)] if comparison.pairs else [])]
        for found in tables:
            width = full_width(found)
            assert lay_out(found, width).is_full
            assert left_out_names(found, lay_out(found, width)) == []
            narrower = lay_out(found, width - 1)
            assert narrower.plan.form is not Form.FLAT or narrower.plan.left_out


def test_a_column_of_some_metrics_is_named_with_them_and_one_of_all_without():
    found = columns(only(long_names(), metric=METRICS[:3]))
    names = [left_out_names(found, lay_out(found, width)) for width in range(40, 140)]
    assert any("Δ baseline (test.loss)" in own and "better in" in own for own in names)
    assert any("Δ baseline" in own for own in names)


def test_plans_leave_out_more_and_more():
    found = columns(only(varied(), metric=METRICS[:3]))
    kept = [len(found) - len([key for key in plan.left_out if key[1] != "range"]) for plan in plans(found)]
    brief = [count for count, plan in zip(kept, plans(found), strict=True) if plan.form is Form.BRIEF]
    assert brief == sorted(brief, reverse=True)
    assert brief[-1] >= 4  # two factors, the leading mean, the outcomes


def test_a_wider_terminal_never_shows_less():
    order = [Form.BRIEF, Form.STACKED, Form.FLAT]
    found = columns(only(long_names(), metric=METRICS))
    layouts = [lay_out(found, width) for width in range(40, 320)]
    forms = [order.index(layout.plan.form) for layout in layouts]
    assert forms == sorted(forms)
    counts = [len(layout.columns) for layout in layouts if layout.plan.form is Form.BRIEF]
    assert counts == sorted(counts)
    assert set(forms) == {0, 1, 2}


def test_the_brief_form_has_half_of_each_interval_and_says_so(monkeypatch):
    monkeypatch.setattr("actbench.system.console.PLAIN_WIDTH", 60)
    text = rendered("table", long_names(), metric=METRICS[:2])
    (row,) = [row for row in only(long_names()).rows if row.factors == {"activation": "relu", "bias_init": 0.01}]
    found = row.metrics["test.accuracy"]
    assert f"{100 * found.mean:.2f} ±{100 * (found.high - found.mean):.2f}" in text
    words = " ".join(text.split())
    assert "mean ± half of its 95 % Student-t interval over n seeds" in words
    assert "(range)" not in words
    assert "n = 4 in each row" in words
    assert "dead_fraction: health.dead_fraction" in words


def test_a_caption_explains_no_column_that_is_left_out(monkeypatch):
    monkeypatch.setattr("actbench.system.console.PLAIN_WIDTH", 34)
    words = " ".join(rendered("table", long_names()).split())
    assert "No room here for Δ baseline, better in, " in words
    caption = words.partition("mean ± half")[2].partition("No room here")[0]
    assert "Δ =" not in caption
    assert "dead:" not in caption
