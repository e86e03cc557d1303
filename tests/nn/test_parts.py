"""Parts of neighbouring runs: cut and joined without a change of a number or of the memory format."""

from __future__ import annotations

import pytest
import torch

from actbench.nn.parts import Parts, cut, join, whole

GENERATOR = torch.Generator().manual_seed(1)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR)


@pytest.mark.parametrize("sizes", [[3], [1, 2], [1, 1, 1]])
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 2, 3, 3)])
def test_cut_and_join_are_inverse(sizes: list[int], shape: tuple[int, ...]) -> None:
    x = random(*shape)
    parts = cut(x, sizes)
    assert [len(part) for part in parts] == sizes
    assert torch.equal(join(list(parts)), x)


def test_join_keeps_the_images_memory_format() -> None:
    parts = [random(1, 4, 2, 6, 6).squeeze(0).contiguous(memory_format=torch.channels_last)[None] for _ in range(3)]
    assert join(parts)[1].is_contiguous(memory_format=torch.channels_last)


def test_a_hidden_layer_is_the_same_whole_or_in_parts() -> None:
    x = random(3, 4, 2, 5)
    parts = Parts(tuple(cut(x, [1, 2])))
    assert whole(x) is x
    assert torch.equal(whole(parts), x)
    assert torch.equal(whole(parts.flatten(2)), x.flatten(2))


def test_the_gradient_of_a_cut_is_that_of_its_parts() -> None:
    x = random(3, 4, 5).requires_grad_()
    parts = cut(x, [2, 1])
    (parts[0].sum() + 3 * parts[1].sum()).backward()
    assert x.grad is not None
    assert x.grad[:, 0, 0].tolist() == [1, 1, 3]
