"""``actbench init``, ``list configs`` and shipped names in an empty folder, as after ``pip install``."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from commands import Run, in_this_process

from actbench.config import Study
from actbench.config.json_schema import config_schema_text
from actbench.config.shipped import shipped
from actbench.storage.reading import read_results


@pytest.fixture
def actbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return in_this_process(monkeypatch, capfd)


def test_the_starter_is_written_and_can_be_planned(actbench: Run, tmp_path: Path) -> None:
    done = actbench("init")
    assert (done.returncode, done.stdout) == (0, "study.yaml: a config with every key explained\n")
    assert "actbench run study.yaml" in done.stderr
    assert "48 to do" in actbench("plan", "study.yaml").stdout
    assert "48 to do" in actbench("plan", "study").stdout
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


@pytest.mark.slow
def test_the_starter_runs(actbench: Run, tmp_path: Path, data_folder: Path) -> None:
    actbench("init", "first.yaml")
    done = actbench(
        "run", "first.yaml", "seeds=2", "--engine", "inline", "--device", "cpu", "--data-dir", str(data_folder)
    )
    assert done.returncode == 0, done.stderr
    assert {one.outcome for one in read_results(tmp_path / "results")} == {"ok"}
    assert "first" in actbench("compare", "results").stdout


def test_a_copy_is_the_shipped_config_byte_for_byte_but_for_the_line_that_leads_to_the_schema(
    actbench: Run, tmp_path: Path
) -> None:
    for name, path in shipped().items():
        assert actbench("init", "--from", name).returncode == 0
        copy = tmp_path / f"{Path(name).name}.yaml"
        copied, original = ((one).read_bytes().split(b"\n", 1) for one in (copy, path))
        assert copied[1] == original[1]


@pytest.mark.parametrize("words", [(), ("mine.yaml", "--from", "smoke"), ("a folder/mine.yaml",)])
def test_a_new_config_begins_with_the_address_of_the_installed_schema(
    actbench: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "a folder").mkdir()
    actbench("init", *words)

    first, second, *_ = (tmp_path / (words or ("study.yaml",))[0]).read_text("utf-8").splitlines()
    address = first.removeprefix("# yaml-language-server: $schema=")
    assert " " not in address
    assert Path(unquote(urlsplit(address).path)).read_text("utf-8") == config_schema_text()
    assert not second.startswith("# yaml-language-server")


def test_a_new_config_beside_the_schema_names_it_by_its_name(
    actbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actbench.config.shipped.shipped_folder", lambda: tmp_path)
    (tmp_path / "claims").mkdir()
    for file, place in (("study.yaml", "schema.json"), ("claims/bias.yaml", "../schema.json")):
        actbench("init", file)
        assert (tmp_path / file).read_text("utf-8").startswith(f"# yaml-language-server: $schema={place}\n#")


def test_no_file_is_overwritten_unless_asked(actbench: Run, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("study: mine\n")
    (tmp_path / "link.yaml").symlink_to("nowhere")
    for words in ((), ("study.yaml", "--from", "smoke"), ("link.yaml",)):
        done = actbench("init", *words)
        assert done.returncode == 2
        assert "is there already, and was left as it is: name another file, or replace it by --force" in done.stderr
    assert (tmp_path / "study.yaml").read_text() == "study: mine\n"
    assert actbench("init", "--force").returncode == 0
    assert Study.from_yaml(tmp_path / "study.yaml").name == "study"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from", "quikstart"), "unknown config 'quikstart' — did you mean 'quickstart'?"),
        (("--from", "published/smoek"), "unknown config 'published/smoek' — did you mean 'smoke'?"),
        (("--from", "uva_activations"), "unknown config 'uva_activations' — did you mean 'published/uva_activations'?"),
        ((".",), ". is a folder: name a file in it"),
        (("absent/x.yaml",), "can't write absent/x.yaml: No such file or directory"),
    ],
)
def test_what_can_t_be_written_is_one_sentence(actbench: Run, words: tuple[str, ...], message: str) -> None:
    done = actbench("init", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"actbench: {message}")


def test_the_shipped_configs_are_listed(actbench: Run) -> None:
    text = actbench("list", "configs").stdout
    assert [line.split()[0] for line in text.splitlines() if not line.startswith(" ")] == list(shipped())
    assert "hidden biases that start at 0 and at 0.01 (6 seconds on two cores)" in " ".join(text.split())
    found = json.loads(actbench("list", "configs", "--json").stdout)
    assert [one["name"] for one in found] == list(shipped())


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("kind", ["configs", "metrics", "initializers"])
def test_a_list_fits_its_width_and_loses_no_word(
    actbench: Run, monkeypatch: pytest.MonkeyPatch, kind: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = actbench("list", kind).stdout
    assert max(map(len, text.splitlines())) <= max(width, 50)  # a long word is not cut
    listed = json.loads(actbench("list", kind, "--json").stdout)
    assert text.split() == " ".join(f"{one['name']} {one['summary']}" for one in listed).split()


@pytest.mark.parametrize(
    "words",
    [("plan",), ("run", "--dry-run"), ("show", "--theory")],
    ids=" ".join,
)
def test_every_command_takes_a_shipped_name_and_refuses_another(actbench: Run, words: tuple[str, ...]) -> None:
    assert actbench(*words, "smoke").returncode == 0
    done = actbench(*words, "smoek")
    assert done.returncode == 2
    assert "did you mean 'smoke', which is shipped?" in done.stderr


@pytest.mark.slow
def test_a_shipped_study_runs_where_there_is_no_clone_and_so_do_the_commands_it_prints(
    actbench: Run, tmp_path: Path, data_folder: Path
) -> None:
    options = ("--engine", "inline", "--device", "cpu", "--data-dir", str(data_folder))
    done = actbench("run", "smoke", "seeds=1", "training.epochs=1", *options)
    assert done.returncode == 0, done.stderr
    kept = (tmp_path / "results" / "smoke" / "study.yaml").read_text()
    assert kept.startswith("# actbench run smoke with overrides:\n")
    done = actbench("run", "results/smoke/study.yaml", "seeds=2", *options)
    assert done.returncode == 0, done.stderr
    assert len(read_results(tmp_path / "results")) == 12
