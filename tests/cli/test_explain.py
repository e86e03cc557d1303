"""``actbench explain``: every word that an output prints is explained, by one source."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from commands import Done, Run, in_this_process
from parsed_page import parsed

from actbench.analysis.page import _words
from actbench.analysis.reports._sentences import VERDICT_MARKS
from actbench.cli.explain import glossary
from actbench.cli.show import LAYER_TABLES
from actbench.cli.vocabulary import NAMES, found, vocabulary
from actbench.config import Study
from actbench.config.keys import dotted_keys
from actbench.schema import registry
from actbench.schema.health_measures import DYNAMICS, HEALTH_MEASURES, LAYER_SIGNALS
from actbench.schema.histograms import HISTOGRAMS
from actbench.schema.metrics import METRICS
from actbench.schema.record import OUTCOMES
from actbench.schema.spec import RunSpec
from actbench.schema.words import GROUPS, WORDS
from actbench.storage.status import Failure, Paused, Running, Stale

ROOT = Path(__file__).parents[2]

STUDY = """\
dataset: {name: digits, train_size: 100, test_size: 50}
model: {name: mlp, hidden: [8, 8]}
training: {epochs: 2, batch_size: 32}
sweep:
  activation: [relu, prelu, 'where(x > 0, x, x / 0)']
  training.optimizer.lr: [0.05, 0.1]
seeds: 3
compare: {metric: [test.accuracy, health.dead_fraction]}
expect: ["test.accuracy > 5% where activation=relu"]
"""
COST = ("cost", "relu", "--rounds", "5")
RELU, DIVERGED = "relu-*seed-0-*", "where-*seed-0-*"

COMPARE = ("compare", "results", "--tune", "training.optimizer.lr", "--reach", "5%", "--all-pairs", "--methods")
AGAINST = ("compare", "results", "--against", "results")
JSON = (
    AGAINST,
    COMPARE,
    ("status", "results"),
    ("plan", "study.yaml"),
    ("show", RELU),
    ("show", "elu"),
    ("show", "--theory", "study.yaml"),
    ("diff", RELU, DIVERGED),
    ("doctor",),
    ("verify", "constants"),
    ("explain", "dead"),
    ("list", "models"),
    ("check", "study.yaml", "broken.yaml"),
    ("runs", "results"),
    pytest.param(COST, marks=pytest.mark.slow),
)
CSV = (("compare", "results", "--reach", "5%"), ("compare", "results", "--tune", "training.optimizer.lr"), COMPARE)
NARROW = (
    AGAINST,
    COMPARE,
    ("runs", "results"),
    ("show", RELU),
    ("show", DIVERGED),
    ("diff", RELU, DIVERGED),
)
TABLES = (
    *NARROW,
    ("show", "--theory", "study.yaml"),
    ("verify", "constants"),
)

OTHERS_NAMES = {"versions", "factors", "picked", "baseline", "references", "options", "settings", "devices"}
"""Fields that map names of packages, keys or devices; keys have a test of their own."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> Path:
    """A study of which runs are ok, learn a parameter, and diverge."""
    from actbench.execution.runner import run

    root = tmp_path_factory.mktemp("words")
    (root / "study.yaml").write_text(STUDY, "utf-8")
    (root / "broken.yaml").write_text("study: [", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACTBENCH_DATA", str(data_folder))
        records = run(Study.from_yaml(root / "study.yaml"), root / "results", engine="inline", device="cpu")
    assert {record.outcome for record in records} >= {"ok", "diverged"}
    return root


@pytest.fixture
def actbench(
    folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """A command beside that study; a run is named by the pattern of its folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ACTBENCH_DATA", str(data_folder))
    monkeypatch.setenv("COLUMNS", "100")
    command = in_this_process(monkeypatch, capfd)

    def call(*arguments: str) -> Done:
        words = [_first(folder, word) if "*seed" in word else word for word in arguments]
        done = command(*words)
        assert done.returncode == (2 if "broken.yaml" in words else 0), done.stderr
        return done

    return call


def _first(folder: Path, pattern: str) -> str:
    return min(str(path) for path in folder.glob(f"results/study/runs/{pattern}"))


def unexplained(words: set[str]) -> list[str]:
    return sorted(word for word in words if not found(word))


def fields(content: Any) -> Iterator[str]:
    """Every key of a JSON document, but those that are names of the user's or of other projects."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            if key not in OTHERS_NAMES:
                yield from fields(value)
    elif isinstance(content, list):
        for value in content:
            yield from fields(value)


def headings(text: str) -> Iterator[str]:
    """The column heads of every table in a text: the lines above its rule, cut where all of them have two spaces.

    A head in several lines breaks at a blank, or behind ``.``, ``_`` and ``(``.
    """
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if not re.fullmatch("─+", line.strip()):
            continue
        first = index
        while first and lines[first - 1].strip():
            first -= 1
        above = [one.ljust(max(map(len, lines[first:index]))) for one in lines[first:index]]
        filled = "".join("x" if any(letter != " " for letter in column) else " " for column in zip(*above, strict=True))
        for span in re.finditer(r"x+(?: x+)*", filled):
            parts = [part for one in above if (part := one[span.start() : span.end()].strip())]
            yield re.sub(r"(?<=[._(]) ", "", " ".join(parts))


@pytest.mark.parametrize("arguments", JSON, ids=" ".join)
def test_every_field_of_a_json_output_is_explained(actbench: Run, arguments: tuple[str, ...]) -> None:
    words = set(fields(json.loads(actbench(*arguments, "--json").stdout)))

    assert words
    assert unexplained(words) == []


@pytest.mark.parametrize("arguments", [*CSV, ("runs", "results")], ids=" ".join)
def test_every_column_of_a_csv_is_explained(actbench: Run, arguments: tuple[str, ...]) -> None:
    options = ("--csv",) if arguments[0] == "runs" else ("--format", "csv")
    (header, *lines) = csv.reader(io.StringIO(actbench(*arguments, *options).stdout))

    assert lines
    assert unexplained(set(header)) == []


@pytest.mark.parametrize("arguments", CSV, ids=" ".join)
@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_every_column_of_a_table_of_compare_is_explained(actbench: Run, form: str, arguments: tuple[str, ...]) -> None:
    text = actbench(*arguments, "--format", form).stdout
    if form == "markdown":
        lines = text.splitlines()
        heads = [above for above, line in pairwise(lines) if re.fullmatch(r"[|: -]+-[|: -]+", line)]
        words = {head.strip().replace("\\", "") for line in heads for head in line.strip("|").split("|")}
    else:
        heads = re.findall(r"\\toprule\n(.*?)\\\\\s*\n?\\midrule", text, re.DOTALL)
        words = {_plain(head) for line in heads for head in line.split("&")}

    assert {"test.accuracy", "n"} <= {re.sub(r" \(.*", "", word) for word in words}
    assert unexplained(words - {""}) == []


def _plain(latex: str) -> str:
    """A column head without LaTeX's commands."""
    text = (
        re.sub(r"\\multicolumn\{\d\}\{\w\}", "", latex)
        .replace(r"$\Delta$", "Δ")
        .replace(r"\textbackslash", "")
        .replace(r"\_", "_")
        .replace(r"\%", "%")
    )
    return re.sub(r"\\\w+|[{}]", "", text).strip()


@pytest.mark.parametrize(
    ("arguments", "columns"),
    [
        pytest.param(COST, 200, marks=pytest.mark.slow),
        *((one, 200) for one in TABLES),
        *((one, columns) for one in NARROW for columns in (60, 80, 120)),
    ],
    ids=str,
)
def test_every_column_of_a_table_is_explained_however_its_head_is_broken(
    actbench: Run, arguments: tuple[str, ...], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = set(headings(actbench(*arguments).stdout))

    assert words
    assert unexplained(words) == []


def test_every_word_at_the_left_of_status_plan_and_doctor_is_explained(actbench: Run) -> None:
    status = actbench("status", "results").stdout.splitlines()[0]
    plan = actbench("plan", "study.yaml").stdout
    doctor = actbench("doctor").stdout.replace("no problem found", "problems")
    words = {
        *re.split(r"\s{2,}", status.strip()),
        *re.findall(r"^(\S.*?) {2,}", plan, re.MULTILINE),
        *re.findall(r"^(\w+)(?:: \d+)?$", doctor, re.MULTILINE),
    }
    for section in ("machine", "kernels", "folders"):
        body = doctor.partition(f"\n{section}\n")[2].partition("\n\n")[0]
        words |= {line.split("  ")[1] for line in body.splitlines()}

    assert {"to do", "cohorts", "kernels", "processors"} <= words
    assert unexplained(words) == []


@pytest.mark.slow
def test_every_column_and_term_of_the_page_is_explained(actbench: Run) -> None:
    actbench("report", "results", "--tune", "training.optimizer.lr", "-o", "page.html")
    page = parsed(Path("page.html").read_text("utf-8"))
    heads = {head.text for table in page.all("thead") for head in table.all("th")}
    terms = {term.text for term in page.one("dl", class_="words").all("dt")}

    assert {"test.accuracy", "dead"} <= heads | terms
    assert unexplained(heads | terms) == []


def test_every_field_of_a_run_on_its_way_is_explained() -> None:
    kinds: tuple[Any, ...] = (Running, Failure, Paused, Stale)

    assert unexplained({one.name for kind in kinds for one in dataclasses.fields(kind)}) == []


def test_every_outcome_mark_and_measure_is_explained() -> None:
    tables = {key for keys in LAYER_TABLES.values() for key in keys}
    names = {*OUTCOMES, *METRICS, *HEALTH_MEASURES, *DYNAMICS, *LAYER_SIGNALS, *HISTOGRAMS, *tables}

    assert unexplained(names | {*VERDICT_MARKS, *VERDICT_MARKS.values(), "=", "*", "–", "Δ", "±", "×"}) == []


def test_every_key_of_a_config_has_an_explanation_of_its_own() -> None:
    keys = {*dotted_keys(RunSpec), *Study.model_fields, "compare.baseline", "compare.metric"}
    keys |= {"training.checkpoint_every", "health.dead_slope", "base"}
    sections = {"dataset": "datasets", "model": "models", "activation": "activations", "weight_init": "weight_inits"}
    sections |= {"training.optimizer": "optimizers", "training.schedule": "schedules", "training.revive": "revivals"}
    for key, kind in sections.items():
        for name in registry.names(kind):
            row = registry.load(kind, name)
            keys |= {f"{key}.{option}" for option in (row if isinstance(row, type) else row.schema).model_fields}

    missing = [key for key in sorted(keys) if key not in {word.name for _, word in found(key)}]
    assert missing == []


@pytest.mark.parametrize("kind", sorted({*registry.FOLDERS, *registry.TABLES}))
def test_every_name_that_list_knows_is_explained(kind: str) -> None:
    assert unexplained(set(registry.names(kind))) == []


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("test.accuracy", "test.accuracy"),
        ("n", "n"),
        ("=", "tied"),
        ("*", "*"),
        ("Δ", "Δ"),
        ("delta", "Δ"),
        ("Δ baseline (points)", "Δ"),
        ("p_adjusted", "adjusted p"),
        ("Adjusted P", "adjusted p"),
        ("p-adjusted", "adjusted p"),
        ("dead_fraction", "dead"),
        ("training.optimizer.lr", "training.optimizer.lr"),
        ("LR", "training.optimizer.lr"),
        ("Diverged", "diverged"),
        ("born dead", "born_dead"),
        ("max_t", "max-T"),
        ("versus_low", "interval"),
        ("reach_n", "n"),
        ("left_activation", "activation"),
        ("picked lr", "picked"),
        ("hidden.1", "layer"),
        ("epochs (to 90 %)", "epochs to"),
        ("elu(alpha=0.2)", "elu"),
        ("slope (learned)", "learned"),
        ("`compare.metric`", "compare.metric"),
        ("f'(z)", "f(z)"),
        ("diff baseline", "Δ"),
        ("diff", "Δ"),
        ("var z", "var z"),
    ],
)
def test_a_word_is_found_as_it_is_printed_or_typed(actbench: Run, typed: str, word: str) -> None:
    text = actbench("explain", typed).stdout

    assert re.search(rf"^{re.escape(word)}  \(", text, re.MULTILINE)


def test_an_option_and_a_command_are_words_too(actbench: Run) -> None:
    assert actbench("explain", "--all-pairs").stdout.startswith("--all-pairs  (commands and options)\n")
    assert "actbench help doctor" in actbench("explain", "doctor").stdout
    assert found("doctor") == [], "or the fields above would be explained by the commands' names"


def test_an_activation_points_at_show(actbench: Run) -> None:
    assert "actbench show gelu" in actbench("explain", "gelu").stdout


def test_several_words_are_one_phrase_or_explained_each(actbench: Run) -> None:
    assert actbench("explain", "adjusted", "p").stdout.startswith("adjusted p  (")
    assert re.findall(r"^(\S.*)  \(", actbench("explain", "dead", "ok").stdout, re.MULTILINE) == ["dead", "ok"]


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("colapsed", "'collapsed'"),
        ("pobe", "'probe'"),
        ("qqqq", "lists all words"),
        ("max(x, 0.1 * x)", "show 'max(x, 0.1 * x)'"),
    ],
)
def test_an_unknown_word_gets_the_nearest_ones(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], typed: str, near: str
) -> None:
    done = in_this_process(monkeypatch, capfd)("explain", typed)

    assert (done.returncode, done.stdout) == (2, "")
    assert near in done.stderr
    assert found(typed) == []


def test_explain_alone_lists_every_word_by_its_group(actbench: Run) -> None:
    text = " ".join(actbench("explain").stdout.split())
    for title, words in vocabulary().items():
        assert title in text
        assert title == NAMES or [word.name for word in words if word.name not in text] == []


def test_the_json_has_what_the_text_has(actbench: Run) -> None:
    (one,) = json.loads(actbench("explain", "max-T", "--json").stdout)
    word = WORDS["max-T"]

    assert (one["word"], one["text"], one["group"], one["page"]) == ("max-T", word.text, "Statistics", word.page)
    assert "adjusted p" in one["see"]


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_an_explanation_fits_the_terminal(actbench: Run, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    assert max(map(len, actbench("explain").stdout.splitlines())) <= int(columns)
    assert max(map(len, actbench("explain", "Δ", "lr", "dead").stdout.splitlines())) <= int(columns)


def test_words_are_sentences_and_lead_to_words_and_pages_that_exist() -> None:
    for title, words in vocabulary().items():
        for word in words:
            assert word.text, word.name
            assert title == NAMES or word.text.endswith((".", ":")), word.name
            assert [name for name in word.see if not found(name)] == [], word.name
            assert not word.page or (ROOT / "docs" / word.page).is_file(), word.name


def test_no_two_words_of_a_group_have_one_name() -> None:
    assert sum(map(len, GROUPS.values())) == len(WORDS)
    for title, words in vocabulary().items():
        names = [word.name for word in words]
        assert title == NAMES or len(set(names)) == len(names), title


def test_a_table_says_where_its_words_are_explained(actbench: Run) -> None:
    assert actbench("compare", "results").stdout.count("words: actbench explain WORD\n") == 1


def test_the_words_of_the_page_are_those_of_explain() -> None:
    assert {name: WORDS[name].text for name in _words.WORDS} == dict(_words.WORDS)


def test_the_glossary_is_what_explain_prints(actbench: Run) -> None:
    text = actbench("explain", "--markdown").stdout

    assert text == f"{glossary()}\n"
    assert (ROOT / "docs" / "glossary.md").read_text("utf-8") == text, "actbench explain --markdown > docs/glossary.md"
