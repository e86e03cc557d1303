"""Alignment: where a run's numbers begin and end, and that a copy is made only where one is needed."""

from __future__ import annotations

import pytest
import torch

from actbench.nn.alignment import CACHE_LINE, VECTOR_STEP, begins_on_lines, fills_steps, runs_on_lines, whole_steps


@pytest.mark.parametrize("shape", [(3, 16, 4), (4, 7, 5), (2, 3), (1, 7, 5), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_run_begins_on_a_cache_line_with_its_own_numbers(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.arange(float(torch.Size(shape).numel()), dtype=dtype).view(shape)
    runs = runs_on_lines(x)
    assert torch.equal(torch.stack(list(runs)), x)
    assert all(run.data_ptr() % CACHE_LINE == 0 for run in runs)


def test_only_runs_off_a_cache_line_are_copied() -> None:
    x = torch.zeros(4, 8)  # 32 bytes a run: every other one begins on a line
    assert [run.data_ptr() == own.data_ptr() for run, own in zip(runs_on_lines(x), x, strict=True)] == [True, False] * 2
    assert not begins_on_lines(x)
    assert begins_on_lines(torch.zeros(4, 16))


def test_a_single_run_is_aligned_if_it_begins_on_a_line_whatever_its_stride() -> None:
    block = torch.zeros(2, 64)
    assert begins_on_lines(block[1:, :35].unflatten(1, (7, 5)))
    assert not begins_on_lines(block[1:, 1:36].unflatten(1, (7, 5)))


def test_a_share_of_whole_vector_steps_leaves_nothing_over() -> None:
    assert [fills_steps(torch.zeros(2, count)) for count in (31, 32, 33, 64)] == [False, True, False, True]
    assert [fills_steps(torch.zeros(2, count, dtype=torch.bfloat16)) for count in (32, 64)] == [False, True]
    assert all(fills_steps(torch.zeros(2, whole_steps(count * 4) // 4)) for count in range(1, 100))
    assert fills_steps(torch.empty(2, 33, device="meta")), "other devices have no remainder"
    assert VECTOR_STEP % CACHE_LINE == 0
