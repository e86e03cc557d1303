"""Numbers with their metric's digits and units, as every sentence and table writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal

from actbench.schema.metrics import described

MINUS = "−"

NOTHING = "–"
"""Printed in place of a number that is missing."""

UNITS_OF_DIFFERENCES = {"fraction": "points", "ratio": "", "count": "", "squared": ""}
"""Differences of percentages are percentage points, those of other units plain numbers, unless they keep their name."""


ROUNDING = 1e-12
"""A smaller number is the rest of a subtraction that should have been 0."""

CAUTIONS = {
    "seconds": "seconds are shared out among the runs that train together, so they are no activation's own: see "
    "`actbench cost`"
}
"""Metric -> the caution that goes with every judgement on it."""


def number(metric: str, value: float) -> str:
    """Return a value without its unit; fractions as percent. Only what is 0 but for rounding is printed as 0.

    >>> number("test.accuracy", 0.93124), number("parameters", 199210.0), number("test.loss", 0.23456)
    ('93.12', '199,210', '0.2346')
    >>> number("test.accuracy", 0.00003), number("test.accuracy", 1e-17), number("train.loss", 2.4e-6)
    ('0.003', '0.00', '2e-06')
    """
    return _DIGITS.get(described(metric).unit, _decimals)(value)


def _fixed(value: float, decimals: int) -> str:
    """Return a number with these decimals, or its first digit where these would make it 0."""
    is_small = ROUNDING < abs(value) < 0.5 * 10.0**-decimals
    return f"{value:.1g}" if is_small else f"{value:.{decimals}f}"


def _percent(value: float) -> str:
    return _fixed(100 * value, 2)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _epochs(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else _fixed(value, 1)


def _figures(value: float) -> str:
    return f"{value:#.3g}".rstrip(".")


def _decimals(value: float) -> str:
    return _fixed(value, 4) if abs(value) < 1000 else f"{value:.4g}"


def _seconds(value: float) -> str:
    return f"{value:,.3g}"


_DIGITS: Mapping[str, Callable[[float], str]] = {
    "fraction": _percent,
    "count": _count,
    "epochs": _epochs,
    "ratio": _figures,
    "squared": _figures,
}
"""How values of a unit are written; all others as ``_decimals``."""

_WITH_UNIT: Mapping[str, tuple[Callable[[float], str], str]] = {"fraction": (_percent, "%"), "seconds": (_seconds, "s")}
"""How values are written that have their unit behind them, and that unit."""


def with_unit(metric: str, value: float) -> tuple[str, str]:
    """Return a value's digits and its unit, which is empty for counts, ratios and losses.

    >>> with_unit("test.accuracy", 0.93124), with_unit("seconds", 1.234)
    (('93.12', '%'), ('1.23', 's'))
    """
    write, unit = _with_unit(metric)
    return write(value), unit


def _with_unit(metric: str) -> tuple[Callable[[float], str], str]:
    """Return how the values of a metric are written before their unit, and that unit, which may be empty."""
    unit = described(metric).unit
    return _WITH_UNIT[unit] if unit in _WITH_UNIT else (_DIGITS.get(unit, _decimals), "")


def quantity(metric: str, value: float | None) -> str:
    """Return a value with its unit, or a dash for None.

    >>> quantity("test.accuracy", 0.93124), quantity("parameters", 199210.0), quantity("test.loss", 0.23456)
    ('93.12 %', '199,210', '0.2346')
    >>> quantity("health.gradient_ratio", 0.0001234)
    '0.000123'
    """
    (text,) = quantities(metric, [value])
    return text


def quantities(metric: str, values: Iterable[float | None]) -> list[str]:
    """Return ``quantity`` of each value.

    >>> quantities("test.accuracy", [0.93124, None, 0.00003])
    ['93.12 %', '–', '0.003 %']
    """
    write, unit = _with_unit(metric)
    end = f" {unit}" if unit else ""
    return [NOTHING if value is None else write(value) + end for value in values]


def signed(metric: str, value: float) -> str:
    """Return a difference without its unit; 0 has no sign.

    >>> signed("test.accuracy", -0.0042), signed("test.accuracy", 0.00001), signed("test.accuracy", -1e-17)
    ('−0.42', '+0.001', '0.00')
    """
    digits = number(metric, abs(value))
    sign = "" if float(digits.replace(",", "")) == 0 else MINUS if value < 0 else "+"
    return sign + digits


def interval(metric: str, ends: tuple[float, float], *, differences: int = 0, with_sign: bool | None = None) -> str:
    """Return an interval that ends where the metric's scale ends; the caller says so where that happens.

    Nothing is lost: the true value does not lie beyond, so the shorter interval holds it exactly as often.

    Args:
        metric: Decides digits and scale.
        ends: Lower and upper end, in the metric's unit.
        differences: As in ``Metric.scale``: 0 for a mean, 1 for a difference.
        with_sign: Whether positive ends have a sign, too; None means for differences only.

    >>> interval("test.accuracy", (0.0872, 1.1628)), interval("test.loss", (-0.5, 1.5), differences=1)
    ('[8.72, 100.00]', '[−0.5000, +1.5000]')
    """
    least, most = described(metric).scale(differences=differences)
    write = signed if (differences > 0 if with_sign is None else with_sign) else number
    low, high = (write(metric, min(max(end, least), most)) for end in ends)
    return f"[{low}, {high}]"


def interval_to_quote(
    metric: str,
    ends: tuple[float, float],
    *,
    differences: int = 0,
    with_sign: bool | None = None,
    unit: str = "",
) -> str:
    """Return an interval with its unit for a sentence, which has no caption to explain an end that was moved.

    >>> interval_to_quote("test.accuracy", (0.0872, 1.1628))
    '[8.72, 100.00], cut at the end of the scale'
    """
    text = interval(metric, ends, differences=differences, with_sign=with_sign)
    text = f"{text} {unit}" if unit else text
    is_cut = described(metric).beyond_scale(*ends, differences=differences)
    return f"{text}, cut at the end of the scale" if is_cut else text


def unit_of_difference(metric: str) -> str:
    """Return the unit in which differences of a metric are written; empty for plain numbers."""
    unit = described(metric).unit
    return UNITS_OF_DIFFERENCES.get(unit, unit)


def interval_in_words(metric: str, ends: tuple[float, float], *, of_difference: bool) -> str:
    """Return ``[92.80, 93.44]``, or ``[+0.20, +0.37] points`` for the interval of a difference."""
    if not of_difference:
        return interval_to_quote(metric, ends)
    return interval_to_quote(metric, ends, differences=1, unit=unit_of_difference(metric))


def in_units(metric: str, digits: str) -> str:
    """Return the digits of a difference with their unit, if there is one.

    >>> in_units("test.accuracy", "10.76"), in_units("health.gradient_ratio", "0.752")
    ('10.76 points', '0.752')
    """
    unit = unit_of_difference(metric)
    return f"{digits} {unit}" if unit else digits


def short(metric: str, value: float) -> str:
    """Return a round number in the unit of differences: ``0.1 points``.

    >>> short("test.accuracy", 0.001), short("test.loss", 0.02)
    ('0.1 points', '0.02 nats')
    """
    scaled = 100 * value if described(metric).unit == "fraction" else value
    return in_units(metric, f"{scaled:.3g}")


def some_of(texts: Sequence[str], most: int = 3) -> str:
    """Return the first texts in brackets, with a space before them, and the number of the others; empty without any.

    >>> some_of(["a", "b", "c", "d"]), some_of(["a", "b", "c", "d"], most=2)
    (' (a; b; c; and 1 more)', ' (a; b; and 2 more)')
    """
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return f" ({'; '.join((*texts[:most], *more))})" if texts else ""


def series(words: Iterable[str], last: str = "and") -> str:
    """Return the words as a sentence lists them; empty for none.

    >>> series(["a", "b", "c"]), series(["a"]), series("ab", "or")
    ('a, b and c', 'a', 'a or b')
    """
    *rest, final = [*words] or [""]
    return f"{', '.join(rest)} {last} {final}" if rest else final


def fewest_in_words(enough: int | None, noun: str = " seeds") -> str:
    """Return how many seeds can show something at least; None for no number of them.

    >>> fewest_in_words(6), fewest_in_words(None)
    ('6 seeds are the fewest that can', 'no number of seeds can')
    """
    return "no number of seeds can" if enough is None else f"{enough}{noun} are the fewest that can"


def percents(share: float, ends: tuple[float, float]) -> str:
    """Return a chance with its interval in whole percents: ``80 % [28, 99]``.

    >>> percents(0.8, (0.2836, 0.9949))
    '80 % [28, 99]'
    """
    low, high = (f"{100 * end:.0f}" for end in ends)
    return f"{100 * share:.0f} % [{low}, {high}]"


def p_value(p: float) -> str:
    """Return p as papers write it: ``= .004``, ``< .001``. Every p in a text is rounded here, and halves go up.

    Python rounds the halves that a float holds exactly to the even digit, and .0625 (5 seeds) is such a half.

    >>> p_value(0.0041), p_value(0.00002), p_value(1.0), p_value(0.0625)
    ('= .004', '< .001', '= 1', '= .063')
    """
    if p < 0.001:
        return "< .001"
    exact = Decimal(f"{p:.12g}")  # as written in decimals, without the rest of a product such as 3 · .0115
    digits = exact.quantize(Decimal("0.001") if exact < Decimal("0.0995") else Decimal("0.01"), ROUND_HALF_UP)
    return f"= {str(digits).removeprefix('0').rstrip('0').rstrip('.')}" if digits < 1 else "= 1"
