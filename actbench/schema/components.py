"""A component: a choice by name, with options (an activation, a model, a dataset, an optimizer …).

A config writes ``relu``, or ``{name: elu, alpha: 0.2}``, or ``{name: mine, path: my_package.module:attribute, …}``;
for an activation also an expression such as ``x * sigmoid(1.702 * x)``. ``resolve`` turns each into a ``Component``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic_core import core_schema

from actbench.errors import ConfigError, KeyPath, Problem, UsageError, suggestion
from actbench.schema import registry, synonyms

EXPRESSION = "expression"

FLOAT32_MAX, FLOAT32_TINY = (2 - 2**-23) * 2.0**127, 2.0**-126
"""The largest float32, and the smallest above 0 that is not subnormal: actbench flushes subnormal numbers to 0."""

MAX_UNITS = 1_000_000
"""Of a layer, in configs: more would be a slip of the pen, and end as torch's message about bytes."""

_MAX_SHOWN = 60
_SUBJECT = re.compile(r"(Input|List|Tuple|Dictionary|String|Value) should ")
"""How pydantic's own texts begin; with any word but ``Input`` they already end in the value that was found."""

_EXPECTED = {
    "int_type": "be a whole number",
    "int_from_float": "be a whole number",
    "float_type": "be a number",
    "bool_type": "be true or false",
    "string_type": "be a string",
    "list_type": "be a list",
    "tuple_type": "be a list",
    "dict_type": "be a mapping",
    "model_type": "be a mapping",
}
"""pydantic's type of an error -> words for someone who writes YAML rather than Python."""


class Options(BaseModel):
    """Base of every component's options: frozen, strict about types, no unknown keys, no NaN or infinity.

    Numbers have to fit what torch computes with: float32, and whole numbers of 64 bits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _fits_torch(cls, value: Any) -> Any:
        for number in value if isinstance(value, tuple) else (value,):
            if text := beyond_torch(number):
                raise ValueError(text)
        return value

    @classmethod
    def parse(cls, written: Mapping[str, Any], where: str = "here") -> Self:
        """Check options, as ``model_validate`` does, but report them in the words of this project.

        Args:
            written: Option -> value.
            where: How a message about an unknown option names the place where the valid ones are valid.

        Raises:
            ConfigError: With every problem.
        """
        try:
            return cls.model_validate(written)
        except ValidationError as error:
            keys = tuple(cls.model_fields)
            raise ConfigError(problems_of(error, lambda _: keys, where)) from error

    @classmethod
    def older_spellings(cls, options: Mapping[str, Any]) -> Mapping[str, tuple[str, Any]]:
        """Return the options that earlier versions had in the place of today's: older name -> (today's, older value).

        Configs and stored results may still have them, and digests go on holding them, so that results stay found.

        Args:
            options: Today's options with their values; an older one that can't express them is left out.
        """
        return {}


@dataclass(frozen=True)
class Component:
    """A checked choice.

    Args:
        kind: The table or folder of the registry that it was chosen from, such as ``activations``.
        name: The name there, or the user's own name for the object behind a ``path``.
        options: Every option with its value, defaults included.
        changed: The options that differ from their defaults; they alone enter digests and labels, so that a new option
            with a default leaves old digests alone.

    >>> elu = resolve("activations", {"name": "elu", "alpha": 0.2})
    >>> elu.label, elu.to_minimal(), resolve("activations", "elu").to_json()
    ('elu(alpha=0.2)', {'name': 'elu', 'alpha': 0.2}, {'name': 'elu', 'alpha': 1.0})
    """

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    changed: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def path(self) -> str | None:
        """The ``package.module:attribute`` of a user's own component; None for a built-in one."""
        path: str | None = self.options.get("path")
        return path

    @property
    def label(self) -> str:
        """The name in tables: ``elu(alpha=0.2)``, the expression itself, or the bare name."""
        if self.name == EXPRESSION:
            return str(self.options["formula"])
        # a user's own name stands for its path
        shown = {key: value for key, value in self.changed.items() if key != "path"}
        return f"{self.name}({','.join(f'{k}={_in_label(v)}' for k, v in shown.items())})" if shown else self.name

    def to_json(self) -> dict[str, Any]:
        """Return the name and every option, as ``spec.json`` holds them."""
        return {"name": self.name, **self.options}

    def to_minimal(self) -> dict[str, Any]:
        """Return the name and the options that differ from their defaults."""
        return {"name": self.name, **self.changed}

    def to_digest(self) -> dict[str, Any]:
        """Return ``to_minimal`` as it enters the digest: options that replaced others under the older names."""
        content = self.to_minimal()
        for older, (option, value) in self.older_spellings.items():
            if option in content:
                del content[option]
                content[older] = value
        return content

    @property
    def older_spellings(self) -> Mapping[str, tuple[str, Any]]:
        """Older name of an option -> (today's name, its value in the older spelling)."""
        return {} if self.path is not None else schema_of(self.kind, self.name).older_spellings(self.options)

    def build(self) -> Any:
        """Return an instance of the built-in class behind the name, with these options."""
        return schema_of(self.kind, self.name)(**self.options)


def resolve(kind: str, value: Any) -> Component:
    """Check a choice as a config writes it.

    Args:
        kind: The table or folder of the registry to choose from.
        value: A name, an expression, a mapping with a name; or a component, which is returned as it is.

    Raises:
        ConfigError: With every problem, at its path within ``value``.
    """
    if isinstance(value, Component):
        return value
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise ConfigError(f"expected a name or a mapping with a name, not {shown(value)}")
    given = dict(given)
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError([Problem(_nameless(kind, given), ("name",) if name is not None else ())])
    if "path" in given:
        return _users_own(kind, name, given)
    valid = registry.names(kind)
    known = synonyms.canonical(kind, name, valid)
    if known not in valid:
        if labelled := _read_label(kind, name, valid):
            known, written = labelled
            given = {**written, **given}
        elif kind == "activations" and _is_expression(name):  # x * sigmoid(x), where relu is a name
            known, given = EXPRESSION, {"formula": name, **given}
    return _built_in(kind, known, given)


@dataclass(frozen=True)
class OfKind:
    """Annotation of a pydantic field that holds a component: ``Annotated[Component, OfKind("models")]``."""

    kind: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Validate with ``resolve``; write as ``Component.to_json`` does."""
        return core_schema.no_info_plain_validator_function(
            lambda value: resolve(self.kind, value),
            serialization=core_schema.plain_serializer_function_ser_schema(Component.to_json),
        )


def expecting(text: str) -> WrapValidator:
    """Return the annotation of a field of several types, whose message names what is valid: one instead of one a type.

    Args:
        text: What the value should be, as in ``a number or 'prior'``.
    """

    def check(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            raise ValueError(f"'{info.field_name}' should be {text}, not {shown(value)}") from error

    return WrapValidator(check)


def beyond_torch(value: Any) -> str | None:
    """Explain why torch could not hold a number; None where it can, and for anything that is not a number.

    >>> beyond_torch(0.1), beyond_torch(1e39)
    (None, '1e+39 is beyond float32: at most 3.4e+38')
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value == 0:
        return None
    if isinstance(value, int):
        return None if abs(value) < 2**63 else f"{_short(value)} is beyond 64 bits: at most 9.2e+18"
    if abs(value) > FLOAT32_MAX:
        return f"{value!r} is beyond float32: at most {FLOAT32_MAX:.2g}"
    if abs(value) >= FLOAT32_TINY:
        return None
    return f"{value!r} is lost in float32: write at least {FLOAT32_TINY:.2g}, or 0 where that is allowed"


def _short(value: int) -> str:
    text = str(value) if value.bit_length() < 128 else ""
    return text or f"a whole number of {value.bit_length()} bits"


def _nameless(kind: str, given: Mapping[str, Any]) -> str:
    """Say which names a component could have."""
    path = given.get("path")
    if isinstance(path, str):
        own = path.rpartition(":")[2].rpartition(".")[2]
        return f"needs a 'name' of your choice beside its path: {{name: {own}, path: {path}}}"
    first = registry.names(kind)[:3]
    return f"needs a 'name', such as {' or '.join(first)}"


def _users_own(kind: str, name: str, options: dict[str, Any]) -> Component:
    path = options["path"]
    if not isinstance(path, str) or ":" not in path:
        near = f", such as {':'.join(path.rsplit('.', 1))}" if isinstance(path, str) and "." in path else ""
        raise ConfigError([Problem(f"a path is written package.module:attribute{near}", ("path",))])
    valid = registry.names(kind)
    if (known := synonyms.canonical(kind, name, valid)) in valid:
        text = f"'{known}' is built in, and tables could not tell '{path}' from it: give it a name of its own"
        raise ConfigError([Problem(text, ("name",))])
    try:
        json.dumps([name, options], default=str, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ConfigError(f"a text holds {half!a}, which is half of a character and can't be stored") from error
    return Component(kind, name, options, options)


def _built_in(kind: str, name: str, given: dict[str, Any]) -> Component:
    try:
        schema = schema_of(kind, name)
    except UsageError as error:
        text = _as_formula(kind, name) or str(error)
        raise ConfigError([Problem(text, ("name",))]) from error
    checked = schema.parse(given, f"for '{name}'")
    return Component(
        kind, name, checked.model_dump(mode="json"), checked.model_dump(mode="json", exclude_defaults=True)
    )


def _as_formula(kind: str, name: str) -> str | None:
    """Say how a formula is written that looks like a name, such as ``x``; None for what is no formula."""
    if kind != "activations":
        return None
    try:
        schema_of(kind, EXPRESSION).parse({"formula": name})
    except ConfigError as error:  # exp, which needs an argument; 2x
        return error.messages if error.messages.startswith(("the function ", "a product ")) else None
    return f"unknown activation '{name}' — as a formula it is written {{name: {EXPRESSION}, formula: {name}}}"


def problems_of(
    error: ValidationError, keys_at: Callable[[KeyPath], tuple[str, ...]], where: str = "here"
) -> list[Problem]:
    """Translate pydantic's errors into problems in the words of this project.

    Args:
        error: What pydantic found.
        keys_at: The keys that the mapping at a path may have.
        where: How a message names that mapping.
    """
    found: list[Problem] = []
    for item in error.errors():
        path, cause = item["loc"], item.get("ctx", {}).get("error")
        if isinstance(cause, ConfigError):  # raised by a validator, such as that of a component inside
            found += [problem.below(path) for problem in cause.problems]
        elif item["type"] == "extra_forbidden":
            found.append(Problem(unknown_key(str(path[-1]), keys_at(path[:-1]), where), path, at_key=True))
        else:
            found.append(Problem(_in_words(item), path))
    return found


def unknown_key(key: str, valid: tuple[str, ...], where: str = "here") -> str:
    """Say that a key does not exist, with the nearest one of ``valid`` or all of them."""
    hint = suggestion(key, valid, otherwise=f"valid {where}: {', '.join(valid) or 'no options'}")
    return f"unknown key '{key}' — {hint}"


def _in_words(error: Mapping[str, Any]) -> str:
    """Rewrite one of pydantic's errors for someone who writes YAML: ``'hidden[1]' should be a whole number``."""
    location = error["loc"]
    if error["type"] == "missing":
        return f"'{location[-1]}' is required"
    text = str(error["msg"]).removeprefix("Value error, ")
    subject = _SUBJECT.match(text)
    if not subject:
        return text
    expected = _EXPECTED.get(error["type"]) or text[subject.end() :].replace(" after validation", "")
    given = f", not {shown(error['input'])}" if subject[1] == "Input" else ""
    # of the whole way (model, hidden, 1), a reader needs the last key and the positions below: hidden[1]
    last_key = next((index for index in reversed(range(len(location))) if isinstance(location[index], str)), 0)
    name = "".join(f"[{part}]" if isinstance(part, int) else part for part in location[last_key:])
    return f"'{name}' should {expected}{given}"


def shown(value: Any) -> str:
    """Spell a value in an error's text as a config would, cut when it is long."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


@lru_cache(maxsize=512)  # a sweep of 100,000 cells asks for the same few
def schema_of(kind: str, name: str) -> type[Options]:
    """Return the options class of a built-in part.

    Raises:
        UsageError: For a name that is not known.
    """
    found = registry.load(kind, name)
    schema: type[Options] = found if isinstance(found, type) else found.schema
    return schema


def _read_label(kind: str, text: str, valid: tuple[str, ...]) -> tuple[str, dict[str, Any]] | None:
    """Read a name with options as tables print it, ``elu(alpha=0.2)``; None for anything else, a formula for one.

    Raises:
        ConfigError: When the name is known and the options can't be read.
    """
    found = re.fullmatch(r"([^()]+)\((.*\w\s*=(?!=).*)\)", text.strip(), re.DOTALL)
    known = synonyms.canonical(kind, found[1].strip(), valid) if found else ""
    if not found or known not in valid:
        return None
    try:
        call = ast.parse(f"_({found[2]})", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ConfigError(f"'{text}' can't be read: write {known}(option=value), or {{name: {known}, …}}") from error
    if not isinstance(call, ast.Call) or call.args or any(keyword.arg is None for keyword in call.keywords):
        return None
    names = [str(keyword.arg) for keyword in call.keywords]
    if twice := next((option for option in names if names.count(option) > 1), None):
        raise ConfigError(f"'{text}' gives '{twice}' twice")
    return known, {str(keyword.arg): _label_value(keyword.value) for keyword in call.keywords}


def _label_value(node: ast.expr) -> Any:
    """Return an option's value as a label has it: a literal of Python or of JSON, or a bare word, which is a string."""
    if isinstance(node, ast.Name):
        return {"true": True, "false": False, "null": None}.get(node.id, node.id)
    try:
        value = ast.literal_eval(node)
    except ValueError as error:
        raise ConfigError(f"'{ast.unparse(node)}' is not a value: write a number, a word or a list") from error
    return list(value) if isinstance(value, tuple) else value


def _is_expression(text: str) -> bool:
    return not text.replace("_", "").replace("-", "").isalnum()


def _in_label(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)  # every digit, so that different values have different labels
    return f"'{value}'" if isinstance(value, str) and not value.isidentifier() else str(value).replace(" ", "")
