"""Train a user's own ``nn.Module`` as a model, in a cohort of one.

The config names a factory, ``{name: mine, path: package.module:attribute, width: 64}``. It is called with those of
``activation``, ``shape`` and ``classes`` that it has parameters for, and with the config's other options.
``activation()`` makes a fresh ``nn.Module`` standing for the run's activation: used in ``forward`` like ``nn.ReLU()``,
it lets one factory serve every activation, and it is how health sees the units.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from actbench.errors import ModelError
from actbench.nn.initializers import Initializer
from actbench.nn.layers import Activate
from actbench.nn.networks import ActivationOf, reset_calls
from actbench.nn.rng import stream
from actbench.nn.running_statistics import BATCH_NORM, normalisations, norms_shown
from actbench.nn.torch_draws import TorchInitializer
from actbench.nn.unit_axes.layout import UnitLayout
from actbench.nn.unit_axes.torch_calls import held_tensors, uncompiled
from actbench.nn.unit_axes.tracker import FollowedPass
from actbench.schema import registry
from actbench.schema.components import Component
from actbench.system import user_code

LINEAR = (nn.Linear, nn.Conv2d)
"""Layers whose weights and biases start as the run's ``weight_init`` and ``bias_init`` say; others as they are made."""


class RunActivation(nn.Module):
    """Stand for the run's activation inside a user's module; the cohort supplies the function before each pass.

    Args:
        unit_axis: The dimension of its input that holds the units, where it can't be followed from the layers before.
    """

    def __init__(self, unit_axis: int | None = None) -> None:
        super().__init__()
        self.layer = ""
        self.calls = 0
        self.act: Activate | None = None
        self.followed: FollowedPass | None = None
        self.layouts: dict[str, UnitLayout] = {}
        self._unit_axis = unit_axis

    def forward(self, z: Tensor) -> Tensor:
        """Return f(z) for z of any shape, examples first; a second call in one pass is a second layer.

        Raises:
            ModelError: When z is no tensor of real numbers that can be looked at, or when the units are others than in
                the pass that counted them.
        """
        if self.act is None:
            raise ModelError(
                "the run's activation was called outside of a training or evaluation pass, such as in the backward "
                "pass of torch.utils.checkpoint; leave that out"
            )
        _check_pre_activations(self.layer, z)
        self.calls += 1
        layer = self.layer if self.calls == 1 else f"{self.layer}#{self.calls}"
        if self.followed is not None:
            self.layouts[layer] = self.followed.layout_of(z, self._unit_axis)
        layout = self.layouts.get(layer)
        if layout is None and not self.act.training:
            raise ModelError(f"'{layer}' is called now, but was not when the layers were counted on one zero image")
        if layout is not None and not layout.fits(z.shape):
            raise ModelError(
                f"'{layer}' had {layout.units} units when the layers were counted on one zero image; its input of "
                f"shape {tuple(z.shape)} has others"
            )
        return self.act(layer, z.unsqueeze(0), layout).squeeze(0)


def _check_pre_activations(layer: str, z: Any) -> None:
    if not isinstance(z, Tensor):
        raise ModelError(f"'{layer}' was called with {type(z).__name__}, not with a tensor")
    if z.is_complex():
        raise ModelError(f"'{layer}' was called with complex numbers; call one activation on z.real and one on z.imag")
    if torch._C._functorch.is_functorch_wrapped_tensor(z):
        raise ModelError(
            f"'{layer}' was called inside a function transform (torch.vmap, torch.func.grad …), where its units "
            "can't be looked at; call it outside, on all examples at once"
        )


class _LayerList:
    """List the layers that a module activates, with their units, and pass z through: an ``Activate`` for one image."""

    training = watches_norms = as_script = False
    sizes = (1,)

    def __init__(self) -> None:
        self.layers: dict[str, UnitLayout] = {}

    def __call__(self, layer: str, z: Any, units: UnitLayout | None = None) -> Any:
        if units is not None:
            self.layers[layer] = units
        return z

    def before_norm(self, name: str, x: Tensor, mean: Tensor, variance: Tensor) -> None:
        raise NotImplementedError("a pass for the shapes alone watches no normalisation")

    def uniform(self, x: Tensor) -> Tensor:
        raise NotImplementedError("a pass for the shapes alone draws nothing")

    def torch_dropout_noise(self, x: Tensor, rate: float) -> Tensor | None:
        raise NotImplementedError("a pass for the shapes alone draws nothing")


class UserModule:
    """Make a ``Model`` of a user's module; its parameters lie in the cohort's stack, its buffers in the module."""

    cpu_cohort: ClassVar[int] = 1
    evaluation_batch: ClassVar[int] = 250
    expands: ClassVar[bool] = False

    def __init__(self, component: Component) -> None:
        self._path = str(component.path)
        self._factory = user_code.contained_import(registry.import_object, self._path)
        self._options = {key: value for key, value in component.options.items() if key != "path"}
        self._module: nn.Module | None = None
        self._numbers: torch.Generator | None = None
        self._lend: Callable[[torch.Generator, torch.device], AbstractContextManager[None]] = _lent

    @property
    def normalises_over_batch(self) -> bool:
        """Whether the module that was last made has a layer that normalises over the batch."""
        layers = () if self._module is None else self._module.modules()
        return any(isinstance(layer, BATCH_NORM) for layer in layers)

    def hidden_layers(self, shape: tuple[int, int, int], classes: int) -> dict[str, int]:
        """Return each ``RunActivation`` that a pass of one zero image meets, by its name in the module, with its units.

        Raises:
            ModelError: When the module fails on such an image or returns no logits, or when the units of a layer can't
                be followed.
        """
        return {layer: layout.units for layer, layout in self._layouts(shape, classes).items()}

    def _layouts(self, shape: tuple[int, int, int], classes: int) -> dict[str, UnitLayout]:
        """Return where the units of each activation lie, in the order in which one zero image meets them."""
        module = self._module or self._make(shape, classes)
        found = _LayerList()
        dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
        image = torch.zeros(1, *shape, dtype=dtype)
        with torch.no_grad(), _bound(module, found), _followed(module, image):
            try:
                logits = user_code.contained_call(module)(image)
            except Exception as error:
                raise ModelError(f"{self._path}: forward fails on an image of shape {shape}: {error}") from error
        if not isinstance(logits, Tensor) or logits.shape != (1, classes):
            raise ModelError(f"{self._path}: forward should return logits of shape (examples, {classes})")
        if classes > 1 and bool((logits >= 0).all()) and abs(float(logits.sum()) - 1) < 1e-4:
            raise ModelError(
                f"{self._path}: forward returns probabilities (they sum to 1); leave out the softmax and return "
                "logits, since the loss applies it"
            )
        for layer, layout in found.layers.items():
            if not layout.certain:
                raise ModelError(
                    f"{self._path}: which dimension of the input of '{layer}' holds its units can't be followed from "
                    "the layers before it; name it where the module makes that activation: activation(unit_axis=1)"
                )
        return found.layers

    def init(self, initializer: Initializer, shape: tuple[int, int, int], classes: int) -> dict[str, Tensor]:
        """Return the parameters of a fresh module, its linear and convolution layers started as the config says."""
        if isinstance(initializer, TorchInitializer):
            self._numbers, self._lend = initializer.generator, _lent_whole
        else:
            self._numbers, self._lend = stream(initializer.spec.seed, "module"), _lent
        lent = self._lend(self._numbers, torch.device("cpu"))
        module = self._make(shape, classes, lent).to(initializer.dtype)
        tensors = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
        if not tensors:
            raise ModelError(f"{self._path}: the module has no parameters to train")
        prefixes = [f"{name}." if name else "" for name, layer in module.named_modules() if isinstance(layer, LINEAR)]
        layers = [prefix for prefix in prefixes if f"{prefix}weight" in tensors]  # a tied weight has only one name
        for prefix in layers:
            has_bias = f"{prefix}bias" in tensors
            if isinstance(initializer, TorchInitializer):  # the module has drawn them already, in its own order
                initializer.adopt(tensors[f"{prefix}weight"])
                if has_bias:
                    bias = initializer.started(tensors[f"{prefix}bias"], output=prefix == layers[-1])
                    tensors[f"{prefix}bias"] = self._bias(bias, prefix)
                continue
            tensors[f"{prefix}weight"], bias = initializer.weight_and_bias(
                tuple(tensors[f"{prefix}weight"].shape),
                name=prefix.removesuffix("."),
                first=prefix == layers[0],
                output=prefix == layers[-1],
                has_bias=has_bias,
            )
            if has_bias:
                tensors[f"{prefix}bias"] = self._bias(bias, prefix)
        return tensors

    def apply(self, params: Mapping[str, Tensor], x: Tensor, act: Activate) -> Tensor:
        """Return logits (1, B, classes) for x (1, B, C, H, W)."""
        module, numbers = self._made()
        if x.shape[0] != 1:
            raise ModelError(f"{self._path}: a user's module trains as a cohort of one")
        module.to(x.device)
        own = {name: params[name].squeeze(0) for name, _ in module.named_parameters()}
        # A pass that only prepares a measurement leaves the stream where it stands; so does evaluation in a script's
        # order, which has passes of its own.
        measures = act.watches_norms or (self._lend is _lent_whole and not act.training)
        with self._lend(numbers.clone_state() if measures else numbers, x.device), _bound(module, act):
            logits: Tensor = user_code.contained_call(torch.func.functional_call)(module, own, (x.squeeze(0),))
        return logits.unsqueeze(0)

    def network(
        self, tensors: Mapping[str, Tensor], activation: ActivationOf, shape: tuple[int, int, int], classes: int
    ) -> nn.Module:
        """Return the user's module with these parameters and buffers, and other activations in the place of its own.

        Raises:
            ModelError: When the module can't be made, or fails on an image.
        """
        with torch.random.fork_rng([]):  # making a module draws weights, which are replaced below
            layouts = self._layouts(shape, classes)
        module = self._module
        assert module is not None
        for name, parameter in module.named_parameters():
            parameter.data = tensors[name]
        self._set_buffers({name: tensors[name] for name, _ in module.named_buffers()})
        made: dict[nn.Module, nn.Module] = {}
        for name, layer in list(module.named_modules(remove_duplicate=False)):
            if isinstance(layer, RunActivation):
                if layer not in made:
                    calls = {call: units for call, units in layouts.items() if call.partition("#")[0] == layer.layer}
                    made[layer] = activation(layer.layer, calls)
                module.set_submodule(name, made[layer])
        reset_calls(module)
        return module

    def state(self) -> dict[str, Any]:
        """Return what training changes besides the stack: the stream of the module's random layers, and its buffers."""
        module, numbers = self._made()
        buffers = {name: buffer.detach().clone() for name, buffer in module.named_buffers()}
        return {"numbers": numbers.get_state(), "buffers": buffers}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        _, numbers = self._made()
        numbers.set_state(state["numbers"].cpu())
        self._set_buffers(state["buffers"])

    def _set_buffers(self, buffers: Mapping[str, Tensor]) -> None:
        module = self._module
        assert module is not None
        for name, buffer in buffers.items():
            owner, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(owner), attribute, buffer)

    def _made(self) -> tuple[nn.Module, torch.Generator]:
        if self._module is None or self._numbers is None:
            raise ModelError(f"{self._path}: a user's module trains after init")
        return self._module, self._numbers

    def _bias(self, bias: Tensor | None, prefix: str) -> Tensor:
        if bias is None:
            layer = prefix.removesuffix(".")
            raise ModelError(f"{self._path}: bias_init is null, but '{layer}' has a bias; build it with bias=False")
        return bias

    def _make(
        self, shape: tuple[int, int, int], classes: int, lent: AbstractContextManager[None] | None = None
    ) -> nn.Module:
        """Call the factory with what it has parameters for, and name the activations in what it made.

        Args:
            shape: (C, H, W) of one image.
            classes: Number of classes.
            lent: Lends the global generator numbers of the run's own; None where what the factory draws is replaced.
        """
        offered = {"activation": RunActivation, "shape": shape, "classes": classes}
        wanted = inspect.signature(self._factory).parameters
        try:
            # Inside, so that the lent generator's state is read before the global one is put back.
            with user_code.contained(self._path.partition(":")[0]), lent or nullcontext():
                module = self._factory(**{k: v for k, v in offered.items() if k in wanted}, **self._options)
        except Exception as error:
            raise ModelError(f"{self._path}: the factory fails: {type(error).__name__}: {error}") from error
        if not isinstance(module, nn.Module):
            raise ModelError(f"{self._path}: the factory returned {type(module).__name__}, not an nn.Module")
        for name, layer in module.named_modules():
            if isinstance(layer, RunActivation):
                layer.layer = name
        self._module = module
        return module


@contextmanager
def _followed(module: nn.Module, image: Tensor) -> Iterator[None]:
    """Follow the units to the module's activations during one pass, code that was compiled included."""
    found = [layer for layer in module.modules() if isinstance(layer, RunActivation)]
    followed = FollowedPass(module.parameters(), [*module.buffers(), *held_tensors(module)], [image])
    for layer in found:
        layer.followed, layer.layouts = followed, {}
    try:
        with uncompiled(), followed:
            yield
    finally:
        for layer in found:
            layer.followed = None


@contextmanager
def _bound(module: nn.Module, act: Activate) -> Iterator[None]:
    """Let the module's activations call ``act`` during one pass, in its mode."""
    found = [layer for layer in module.modules() if isinstance(layer, RunActivation)]
    trained: dict[str, nn.Module] = {}
    if act.watches_norms:  # those that the module's own train() leaves in evaluation mode use their statistics always
        module.train()
        trained = {name: layer for name, layer in normalisations(module).items() if layer.training}
    module.train(act.training)
    for layer in found:
        layer.act, layer.calls = act, 0
    try:
        with norms_shown(trained, act.before_norm):
            yield
    finally:
        for layer in found:
            layer.act = None


@contextmanager
def _lent(numbers: torch.Generator, device: torch.device) -> Iterator[None]:
    """Seed the global generators, from which ``nn.Dropout`` draws, from the run's own, and put them back afterwards.

    A fresh seed for every pass, drawn on the CPU, so that neither the device nor what ran before it decides the draw.
    """
    seed = int(torch.randint(2**62, (), generator=numbers))
    others = [] if device.type == "cpu" else [device.index or 0]
    with torch.random.fork_rng(others, device_type="cuda" if device.type == "cpu" else device.type):
        torch.default_generator.manual_seed(seed)  # torch.random.manual_seed would move the GPUs' streams as well
        if device.type != "cpu":
            torch.get_device_module(device).manual_seed(seed)
        yield


@contextmanager
def _lent_whole(numbers: torch.Generator, device: torch.device) -> Iterator[None]:
    """Let the global generator of the CPU be this one for a while, as it is in a script that seeds it once."""
    with torch.random.fork_rng([]):
        torch.default_generator.set_state(numbers.get_state())
        yield
        numbers.set_state(torch.default_generator.get_state())
