"""The LaTeX report: what a paper needs, and that LaTeX takes it."""

import re
import shutil
import subprocess

import pytest
from comparisons import DEGENERATE, rendered, varied
from factories import cells, record

from actbench.analysis.compare import compare
from actbench.analysis.reports._columns import columns, essential
from actbench.analysis.reports.latex import SPELLED, escaped, unwritable

HOSTILE = record(0.95, activation={"name": '\\a{b}~^#$%&_<>|"* β', "path": "my_parts:f"})
TABLES = {
    **DEGENERATE,
    "two factors": varied(),
    "several metrics": varied(),
    "long": [record(0.9 + 0.001 * seed, bias_init=index / 1000, seed=seed) for index in range(60) for seed in range(2)],
    "special characters": [*cells({"relu": [0.9, 0.91, 0.92]}), HOSTILE],
}


def text_of(name):
    several = ["test.accuracy", "health.dead_fraction", "test.loss"]
    return rendered("latex", TABLES[name], metric=several if name == "several metrics" else ())


def body(text):
    """The lines between the rules, the heading first."""
    return [line.strip() for line in text.splitlines() if line.endswith("\\\\")]


def test_the_table_reads_as_designed():
    lines = rendered("latex", cells({"relu": [0.90, 0.91, 0.92], "elu": [0.912, 0.918, 0.933]})).splitlines()
    start = next(number for number, line in enumerate(lines) if "tabular" in line)
    assert [line.strip() for line in lines[start:]] == [
        r"\begin{tabular}{@{}l r@{}l r@{}l r@{}l r@{}l@{}}",
        r"\toprule",
        r"activation & \multicolumn{2}{c}{test.accuracy (\%)} & \multicolumn{2}{c}{$\Delta$ baseline (points)} "
        r"& \multicolumn{2}{c}{n} & \multicolumn{2}{c}{dead (\%)} \\",
        r"\midrule",
        r"elu & \textbf{92} & \textbf{.10} [89.41, 94.79] & +1 & .10 [+0.44, +1.76] $\ast$ & 3 &  & 1 & .00 \\",
        r"relu & 91 & .00 [88.52, 93.48] & \multicolumn{2}{c}{baseline} & 3 &  & 1 & .00 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize elu beats relu by 1.10 points [0.44, 1.76] (3 paired "
        r"seeds, adjusted p = .019, better in 3 of 3). mean [95 \% Student-t interval] over n seeds, best first; "
        r"$\Delta$ = row $-$ baseline (activation=relu), paired by seed; $\ast$ p $<$ 0.05, Holm-adjusted over all "
        r"differences of a column (1); dead: mean share of hidden units with slope $\le$ 0.001 on 2,000 training "
        r"images; 199,210 parameters each; bold: the best mean.\end{minipage}",
        r"\end{table}",
    ]
    assert lines[start - 1].strip() == (
        r"\caption[{demo $\cdot$ mnist-5k $\cdot$ mlp}]{elu wins in test.accuracy with 92.10 \% [89.41, 94.79] over 3 "
        r"seeds: the other row is worse, adjusted p $<$ 0.05.}"
    )


def test_the_notes_tell_interval_number_and_test_and_the_caption_is_one_sentence():
    lines = text_of("two factors").splitlines()
    (caption,) = (line for line in lines if r"\caption[" in line)
    assert caption.count(". ") == 0
    (notes,) = (line for line in lines if r"\footnotesize" in line)
    for part in (r"95 \% Student-t interval", "over n seeds", "paired by seed", "Holm", "bold: "):
        assert part in notes


def many(count):
    """A table of so many rows."""
    return [
        record(0.9 + 0.001 * seed + 0.0005 * index + 0.0001 * (seed == index % 3), bias_init=index / 1000, seed=seed)
        for index in range(count)
        for seed in range(3)
    ]


@pytest.mark.parametrize(("count", "is_long"), [(29, False), (30, True), (31, True)])
def test_a_table_from_30_rows_on_goes_over_pages(count, is_long):
    text = rendered("latex", many(count))
    assert (r"\begin{longtable}" in text, r"\begin{table}" in text) == (is_long, not is_long)
    assert text.count(r"\caption[") == 1
    assert len(body(text)) == count + (4 if is_long else 1)
    if is_long:
        head = next(line for line in body(text) if line.startswith("activation & "))
        assert body(text).count(head) == 2  # on the first page and on those after it
        order = (
            r"\caption[",
            r"\endfirsthead",
            "continued",
            r"\endhead",
            r"\endfoot",
            " & 0.029 & ",
            r"\end{longtable}",
        )
        assert [*map(text.index, order)] == sorted(map(text.index, order))
        assert r"\usepackage{longtable}" in text


def test_a_line_of_a_long_table_has_as_many_columns_as_the_others():
    text = rendered("latex", many(30))
    (layout,) = re.findall(r"\\begin\{longtable\}\{@\{\}(.*)@\{\}\}", text)
    count = len(layout.replace("@{}", "").replace(" ", ""))
    assert rf"\multicolumn{{{count}}}" in text
    for line in body(text):
        if r"\caption" not in line and "continued" not in line:
            assert len(re.findall(r"(?<!\\)&", line)) + 1 + line.count(r"\multicolumn{2}") == count


@pytest.mark.parametrize("name", TABLES)
def test_every_line_has_as_many_columns_as_the_table(name):
    text = text_of(name)
    for table in text.split(r"\end{table}")[:-1]:
        (layout,) = re.findall(r"\\begin\{tabular\}\{@\{\}(.*)@\{\}\}", table)
        count = len(layout.replace("@{}", "").replace(" ", ""))
        for line in body(table):
            assert len(re.findall(r"(?<!\\)&", line)) + 1 + line.count(r"\multicolumn{2}") == count
    assert len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text))


def test_two_columns_meet_at_every_decimal_point():
    (comparison,) = compare(varied()).comparisons
    plain = text_of("two factors").replace("$-$", "−").replace(r" $\ast$", " *").replace("--", "–")
    lines = [re.sub(r"\\textbf\{([^}]*)\}", r"\1", line) for line in body(plain)[1:]]
    for column in essential(columns(comparison, with_ties=False)):
        for cell, line in zip(column.cells, lines, strict=True):
            whole, point, rest = cell.text().replace(" %", "").partition(".")
            if column.is_flush_right and point:
                assert f"{whole} & .{rest}" in line


RELU, NEAR, FAR = [0.90, 0.91, 0.92, 0.93], [0.91, 0.92, 0.90, 0.935], [0.6, 0.61, 0.59, 0.64]


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        (["test.accuracy"], ["elu", "relu"]),
        (["test.loss"], ["elu", "relu"]),
        (["seconds"], []),
        (["seconds", "test.accuracy"], ["elu"]),
    ],
)
def test_the_best_mean_is_bold_and_so_is_what_is_tied_with_it(metric, best):
    lines = body(rendered("latex", cells({"relu": RELU, "elu": NEAR, "tanh": FAR}), metric=metric))
    assert sorted(line.split(" &")[0] for line in lines if r"\textbf" in line) == best


def test_ties_are_told_by_bold_print_alone():
    text = rendered("latex", cells({"relu": RELU, "elu": NEAR, "tanh": FAR}))
    assert "also bold in test.accuracy: not distinguishable from the best; " in text
    assert "= not distinguishable" not in text
    assert [line for line in body(text) if line.endswith(r"& = \\") or " & = & " in line] == []


def test_nothing_is_bold_where_the_best_row_is_hidden():
    shown = rendered("latex", cells({"relu": RELU, "elu": NEAR, "tanh": FAR}), where={"activation": "tanh"})
    assert "tanh & " in shown
    assert r"\textbf" not in shown


def test_warnings_are_comments():
    lines = text_of("all failed").splitlines()
    assert lines[0].startswith("% warning: ")


@pytest.mark.parametrize("letter", SPELLED)
def test_no_special_character_reaches_latex_as_it_is(letter):
    assert escaped(f"a{letter}b") == f"a{SPELLED[letter]}b"
    assert letter in '\\{}~^#$%&_<>|"*`' or not letter.isascii()
    assert SPELLED[letter].isascii()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("λ·x²", r"$\lambda$$\cdot$x$^{2}$"),
        ("σ₁ → ∞", r"$\sigma$$_{1}$ $\rightarrow$ $\infty$"),
        ("café", "café"),
        ("“½”", r"``$\frac{1}{2}$''"),
    ],
)
def test_common_symbols_are_written_for_pdflatex(name, written):
    text = rendered("latex", [*cells({"relu": [0.9, 0.91]}), record(activation={"name": name, "path": "my_parts:f"})])
    assert written in text
    assert "% warning: pdfLaTeX" not in text


def test_letters_that_pdflatex_can_not_write_are_named_in_a_comment():
    cat = record(activation={"name": "猫 λ", "path": "my_parts:f"})
    text = rendered("latex", [*cells({"relu": [0.9, 0.91]}), cat])
    (comment,) = [line for line in text.splitlines() if "pdfLaTeX" in line]
    assert comment.startswith("% warning: pdfLaTeX can't write 猫 (U+732B): compile with XeLaTeX or LuaLaTeX")
    assert r"猫 $\lambda$ & " in text


def test_a_row_that_begins_with_a_bracket_is_no_option_of_the_row_above():
    named = record(activation={"name": "[2ex] x", "path": "my_parts:f"})
    assert any(line.startswith("{}[2ex] x &") for line in body(rendered("latex", [*cells({"relu": [0.9]}), named])))


@pytest.mark.parametrize("name", TABLES)
def test_every_letter_of_a_table_is_one_that_pdflatex_writes(name):
    assert unwritable("".join(line for line in text_of(name).splitlines() if not line.startswith("%"))) == ""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_compiles_every_table(tmp_path):
    every = "".join([*map(text_of, TABLES), escaped("".join(SPELLED))])
    source = rf"\documentclass{{article}}\usepackage{{booktabs,longtable}}\begin{{document}}{every}\end{{document}}"
    (tmp_path / "tables.tex").write_text(source + "\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "tables.pdf").stat().st_size > 0
