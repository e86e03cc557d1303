"""The compiled kernels: made once, loaded by all, and torch's own wherever anything about them fails."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from native_kernels import kernels, needs_kernels
from processes import signal_process, wait_until

from actbench.errors import UsageError
from actbench.nn.native import comparison, compiler, library
from actbench.nn.native.compiler import CompilerError, find_compiler

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kernels are compiled on POSIX systems only")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; each call of ``choose`` looks into it as a new process does."""
    monkeypatch.setattr(library, "remembered", library.remembered.__wrapped__)
    monkeypatch.setattr(library, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def kept(folder: Path) -> Path:
    """The library that all tests share, the first of which compiles it, copied into that folder."""
    shared = subprocess.run([sys.executable, "-c", CHOOSE], check=True, capture_output=True, text=True)
    assert shared.stdout.startswith("native")
    folder.mkdir()
    for path in platformdirs.user_cache_path("actbench").glob("kernels-*"):
        shutil.copy(path, folder)
    (found,) = folder.glob("kernels-*.so")
    return found


CHOOSE = "from actbench.nn.native import library; print(library.choose().kernels, library.choose().reason)"


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """A script of sh that CC names in place of a compiler; returns the file in which it notes each call."""
    script, calls = folder / "compiler", folder / "calls"
    script.write_text(f"#!/bin/sh\necho \"$@\" >> '{calls}'\n{text}\n")
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    return calls


def compilations(calls: Path) -> int:
    return sum("-shared" in line for line in calls.read_text().splitlines())


def reason() -> str:
    """Why torch's own kernels are used."""
    found = library.choose()
    assert (found.kernels, found.functions, found.seconds) == ("torch", None, {})
    return found.reason


@needs_kernels
def test_the_kernels_are_compiled_once_and_then_loaded(folder: Path) -> None:
    first, second = library.choose(), library.choose()
    assert first.kernels == second.kernels == "native"
    assert first.reason.startswith("compiled by ")
    assert set(first.seconds) == {"native", "torch"}
    assert (first.seconds, first.reason) == (second.seconds, second.reason)  # measured once
    assert second.functions is not None
    assert set(second.functions) == set(library.SIGNATURES)
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".lock", ".so"]


@needs_kernels
@pytest.mark.slow
def test_processes_that_need_them_at_once_compile_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = " ".join(find_compiler().command)
    calls = stand_in(tmp_path, monkeypatch, f'exec {real} "$@"')
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    three = [subprocess.Popen([sys.executable, "-c", CHOOSE], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {one.communicate()[0].split()[0] for one in three}
    assert said == {"native"}
    assert compilations(calls) == 1


def test_without_a_compiler_torchs_kernels_are_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert reason() == "no C compiler was found (cc, gcc, clang)"
    assert not folder.exists()
    monkeypatch.setenv("CC", "icc -m64")
    assert reason() == "CC names the compiler icc, which is not there"
    monkeypatch.setenv("CC", "'cc")
    assert reason().startswith("CC can't be read: ")


def test_native_kernels_that_are_asked_for_and_missing_are_an_error(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "nowhere/cc")
    with pytest.raises(UsageError, match=r"^--kernels native: CC names the compiler nowhere/cc, which is not there; "):
        library.choose("native")
    assert library.choose("torch").reason == "asked for"
    assert library.choose("auto").kernels == "torch"


def test_a_compiler_that_fails_is_called_once_until_it_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = stand_in(tmp_path, monkeypatch, "echo 'kernels.c: in a function'; echo 'kernels.c:6: error: no'; exit 1")
    assert "failed with code 1: kernels.c:6: error: no (to try again, remove " in reason()
    before = calls.read_text()
    reason()
    assert calls.read_text() == before
    assert not list(folder.glob("building-*"))
    (tmp_path / "compiler").write_text("#!/bin/sh\nexit 2\n")  # another size
    assert "failed with code 2 (to try again" in reason()


def test_a_refused_flag_is_left_out(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(tmp_path, monkeypatch, 'case "$*" in *=native*) echo "error: bad flag"; exit 1;; esac; exit 3')
    compiling = tmp_path / "compiling"
    compiling.mkdir()
    with pytest.raises(CompilerError, match="code 3"):
        find_compiler().compile([Path("kernels.c")], compiling / "kernels.so")
    first, second, third = calls.read_text().splitlines()
    assert "-march=native" in first
    assert "-mcpu=native" in second
    assert "native" not in third


@needs_kernels
@pytest.mark.skipif(platform.machine() != "x86_64", reason="only there a processor may lack the instruction")
def test_without_fused_multiply_add_torchs_kernels_are_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its replacement is a call for each number: right, and slower than torch."""
    real = " ".join(find_compiler().command)
    stand_in(tmp_path, monkeypatch, f'case "$*" in *=native*) exit 1;; esac; exec {real} "$@"')
    assert "failed with code 1: activations.h:" in reason()
    assert "no fused multiply-add" in reason()


def test_a_compiler_that_hangs_is_ended_with_all_that_it_started(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = stand_in(tmp_path, monkeypatch, f"sleep 900 & echo $! > '{tmp_path}/child'; wait")
    monkeypatch.setattr(compiler, "VERSION_SECONDS", 2.0)
    assert "took longer than 2.0 s (to try again, remove " in reason()
    before = calls.read_text() if calls.exists() else ""  # on a machine that is busy enough it does not come so far
    reason()
    assert (calls.read_text() if calls.exists() else "") == before
    if (tmp_path / "child").exists():
        wait_until(lambda: has_ended(tmp_path / "child"))


def has_ended(noted: Path) -> bool:
    """Whether the process whose id a script has noted has ended; it may wait for its new parent to ask for its code."""
    state = Path("/proc") / noted.read_text().strip() / "stat"
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_an_interruption_ends_the_compiler_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No refusal is remembered: the compiler was not to blame."""
    child, cache = tmp_path / "child", tmp_path / "cache"
    waits = f"echo $$ > '{child}.new'; mv '{child}.new' '{child}'; exec sleep 900"
    stand_in(tmp_path, monkeypatch, f'case "$*" in *-shared*) {waits};; esac; echo compiler 1')
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    with subprocess.Popen([sys.executable, "-c", CHOOSE], stderr=subprocess.PIPE) as process:
        wait_until(child.exists, process)
        signal_process(process, signal.SIGINT)
        assert b"KeyboardInterrupt" in process.communicate()[1]
    wait_until(lambda: has_ended(child))
    assert [path.name for path in cache.glob("actbench/*")] == ["kernels.lock"]


def test_an_output_that_is_no_library_is_not_loaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = 'while [ "$1" != -o ] && [ $# -gt 1 ]; do shift; done; [ -z "$2" ] || echo text > "$2"'
    calls = stand_in(tmp_path, monkeypatch, put)
    assert "the compiled library can't be loaded" in reason()
    assert compilations(calls) == 1
    reason()
    assert compilations(calls) == 1


def test_without_a_folder_to_keep_them_in_torchs_kernels_are_used(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("in the way")
    stand_in(tmp_path, monkeypatch, "exit 1")
    assert reason() == f"nothing can be kept in {folder}"
    assert "can't keep compiled kernels" in caplog.text


def test_where_no_file_can_be_kept_nothing_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process would: neither the library nor a failure could be remembered."""
    calls = stand_in(tmp_path, monkeypatch, "exit 1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
    done = subprocess.run([sys.executable, "-c", limit + CHOOSE], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("torch nothing can be kept in ")
    assert not calls.exists()
    assert not list(tmp_path.glob("cache/actbench/building-*"))


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("damage", [b"", b"\x7fELF and no more"], ids=["empty", "cut off"])
def test_a_damaged_library_is_made_anew(kept: Path, damage: bytes) -> None:
    whole = kept.read_bytes()
    kept.write_bytes(damage)
    assert library.choose().kernels == "native"
    assert len(kept.read_bytes()) == len(whole)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"refused": "x"}', '{"refused": "", "sha256": 3}'])
def test_damaged_facts_are_found_out_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    calls = stand_in(tmp_path, monkeypatch, "exit 1")
    reason()
    before = len(calls.read_text().splitlines())
    (about,) = folder.glob("kernels-*.json")
    about.write_text(content)
    reason()
    assert len(calls.read_text().splitlines()) == 2 * before


@needs_kernels
def test_a_library_for_another_processor_is_never_loaded(kept: Path, folder: Path) -> None:
    """Its name holds a digest of the processor, the sources and the rest: here it is one for others."""
    other = kept.with_name("kernels-0123456789abcdef.so")
    kept.rename(other)
    kept.with_suffix(".json").rename(other.with_suffix(".json"))
    other.write_bytes(b"it would end the process")
    assert library.choose().kernels == "native"
    assert kept.exists()


WRONG = "'-D__builtin_fmaf(a,b,c)=((a)*(b)-(c))'"
DEADLY = "'-D__builtin_fmaf(a,b,c)=(__builtin_trap(),0.0f)'"


@needs_kernels
def test_kernels_that_compute_wrongly_are_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"{' '.join(find_compiler().command)} {WRONG}")
    assert "compiles them wrongly: value of elu" in reason()
    (about,) = folder.glob("kernels-*.json")
    assert "compiles them wrongly" in json.loads(about.read_text())["refused"]


@needs_kernels
@pytest.mark.parametrize(
    "name",
    ["activate", "activate_backward", "cross_entropy", "column_sums", "max_pool", "max_pool_backward", "observe_units"],
)
def test_a_kernel_that_writes_nothing_is_noticed(name: str) -> None:
    assert not list(comparison.differences(kernels()))
    assert list(comparison.differences({**kernels(), name: lambda *arguments: None}))


@needs_kernels
@pytest.mark.slow
def test_kernels_that_end_the_process_are_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"{' '.join(find_compiler().command)} {DEADLY}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options: dict[str, Any] = {"capture_output": True, "text": True}
    assert subprocess.run([sys.executable, "-c", CHOOSE], **options).returncode < 0
    second = subprocess.run([sys.executable, "-c", CHOOSE], **options)
    assert second.returncode == 0
    assert second.stdout.startswith("torch a process ended while it tried them out (to try again, remove ")


@needs_kernels
def test_kernels_are_in_use_within_their_context_alone() -> None:
    found = library.load()
    assert library.name_in_use() == "torch"
    with library.use_kernels(found):
        assert (library.name_in_use(), library.in_use()) == ("native", found)
        with library.use_kernels(None):
            assert library.name_in_use() == "torch"
        assert library.in_use() is found
    assert library.in_use() is None


def test_every_function_of_the_library_has_a_signature() -> None:
    """A function that is not static can be called; without its types ctypes would pass a pointer as an int."""
    text = "\n".join((library.FOLDER / name).read_text("utf-8") for name in library.SOURCES)
    defined = {line.split("(")[0].split()[1] for line in text.splitlines() if line.startswith("void ")}
    assert defined == set(library.SIGNATURES)
    assert {path.name for path in library.FOLDER.glob("*.c")} == set(library.SOURCES)
