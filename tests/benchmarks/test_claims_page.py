"""docs/claims.md says what the committed results say, and nothing else writes its numbers."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from factories import cells, save

from actbench import datasets
from actbench.schema.components import resolve
from actbench.storage.packing import pack_study
from benchmarks.claims import compute, page
from benchmarks.claims.answers import EvidenceError
from benchmarks.claims.evidence import Evidence
from benchmarks.claims.places import PACKED, Place, all_places

ROOT = Path(__file__).parents[2]
TINY = """\
study: claims-sparsity
dataset: {name: digits, max_examples: 200}
model: {name: mlp, hidden: [8, 8]}
training: {epochs: 1, batch_size: 50}
health: {probe_size: 50}
seeds: 3
sweep:
  activation: [relu, tanh]
compare:
  baseline: {activation: relu}
  metric: [health.sparsity, test.accuracy]
expect:
  - "health.sparsity > 50% where activation=relu"
  - "health.sparsity: activation=tanh < activation=relu"
"""

_NAMES = re.compile(r"CIFAR-10|arXiv:\d{4}\.\d{4,5}|\d+(?:-\d+)+")
"""Digits that are a name: a dataset's, a paper's, a network's widths."""

_NOT_PROSE = re.compile(
    r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}"  # what the template computes
    r"|^#+ .*?$|`[^`\n]*`|\]\([^)\s]*\)",  # headings, code, the targets of links
    re.DOTALL | re.MULTILINE,
)


def typed_digits(template: str) -> list[str]:
    """The lines of a template in which a digit stands in prose, or an expression that is nothing but a text."""
    texts = re.findall(r"\{\{-?\s*(?:\"[^\"]*\d[^\"]*\"|'[^']*\d[^']*'|\d[\d.]*)\s*-?\}\}", template)
    prose = _NAMES.sub("", _NOT_PROSE.sub("", template))
    return texts + [line.strip() for line in prose.splitlines() if re.search(r"\d", line)]


def test_no_number_of_the_page_is_typed() -> None:
    assert typed_digits(page.TEMPLATE.read_text("utf-8")) == []


@pytest.mark.parametrize("text", ["84 % of the units", "{{ '84 %' }} died", "{{ 84 }} died"])
def test_a_typed_number_would_be_seen(text: str) -> None:
    assert typed_digits(text)


@pytest.mark.parametrize(
    "text", ["{{ s.n }} runs", "CIFAR-10", "784-256", "`lr=0.1`", "# 3 layers", "[a](x.md#1)", "{% set a = 3 %}"]
)
def test_names_code_and_what_is_computed_are_no_typed_numbers(text: str) -> None:
    assert typed_digits(text) == []


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """One packed study, ``bias``, of which elu beats relu."""
    (tmp_path / "claims").mkdir()
    config = 'study: demo\nexpect:\n  - "test.accuracy: activation=elu > activation=relu"\n'
    records = cells({"relu": [0.90, 0.91, 0.92, 0.94, 0.91], "elu": [0.92, 0.935, 0.94, 0.955, 0.925]})
    save(tmp_path / "work", records, text=config)
    pack_study(tmp_path / "work" / "demo", tmp_path / "claims" / f"bias{PACKED[0]}")
    return Evidence(tmp_path)


Rendering = Callable[[str], page.Rendered]


@pytest.fixture
def render(evidence: Evidence, tmp_path: Path) -> Rendering:
    def rendered(text: str, *, lenient: bool = False) -> page.Rendered:
        (tmp_path / "page.j2").write_text(text, "utf-8")
        return page.rendered(evidence, tmp_path / "page.j2", lenient=lenient)

    return rendered


def test_an_expression_becomes_its_number(render: Rendering) -> None:
    sides = '"activation=elu", "activation=relu"'
    text = f'{{{{ study("bias").verdict() }}}}, {{{{ study("bias").difference("test.accuracy", {sides}).short }}}}'

    assert render(text).text == "supported, +1.90 points\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("one\n{{ nothing }}", "page.j2:2: 'nothing' is undefined"),
        ("\n\n{{ require(1 > 2, 'one is more than two') }}", "page.j2:3: not so by the results: one is more than two"),
        ('{{ study("bias").cell("activation=gelu") }}', "page.j2:1: bias: no run has activation=gelu"),
        ('{{ study("leaky") }}', "page.j2:1: no packed results of 'leaky'"),
        ("{{ one two }}", "page.j2:1: expected token"),
    ],
)
def test_what_the_results_do_not_say_is_refused_with_its_line(render: Rendering, text: str, says: str) -> None:
    with pytest.raises(EvidenceError, match=re.escape(says)):
        render(text)


def test_a_lenient_rendering_lists_what_is_not_borne_out(evidence: Evidence, tmp_path: Path) -> None:
    (tmp_path / "page.j2").write_text("{{ require(false, 'pigs fly') }}", "utf-8")

    assert page.rendered(evidence, tmp_path / "page.j2", lenient=True).untrue == ["pigs fly"]


def test_the_readme_has_the_head_of_the_table_with_links_into_the_page() -> None:
    head = ["| claim | verdict | effect | n | picture |", "|---|---|---|---|---|"]
    rows = [f"| [{name}](#{name}) | supported | +1 | 10 | – |" for name in "abcdefgh"]
    found = page.readme_table("\n".join(["# Title", "", *head, *rows, "", "| another | table |"]))

    assert found[:3] == [
        "| claim | verdict | effect | n |",
        "| --- | --- | --- | --- |",
        "| [a](docs/claims.md#a) | supported | +1 | 10 |",
    ]
    assert len(found) == 2 + page.README_ROWS
    with pytest.raises(EvidenceError, match="no lines"):
        page.with_table("# no markers", found)


def written(evidence: Evidence, render: Rendering, folder: Path) -> tuple[page.Rendered, page.Paths]:
    """A page with a picture beside its study's JSON and CSV, as the project commits them."""
    found = render(
        '| claim | verdict | effect | n |\n|---|---|---|---|\n| a | {{ study("bias").verdict() }} | 0 | 5 |\n\n'
        '{{ picture(study("bias"), "bias", "differences", "elu") }}\n'
    )
    (folder / "README.md").write_text(f"# Demo\n{page.BEGIN}\n{page.END}\nrest\n", "utf-8")
    paths = page.Paths(evidence.results, folder / "claims.md", folder / "pictures", folder / "README.md")
    packed = evidence.study("bias").path
    for ending in (".json", ".csv"):
        command = ["compare", str(packed), "-o", str(packed.parent / f"bias{ending}")]
        subprocess.run([sys.executable, "-m", "actbench", *command], check=True)
    page.write(found, paths)
    return found, paths


def test_whatever_differs_from_the_results_is_named(evidence: Evidence, render: Rendering, tmp_path: Path) -> None:
    found, paths = written(evidence, render, tmp_path)
    files = {
        paths.page: ("supported", "contradicted", "claims.md:3 differs from the results\n  it has: | a | contradicted"),
        paths.readme: ("supported", "undecided", "README.md:5 differs from the results"),
        paths.pictures / "claims-bias.svg": ("numbers ", "numbers x", "claims-bias.svg shows other numbers"),
        tmp_path / "claims/bias.json": ("0.9", "0.8", "bias.json differs from the results: comparisons.0."),
        tmp_path / "claims/bias.csv": ("0.9", "0.8", "bias.csv differs from the results: "),
    }

    assert list(page.differences(found, evidence, paths)) == []
    for file, (old, new, says) in files.items():
        good = file.read_text("utf-8")
        assert old in good
        file.write_text(good.replace(old, new, 1), "utf-8")
        (problem,) = page.differences(found, evidence, paths)
        assert problem.startswith(says)
        file.unlink()
        if file != paths.readme:
            (problem,) = page.differences(found, evidence, paths)
            assert file.name in problem
        file.write_text(good, "utf-8")
    (paths.pictures / "claims-old.svg").write_text("<svg/>", "utf-8")
    assert list(page.differences(found, evidence, paths)) == ["claims-old.svg is on no page"]


def test_the_last_bits_of_another_processor_are_no_difference() -> None:
    a = {"mean": 0.1 + 0.2, "name": "elu", "none": None, "many": [1, 2.0]}

    assert page.first_difference(a, {**a, "mean": 0.3}) == ""
    assert page.first_difference(a, {**a, "mean": 0.3001}) == "mean is 0.30000000000000004, not 0.3001"
    assert page.first_difference(a, {**a, "many": [1]}) == "many is [1, 2.0], not [1]"
    assert page.first_difference(a, {**a, "none": 0.0}) == "none is None, not 0.0"


def test_a_better_wording_makes_no_committed_number_wrong() -> None:
    old = {"rows": [{"mean": 0.3, "note": "over 3 seeds"}], "warnings": ["one"]}
    new = {"rows": [{"mean": 0.3, "note": "of 3 seeds"}], "warnings": []}

    assert page.first_difference(*map(page._without_sentences, (old, new))) == ""
    new["rows"][0]["mean"] = 0.4
    assert page.first_difference(*map(page._without_sentences, (old, new))) == "rows.0.mean is 0.3, not 0.4"


@pytest.mark.slow
def test_the_committed_page_says_what_the_committed_results_say() -> None:
    evidence, paths = Evidence(ROOT / "results"), page.Paths()

    assert list(page.differences(page.rendered(evidence), evidence, paths)) == []


@pytest.mark.slow
def test_a_study_becomes_a_page_by_the_commands_of_compute(tmp_path: Path) -> None:
    (tmp_path / "configs" / "claims").mkdir(parents=True)
    (tmp_path / "configs" / "claims" / "sparsity.yaml").write_text(TINY, "utf-8")
    (place,) = all_places(tmp_path / "configs")
    job = compute.Job(tmp_path / "work", tmp_path / "results", "cpu", configs=tmp_path / "configs")

    assert compute.compute([place], job) == 0
    found = page.rendered(Evidence(job.results), lenient=True)

    comparison = json.loads((job.results / "claims/sparsity.json").read_text("utf-8"))["comparisons"][0]
    (relu,) = [row for row in comparison["rows"] if row["factors"] == {"activation": "relu"}]
    assert f"{100 * relu['metrics']['health.sparsity']['mean']:.2f} %" in found.text
    assert [one.file for one in found.pictures] == ["claims-sparsity.svg"]
    assert "<svg" in found.pictures[0].svg().decode()
    assert b"claims-sparsity" in gzip.decompress((job.results / "claims/sparsity.html.gz").read_bytes())


def test_a_command_that_fails_stops_the_rest(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "configs" / "claims").mkdir(parents=True)
    (tmp_path / "configs" / "claims" / "bad.yaml").write_text(TINY.replace("digits", "digits, typo: 1"), "utf-8")
    job = compute.Job(tmp_path / "work", tmp_path / "results", configs=tmp_path / "configs")

    with pytest.raises(Exception, match="typo"):
        compute.compute([Place("claims", "bad")], job)


def test_the_stand_ins_are_read_as_the_datasets_that_they_stand_in_for(tmp_path: Path) -> None:
    compute.write_stand_ins(tmp_path)

    for name in compute.IN_IDX_FILES:
        data = datasets.load(resolve("datasets", name), tmp_path)
        assert sorted(data.test_labels.tolist()) == [label for label in range(10) for _ in range(100)]


@pytest.mark.parametrize("place", all_places(), ids=lambda place: place.config)
def test_every_study_is_named_after_its_file(place: Place) -> None:
    config = ROOT / "configs" / f"{place.config}.yaml"

    assert compute.study_name(config).replace("_", "-") == f"{place.group}-{place.stem}".replace("_", "-")
    assert set(compute.stand_in_arguments(config)) <= {"dataset=mnist-5k"}
