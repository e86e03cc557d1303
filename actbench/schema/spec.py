"""A run's spec: everything that decides its numbers, and the digest of that, by which results are found again.

How the numbers are computed (device, engine, workers) is in ``runtime``, and may not change them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from actbench.errors import ConfigError, Problem
from actbench.schema.bias_init import BiasInit
from actbench.schema.components import Component, OfKind, Options, expecting, resolve, schema_of
from actbench.schema.unit_groups import group_of

SEMANTICS_VERSION = 1
"""Part of every digest. Raised when a default, or the meaning of a field, changes: old results are then not found."""

PRECISION_SEMANTICS = {"bfloat16": 2}
"""Part of the digest of runs in such a precision, raised when its meaning alone changes: since 2, the network is
evaluated in bfloat16 too."""

MAX_SLUG = 80
"""Characters of a run's id before the digits of its digest: a formula as the activation may be long."""


CASE = "case"
"""The factor that the alternatives of a study's ``cases`` make."""


@dataclass(frozen=True)
class Case:
    """Name the alternative of a study's ``cases`` that a run belongs to.

    Args:
        name: Its name; None for a run of the study's folder that no case describes, such as one of other overrides.
        keys: Every key that any of the alternatives sets: what the name stands for.
    """

    name: str | None
    keys: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name in tables; that of a run without one is no name that a case could have."""
        return "(other)" if self.name is None else self.name


class Augment(Options):
    """Random changes to training images, drawn per example from the run's own stream.

    Attributes:
        crop: Pad by this many pixels of the darkest value on every side, then cut the original size at a random place.
        flip: Mirror left to right with probability 1/2.
    """

    crop: int = Field(default=0, ge=0, le=1000)
    flip: bool = False


class Training(Options):
    """Training settings.

    Attributes:
        epochs: Passes over the training examples; 0 only measures the network at initialisation.
        batch_size: Examples per step; the last batch of an epoch may be smaller.
        drop_last: Leave an epoch's last batch out where it is smaller; the examples in it change from epoch to epoch.
        optimizer: How the weights are updated: ``actbench list optimizers``.
        schedule: The factor on the learning rate over the steps: ``actbench list schedules``.
        decay: Weight decay reaches ``all`` parameters (as torch does) or the ``weights`` alone, sparing biases,
            normalisation and activation parameters.
        loss: What training makes smaller: ``cross_entropy`` of the classes (nats), or ``mse``, the mean squared error
            over examples and outputs; of classes its targets are 1 for the right one and 0 for the others.
        label_smoothing: Share of each target of the cross-entropy that is spread evenly over all classes, in training
            alone: validation and test losses are those of the true classes.
        clip_norm: Largest L2 norm of one run's whole gradient; None leaves it alone.
        patience: A run stops after so many epochs without a better ``monitor`` than in any trained epoch before; None
            trains all epochs.
        select: The epoch whose weights are reported: the ``last``, or the one with the ``best`` ``monitor`` (the first
            of equally good ones, none before training).
        monitor: The validation metric by which ``patience``, ``select`` and ``keep_weights: best`` judge an epoch; of
            targets that are numbers ``val.mse`` stands for either.
        augment: Random crops and flips; None for none.
        revive: What is done between steps about hidden units that hardly answer: ``actbench list revivals``.
        precision: The floating-point type of parameters, activations and gradients. ``tf32``: float32 with matrix
            products from inputs of ten bits (CUDA only). ``bfloat16``: the network is computed in bfloat16, in steps
            and in evaluation, on float32 parameters; the loss, updates and health measures stay in float32.
    """

    epochs: int = Field(default=5, ge=0)
    batch_size: int = Field(default=128, ge=1)
    drop_last: bool = False
    optimizer: Annotated[Component, OfKind("optimizers")] = Field(default_factory=partial(resolve, "optimizers", "sgd"))
    schedule: Annotated[Component, OfKind("schedules")] = Field(
        default_factory=partial(resolve, "schedules", "constant")
    )
    decay: Literal["all", "weights"] = "all"
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: float | None = Field(default=None, gt=0)
    patience: int | None = Field(default=None, ge=1)
    select: Literal["last", "best"] = "last"
    monitor: Literal["val.accuracy", "val.loss"] = "val.accuracy"
    augment: Augment | None = None
    revive: Annotated[Component, OfKind("revivals")] = Field(default_factory=partial(resolve, "revivals", "none"))
    precision: Literal["float32", "tf32", "bfloat16", "float64"] = "float32"

    @field_validator("label_smoothing")
    @classmethod
    def _has_classes(cls, value: float, info: ValidationInfo) -> float:
        if value and info.data.get("loss") == "mse":
            raise ValueError("'label_smoothing' belongs to loss: cross_entropy; leave it out, or choose that loss")
        return value

    @property
    def loss_name(self) -> str:
        """The last word of the loss's metrics, such as ``test.loss`` in nats, or ``test.mse``."""
        return "mse" if self.loss == "mse" else "loss"

    @property
    def judges_epochs(self) -> bool:
        """Whether validation decides when a run ends, or which epoch it reports."""
        return self.patience is not None or self.select == "best"

    @property
    def dtype_name(self) -> str:
        """The type of the parameters, as torch names it."""
        return "float64" if self.precision == "float64" else "float32"


class HealthSettings(Options):
    """Thresholds by which the units' health is judged, and the size of the probe.

    Attributes:
        probe_size: Examples in the probe: the first N training examples, in the dataset's fixed order. These are
            the examples after the validation cut, normalised by the training part: so ``val_fraction`` and
            ``train_size`` change the probe.
        dead_slope: A unit is dead when |f'(z)| stays at or below this on the whole probe.
        constant_std: A unit is constant when its output's standard deviation over the probe is at or below this.
        collapse_at: A run is collapsed when more than this share of its hidden units is inert (dead or constant), or
            every unit of one layer.
    """

    probe_size: int = Field(default=2000, ge=1)
    dead_slope: float = Field(default=1e-3, ge=0)
    constant_std: float = Field(default=1e-3, ge=0)
    collapse_at: float = Field(default=0.5, gt=0, le=1)


class RunSettings(Options):
    """The settings that runs and studies share: everything that decides a run's numbers, but its seed.

    A field added here is a key of every config, may be swept, and enters the digests of the runs that set it.

    Attributes:
        dataset: Where the examples come from: ``actbench list datasets``.
        model: The network: ``actbench list models``.
        activation: The function between its layers: ``actbench list activations``, or a formula in x.
        weight_init: How hidden weights are drawn: ``actbench list initializers``.
        bias_init: How biases start; written as a number (where every hidden bias starts), ``pytorch`` or null.
        output_bias: Where the biases of the logits start: a number; ``prior``, the logarithm of each class's share of
            the training examples; or null, as ``bias_init`` says (0 where that is a number).
        draws: What random numbers are drawn from. ``actbench``: a stream for each purpose, so that runs of one seed
            share their draws whatever else differs. ``torch``: one generator, as in a plain PyTorch script that makes
            its network after ``torch.manual_seed(seed)`` and takes its batches from ``DataLoader(shuffle=True)``: the
            same weights and batches to the last bit. ``torch_with_test``: likewise, for a script that also passes over
            a test ``DataLoader`` after each epoch, which draws one number more.
        order_seed: The seed of the batches' order, of augmentation, dropout and random activations; null: the run's
            own. Crossed with the seeds it tells what weights and batches each do to a result.
        training: Training settings.
        health: How the units' health is judged.
    """

    dataset: Annotated[Component, OfKind("datasets")] = Field(default_factory=partial(resolve, "datasets", "mnist-5k"))
    model: Annotated[Component, OfKind("models")] = Field(default_factory=partial(resolve, "models", "mlp"))
    activation: Annotated[Component, OfKind("activations")] = Field(
        default_factory=partial(resolve, "activations", "relu")
    )
    weight_init: Annotated[Component, OfKind("weight_inits")] = Field(
        default_factory=partial(resolve, "weight_inits", "he_normal")
    )
    bias_init: BiasInit = BiasInit()
    output_bias: Annotated[float | Literal["prior"] | None, expecting("a number, 'prior' or null")] = None
    draws: Literal["actbench", "torch", "torch_with_test"] = "actbench"
    order_seed: int | None = Field(default=None, ge=0)
    training: Training = Field(default_factory=Training)
    health: HealthSettings = Field(default_factory=HealthSettings)

    @property
    def example_word(self) -> str:
        """The word for one of the dataset's examples: ``image``; ``example`` where it is known to hold numbers."""
        shape = None
        if self.dataset.path is None:
            shape = getattr(schema_of("datasets", self.dataset.name), "image_shape", None)
        return "example" if shape is not None and shape[1:] == (1, 1) else "image"

    @model_validator(mode="after")
    def _loss_fits_targets(self) -> Self:
        """Refuse the cross-entropy of numbers before any data is made; a user's own dataset is asked when it is."""
        if self.training.loss == "mse" or self.dataset.path is not None:
            return self
        if getattr(schema_of("datasets", self.dataset.name), "targets", None) is not None:
            text = f"dataset '{self.dataset.name}' has numbers as targets, not classes: set training.loss to mse"
            raise ConfigError([Problem(text, ("training", "loss"))])
        return self


class RunSpec(RunSettings):
    """Everything that decides one run's numbers; ``digest`` identifies it.

    Attributes:
        seed: The one integer from which the run's random streams are derived; where ``order_seed`` is set, those of
            training are derived from that.

    Examples:
        >>> spec = RunSpec(activation={"name": "elu", "alpha": 0.2}, bias_init=0.01, seed=3)
        >>> spec.run_id
        'elu-alpha-0.2-bias-0.01-seed-3-c32914d4'
        >>> spec == RunSpec.model_validate(spec.to_json())
        True
    """

    seed: int = Field(default=0, ge=0)

    @property
    def seed_of_batches(self) -> int:
        """The seed of all that is drawn during training: ``order_seed``, or the run's own."""
        return self.seed if self.order_seed is None else self.order_seed

    def with_seed(self, seed: int) -> RunSpec:
        """Return the same run from another seed.

        Args:
            seed: A whole number from 0 up; it is not checked again.
        """
        # Everything but the seed and what follows from it is shared, since a study may hold 100,000 seeds of one cell:
        # its settings are found once, and a copy takes 2 µs and 1 kB.
        shared = {
            "digest_parts": self.digest_parts,
            "non_default_settings": self.non_default_settings,
            "id_starts": self.id_starts,
            "case": self.case,
        }
        copy = RunSpec.__new__(RunSpec)
        for name in ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
            object.__setattr__(copy, name, getattr(self, name))
        own = {**self.__dict__, **shared, "seed": seed}
        own.pop("digest", None)
        own.pop("run_id", None)
        object.__setattr__(copy, "__dict__", own)
        return copy

    def with_case(self, case: Case | None) -> RunSpec:
        """Return the same run under the name that a study gives it."""
        copy = self.with_seed(self.seed)
        copy.__dict__["case"] = case
        copy.__dict__["id_starts"] = {}
        return copy

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields replaced, by values or by their written forms.

        pydantic's own would take them unchecked, and the cached digest and folder name of the original with them.

        Raises:
            ValidationError: For a field that does not exist, or a value that it can't have.

        >>> RunSpec(seed=3).model_copy(update={"bias_init": 0.1}).run_id
        'relu-bias-0.1-seed-3-61ade379'
        """
        original = super().model_copy(deep=deep)
        fields = {name: getattr(original, name) for name in type(self).model_fields}
        return type(self).model_validate({**fields, **(update or {})})

    @cached_property
    def case(self) -> Case | None:
        """The run's name among the ``cases`` of its study; no part of what it is, so equal runs may differ in it."""
        return None

    @cached_property
    def non_default_settings(self) -> Mapping[str, Any]:
        """The settings that differ from the defaults: the minimal JSON that digest and cohort key are made of."""
        return {key: value for key, value in _minimal(self).items() if key != "seed"}

    @cached_property
    def digest(self) -> str:
        """The run's identity and resume key: sha256 of the canonical JSON of the fields that differ from the defaults.

        Defaults are left out, so that a new field with a default changes no digest of a run that does not set it, and
        results on disk stay found. The price: whoever changes a default must raise ``SEMANTICS_VERSION``.
        """
        before, after = self.digest_parts
        # A seed of 0 is the default.
        own = f'"seed":{self.seed},' if self.seed else ""
        return hashlib.sha256(f"{before}{own}{after}".encode()).hexdigest()

    @cached_property
    def digest_parts(self) -> tuple[str, str]:
        """The text whose sha256 is the digest, before and behind the seed: equal for all seeds of a cell."""
        content = {"semantics_version": SEMANTICS_VERSION, **self.non_default_settings}
        if self.training.precision in PRECISION_SEMANTICS:
            content["precision_semantics"] = PRECISION_SEMANTICS[self.training.precision]
        # Keys are sorted, and "semantics_version" stands behind "seed", so neither part is empty.
        before = {key: value for key, value in content.items() if key < "seed"}
        after = {key: value for key, value in content.items() if key > "seed"}
        start = canonical_json(before).removesuffix("}") + ("," if before else "")
        return start, canonical_json(after).removeprefix("{")

    @cached_property
    def run_id(self) -> str:
        """The run's id where no study says what varies: activation, biases, seed, eight digits of the digest."""
        return self.id_with(("bias_init",))

    def id_with(self, factors: Iterable[str]) -> str:
        """Return the run's id in a study, the name of its folder: activation, what varies, seed, digits of the digest.

        The digest alone decides which run it is (``storage.store`` finds folders by it): the rest is for the reader,
        and differs between studies.

        Args:
            factors: Dotted keys that the study sweeps.

        >>> spec = RunSpec(training={"optimizer": {"name": "sgd", "lr": 0.5}}, seed=3)
        >>> spec.id_with(["activation", "training.optimizer.lr"])
        'relu-lr-0.5-seed-3-1fbccffb'
        """
        factors = tuple(factors)
        if factors not in self.id_starts:
            parts = [self.activation.label, *(_part(self, key) for key in factors if key.split(".")[0] != "activation")]
            self.id_starts[factors] = _slug("-".join(parts))
        seed = f"seed-{self.seed}"
        return f"{self.id_starts[factors][: MAX_SLUG - len(seed)].rstrip('-')}-{seed}-{self.digest[:8]}"

    @cached_property
    def id_starts(self) -> dict[tuple[str, ...], str]:
        """Factors -> the ids' part before the seed, as far as it was asked for: equal for all seeds of a cell."""
        return {}

    @cached_property
    def cohort_key(self) -> str:
        """Equal for runs that may train together: for those equal but for activation, biases, weight init and seed.

        And whose tensors have equal shapes: an activation that changes the width is in no company but of its like.
        """
        own = {"activation", "bias_init", "output_bias", "weight_init"}
        shared = {key: value for key, value in self.non_default_settings.items() if key not in own}
        group = group_of(self.activation)
        if not group.is_elementwise:
            shared["unit_group"] = [group.kind, group.inputs, group.outputs]
        return canonical_json(shared)

    def to_json(self) -> dict[str, Any]:
        """Return every field with its value, defaults included: the content of ``spec.json``."""
        return self.model_dump(mode="json")


def canonical_json(content: Any) -> str:
    """Return JSON text that is equal for equal content: sorted keys, no spaces, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _slug(text: str) -> str:
    """Return a text as a file name may hold it: lower case, a hyphen for all but letters, digits and full stops."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).lstrip("-.").rstrip("-")


def _part(spec: RunSpec, key: str) -> str:
    """Return what a run's id says of one swept key: a component's label, or the key's last word and the value."""
    if key == CASE:
        return spec.case.label if spec.case else ""
    value: Any = spec
    for name in key.removesuffix(".name").split("."):
        value = _option(value, name) if isinstance(value, Component) else getattr(value, name, None)
    if isinstance(value, Component):
        return value.label
    word = key.rpartition(".")[2].removesuffix("_init")
    if isinstance(value, BiasInit):
        return f"{word}-{value.label}"
    if isinstance(value, Options):
        value = [word for name, one in value for word in (name, one)]
    return f"{word}-{_words(value)}"


def _written(choice: Component | BiasInit) -> Any:
    """Return the part of a choice that enters the digest."""
    return choice.to_digest() if isinstance(choice, Component) else choice.to_minimal()


def _option(component: Component, name: str) -> Any:
    older = component.older_spellings
    return older[name][1] if name in older else component.options.get(name)


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "-".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


@cache
def _defaults(kind: type[Options]) -> tuple[tuple[str, Any], ...]:
    """Return each field with its default. To make them anew for each run takes a third of the time to read results."""
    fields = kind.model_fields.items()
    return tuple((name, declared.get_default(call_default_factory=True)) for name, declared in fields)


def _minimal(options: Options) -> dict[str, Any]:
    """Return the fields that differ from their defaults, in sections only those below that differ."""
    changed: dict[str, Any] = {}
    for name, default in _defaults(type(options)):
        value = getattr(options, name)
        if isinstance(value, (Component, BiasInit)):
            # compared by content: elu written as {name: elu, alpha: 1.0} is the default elu
            content: Any = _written(value)
            differs = not isinstance(default, type(value)) or content != _written(default)
        elif isinstance(value, Options):
            # an optional section (augment) with nothing but defaults still differs from a section that is not there
            content = _minimal(value)
            differs = bool(content) or not isinstance(default, Options)
        else:
            content, differs = value, value != default
        if differs:
            changed[name] = content
    return changed
