from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import lr_scheduler

from actbench.errors import ConfigError
from actbench.nn.optimizers import OPTIMIZERS, Optimizer, clip_gradients
from actbench.nn.schedules import SCHEDULES
from actbench.schema.components import resolve

SHAPES = [(3, 4, 5), (3, 4), (3,), (3, 2, 3, 2, 2)]  # dimension 0 is the run

TORCHS_OWN: dict[str, Callable[[Sequence[Tensor]], torch.optim.Optimizer]] = {
    "sgd": lambda tensors: torch.optim.SGD(tensors, lr=0.1, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}


def leaves(scale: float = 1.0, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for index, shape in enumerate(SHAPES):
        tensor = torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()
        tensor.grad = scale * torch.randn(shape, generator=generator, dtype=dtype)
        tensors[f"t{index}"] = tensor
    return tensors


def build(choice: Any, tensors: dict[str, Tensor], decayed: Any = None) -> Optimizer:
    optimizer: Optimizer = (
        resolve("optimizers", choice).build().build(tensors, tensors.keys() if decayed is None else decayed)
    )
    return optimizer


def torchs_own(choice: dict[str, Any], tensors: dict[str, Tensor], decayed: Any) -> torch.optim.Optimizer:
    """Return torch's class with the same options, as fused as it can be."""
    options = {"momentum": 0.9} if choice["name"] == "sgd" else {}
    options |= {key: value for key, value in choice.items() if key not in ("name", "weight_decay")}
    options |= {} if choice["name"] == "rmsprop" else {"fused": True}
    decay = choice.get("weight_decay", 0.01 if choice["name"] == "adamw" else 0.0)
    groups = [
        {"params": [tensor for name, tensor in tensors.items() if name in decayed], "weight_decay": decay},
        {"params": [tensor for name, tensor in tensors.items() if name not in decayed], "weight_decay": 0.0},
    ]
    makers: dict[str, Any] = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
    }
    optimizer: torch.optim.Optimizer = makers[choice["name"]](
        [group for group in groups if group["params"]], **{"lr": 0.1} | options
    )
    return optimizer


CHOICES: list[dict[str, Any]] = [
    {"name": "sgd", "momentum": 0.0},
    {"name": "sgd", "momentum": 0.0, "weight_decay": 0.1},
    {"name": "sgd", "weight_decay": 0.1},
    {"name": "sgd", "nesterov": True, "weight_decay": 0.1},
    {"name": "sgd", "dampening": 0.5},
    {"name": "adam", "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1},
    {"name": "adamw", "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1},
    {"name": "rmsprop", "alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1},
    {"name": "rmsprop", "momentum": 0.5, "weight_decay": 0.1},
    {"name": "rmsprop", "momentum": 0.5},
]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_equal_those_of_torch(name: str) -> None:
    ours, theirs = leaves(), leaves()
    one, other = build(name, ours), TORCHS_OWN[name](list(theirs.values()))
    for _ in range(3):
        one.step()
        other.step()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decayed", [[], ["t0", "t2"], ["t0", "t1", "t2", "t3"]], ids=len)
@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_steps_of_changing_rates_and_gradients_equal_torchs_to_the_last_bit(
    choice: dict[str, Any], decayed: list[str], dtype: torch.dtype
) -> None:
    ours, theirs = leaves(dtype=dtype), leaves(dtype=dtype)
    one, other = build(choice, ours, decayed), torchs_own(choice, theirs, decayed)
    generator = torch.Generator().manual_seed(1)
    for step in range(12):
        rate = 0.1 / (1 + step)
        one.set_rate(rate)
        for group in other.param_groups:
            group["lr"] = rate
        for key in ours:
            gradient = torch.randn(ours[key].shape, generator=generator, dtype=dtype)
            for tensors in (ours, theirs):
                tensors[key].grad.copy_(gradient)  # type: ignore[union-attr]
        one.step()
        other.step()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), step


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_an_optimizer_goes_on_from_its_state_as_if_it_had_not_stopped(choice: dict[str, Any], steps: int) -> None:
    ours = leaves()
    optimizer = build(choice, ours, ["t0"])
    for _ in range(steps):
        optimizer.step()
    state = optimizer.state()
    again = {key: tensor.detach().clone().requires_grad_() for key, tensor in ours.items()}
    for key, tensor in again.items():
        tensor.grad = ours[key].grad.clone()  # type: ignore[union-attr]
    for _ in range(2):
        optimizer.step()  # changes nothing of the state that was taken before
    other = build(choice, again, ["t0"])
    other.restore(state)
    for _ in range(2):
        other.step()
    assert all(torch.equal(ours[key], again[key]) for key in ours)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_a_rate_that_lies_in_a_tensor_changes_in_place_and_gives_the_steps_of_a_number(choice: dict[str, Any]) -> None:
    tensors, numbers = leaves(), leaves()
    one, other = build(choice, tensors, ["t0"]), build(choice, numbers, ["t0"])
    one.make_capturable(torch.device("cpu"))
    rate = one.rate
    assert isinstance(rate, Tensor)
    for step in (0.25, 0.125):  # exact in float32
        one.set_rate(step)
        other.set_rate(step)
        one.step()
        other.step()
    assert one.rate is rate
    assert rate.dtype == torch.float32
    assert rate.item() == 0.125
    for key in tensors:
        torch.testing.assert_close(tensors[key], numbers[key], rtol=1e-12, atol=0)


def test_a_parameter_without_memory_for_its_gradient_is_refused() -> None:
    tensors = leaves()
    tensors["t1"].grad = None
    with pytest.raises(ValueError, match="whose gradients have their memory"):
        build("sgd", tensors)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_steps_as_if_it_were_alone(name: str) -> None:
    together = leaves()
    together["t0"].grad[0] = math.nan  # type: ignore[index]
    alone = {key: tensor[1:2].detach().clone().requires_grad_() for key, tensor in together.items()}
    for key, tensor in alone.items():
        tensor.grad = together[key].grad[1:2].clone()  # type: ignore[index]
    one, other = build(name, together), build(name, alone)
    for _ in range(3):
        one.step()
        other.step()
    assert all(torch.equal(together[key][1:2], alone[key]) for key in alone)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_reaches_the_decayed_names_only(name: str) -> None:
    free, decayed, part = leaves(), leaves(), leaves()
    for tensors, names in ((free, []), (decayed, None), (part, ["t0", "t2"])):
        build({"name": name, "weight_decay": 0.1}, tensors, names).step()
    for key, tensor in part.items():
        assert torch.equal(tensor, (decayed if key in ("t0", "t2") else free)[key])
        assert not torch.equal(free[key], decayed[key])


def test_one_group_suffices_where_all_or_none_decay() -> None:
    choice = {"name": "sgd", "weight_decay": 0.1}
    assert [group.decay for group in build(choice, leaves()).groups] == [0.1]
    assert [group.decay for group in build(choice, leaves(), []).groups] == [0.0]
    assert [group.decay for group in build(choice, leaves(), ["t0"]).groups] == [0.1, 0.0]


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"name": "sgd", "lr": 0}, "'lr' should be greater than 0"),
        ({"name": "sgd", "lr": math.nan}, "'lr' should be"),
        ({"name": "sgd", "lr": math.inf}, "'lr' should be"),
        ({"name": "sgd", "lr": "fast"}, "'lr' should be"),
        ({"name": "sgd", "momentum": -0.1}, "'momentum' should be"),
        ({"name": "sgd", "momentum": 0, "nesterov": True}, "'nesterov' needs 'momentum' above 0"),
        ({"name": "sgd", "dampening": 0.1, "nesterov": True}, "'dampening' 0"),
        ({"name": "sgd", "weight_decay": -1}, "'weight_decay' should be"),
        ({"name": "adam", "betas": [0.9, 1.0]}, "less than 1"),
        ({"name": "adam", "betas": [0.9]}, ""),
        ({"name": "adam", "eps": -1}, "'eps' should be"),
        ({"name": "rmsprop", "alpha": -1}, "'alpha' should be"),
        ({"name": "adamm"}, "did you mean 'adam"),
        ({"name": "lbfgs"}, "unknown optimizer 'lbfgs'"),
    ],
)
def test_bad_options_are_refused(choice: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("optimizers", choice)
    assert reason in caught.value.problems[0].message


def test_defaults_given_in_full_are_no_change() -> None:
    given = resolve("optimizers", {"name": "adam", "lr": 0.001, "betas": [0.9, 0.999]})
    assert given.changed == {}
    assert resolve("optimizers", given.to_json()) == given


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_clipping_equals_torchs_for_each_run_alone(scale: float) -> None:
    together = leaves(scale)
    alone = [[tensor.detach()[run].clone().requires_grad_() for tensor in together.values()] for run in range(3)]
    for run, tensors in enumerate(alone):
        for tensor, source in zip(tensors, together.values(), strict=True):
            tensor.grad = source.grad[run].clone()  # type: ignore[index]
        torch.nn.utils.clip_grad_norm_(tensors, 0.7)
    clip_gradients(together.values(), 0.7)
    for run, tensors in enumerate(alone):
        for tensor, source in zip(tensors, together.values(), strict=True):
            torch.testing.assert_close(source.grad[run], tensor.grad, rtol=1e-12, atol=0)  # type: ignore[index]


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_clipping_one_broken_run_leaves_the_others_bits_alone(poison: float) -> None:
    broken, sound = leaves(), leaves()
    broken["t1"].grad[1, 2] = poison  # type: ignore[index]
    clip_gradients(broken.values(), 0.5)
    clip_gradients(sound.values(), 0.5)
    for key in sound:
        assert torch.equal(broken[key].grad[[0, 2]], sound[key].grad[[0, 2]])  # type: ignore[index]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_is_clipped_to_the_same_bits_alone_and_among_others(dtype: torch.dtype, threads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    # torch splits sums of more than 32,768 numbers among threads; the last tensor is one that run 2 lacks
    shapes = [(4, 300, 301), (4, 300), (4, 40_000), (4, 32, 16, 3, 3), (4,), (4, 7)]
    together = [torch.zeros(shape, dtype=dtype) for shape in shapes]
    for tensor in together:
        tensor.grad = torch.randn(tensor.shape, generator=generator, dtype=dtype)
    together[-1].grad[2] = 0  # type: ignore[index]
    alone = [tensor[2:3].clone() for tensor in reversed(together[:-1])]
    for tensor, source in zip(alone, reversed(together[:-1]), strict=True):
        tensor.grad = source.grad[2:3].clone()  # type: ignore[index]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        clip_gradients(together, 1.0)
        clip_gradients(alone, 1.0)
    finally:
        torch.set_num_threads(before)
    for tensor, source in zip(alone, reversed(together[:-1]), strict=True):
        assert torch.equal(tensor.grad, source.grad[2:3])  # type: ignore[index, arg-type]


def test_the_order_of_the_tensors_changes_no_bit_of_a_clipped_gradient() -> None:
    generator = torch.Generator().manual_seed(1)
    sizes = [(3, 50), (3, 7, 11), (3, 400), (3, 5), (3, 90), (3, 2, 3), (3, 33)]
    gradients = [torch.randn(size, generator=generator) * 10.0**index for index, size in enumerate(sizes)]
    first: list[Tensor] = []
    for _ in range(20):
        order = torch.randperm(len(sizes), generator=generator).tolist()
        tensors = [torch.zeros(size) for size in sizes]
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = gradient.clone()
        clip_gradients([tensors[index] for index in order], 1e-3)
        found = [tensor.grad for tensor in tensors if tensor.grad is not None]
        first = first or found
        assert all(map(torch.equal, found, first))


def test_clipping_skips_tensors_without_a_gradient_but_not_all_of_them() -> None:
    tensors = leaves()
    tensors["t1"].grad = None
    clip_gradients(tensors.values(), 0.5)
    squares = sum(
        tensor.grad.square().flatten(1).sum(1) if tensor.dim() > 1 else tensor.grad.square()
        for tensor in tensors.values()
        if tensor.grad is not None
    )
    torch.testing.assert_close(squares, torch.full((3,), 0.25, dtype=torch.float64), rtol=1e-5, atol=0)
    with pytest.raises(ValueError, match="no gradients to clip"):
        clip_gradients([torch.zeros(3, requires_grad=True)], 0.5)


STEPS, PER_EPOCH = 20, 4


def factors(choice: Any, steps: int = STEPS, per_epoch: int = PER_EPOCH) -> list[float]:
    schedule = resolve("schedules", choice).build()
    return [schedule.factor(step, steps, per_epoch) for step in range(steps)]


def torchs(scheduler: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], every: int = 1) -> list[float]:
    """The rates that torch sets for a learning rate of 1, the scheduler being stepped after every so many steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule, found = scheduler(optimizer), []
    for step in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            schedule.step()
    return found


def test_schedules_equal_those_of_torch() -> None:
    pairs: list[tuple[Any, list[float]]] = [
        ("constant", torchs(lambda o: lr_scheduler.LambdaLR(o, lambda _: 1.0))),
        ("cosine", torchs(lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS))),
        ({"name": "cosine", "final": 0.1}, torchs(lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1))),
        ("linear", torchs(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, STEPS))),
        ({"name": "linear", "final": 0.2}, torchs(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, STEPS))),
        ({"name": "step", "every": 2}, torchs(lambda o: lr_scheduler.StepLR(o, 2, 0.1), every=PER_EPOCH)),
        ({"name": "step", "every": 1, "gamma": 0.5}, torchs(lambda o: lr_scheduler.StepLR(o, 1, 0.5), every=PER_EPOCH)),
    ]
    assert {resolve("schedules", choice).name for choice, _ in pairs} == set(SCHEDULES) - {"warmup"}
    for choice, expected in pairs:
        assert factors(choice) == pytest.approx(expected, abs=1e-12)


def with_defaults(name: str) -> dict[str, Any]:
    return {"name": name, "every": 1} if name == "step" else {"name": name}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_warmup_rises_linearly_to_the_full_rate(name: str) -> None:
    found = factors({**with_defaults(name), "warmup_epochs": 1.5}, per_epoch=4)
    assert found[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert all(0 < factor <= 1 for factor in found)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_after_the_warmup_the_decay_takes_the_rest_of_the_run(name: str) -> None:
    assert factors({"name": name, "warmup_epochs": 1})[4:] == pytest.approx(factors(name, steps=STEPS - 4))


def test_warmup_is_one_epoch_then_constant() -> None:
    assert factors("warmup") == [0.25, 0.5, 0.75] + [1.0] * 17


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_shorter_than_its_warmup_only_warms_up(name: str) -> None:
    assert factors({**with_defaults(name), "warmup_epochs": 10}, steps=2) == pytest.approx([1 / 40, 2 / 40])


@pytest.mark.parametrize(
    "choice",
    [
        {"name": "cosine", "warmup_epochs": -1},
        {"name": "cosine", "final": -0.1},
        {"name": "step"},
        {"name": "step", "every": 0},
        {"name": "step", "every": 1, "gamma": 0},
        {"name": "constant", "every": 1},
    ],
    ids=str,
)
def test_bad_schedules_are_refused(choice: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        resolve("schedules", choice)
