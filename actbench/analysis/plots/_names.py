"""Names of series as a picture has room for them: short, and still different from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from actbench.analysis.table.factors import Value, row_name, show, show_all

MAX_NAME = 34
"""Characters of a name beside a line; the page's table has longer ones whole."""


def shorten(text: str, most: int = MAX_NAME) -> str:
    """Return a name that fits beside a line: its beginning and its end, in which long names mostly differ.

    >>> shorten("leaky_relu(negative_slope=0.2)", 14)
    'leaky_r…e=0.2)'
    """
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def shorten_apart(names: Sequence[str], most: int = MAX_NAME) -> list[str]:
    """Return each name shortened; names that would look alike are cut so that the place shows in which they differ.

    >>> shorten_apart(["max(0.01 * x, x) + 0.1 * sigmoid(x)", "max(0.01 * x, x) + 0.2 * sigmoid(x)"], 16)
    ['…+ 0.1 * sigmoi…', '…+ 0.2 * sigmoi…']
    """
    found = {name: shorten(name, most) for name in names}
    for alike in _alike(found):
        found |= _around_difference(alike, most)
    for alike in _alike(found):  # that differ in places too far apart
        found |= {name: shorten(f"{number}: {name}", most) for number, name in enumerate(alike, 1)}
    return [found[name] for name in names]


def _alike(found: dict[str, str]) -> list[list[str]]:
    """Return the groups of names that have one short form."""
    groups: dict[str, list[str]] = {}
    for name, short in found.items():
        groups.setdefault(short, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _around_difference(names: Sequence[str], most: int) -> dict[str, str]:
    """Return each name from a little before the first place in which they differ."""
    first = next(place for place, letters in enumerate(zip_longest(*names)) if len(set(letters)) > 1)
    begin = max(0, first - most // 4)
    found = {}
    for name in names:
        rest = f"…{name[begin:]}" if begin else name
        found[name] = rest if len(rest) <= most else f"{rest[: most - 1]}…"
    return found


def drawn_names(names: Sequence[str], factors: Sequence[Mapping[str, Value]]) -> list[str]:
    """Return the names of series as pictures show them: at most ``MAX_NAME`` characters, mostly, and no two alike.

    Those of rows name settings by the last part of their keys, and shorten the activation rather than the settings.

    >>> drawn_names(["relu (training.optimizer.lr=1)"], [{"activation": "relu", "training.optimizer.lr": 1.0}])
    ['relu (lr=1)']

    Args:
        names: As tables have them.
        factors: Of each series; a name that is not made of them is shortened as a whole.
    """
    short = _short_keys(list(dict.fromkeys(key for one in factors for key in one)))
    rests = [show_all({short[key]: value for key, value in one.items() if key != "activation"}) for one in factors]
    room = max(MAX_NAME // 2, MAX_NAME - max((len(rest) + 3 for rest in rests if rest), default=0))
    activations = list(dict.fromkeys(show(one["activation"]) for one in factors if "activation" in one))
    fitting = dict(zip(activations, shorten_apart(activations, room), strict=True))
    found = []
    for name, own, rest in zip(names, factors, rests, strict=True):
        if name != row_name(own) or "activation" not in own:
            found.append(name)
        else:
            activation = fitting[show(own["activation"])]
            found.append(f"{activation} ({rest})" if rest else activation)
    return shorten_apart(found)


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return key -> its last part, or the whole key where two end alike.

    >>> _short_keys(["training.optimizer.lr", "dataset.name", "model.name"])
    {'training.optimizer.lr': 'lr', 'dataset.name': 'dataset.name', 'model.name': 'model.name'}
    """
    ends = [key.rpartition(".")[2] for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}
