"""HealthCallback in a plain loop and behind the hooks that Lightning and Keras look up by name."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from handmade import ALIVE, DEAD, X, fixed, net
from torch import Tensor, nn

from actbench import HealthCallback
from actbench.errors import UsageError


def network() -> nn.Module:
    return net(fixed(1, ALIVE, DEAD, ALIVE), nn.ReLU(), fixed(3, 0.0))


def train(module: nn.Module, epoch: int) -> None:
    """One unit dies in epoch 1, the one born dead is revived in epoch 2."""
    with torch.no_grad():
        if epoch == 1:
            module[0].bias[0] = DEAD
        elif epoch == 2:
            module[0].bias[1] = ALIVE


EXPECTED = [
    {"epoch": 0, "dead": 1, "born_dead": 1, "died": 0, "revived": 0, "lost": 0, "first_death": None},
    {"epoch": 1, "dead": 2, "born_dead": 1, "died": 1, "revived": 0, "lost": 1, "first_death": 1},
    {"epoch": 2, "dead": 1, "born_dead": 1, "died": 0, "revived": 1, "lost": 1, "first_death": 1},
]


def told(callback: HealthCallback) -> list[dict[str, Any]]:
    rows = [{**row["layers"][0], **row} for row in callback.history]
    return [{key: row[key] for key in EXPECTED[0]} for row in rows]


def test_a_plain_loop() -> None:
    module, callback = network(), HealthCallback(X)
    callback.measure(module, 0)
    for epoch in (1, 2):
        train(module, epoch)
        report = callback.measure(module, epoch)
    assert report is callback.report
    assert report.layers[0].dead_mask.tolist() == [True, False, False]
    assert told(callback) == EXPECTED
    json.dumps(callback.history)


LIGHTNING_HOOKS = ("setup", "on_fit_start", "on_train_start", "on_train_epoch_start", "on_train_batch_start",
                   "on_train_batch_end", "on_train_epoch_end", "on_fit_end", "teardown")  # fmt: skip


def lightning_fit(callbacks: list[Any], module: nn.Module, epochs: int) -> None:
    """Calls hooks as Lightning's trainer does: every callback must answer to every name."""
    trainer = SimpleNamespace(current_epoch=0, callbacks=callbacks)

    def call(hook: str, *arguments: Any) -> None:
        for callback in callbacks:
            assert callback.state_key
            getattr(callback, hook)(trainer, module, *arguments)

    call("setup", "fit")
    call("on_fit_start")
    for epoch in range(epochs):
        trainer.current_epoch = epoch
        train(module, epoch + 1)
        call("on_train_batch_end", None, None, 0)
        call("on_train_epoch_end")
    call("teardown", "fit")


def test_lightnings_hooks() -> None:
    callback = HealthCallback(X)
    lightning_fit([callback], network(), 2)
    assert told(callback) == EXPECTED
    assert callback.state_dict() == {}
    assert all(callable(getattr(callback, hook)) for hook in LIGHTNING_HOOKS)


def test_a_trainers_own_base_class_can_be_added() -> None:
    class Callback:
        def on_train_batch_start(self, *arguments: Any) -> str:
            return "theirs"

    class Health(HealthCallback, Callback):
        pass

    callback = Health(X, every=2)
    lightning_fit([callback], network(), 2)
    assert [row["epoch"] for row in callback.history] == [0, 2]
    assert callback.on_train_batch_start() == "theirs"


def test_a_layer_that_is_not_called_at_every_epoch_keeps_its_history() -> None:
    class Chooses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts, self.chosen = nn.ModuleList(network() for _ in range(2)), 0

        def forward(self, x: Tensor) -> Tensor:
            return self.experts[self.chosen](x)

    module, callback = Chooses(), HealthCallback(X)
    for epoch, chosen in enumerate((0, 1, 0)):
        module.chosen = chosen
        train(module.experts[0], epoch)
        callback.measure(module, epoch)
    names = [[layer["name"] for layer in row["layers"]] for row in callback.history]
    assert names == [["experts.0.1"], ["experts.1.1"], ["experts.0.1"]]
    assert [row["unused"] for row in callback.history][1] == ["experts.0.0", "experts.0.2"]
    last = callback.history[-1]["layers"][0]
    assert {key: last[key] for key in ("born_dead", "died", "revived", "lost")} == {
        "born_dead": 1, "died": 1, "revived": 1, "lost": 1
    }  # fmt: skip


def test_keras_hooks() -> None:
    module, callback = network(), HealthCallback(X)
    with pytest.raises(UsageError, match="set_model"):
        callback.on_epoch_end(0)
    callback.set_params({"epochs": 2})
    callback.set_model(module)
    callback.on_train_begin()
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        train(module, epoch + 1)
        callback.on_train_batch_end(0, logs={})
        callback.on_epoch_end(epoch, {"loss": 1.0})
    callback.on_train_end(logs=None)
    assert told(callback) == EXPECTED


def test_options_reach_the_measurement_and_others_are_no_hooks() -> None:
    callback = HealthCallback(X, dead_slope=2.0)
    assert callback.measure(network(), 3).dead == 3
    assert not hasattr(callback, "forward")
    padded = torch.tensor([[-1.0, -1.0, 1.0]]).T.expand(3, 3)[..., None]  # the last step is padding
    masked = HealthCallback(padded.transpose(0, 1), mask=torch.tensor([[1, 1, 0]]).expand(3, 3))
    assert masked.measure(network(), 0).layers[0].dead_mask.tolist() == [True, True, True]
    assert HealthCallback(padded, batch_axis=1).measure(network(), 0).examples == 3
    for wrong in ({"every": 0}, {"inputs": iter([X])}):
        with pytest.raises(UsageError):
            HealthCallback(**{"inputs": X, **wrong})
