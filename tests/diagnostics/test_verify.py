"""``actbench verify`` as a user meets it: what it prints, how it ends, and that a wrong expectation is noticed."""

from __future__ import annotations

import itertools
import json
import math
import operator
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from actbench import cli
from actbench.diagnostics.verification import (
    GROUPS,
    Check,
    Folders,
    bounds_check,
    mean_check,
    published,
    run_checks,
    share_check,
    signal,
)
from actbench.errors import DatasetError, UnknownNameError
from actbench.health.theory import closed_forms, forecast

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


@pytest.fixture
def few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An eighth of the networks: the command takes half a minute of them."""
    monkeypatch.setattr(signal, "NETWORKS", 32)
    monkeypatch.setattr(signal, "SELU_NETWORKS", 8)


@pytest.mark.slow
@pytest.mark.usefixtures("few_networks")
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
    assert set(found[0]) == {"check", "expected", "measured", "tolerance", "source", "verdict", "skipped", "between"}
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
    assert out.splitlines()[-1] == "3 skipped"


def test_other_data_of_the_same_shape_is_no_miss_of_the_published_numbers(tmp_path: Path, verify: Verify) -> None:
    code, out, err = verify("constants", "published", "--fashion-mnist", str(idx(tmp_path, 60_000)))

    assert (code, out) == (2, ""), "before any check"
    assert f"{tmp_path} holds training images of Fashion-MNIST's shape, but others" in err


def test_other_data_where_nobody_asked_for_it_is_skipped_with_the_reason(
    tmp_path: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "DEBIAN", idx(tmp_path, 60_000))
    code, out, _ = verify("constants", "published")

    assert code == 0
    assert "MISS" not in out
    assert f"{tmp_path} holds training images of Fashion-MNIST's shape, but others" in out
    assert out.splitlines()[-1].endswith("3 skipped")


def test_constant_weights_make_the_variances_of_a_sum() -> None:
    """A linear network of equal weights sums its inputs: the variance follows from that of one pixel."""
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    images[1, 0, 0, 0] = 255
    measured = published._variances_of_constant_weights(images)
    pixel = 1 / published.STD  # apart in one pixel; the variance of two values is a quarter of their distance squared
    gains = [published.CONSTANT, *(published.CONSTANT * units for units in published.CONSTANT_SIZES[1:-1])]

    distances = itertools.accumulate(gains, operator.mul, initial=pixel)
    assert measured == pytest.approx([d**2 / 4 for d in itertools.islice(distances, 1, None)], rel=1e-12)


@pytest.mark.slow
def test_a_gain_that_is_three_percent_off_is_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gain = forecast.weight_gain
    monkeypatch.setattr(forecast, "weight_gain", lambda *sizes, **options: 1.03 * gain(*sizes, **options))
    monkeypatch.setattr(signal, "CASES", signal.CASES[1:2])  # tanh
    monkeypatch.setattr(signal, "NETWORKS", 32)
    monkeypatch.setattr(signal, "SELU_NETWORKS", 2)
    checks = {check.name: check.verdict for check in run_checks(["signal"], Folders(tmp_path))}

    assert checks["tanh, lecun_normal: var z, layer 8"] == "MISS"
    assert checks["tanh, lecun_normal: gradient 1/8"] == "MISS"


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


def test_bounds_are_missed_on_either_side_and_by_no_number_at_all() -> None:
    shares = {
        hits: bounds_check("coin", 0.4, 0.6, [True] * hits + [False] * (400 - hits), "here") for hits in (100, 200)
    }

    assert (shares[200].verdict, shares[200].expected, shares[200].measured) == ("ok", (0.4, 0.6), (0.5,))
    assert shares[100].verdict == "MISS"
    assert Check("coin", (0.4, 0.6), (0.75,), 0.1, "here", between=True).verdict == "MISS"
    assert Check("coin", (0.4, 0.6), (math.nan,), 0.1, "here", between=True).verdict == "MISS"


def test_a_mean_may_be_four_standard_errors_off() -> None:
    values = [1.0, 3.0] * 50  # mean 2, standard error 0.1005

    assert mean_check("mean", 2.4, values, "here").verdict == "ok"
    assert mean_check("mean", 2.41, values, "here").verdict == "MISS"


def test_a_share_may_be_four_standard_errors_off() -> None:
    hits = [True] * 70 + [False] * 30

    assert share_check("coin", 0.5, hits, "here").verdict == "ok"
    assert share_check("coin", 0.5, [*hits[:69], True, True, *hits[71:]], "here").verdict == "MISS"
