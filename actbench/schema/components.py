"""A component: something chosen by name, with options (an activation, a model, a dataset, an optimizer …).

In a config it is ``relu``, or ``{name: elu, alpha: 0.2}``, or ``{name: mine, path: my_package.module:attribute, …}``;
for an activation also an expression such as ``x * sigmoid(1.702 * x)``. Here each of these becomes one normal form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError, core_schema

from actbench.errors import UnknownNameError
from actbench.schema import registry

EXPRESSION = "expression"

_LONGEST_SHOWN = 60
_SUBJECT = re.compile(r"(Input|List|Tuple|Dictionary|String|Value) should ")
"""How pydantic's own texts begin; with any but ``Input`` they already end in what was found instead."""

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
"""pydantic's type of an error -> the words for someone who writes YAML rather than Python."""


class Options(BaseModel):
    """Base of every component's options: frozen, strict about types, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Component:
    """A checked choice.

    Args:
        kind: The table or folder it was chosen from, such as ``activations``.
        name: Its name there, or the user's own name for something behind a ``path``.
        options: Every option with its value, defaults included.
        changed: The options that differ from their defaults; they alone enter digests and labels.
    """

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    changed: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def path(self) -> str | None:
        """Where a user's own component lives, as ``package.module:attribute``; None for a built-in one."""
        path: str | None = self.options.get("path")
        return path

    @property
    def label(self) -> str:
        """How tables name it: ``elu(alpha=0.2)``, the expression itself, or just the name.

        >>> resolve("activations", {"name": "elu", "alpha": 0.2}).label
        'elu(alpha=0.2)'
        """
        if self.name == EXPRESSION:
            return str(self.options["formula"])
        shown = {key: value for key, value in self.changed.items() if key != "path"}
        return f"{self.name}({','.join(f'{k}={_plain(v)}' for k, v in shown.items())})" if shown else self.name

    def to_json(self) -> dict[str, Any]:
        """All there is to know about it, as written to ``spec.json``."""
        return {"name": self.name, **self.options}

    def to_minimal(self) -> dict[str, Any]:
        """What decides the numbers: the name and the options that differ from their defaults."""
        return {"name": self.name, **self.changed}

    def build(self) -> Any:
        """An instance of the built-in class behind the name, with these options."""
        return _schema(self.kind, self.name)(**self.options)


def resolve(kind: str, value: Any) -> Component:
    """Turn what a config says into a checked component.

    Raises:
        PydanticCustomError: Of type ``component``; its context's ``problems`` lists (location, message) pairs.
    """
    if isinstance(value, Component):
        return value
    given = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise _problem((), f"expected a name or a mapping with a name, not {shown(value)}")
    given = dict(given)
    name = given.pop("name", None)
    if not isinstance(name, str):
        raise _problem(("name",) if name is not None else (), "needs a 'name' (a string)")
    if kind == "activations" and _is_expression(name):
        name, given = EXPRESSION, {"formula": name, **given}
    if "path" in given:
        return _users_own(kind, name, given)
    return _built_in(kind, name, given)


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


def _users_own(kind: str, name: str, options: dict[str, Any]) -> Component:
    path = options["path"]
    if not isinstance(path, str) or ":" not in path:
        raise _problem(("path",), "expected package.module:attribute")
    return Component(kind, name, options, options)


def _built_in(kind: str, name: str, given: dict[str, Any]) -> Component:
    try:
        schema = _schema(kind, name)
        checked = schema.model_validate(given)
    except UnknownNameError as error:
        raise _problem(("name",), str(error)) from error
    except ValidationError as error:
        raise PydanticCustomError(
            "component",
            "invalid options",
            {
                "problems": [
                    ((*e["loc"],), message(e, tuple(schema.model_fields), f"for '{name}'")) for e in error.errors()
                ]
            },
        ) from error
    return Component(
        kind, name, checked.model_dump(mode="json"), checked.model_dump(mode="json", exclude_defaults=True)
    )


def message(error: Mapping[str, Any], valid: tuple[str, ...], where: str = "here") -> str:
    """A pydantic error in the words of this project; ``valid`` are the keys allowed ``where`` it happened."""
    key = str(error["loc"][-1]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        near = registry.nearest(key, valid)
        hint = f"did you mean '{near}'?" if near else f"valid {where}: {', '.join(valid) or 'no options'}"
        return f"unknown key '{key}' — {hint}"
    if error["type"] == "missing":
        return f"'{key}' is required"
    text = str(error["msg"]).removeprefix("Value error, ")
    subject = _SUBJECT.match(text)
    if not subject:
        return text
    expected = _EXPECTED.get(error["type"]) or text[subject.end() :].replace(" after validation", "")
    given = f", not {shown(error['input'])}" if subject[1] == "Input" else ""
    return f"'{_name_of(error['loc'])}' should {expected}{given}"


def shown(value: Any) -> str:
    """A value in an error's text, as a config would spell it, cut when it is long."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _name_of(location: tuple[str | int, ...]) -> str:
    """The nearest key and the positions below it: ``hidden[1]``."""
    key = next((index for index in reversed(range(len(location))) if isinstance(location[index], str)), 0)
    return "".join(f"[{part}]" if isinstance(part, int) else part for part in location[key:])


@lru_cache(maxsize=512)
def _schema(kind: str, name: str) -> type[Options]:
    found = registry.load(kind, name)
    schema: type[Options] = found if isinstance(found, type) else found.schema
    return schema


def _is_expression(text: str) -> bool:
    return not text.replace("_", "").replace("-", "").isalnum()


def _problem(location: tuple[str, ...], text: str) -> PydanticCustomError:
    return PydanticCustomError("component", "invalid component", {"problems": [(location, text)]})


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)  # every digit, so that different values have different labels
    return f"'{value}'" if isinstance(value, str) and not value.isidentifier() else str(value).replace(" ", "")
