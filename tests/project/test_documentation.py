"""The texts say what is so: file tree, configs, examples, names."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import factories
import pytest
import yaml
from rooms import ALLOWED, TOP
from shown_commands import steps_of

from actbench._version import __version__
from actbench.config import Study
from actbench.config.shipped import shipped

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [*(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")), *PAGES]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str, beginning: str = "") -> list[str]:
    """The code blocks of all texts in one language that begin so."""
    found = [block for path in TEXTS for block in BLOCK.findall(path.read_text("utf-8"))]
    return [code for kind, code in found if kind == language and code.startswith(beginning)]


def one(language: str, beginning: str) -> str:
    (code,) = blocks(language, beginning)
    return code


def test_the_tree_in_the_readme_shows_exactly_the_rooms_that_are_there() -> None:
    (tree,) = (code for code in blocks("text") if "\nactbench/\n" in code)
    drawn = re.findall(r"^  (\w+)(?:/|\.py) ", tree.partition("\nactbench/\n")[2], re.MULTILINE)

    assert set(drawn) == {*ALLOWED, *TOP} - {"__init__", "__main__"}


def test_the_site_has_every_page_of_the_documentation() -> None:
    pages = re.findall(r"^ +- .+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)

    assert sorted(pages) == sorted(path.relative_to(ROOT / "docs").as_posix() for path in PAGES)


def test_the_classifiers_name_what_is_tested_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [text.split(" :: ", 1) for text in project["classifiers"]]
    versions = {text.rpartition(" ")[2] for kind, text in named if kind == "Programming Language"}
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    (matrix,) = re.findall(r"python: (\[.+\])", workflow)
    assert versions == set(json.loads(matrix))
    assert project["requires-python"] == f">={min(versions)}"
    assert {text for kind, text in named if kind == "Operating System"} == {"POSIX :: Linux"}
    assert "On Windows it has not been run" in (ROOT / "docs" / "limits.md").read_text("utf-8")


def test_the_citation_names_the_version_of_the_package() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == __version__
    page = (ROOT / "docs" / "methods.md").read_text("utf-8")
    for reference in cited["references"]:
        assert f"{reference['authors'][0]['family-names']}, " in page, reference["title"]


def test_the_table_of_shipped_studies_has_them_all_with_their_numbers_of_runs() -> None:
    text = (ROOT / "docs" / "studies.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w/]+)\.yaml` \|.* ([\d,]+) \|$", text, re.MULTILINE)

    assert {name: int(runs.replace(",", "")) for name, runs in rows} == {
        name: len(Study.from_yaml(path).specs()) for name, path in shipped().items()
    }


def test_the_readme_fits_a_screen_or_two() -> None:
    readme = (ROOT / "README.md").read_text("utf-8").partition("\n## The files\n")[0]

    assert len(readme.splitlines()) <= 100, "details belong into docs/"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_page_links_to_what_the_site_lacks(path: Path) -> None:
    """Links of the site are relative, and none leaves docs/: the site has nothing else."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8"))

    assert [one for one in targets if not (path.parent / one).resolve().is_relative_to(ROOT / "docs")] == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_text_tells_the_reader_to_install_the_unrelated_project(path: Path) -> None:
    assert "pip install actbench" not in path.read_text("utf-8")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_between_the_texts_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", path.read_text("utf-8")):
        file = path.parent / target if target else path
        assert file.exists(), target
        text = file.read_text("utf-8") if file.suffix == ".md" else ""  # a picture has no headings
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, f"{target}#{anchor}"


@pytest.mark.parametrize("text", blocks("yaml", "# config"), ids=lambda text: str(text.count("\n")))
def test_a_config_in_the_texts_is_valid(text: str) -> None:
    assert Study.from_text(text).specs()


def test_the_arithmetic_beside_the_sweep_example_is_right() -> None:
    (text,) = (text for text in blocks("yaml", "# config") if "model.hidden" in text)

    assert len(Study.from_text(text).specs()) == 36


def test_the_config_over_another_is_what_the_text_says(tmp_path: Path) -> None:
    (tmp_path / "common.yaml").write_text(one("yaml", "# config: common.yaml"), "utf-8")
    (tmp_path / "longer.yaml").write_text(one("yaml", "# longer.yaml"), "utf-8")

    specs = Study.from_yaml(tmp_path / "longer.yaml").specs()

    assert {spec.training.epochs for spec in specs} == {10}
    assert {tuple(spec.training.optimizer.changed.items()) for spec in specs} == {(("lr", 0.05), ("momentum", 0.5))}
    assert {(spec.activation.name, spec.bias_init.value) for spec in specs} == {("relu", 0.0), ("elu", 0.0)}


def test_the_readers_own_parts_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from actbench.execution.runner import run

    (tmp_path / "my_parts.py").write_text(one("python", "# my_parts.py"), "utf-8")
    (tmp_path / "own.yaml").write_text(one("yaml", "# config: own.yaml"), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    study = Study.from_yaml(tmp_path / "own.yaml", ["seeds=1", "training.epochs=1"])

    records = run(study, tmp_path / "results", engine="inline", device="cpu")

    assert [record.outcome for record in records] == ["ok"] * 3
    assert {layer["units"] for record in records for layer in record.health["layers"]} == {16}


@pytest.mark.parametrize("code", blocks("python", "# runnable"), ids=lambda code: str(code.count("\n")))
def test_a_python_example_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.py").write_text(code, "utf-8")  # where the source of its functions is looked for
    exec(compile(code, str(tmp_path / "example.py"), "exec"), {"__name__": "__main__"})  # our own text


def test_the_json_example_has_the_keys_of_a_real_comparison(tmp_path: Path) -> None:
    from actbench.analysis.compare import compare
    from actbench.storage.reading import read_results

    cells = factories.cells({"relu": [0.9, 0.91, 0.93], "elu": [0.91, 0.93, 0.94]})
    real = compare(read_results(factories.save(tmp_path, cells))).to_dict()
    example = json.loads(one("json", "{"))

    for section in (lambda found: found, lambda found: found["comparisons"][0], _compared_row):
        assert set(section(example)) == set(section(real))
    for part in ("metrics", "vs_baseline"):
        documented, given = (_compared_row(found)[part]["test.accuracy"] for found in (example, real))
        assert set(documented) == set(given)


def _compared_row(content: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in content["comparisons"][0]["rows"] if row["vs_baseline"])


def test_every_field_of_a_result_is_documented() -> None:
    from actbench.schema.metrics import METRICS
    from actbench.training.epoch_log import HEALTH

    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    names = [*METRICS, *(f"health.{name}" for name in HEALTH)]

    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_signature_of_compare_is_the_documented_one() -> None:
    from actbench.analysis.compare import compare

    own = inspect.signature(compare)
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in own.parameters.values()]
    signature = str(inspect.Signature(plain))

    assert f"`compare{signature}`" in (ROOT / "docs" / "results.md").read_text("utf-8")


def test_every_key_of_a_run_is_documented() -> None:
    from actbench.schema.spec import Augment, HealthSettings, Training

    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    keys = [
        *(f"training.{name}" for name in Training.model_fields),
        *(f"training.augment.{name}" for name in Augment.model_fields),
        *(f"health.{name}" for name in HealthSettings.model_fields),
        *(name for name in Study.model_fields if name not in ("training", "health", "compare")),
    ]

    assert [key for key in keys if f"`{key}`" not in text] == []


@pytest.mark.parametrize("kind", ["models", "datasets", "weight_inits", "optimizers", "schedules", "revivals"])
def test_every_component_is_documented_with_its_options(kind: str) -> None:
    from actbench.schema import registry

    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    for name in registry.names(kind):
        row = registry.load(kind, name)
        options = (row if isinstance(row, type) else row.schema).model_fields
        assert [word for word in (name, *options) if f"`{word}`" not in text] == []


def test_the_tests_that_the_texts_name_exist() -> None:
    options = {"test_fraction", "test_images", "test_labels", "test_size", "test_targets"}
    named = {name for path in TEXTS for name in re.findall(r"`(test_\w+)`", path.read_text("utf-8"))} - options
    source = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    assert named
    assert [name for name in sorted(named) if f"def {name}(" not in source] == []


def test_the_files_that_the_texts_name_exist() -> None:
    missing = [
        (path.name, name)
        for path in TEXTS
        for name in re.findall(r"`((?:[\w.]+/)+[\w.]+\.(?:py|yaml|md|txt))`", path.read_text("utf-8"))
        if not any((folder / name).exists() for folder in (ROOT, ROOT / "actbench", ROOT / "configs", path.parent))
        and name not in {step.file for step in steps_of(path)}  # which the reader saves
    ]

    assert missing == []


def test_the_rooms_of_the_architecture_are_those_that_the_imports_are_checked_against() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("\n## Rooms\n")[2]
    rows = re.findall(r"^\| `(\w+)` \| .+? \| (.+?) \|$", text, re.MULTILINE)

    assert {room: set(re.findall(r"`(\w+)`", below)) for room, below in rows} == ALLOWED
