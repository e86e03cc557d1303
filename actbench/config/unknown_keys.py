"""The full key that a user means by a short one (``lr``), by another tool's name of it, or at another level."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from actbench.config import cadence, kept_weights
from actbench.config.keys import (
    as_mapping,
    component_kind,
    default_at,
    dotted_keys,
    kind_of,
    path_of,
    section_of,
)
from actbench.config.nodes import write_inline
from actbench.errors import did_you_mean, nearest
from actbench.schema import registry, synonyms
from actbench.schema.components import Options, schema_of
from actbench.schema.spec import CASE, RunSettings
from actbench.schema.synonyms import folded

ELSEWHERE: Mapping[str, str] = {
    "learning_rate": "training.optimizer.lr",
    "n_epochs": "training.epochs",
    "num_epochs": "training.epochs",
    "max_epochs": "training.epochs",
    "nb_epoch": "training.epochs",
    "bs": "training.batch_size",
    "batch": "training.batch_size",
    "train_batch_size": "training.batch_size",
    "optim": "training.optimizer",
    "optimiser": "training.optimizer",
    "scheduler": "training.schedule",
    "lr_scheduler": "training.schedule",
    "lr_schedule": "training.schedule",
    "warmup": "training.schedule.warmup_epochs",
    "wd": "training.optimizer.weight_decay",
    "l2": "training.optimizer.weight_decay",
    "clip": "training.clip_norm",
    "grad_clip": "training.clip_norm",
    "gradient_clip": "training.clip_norm",
    "gradient_clip_val": "training.clip_norm",
    "max_grad_norm": "training.clip_norm",
    "early_stopping": "training.patience",
    "early_stopping_patience": "training.patience",
    "restore_best_weights": "training.select",
    "augmentation": "training.augment",
    "dtype": "training.precision",
    "units": "model.hidden",
    "width": "model.hidden",
    "depth": "model.hidden",
    "layers": "model.hidden",
    "hidden_size": "model.hidden",
    "hidden_sizes": "model.hidden",
    "hidden_dim": "model.hidden",
    "hidden_layers": "model.hidden",
    "batchnorm": "model.norm",
    "normalization": "model.norm",
    "normalisation": "model.norm",
    "layernorm": "model.norm",
    "layer_norm": "model.norm",
    "network": "model",
    "net": "model",
    "arch": "model",
    "architecture": "model",
    "act": "activation",
    "act_fn": "activation",
    "activation_function": "activation",
    "activations": "activation",
    "nonlinearity": "activation",
    "init": "weight_init",
    "initializer": "weight_init",
    "initialization": "weight_init",
    "kernel_initializer": "weight_init",
    "bias": "bias_init",
    "bias_initializer": "bias_init",
    "data": "dataset",
    "datasets": "dataset",
    "validation_split": "dataset.val_fraction",
    "val_split": "dataset.val_fraction",
    "name": "study",
    "title": "study",
    "grid": "sweep",
    "parameters": "sweep",
    "params": "sweep",
    "matrix": "sweep",
    "search_space": "sweep",
    "hyperparameters": "sweep",
    "random_seed": "seeds",
    "n_seeds": "seeds",
    "hypotheses": "expect",
    "expectations": "expect",
    "extends": "base",
    "inherits": "base",
    "defaults": "base",
}
"""A key as other tools call it -> ours."""

_OPTIONS_OF_RUN = ("device", "engine", "jobs", "results", "timeout", "products", "kernels", "capture")
"""What a config does not say: how the numbers are computed."""

_OF_STUDY = ("compare.baseline", "compare.metric")
_COMPONENTS = (
    "dataset", "model", "activation", "weight_init", "training.optimizer", "training.schedule", "training.revive",
)  # fmt: skip
_OF_EACH = ("name", "path")


def refusal(key: str) -> str | None:
    """Explain why no run can vary in a key; None when it can.

    An option of a component (``model.hidden``) is left to the component, which differs from run to run; ``case`` is the
    factor that a study's ``cases`` make.
    """
    if key == CASE:
        return None
    if key in ("seed", "seeds"):
        return f"unknown key '{key}' — each combination runs with all of the study's 'seeds' anyway"
    model: type[Options] | None = RunSettings
    path = path_of(key)
    for position, name in enumerate(path):
        if model is None:
            return f"unknown key '{key}' — '{'.'.join(path[:position])}' is a single value"
        if name not in model.model_fields:
            return unknown(key)
        field = model.model_fields[name]
        if kind_of(field):  # a component, or one of its options, which are never nested
            return None if len(path) - position <= 2 and all(path) else unknown(key)
        model = section_of(field)
    return None


def unknown(key: str) -> str:
    """Say that no run has a dotted key, with the keys that may be meant or all that there are."""
    if key in _OPTIONS_OF_RUN:
        return f"unknown key '{key}' — how runs are computed is said by options of the command: --{key}"
    meant = [full for full in meant_keys(key) if refusal(full) is None]
    meant = meant or [near for near in (nearest_key(key),) if near]
    hint = did_you_mean(meant) if meant else f"valid here: {', '.join(_run_keys())}"
    return f"unknown key '{key}' — {hint}"


def meant_keys(key: str) -> tuple[str, ...]:
    """Return the full keys that a short or misplaced key may stand for; none where it is not known.

    The last part decides: ``lr``, ``training.lr`` and ``optimizer.lr`` all mean ``training.optimizer.lr``.

    >>> meant_keys("lr"), meant_keys("learning_rate"), meant_keys("alpha"), meant_keys("training.optimizer.lr")
    (('training.optimizer.lr',), ('training.optimizer.lr',), ('activation.alpha', 'training.optimizer.alpha'), ())
    """
    if key in _full_keys():
        return ()
    parts = path_of(key)
    above, last = set(parts[:-1]), parts[-1]
    found = [full for full in _full_keys() if path_of(full)[-1] == last]
    # optimizer.alpha means that of the optimizer alone
    found = [full for full in found if above & set(path_of(full))] or found
    if not found:
        elsewhere = {folded(name): full for name, full in ELSEWHERE.items()}
        found = [full for full in (elsewhere.get(folded(last)),) if full and full != key]
    return tuple(found)


def nearest_key(key: str) -> str | None:
    """Return the full key of a run of which the whole or the last part looks most like ``key``."""
    if near := nearest(key, _run_keys()):
        return near
    last_parts = {path_of(full)[-1]: full for full in reversed(_run_keys())}
    near = nearest(path_of(key)[-1], last_parts)
    return last_parts[near] if near else None


def misplaced(path: tuple[str, ...], content: Mapping[str, Any]) -> tuple[str, str] | None:
    """Say where a key belongs that stands in a config at another level.

    Args:
        path: The way to the key in the config.
        content: The config.

    Returns:
        The message for a file and that for the command line; None for a key that is known nowhere.
    """
    key, last = ".".join(path), path[-1]
    if key in _OPTIONS_OF_RUN:
        return unknown(key), ""
    if owners := _owners(path):
        kind = str(component_kind(".".join(path[:-1])))
        # as tables print it, elu(beta=1), or by another tool's name
        written = str(_name_of(path[:-1], content).get("name")).partition("(")[0].strip()
        name = synonyms.canonical(kind, written, registry.names(kind))
        text = f"unknown key '{last}' — it is an option of {', '.join(owners)}"
        if name not in registry.names(kind):
            return text, ""
        return f"{text}; valid for '{name}': {', '.join(schema_of(kind, name).model_fields) or 'no options'}", ""
    is_dotted = "." in last and refusal(key) is None
    meant = (key,) if is_dotted else meant_keys(key)
    if not meant:
        return None
    asked = f"unknown key '{last}' — {did_you_mean(meant)}"
    (full, *more) = meant
    if more or "." not in full:
        return asked, ""
    value: Any = content
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    written = write_inline(_nested(path_of(full), value, content))[1:-1]
    if is_dotted:
        return f"dotted keys stand in 'sweep' and on the command line; in a file write {written}", ""
    return f"unknown key '{last}' — its full key is {full}: write {written}", asked


def _nested(path: tuple[str, ...], value: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mappings that hold a value at a path, each component in them with its name."""
    result: Any = value
    for length in range(len(path), 0, -1):
        above = path[: length - 1]
        result = {path[length - 1]: result}
        if component_kind(".".join(above)):
            result = {**_name_of(above, content), **result}
    return dict(result)


def _name_of(path: tuple[str, ...], content: Any) -> dict[str, Any]:
    """Return the name of the component at a path, as the config or else the default has it."""
    for name in path:
        content = content.get(name) if isinstance(content, Mapping) else None
    given = as_mapping(content).get("name") or as_mapping(default_at(path)).get("name")
    return {"name": given} if isinstance(given, str) else {}


def _owners(path: tuple[str, ...]) -> list[str]:
    """Return the built-in components that have the option at a path; none where the path is that of no option."""
    kind = component_kind(".".join(path[:-1]))
    if kind is None:
        return []
    return [name for name in registry.names(kind) if path[-1] in schema_of(kind, name).model_fields]


@lru_cache(maxsize=1)
def _full_keys() -> tuple[str, ...]:
    """Every key of more than one part that a run or a study can have, options of all components included."""
    options = (f"{key}.{option}" for key in _COMPONENTS for option in _options_of(str(component_kind(key))))
    outside_runs = (cadence.DOTTED, kept_weights.DOTTED, *_OF_STUDY)
    return tuple(dict.fromkeys([*(key for key in _run_keys() if "." in key), *options, *outside_runs]))


def _options_of(kind: str) -> tuple[str, ...]:
    fields = (option for name in registry.names(kind) for option in schema_of(kind, name).model_fields)
    return tuple(option for option in dict.fromkeys(fields) if option not in _OF_EACH)


def _run_keys() -> tuple[str, ...]:
    return dotted_keys(RunSettings)
