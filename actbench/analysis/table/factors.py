"""The factors in which runs differ: a spec as flat keys with showable values, and matching users' words to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from actbench.config.keys import component_kind
from actbench.config.unknown_keys import meant_keys
from actbench.errors import ConfigError, UnknownNameError, UsageError
from actbench.schema.bias_init import BiasInit
from actbench.schema.components import Component, Options, resolve
from actbench.schema.record import RunRecord
from actbench.schema.spec import CASE, Case, RunSpec
from actbench.system.text import printable

Value = str | int | float | bool | None
"""A factor's value: a component's label, or the plain setting."""

MAX_SHOWN = 8
"""Values of a factor that a message lists."""

FlatSpec = dict[str, Value]
"""A run's settings but the seed, by dotted key."""

CONTEXT = ("dataset", "model")
"""Runs that differ in these stand in different tables, unless the user names them as factors."""

IN_PARTS = ("training.optimizer", "training.schedule", "training.revive")
"""Components whose options are factors of their own (a learning rate) while all runs agree on the name."""


def flat_spec(spec: RunSpec) -> FlatSpec:
    """Return every key that may be a factor, with its value; a component both as a whole and by option.

    >>> found = flat_spec(RunSpec(activation={"name": "elu", "alpha": 0.2}))
    >>> found["activation"], found["activation.alpha"], found["bias_init"], found["training.optimizer"]
    ('elu(alpha=0.2)', 0.2, 0.0, 'sgd')
    """
    flat: FlatSpec = {CASE: spec.case.label} if spec.case else {}
    _flatten(spec, "", flat)
    del flat["seed"]
    return flat


def flat_specs(specs: Sequence[RunSpec], *, beside: Sequence[RunSpec] = ()) -> list[FlatSpec]:
    """Return ``flat_spec`` of each, with labels that tell all components apart.

    A user's own name stands for its path, so two functions of one name have one label. As one row they would count as
    runs that repeat each other; here each is labelled ``mine from my_parts:bump``.

    Args:
        specs: The runs.
        beside: Runs of another side: a name that stands for two paths there is labelled with its path here, too.

    Returns:
        One mapping for each run; runs that are seeds of one cell may share theirs, which nobody may change.
    """
    cells = _flat_cells(specs)
    ambiguous = _ambiguous(cells) | _ambiguous(_flat_cells(beside))
    for one in distinct_cells(cells):
        for key in _with_path(one):
            path = one.get(f"{key}.path")
            if path is not None and (key, one[key]) in ambiguous:
                one[key] = f"{one[key]} from {path}"
    return cells


def _flat_cells(specs: Sequence[RunSpec]) -> list[FlatSpec]:
    """Return ``flat_spec`` of each, made once for all seeds of a cell: those that ``RunSpec.with_seed`` has made."""
    found: dict[tuple[int, Case | None], FlatSpec] = {}
    cells = []
    for spec in specs:
        key = (id(spec.non_default_settings), spec.case)
        if key not in found:
            found[key] = flat_spec(spec)
        cells.append(found[key])
    return cells


def distinct_cells(cells: Iterable[FlatSpec]) -> list[FlatSpec]:
    """Return the mappings that the seeds of a cell share, each once: what is asked of settings is not asked of runs."""
    return list({id(one): one for one in cells}.values())


def _ambiguous(cells: Sequence[FlatSpec]) -> set[tuple[str, Value]]:
    """Return key and label of the components that stand for several paths."""
    paths: dict[tuple[str, Value], set[Value]] = {}
    for one in distinct_cells(cells):
        for key in _with_path(one):
            paths.setdefault((key, one[key]), set()).add(one.get(f"{key}.path"))
    return {label for label, found in paths.items() if len(found) > 1}


def _with_path(one: FlatSpec) -> list[str]:
    """Return the keys of a run that may hold a component of the user's own, by name and path."""
    return [key for key in ("activation", *CONTEXT) if key in one]


def context(spec: RunSpec, one: FlatSpec, by: Sequence[str]) -> dict[str, str]:
    """Return dataset and model without what ``by`` makes a factor, as a whole or by option (``model.hidden``).

    Args:
        spec: The run.
        one: Its flat keys, of ``flat_specs``.
        by: Factors that the caller named.
    """
    found = {}
    older = older_keys([spec])
    by = (*by, *(older[key] for key in by if key in older), *named_keys([spec]))
    for key in CONTEXT:
        if key not in by:
            component: Component = getattr(spec, key)
            kept = {option: value for option, value in component.changed.items() if f"{key}.{option}" not in by}
            origin = str(one[key]).removeprefix(component.label)  # where it comes from, if its name alone is no label
            found[key] = Component(component.kind, component.name, component.options, kept).label + origin
    return found


def varying(specs: Sequence[RunSpec], cells: Sequence[FlatSpec]) -> tuple[str, ...]:
    """Return the keys in which runs differ, in the spec's order: ``activation`` always, dataset and model never.

    Where each run has a case, its name stands for the keys that cases set, and ``case`` is what is always there.
    """
    specs, cells = distinct_settings(specs), distinct_cells(cells)
    named = named_keys(specs)
    always = CASE if named else "activation"
    keys = [key for key in dict.fromkeys(key for one in cells for key in one) if not is_among(key, named)]
    # sgd's lr and adam's lr are not the same factor, so a component whose name varies is one factor as a whole.
    whole = {key for key in IN_PARTS if len({_component(spec, key).name for spec in specs}) > 1}
    return tuple(
        key for key in keys if key == always or (_may_vary(key, whole) and len({one.get(key) for one in cells}) > 1)
    )


def distinct_settings(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """Return one run for each cell of which all seeds share their settings."""
    return list({(id(spec.non_default_settings), spec.case): spec for spec in specs}.values())


def named_keys(specs: Sequence[RunSpec]) -> tuple[str, ...]:
    """Return the keys for which the names of the runs' cases stand; none where a run has no name."""
    if not specs or any(spec.case is None or spec.case.name is None for spec in specs):
        return ()
    named, older = [key for spec in specs if spec.case for key in spec.case.keys], older_keys(specs)
    return tuple(dict.fromkeys((*named, *(older[key] for key in named if key in older))))


def older_keys(specs: Sequence[RunSpec]) -> dict[str, str]:
    """Return the keys by which older configs name options of dataset and model, each with today's."""
    return {
        f"{key}.{older}": f"{key}.{now}"
        for spec in specs
        for key in CONTEXT
        for older, (now, _) in getattr(spec, key).older_spellings.items()
    }


def is_among(key: str, keys: Sequence[str]) -> bool:
    """Return whether a key is one of these, or an option below one of them."""
    return any(f"{key}.".startswith(f"{one}.") for one in keys)


def check_keys(kind: str, keys: Iterable[str], cells: Iterable[FlatSpec]) -> None:
    """Refuse a key that no run has, and one that is given twice.

    Raises:
        UnknownNameError: With the nearest key that there is.
        UsageError: For a repeated key.
    """
    given = list(keys)
    if not given:
        return
    valid = tuple(dict.fromkeys(key for one in distinct_cells(cells) for key in one))
    for key in given:
        if given.count(key) > 1:
            raise UsageError(f"{kind} '{key}' is given twice")
        if key not in valid:
            raise UnknownNameError(kind, key, valid, meant=[full for full in meant_keys(key) if full in valid])


def factor_of(text: str, records: Sequence[RunRecord]) -> str:
    """Return the factor that has a value, such as ``activation`` for ``relu``.

    Args:
        text: The value as a user writes it.
        records: The runs.

    Raises:
        UsageError: When no factor in which the runs differ has it, or several have; the message names them.
    """
    specs = [record.spec for record in records]
    cells = flat_specs(specs)
    found, there = [], []
    for key in varying(specs, cells):
        values = list(dict.fromkeys(one.get(key) for one in cells))
        there.append(f"{key} ({', '.join(map(show, values[:MAX_SHOWN]))}{', …' if len(values) > MAX_SHOWN else ''})")
        try:
            matching_value(key, text, values)
        except UsageError:
            continue
        found.append(key)
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(f"{key}={text}" for key in found)
        raise UsageError(f"'{text}' is a value of several factors: write {choices}")
    raise UsageError(f"'{text}' is a value of no factor; there are: {'; '.join(there)}; or write KEY=VALUE")


def distinct(runs: Sequence[tuple[RunRecord, FlatSpec]], keys: Sequence[str]) -> list[tuple[RunRecord, FlatSpec]]:
    """Return one run for each seed and combination of the keys' values: the first that did not fail."""
    kept: dict[tuple[Value, ...], tuple[RunRecord, FlatSpec]] = {}
    for record, one in runs:
        identity = (record.spec.seed, *(one.get(key) for key in keys))
        if identity not in kept or (kept[identity][0].outcome == "failed" != record.outcome):
            kept[identity] = (record, one)
    return list(kept.values())


def matching_value(key: str, given: Any, values: Iterable[Value]) -> Value:
    """Return the one of ``values`` that the user means by ``given``: 0 fits 0.0, ``relu`` fits {name: relu}.

    Raises:
        UsageError: When none fits; the message lists them.
    """
    values = list(dict.fromkeys(values))
    wanted = _label(key, given) if isinstance(given, Mapping) else given
    for value in values:
        if _same(wanted, value):
            return value
    label = _known_label(key, given) if isinstance(given, str) else None  # of a synonym, or options in any order
    if label is not None and label in values:
        return label
    choices = ", ".join(map(show, values))
    raise UsageError(f"no run has {key}={show(wanted)}; there are: {choices}")


def show(value: Any) -> str:
    """Return a factor's value as tables and messages print it: ``0.01``, ``none``, ``elu(alpha=0.2)``."""
    if value is None:
        return "none"
    if not isinstance(value, float):
        return printable(str(value))
    short = f"{value:g}"
    return short if float(short) == value else repr(value)  # different values never look equal


def show_all(factors: Mapping[str, Any]) -> str:
    """Return several factors in one line.

    >>> show_all({"activation": "relu", "bias_init": 0.0})
    'activation=relu, bias_init=0'
    """
    return ", ".join(f"{key}={show(value)}" for key, value in factors.items())


def row_name(factors: Mapping[str, Any]) -> str:
    """Return a row's name in sentences: the activation, and the rest in brackets.

    >>> row_name({"activation": "elu", "bias_init": 0.0}), row_name({"bias_init": 0.01})
    ('elu (bias_init=0)', 'bias_init=0.01')
    """
    rest = {key: value for key, value in factors.items() if key != "activation"}
    if "activation" not in factors:
        return show_all(rest)
    return f"{show(factors['activation'])} ({show_all(rest)})" if rest else show(factors["activation"])


def _flatten(options: Options, prefix: str, flat: FlatSpec) -> None:
    for name in type(options).model_fields:
        value, key = getattr(options, name), f"{prefix}{name}"
        if isinstance(value, Component):
            flat[key] = value.label
            flat.update({f"{key}.{option}": _plain(given) for option, given in value.options.items()})
            # What older configs call an option may still name a factor.
            flat.update({f"{key}.{older}": given for older, (_, given) in value.older_spellings.items()})
        elif isinstance(value, BiasInit):
            flat[key] = value.to_json()
        elif isinstance(value, Options) and name != "augment":
            _flatten(value, f"{key}.", flat)
        else:
            flat[key] = _plain(value)


def _plain(value: Any) -> Value:
    """Return lists and mappings as text, so that every value can be counted and sorted into rows."""
    if isinstance(value, Options):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return ",".join(f"{key}={show(one)}" for key, one in value.items())
    return str(list(value)).replace(" ", "") if isinstance(value, (list, tuple)) else value


def _may_vary(key: str, whole: set[str]) -> bool:
    """Return whether a key may be a factor by itself.

    The context may not, nor an option of a component that is one factor as a whole, nor the whole of one in parts.
    """
    if key.split(".")[0] in CONTEXT or key.startswith(("activation.", "weight_init.")):
        return False
    for component in IN_PARTS:
        if key == component:
            return key in whole
        if key.startswith(f"{component}."):
            return component not in whole
    return True


def _component(spec: RunSpec, key: str) -> Component:
    component: Component = getattr(spec.training, key.removeprefix("training."))
    return component


def _label(key: str, given: Mapping[str, Any]) -> str:
    kind = component_kind(key)
    if kind is None:
        raise UsageError(f"{key}: expected a plain value, not a mapping")
    try:
        return resolve(kind, given).label
    except ConfigError as error:
        raise UsageError(f"{key}: {error.messages}") from error


def _known_label(key: str, given: str) -> str | None:
    """Return the label of a component that a user wrote another way than tables do; None where it is not known."""
    try:
        return _label(key, {"name": given})
    except UsageError:
        return None


def _same(given: Any, value: Value) -> bool:
    if value is None or isinstance(value, bool):
        return show(given).lower() == show(value).lower() or (value is None and given == "null")
    if isinstance(value, str):
        return show(given).replace(" ", "") == show(value).replace(" ", "")
    try:
        return float(given) == value
    except (TypeError, ValueError):
        return False
