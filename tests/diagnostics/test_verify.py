"""``actbench verify`` as a user meets it: what it prints, how it ends, and that a wrong expectation is noticed."""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from actbench import cli
from actbench.diagnostics.verification import GROUPS, Check, Folders, published, run_checks, share_check
from actbench.errors import DatasetError, UnknownNameError
from actbench.health.theory import closed_forms

Verify = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Verify:
    """The command in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["actbench", "verify", "--data-dir", str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (ended.value.code or 0, *capfd.readouterr())

    return run


def idx(folder: Path, images: int) -> Path:
    """A folder with four IDX files of black images."""
    for part in ("train", "t10k"):
        pixels = struct.pack(">4B3I", 0, 0, 8, 3, images, 28, 28) + bytes(images * 784)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, images) + bytes(images))
    return folder


SLOW = {"signal": pytest.mark.slow}


@pytest.mark.parametrize("group", [pytest.param(group, marks=SLOW.get(group, ())) for group in GROUPS])
def test_every_group_of_checks_holds_here(group: str, verify: Verify) -> None:
    code, out, _ = verify(group)

    assert code == 0
    assert "MISS" not in out
    assert out.splitlines()[0].split() == ["check", "expected", "measured", "tolerance", "source"]


def test_a_wrong_expectation_is_a_miss_and_ends_with_1(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(closed_forms.SECOND_MOMENTS, "relu", 0.51)
    code, out, _ = verify("constants")
    (line,) = (line for line in out.splitlines() if "MISS" in line and "E[f" in line)

    assert code == 1
    assert line.split()[:5] == ["E[f(Z)²]", "of", "relu", "0.51", "0.5"]
    assert out.splitlines()[-1].endswith("1 MISS") or out.splitlines()[-1].startswith("1 MISS")


def test_json_holds_every_check_with_its_numbers(verify: Verify) -> None:
    code, out, _ = verify("constants", "--json")
    found = json.loads(out)

    assert code == 0
    assert set(found[0]) == {"check", "expected", "measured", "tolerance", "source", "verdict", "skipped"}
    assert found[0]["expected"] == [0.5]
    assert {one["verdict"] for one in found} == {"ok"}
    assert len(found) == len(closed_forms.SECOND_MOMENTS) + len(closed_forms.MINIMA) + 1


def test_an_unknown_group_is_refused_with_the_nearest(verify: Verify) -> None:
    code, _, err = verify("silense")

    assert code == 2
    assert "did you mean 'silence'?" in err


def test_nothing_is_checked_before_all_groups_are_known(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        run_checks(["cohort", "other"], Folders(tmp_path))


def test_without_fashion_mnist_the_published_table_is_skipped_not_missed(
    verify: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "DEBIAN", tmp_path)
    code, out, _ = verify("published")

    assert code == 0
    assert "apt-get install dataset-fashion-mnist" in out
    assert str(tmp_path / "FashionMNIST" / "raw") in out
    assert out.splitlines()[-1] == "1 skipped"


def test_other_images_give_another_table(tmp_path: Path) -> None:
    (check,) = run_checks(["published"], Folders(tmp_path, idx(tmp_path, 60_000)))

    assert check.verdict == "MISS"
    assert sum(check.measured) > 300, "on one and the same image about half of all units are dead"


def test_a_folder_that_was_asked_for_has_to_hold_the_set(tmp_path: Path, verify: Verify) -> None:
    code, _, err = verify("published", "--fashion-mnist", str(tmp_path))
    assert code == 2
    assert "no train-images-idx3-ubyte" in err

    with pytest.raises(DatasetError, match=r"\(12, 1, 28, 28\), not Fashion-MNIST's"):
        list(run_checks(["published"], Folders(tmp_path, idx(tmp_path, 12))))


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [((1.0, 2.1), "ok"), ((1.0, 2.3), "MISS"), ((1.0, math.nan), "MISS"), ((math.inf, 2.0), "MISS")],
)
def test_every_number_has_to_lie_within_the_tolerance(measured: tuple[float, ...], verdict: str) -> None:
    check = Check("two numbers", (1.0, 2.0), measured, 0.2, "here")

    assert check.verdict == verdict
    json.dumps(check.to_json(), allow_nan=False)


def test_a_share_may_be_four_standard_errors_off() -> None:
    hits = [True] * 70 + [False] * 30

    assert share_check("coin", 0.5, hits, "here").verdict == "ok"
    assert share_check("coin", 0.5, [*hits[:69], True, True, *hits[71:]], "here").verdict == "MISS"
