"""A config, an archive or a file from a stranger may hold anything: it runs nothing, breaks nothing, reaches nobody."""

from __future__ import annotations

import http.server
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mutations import PIECES, mutated
from pydantic import ValidationError

from actbench.config import Study
from actbench.errors import ConfigError, DatasetError
from actbench.schema.spec import RunSpec

STUDY = """\
study: hostile
dataset: {name: digits, train_size: 200, test_size: 100}
model: {name: mlp, hidden: [8]}
training: {epochs: 1, batch_size: 64}
seeds: 1
"""

WATCHING = """\
import os, sys

FORBIDDEN = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind"}


def watch(event, arguments):
    if event in FORBIDDEN:
        with open(os.environ["WATCHED"], "a") as file:
            file.write(f"{event} {arguments}\\n")
        raise PermissionError(event)


sys.addaudithook(watch)
"""
"""Found by every interpreter that is started with it on its path: the command and its workers."""

LONGEST = 2.0
"""Seconds of computing after which reading a config counts as hanging."""


@pytest.mark.parametrize(
    "name",
    ["../out", "/tmp", ".", "..", "a/b", "a\\\\b", "", ".hidden", "a\\0b", "~", "$HOME", "a b", "a" * 101, "x\\n"],
)
def test_a_study_s_name_can_t_leave_the_results_folder(name: str) -> None:
    for overrides in ([f'study="{name}"'], []):
        text = STUDY if overrides else STUDY.replace("study: hostile", f'study: "{name}"')
        with pytest.raises(ConfigError, match="can't name a study"):
            Study.from_text(text, overrides, source="x.yaml")


@given(name=st.text(max_size=200) | st.sampled_from(["../../x", "..", "/", "\\", "a/../b", "CON", "x" * 500, "\0"]))
def test_a_run_s_folder_is_one_plain_name_whatever_the_activation_is_called(name: str) -> None:
    try:
        folder = RunSpec(activation={"name": name or "x", "path": "somewhere:something"}).run_id
    except ValidationError as error:
        if "is built in" not in str(error):  # then tables could not tell it from another
            raise
        return
    assert Path(folder).parts == (folder,)
    assert not folder.startswith(".")
    assert len(folder) < 100
    assert folder.isascii()


class Hangs(BaseException):
    """Reading took too long."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Computing time of this process, so that a busy machine is not taken for a hang."""

    def stop(number: int, frame: Any) -> None:
        raise Hangs

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def problems_of(text: str) -> str:
    """What the user reads; empty for a valid config. Whatever else is raised goes through."""
    try:
        Study.from_text(text, source="x.yaml")
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.slow
@settings(
    max_examples=1500,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(text=mutated() | st.text() | st.lists(PIECES, max_size=12).map("".join))
def test_many_texts_are_a_study_or_a_clean_error(text: str) -> None:
    with at_most(LONGEST):
        problems = problems_of(text)
    assert "pydantic" not in problems


def test_aliases_can_t_explode() -> None:
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with at_most(LONGEST), pytest.raises(ConfigError, match="aliases are copied"):
        Study.from_text("\n".join(["a0: &a0 [x, x, x]", *levels]), source="x.yaml")


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch executed']",
        "!!python/object/apply:pathlib.Path.touch [executed]",
        "!!python/name:os.system",
        "\"__import__('os').system('touch executed')\"",
        '"x * ().__class__.__bases__[0].__subclasses__()"',
        "\"exec('open(\\\\'executed\\\\', \\\\'w\\\\')')\"",
        "{name: relu, alpha: !!python/object/new:os.system ['touch executed']}",
        "\"max(x, open('executed', 'w'))\"",
    ],
)
def test_no_config_runs_code(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        Study.from_text(f"{STUDY}activation: {value}\n", source="x.yaml").specs()
    assert list(tmp_path.iterdir()) == []


def test_a_path_is_not_imported_while_a_config_is_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "innocent.py").write_text("from pathlib import Path\nPath('executed').touch()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Study.from_text(f"{STUDY}activation: {{name: mine, path: 'innocent:f'}}\n", source="x.yaml").specs()
    assert not (tmp_path / "executed").exists()


def watched(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(WATCHING)
    settings = {"PYTHONPATH": str(folder), "WATCHED": str(folder / "watched"), "ACTBENCH_DATA": str(folder / "data")}
    command = [sys.executable, "-m", "actbench", *arguments]
    return subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, env=os.environ | settings | more
    )


@pytest.mark.slow
def test_nothing_connects_anywhere_but_a_download(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    for arguments in (["run", "study.yaml", "-j", "1"], ["compare", "results"], ["status"]):
        done = watched(tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "watched").exists()
    done = watched(tmp_path, "run", "study.yaml", "--engine", "inline", "dataset=mnist")
    assert done.returncode == 2, "the same watch does see a download"
    assert "socket." in (tmp_path / "watched").read_text()


class Archive(http.server.BaseHTTPRequestHandler):
    """Sends an archive whose members lie outside the folder that it is unpacked in."""

    def do_GET(self) -> None:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for name in ("../escaped", "cifar-10-batches-py/../../escaped"):
                member = tarfile.TarInfo(name)
                member.size = 4
                archive.addfile(member, io.BytesIO(b"evil"))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content.getvalue())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is said."""


def test_an_archive_can_t_write_outside_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    from actbench import datasets
    from actbench.schema.components import resolve

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Archive) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{running.server_port}/cifar-10-python.tar.gz")
        with pytest.raises(DatasetError, match="could not be downloaded"):
            datasets.load(resolve("datasets", "cifar10"), tmp_path / "inner" / "data")
        running.shutdown()
    assert not list(tmp_path.rglob("escaped"))


class Evil:
    """Pickled, it makes whoever unpickles it create a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_the_arrays_of_the_cache_are_never_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from actbench import datasets
    from actbench.schema.components import resolve

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    digits = resolve("datasets", "digits")
    before = datasets.load(digits, tmp_path / "data")
    (array,) = tmp_path.glob("data/actbench-cache/*/train_images.npy")
    np.save(array, np.array([Evil(tmp_path / "executed")], dtype=object), allow_pickle=True)
    after = datasets.load(digits, tmp_path / "data")
    assert not (tmp_path / "executed").exists()
    assert after.fingerprint == before.fingerprint


def test_a_result_that_claims_to_be_anything_is_data(tmp_path: Path) -> None:
    from actbench.storage.reading import read_results

    run = tmp_path / "s" / "runs" / "r"
    run.mkdir(parents=True)
    for content in ("[" * 100_000, '{"schema": 1, "outcome": {"a": []}, "spec": {"activation": 3}}', '"x"', "1e999"):
        (run / "spec.json").write_text(json.dumps({"activation": {"name": "x", "path": "os:system"}}))
        (run / "result.json").write_text(content)
        found = read_results(tmp_path)
        assert len(found) == 0
        assert "s/runs/r: skipped" in found.warnings[0]
