"""What the name of a config stands for: a file, one of that name with its ending, or one that is shipped."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pydantic import BaseModel

from actbench.config import Study
from actbench.config.shipped import config_file, shipped, starter, summary
from actbench.errors import ConfigError
from actbench.schema.spec import Augment, HealthSettings, Training

ROOT = Path(__file__).parents[2]

OWN = "study: mine\nactivation: tanh\nseeds: 1\n"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", list(shipped()))
def test_a_shipped_config_is_found_by_its_name_alone(name: str) -> None:
    assert Study.from_yaml(name).specs() == Study.from_yaml(ROOT / "configs" / f"{name}.yaml").specs()
    assert summary(shipped()[name])


def test_a_config_in_a_subfolder_is_named_with_it_and_stands_behind_the_others() -> None:
    names = list(shipped())
    assert "published/uva_activations" in names
    assert [name for name in names if "/" in name] == sorted(name for name in names if "/" in name)
    assert [name for name in names if "/" not in name] == names[: len([name for name in names if "/" not in name])]


@pytest.mark.parametrize("file", ["published/uva_activations", "published/uva_activations.yaml"])
def test_a_file_of_a_name_with_a_subfolder_wins(empty_folder: Path, file: str) -> None:
    (empty_folder / "published").mkdir()
    (empty_folder / file).write_text(OWN)
    assert Study.from_yaml("published/uva_activations").name == "mine"


def test_a_folder_of_a_subfolder_s_name_hides_nothing(empty_folder: Path) -> None:
    (empty_folder / "published").mkdir()
    (empty_folder / "published" / "other.yaml").write_text(OWN)
    assert Study.from_yaml("published/uva_activations").name == "published-uva-activations"


@pytest.mark.parametrize("file", ["quickstart", "quickstart.yaml"])
def test_a_file_of_that_name_wins(empty_folder: Path, file: str) -> None:
    (empty_folder / file).write_text(OWN)
    assert Study.from_yaml("quickstart").name == "mine"


def test_the_very_name_wins_over_the_one_with_its_ending(empty_folder: Path) -> None:
    (empty_folder / "quickstart.yaml").write_text("study: other\n")
    (empty_folder / "quickstart").write_text(OWN)
    assert Study.from_yaml("quickstart").name == "mine"


def test_a_folder_of_that_name_is_no_file(empty_folder: Path) -> None:
    (empty_folder / "quickstart").mkdir()
    assert Study.from_yaml("quickstart").name == "quickstart"


@pytest.mark.parametrize(
    "path",
    [
        "../quickstart",
        "configs/quickstart",
        "quickstart.yaml",
        "quickstart.yml",
        "",
        "a\0b",
        "published",
        "published/x",
        "../published/uva_activations",
        "published/../quickstart",
        "/published/uva_activations",
    ],
)
def test_a_path_is_never_taken_for_a_name(path: str) -> None:
    assert config_file(Path(path)) == Path(path)


def test_a_config_kept_with_overrides_names_what_was_given() -> None:
    assert Study.from_yaml("quickstart", ["seeds=2"]).text.startswith("# actbench run quickstart with overrides:\n")


def test_the_name_of_a_subfolder_is_answered_with_its_configs() -> None:
    with pytest.raises(ConfigError) as caught:
        Study.from_yaml("published")
    (problem,) = caught.value.problems
    configs = ", ".join(name for name in shipped() if name.startswith("published/"))
    assert problem.message == f"no such file, but a folder of shipped configs: name one of {configs}"


@pytest.mark.parametrize(
    ("name", "hints"),
    [
        ("quikstart", ["no such file and no shipped config", "did you mean 'quickstart', which is shipped?"]),
        ("configs/quickstart.yaml", ["no such file — did you mean 'quickstart', which is shipped?"]),
        ("mien", ["no such file and no shipped config", "did you mean 'mine.yaml'?"]),
        ("smokey.yaml", ["did you mean 'smoked.yaml' or 'smoke', which is shipped?"]),
        ("zzz", ["no such file and no shipped config — `actbench list configs`"]),
        ("uva_activations", ["did you mean 'published/uva_activations', which is shipped?"]),
        ("uva_activation", ["did you mean 'published/uva_activations', which is shipped?"]),
        ("published/uva_activation", ["and no shipped config", "did you mean 'published/uva_activations', which"]),
        ("configs/published/uva_activations.yaml", ["no such file — did you mean 'published/uva_activations', which"]),
        ("publised/uva_activations", ["no such file — did you mean 'published/uva_activations', which"]),
        ("published/zzz", ["no such file and no shipped config — `actbench list configs`"]),
    ],
)
def test_a_name_of_nothing_gets_the_nearest_of_both_kinds(empty_folder: Path, name: str, hints: list[str]) -> None:
    for file in ("mine.yaml", "smoked.yaml"):
        (empty_folder / file).write_text(OWN)
    with pytest.raises(ConfigError) as caught:
        Study.from_yaml(name)
    (problem,) = caught.value.problems
    assert [hint for hint in hints if hint not in problem.message] == []
    assert "`actbench list configs` lists the shipped ones" in problem.message


def test_the_starter_names_every_key_and_commands_of_its_own_file(empty_folder: Path) -> None:
    text = starter(empty_folder / "my study.yaml")
    study = Study.from_text(text, source="my-study.yaml")
    models: tuple[type[BaseModel], ...] = (Study, Training, Augment, HealthSettings)
    keys = [name for model in models for name in model.model_fields]
    assert [key for key in [*keys, "base", "checkpoint_every", "baseline", "metric"] if f"{key}:" not in text] == []
    assert "actbench run 'my study.yaml'" in text
    assert "THIS_FILE" not in text
    assert study.name == "my-study"
    assert max(map(len, text.splitlines())) <= 120


def test_the_starter_s_commented_keys_are_valid_when_uncommented() -> None:
    lines = starter(Path("x.yaml")).splitlines()
    commented = ("# study:", "# tune:", "  # training.optimizer.lr:", "# zip:", "# exclude:")
    text = "\n".join(line.replace("# ", "", 1) if line.startswith(commented) else line for line in lines)
    study = Study.from_text(text, source="x.yaml")
    assert (study.name, study.tune, len(study.specs())) == ("my-study", ("training.optimizer.lr",), 240)


def test_the_starter_s_cases_are_valid_beside_another_sweep() -> None:
    lines = starter(Path("x.yaml")).splitlines()
    cases = "\n".join(line.removeprefix("# ") for line in lines if line.startswith(("# cases:", "# case:")))
    assert Study.from_text(cases).levels == {"case": ("usual", "clipped")}


@pytest.mark.parametrize(
    ("key", "default"),
    [("seeds", 5), ("description", None), *((f"training.{key}", None) for key in Training.model_fields)],
)
def test_the_defaults_that_the_starter_names_are_those_of_the_program(key: str, default: object) -> None:
    section, _, name = key.rpartition(".")
    lines = starter(Path("x.yaml")).splitlines()
    (index,) = [at for at, line in enumerate(lines) if line.strip().startswith(f"{name}:")]
    above = []
    while lines[index - 1].strip().startswith("#"):
        index -= 1
        above.insert(0, lines[index].strip("# "))
    found = Study(study="x")
    value = getattr(found.training if section else found, name)
    shown = {
        "seeds": 5,
        "clip_norm": "null",
        "augment": "null",
        "description": "none",
        "drop_last": "false",
        "patience": "null",
    }.get(name, value)
    shown = getattr(shown, "name", shown)
    assert f"Default: {shown}" in " ".join(above)


def test_a_shipped_config_may_be_a_base(empty_folder: Path) -> None:
    (empty_folder / "own").mkdir()
    (empty_folder / "own" / "mine.yaml").write_text("base: smoke\nseeds: 1\n")
    study = Study.from_yaml("own/mine.yaml")
    assert (study.name, len(study.specs())) == ("mine", 6)
    (empty_folder / "own" / "smoke.yaml").write_text(OWN)
    assert len(Study.from_yaml("own/mine.yaml").specs()) == 1


def test_a_shipped_config_in_a_subfolder_may_be_a_base(empty_folder: Path) -> None:
    (empty_folder / "own").mkdir()
    (empty_folder / "own" / "mine.yaml").write_text("base: published/uva_activations\nseeds: 2\n")
    study = Study.from_yaml("own/mine.yaml")
    assert (study.name, len(study.specs())) == ("mine", 12)
    (empty_folder / "own" / "published").mkdir()
    (empty_folder / "own" / "published" / "uva_activations.yaml").write_text(OWN)
    assert len(Study.from_yaml("own/mine.yaml").specs()) == 2


@pytest.mark.slow
def test_a_wheel_holds_kernels_and_configs_and_finds_them_in_an_empty_folder(empty_folder: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(empty_folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (empty_folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(empty_folder / "site")
        names = archive.namelist()
    kernels = {Path(name).name for name in names if name.startswith("actbench/nn/native/")}
    assert kernels == {path.name for path in (ROOT / "actbench/nn/native").iterdir() if path.is_file()}
    configs = {name.removeprefix("actbench/configs/") for name in names if name.startswith("actbench/configs/")}
    files = [path for path in (ROOT / "configs").rglob("*") if path.is_file()]
    assert configs == {path.relative_to(ROOT / "configs").as_posix() for path in files}
    assert not [name for name in names if not name.startswith(("actbench/", "activation_bench-"))]
    code = (
        f"import sys; sys.path.insert(0, {str(empty_folder / 'site')!r}); import actbench\n"
        "from actbench.cli import main\n"
        "print(actbench.__file__, flush=True)\n"
        "sys.argv = ['actbench', *sys.argv[1:]]; main()"
    )
    (empty_folder / "work").mkdir()
    for words, sign in (
        (("plan", "quickstart"), "96 to do"),
        (("plan", "published/uva_activations"), "60 to do"),
        (("list", "configs"), "dying_relu"),
        (("list", "configs"), "published/uva_activations"),
        (("init",), "study"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=empty_folder / "work", capture_output=True, text=True, check=True
        )
        where, _, printed = done.stdout.partition("\n")
        assert where.startswith(str(empty_folder / "site"))
        assert sign in printed
