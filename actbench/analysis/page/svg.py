"""A chart's figure as SVG inside the page: its marks carry their text, its colours follow light and dark."""

from __future__ import annotations

import re
import warnings
from html import escape
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from actbench.analysis.plots._data import ChartData
from actbench.analysis.plots._figures import Drawn, image_bytes
from actbench.analysis.plots._style import GROUND, INK, OKABE_ITO, PALE, Look
from actbench.system.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIABLES = {INK: "var(--ink)", PALE: "var(--pale)", GROUND: "var(--ground)"} | {
    color: f"var(--series-{index})" for index, color in enumerate(OKABE_ITO)
}
"""Colour of a figure -> the page's own in its place, which is another one in the dark."""

_COLOR = re.compile("|".join(VARIABLES))
_FONT = re.compile(r"font-family: [^;]*;? ?")
_LONG = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_GID = re.compile(r"s(\d+)\.(?:m(\d+)|(.+))")
_SEED = re.compile(r"seed(\d+)")
_POSITIONS = frozenset({"d", "x", "y", "width", "height", "cx", "cy", "r", "points", "transform"})


def inline_svg(figure: Figure, drawn: Drawn, look: Look, *, prefix: str) -> str:
    """Return a figure as an ``<svg>`` element that can stand in a page beside others.

    Every id begins with the prefix, and references follow. A mark is ``<g id="PREFIX-m7" class="mark">`` with its text
    as ``<title>``, which browsers show under the pointer without a script. What belongs to a series bears
    ``data-series`` and ``data-activation``.

    Args:
        figure: As ``figure_of`` returns it.
        drawn: The chart that it shows.
        look: With which it was drawn.
        prefix: Of every id; another one for each chart of a page.
    """
    with warnings.catch_warnings():
        # The page's reader has other fonts than matplotlib, and the text stays text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        content = image_bytes(figure, "svg", look)
    root = ElementTree.fromstring(content)
    _rename_tags(root)
    wanted = _referenced(root)
    for element in root.iter():
        _place(element, drawn.data, wanted, prefix)
    for child in list(root):
        if child.tag == "metadata" or (child.tag == "defs" and child.find("style") is not None):
            root.remove(child)
    size = root.get("viewBox", "").split()
    root.attrib.clear()
    root.attrib |= {
        "viewBox": " ".join(size),
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-desc",
        "class": "chart-svg",
        "style": f"aspect-ratio:{size[2]}/{size[3]}" if len(size) == 4 else "",
    }
    for tag, text in (("desc", drawn.data.caption), ("title", drawn.chart.title)):
        named = ElementTree.Element(tag, {"id": f"{prefix}-{tag}"})
        named.text = printable(text)
        root.insert(0, named)
    parts: list[str] = []
    _write(root, parts)
    return "".join(parts)


def page_color(color: str) -> str:
    """Return the page's variable for a colour of a figure, or the colour itself where it has none."""
    return VARIABLES.get(color, color)


def _rename_tags(root: ElementTree.Element) -> None:
    """Drop namespaces, which an HTML parser knows by itself, and put ``href`` in the place of ``xlink:href``."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name in list(element.attrib):
            if "}" in name:
                element.attrib[name.rpartition("}")[2]] = element.attrib.pop(name)


def _referenced(root: ElementTree.Element) -> set[str]:
    """Return the ids that something points to; the others are matplotlib's names for its artists."""
    found: set[str] = set()
    for element in root.iter():
        if element.get("href", "").startswith("#"):
            found.add(element.attrib["href"][1:])
        for value in element.attrib.values():
            found.update(_REFERENCE.findall(value))
    return found


def _place(element: ElementTree.Element, data: ChartData, wanted: set[str], prefix: str) -> None:
    """Give an element its id, its series and its text in the page, and shorten what need not be long."""
    name = element.attrib.pop("id", "")
    if name in wanted:
        element.set("id", f"{prefix}-{name}")
    elif (found := _GID.fullmatch(name)) and int(found[1]) < len(data.series):
        _mark(element, found, data, prefix)
    if element.get("href", "").startswith("#"):
        element.set("href", f"#{prefix}-{element.attrib['href'][1:]}")
    for key, value in element.attrib.items():
        if key == "style":
            value = _COLOR.sub(lambda color: VARIABLES[color[0]], _FONT.sub("", value)).replace(": ", ":")
            value = value.replace("; ", ";")
        elif key in _POSITIONS:
            value = _LONG.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), value)
            value = " ".join(value.split())
        element.set(key, _REFERENCE.sub(lambda one: f"url(#{prefix}-{one[1]})", value))


def _mark(element: ElementTree.Element, found: re.Match[str], data: ChartData, prefix: str) -> None:
    series = data.series[int(found[1])]
    element.set("data-series", found[1])
    element.set("data-activation", printable(series.activation))
    text = printable(series.name)
    if found[2] is not None:
        element.set("id", f"{prefix}-m{found[2]}")
        element.set("class", "mark")
        text = printable(data.text(int(found[2])))
    elif seed := _SEED.match(found[3]):
        text = f"{text} · seed {seed[1]}"
    title = ElementTree.Element("title")
    title.text = text
    element.insert(0, title)


def _write(element: ElementTree.Element, parts: list[str]) -> None:
    """Write an element without the white space between tags."""
    attributes = "".join(f' {key}="{escape(value)}"' for key, value in element.attrib.items() if value)
    text = escape(element.text or "", quote=False) if (element.text or "").strip() else ""
    if not len(element) and not text:
        parts.append(f"<{element.tag}{attributes}/>")
        return
    parts.append(f"<{element.tag}{attributes}>{text}")
    for child in element:
        _write(child, parts)
        if (child.tail or "").strip():
            parts.append(escape(child.tail or "", quote=False))
    parts.append(f"</{element.tag}>")
