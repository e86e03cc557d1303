"""``actbench show ACTIVATION``: a function, its derivative and its constants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actbench.schema.components import Component
    from actbench.system.console import PrintableConsole


TITLES = {"second_moment": "E[f(Z)²]", "gain": "gain E[f²]^−½", "minimum": "minimum", "minimum_at": "minimum at z"}


def facts(name: str, component: Component | None = None) -> dict[str, Any]:
    """Return all about a row of ACTIVATIONS as plain data.

    Args:
        name: The row.
        component: A choice of its options, at which the constants are computed; None for the defaults.
    """
    from actbench.cli.function_curves import limits
    from actbench.nn.chosen_activations import kinks_of
    from actbench.schema import registry

    row = registry.load("activations", name)
    component = component or default_component(name)
    return {
        "name": component.label if component else name,
        "summary": row.summary,
        "formula": row.formula,
        "derivative": row.derivative,
        "curve": _fixed(component),
        "limits": list(limits(component)) if component else [None, None],
        "kinks": list(kinks_of(component) if component else row.kinks),
        "options": {**row.options, **(component.options if component else {})},
        "learned": list(row.learned),
        "constants": _constants(component) if component else {},
        "reference": row.reference,
    }


def default_component(name: str) -> Component | None:
    """Return an activation with its default options; None where one of them must be given."""
    from actbench.schema import registry
    from actbench.schema.components import resolve

    row = registry.load("activations", name)
    return None if None in row.options.values() else resolve("activations", name)


def print_facts(console: PrintableConsole, found: dict[str, Any]) -> None:
    """Print the facts for a reader."""
    shown = {
        "f(z)": found["formula"],
        "f′(z)": found["derivative"],
        "curves": found["curve"],
        "limits": _limits(found["limits"]),
        "kinks": ", ".join(f"{place:g}" for place in found["kinks"]),
        "options": ", ".join(f"{key}={_plain(value)}" for key, value in found["options"].items()),
        "learned": ", ".join(found["learned"]),
        **{TITLES[key]: _constant(value) for key, value in found["constants"].items()},
        "reference": found["reference"],
    }
    width = max(15, *(len(console.shown(key)) for key in shown))
    console.print(found["name"], style="bold", end="")
    console.print(f"  {found['summary']}", soft_wrap=True)
    for key, value in shown.items():
        if value:
            console.print(f"  {console.shown(key):<{width}}  {value}", soft_wrap=True)
    console.print()


def _constants(component: Component) -> dict[str, float | None]:
    """Return E[f(Z)²], the gain that keeps the variance, and the minimum if there is a dip.

    None for a moment that is not finite, as that of log(x), and for the gain of one that is 0 besides.
    """
    from actbench.cli.function_curves import lowest
    from actbench.nn.chosen_activations import second_moment

    moment = second_moment(component)
    gain = 1 / math.sqrt(moment) if 0 < moment < math.inf else None
    return {"second_moment": moment if math.isfinite(moment) else None, "gain": gain, **lowest(component)}


def _limits(found: list[float | None]) -> str:
    """Return the finite limits in words; empty where there are none."""
    sides = zip(found, ("−∞", "∞"), strict=True)
    return ", ".join(f"{limit:g} for z → {side}" for limit, side in sides if limit is not None)


def _fixed(component: Component | None) -> str:
    """Return where the curve of an activation of several numbers is taken; empty for an elementwise one."""
    from actbench.nn.chosen_activations import curve_of

    return curve_of(component)[1] if component else ""


def _constant(value: float | None) -> str:
    return "none that is finite" if value is None else f"{value:.7g}"


def _plain(value: Any) -> str:
    if value is None:
        return "(required)"
    return f"{value:g}" if isinstance(value, float) else str(value)
