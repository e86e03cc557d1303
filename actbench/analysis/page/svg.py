"""A chart's figure as SVG inside the page: its marks carry their text, its colours follow light and dark."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, fromstring

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

EDGE = 0.75
"""Points of a marker's edge, half of it and a rounding."""

_COLOR = re.compile("|".join(VARIABLES))
_FONT = re.compile(r"font-family: [^;]*;? ?")
_LONG = re.compile(r"-?\d+\.\d{2,}(?:e-?\d+)?")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_GID = re.compile(r"s(\d+)\.(?:m(\d+)|(.+))")
_SEED = re.compile(r"seed(\d+)")
_LEGEND = re.compile(r"legend_\d+")
_HATCHED = re.compile(r"fill: url\(#([^)]+)\)")
_OPACITY = re.compile(r"; fill-opacity: ([\d.]+)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_POSITIONS = frozenset({"d", "x", "y", "width", "height", "cx", "cy", "r", "points", "transform"})


@dataclass
class Styles:
    """The styles of a page's pictures, each written once, as a class.

    Args:
        classes: Style -> the name of its class.
    """

    classes: dict[str, str] = field(default_factory=dict)

    def of(self, style: str) -> str:
        """Return the class of a style as matplotlib writes it, in the page's colours and font."""
        own = _COLOR.sub(lambda color: VARIABLES[color[0]], _FONT.sub("", style))
        own = own.replace(": ", ":").replace("; ", ";").rstrip(";")
        return self.classes.setdefault(own, f"k{len(self.classes)}")

    def used_in(self, svg: str) -> str:
        """Return the styles that a picture uses, as text."""
        names = set(re.findall(r'class="(?:mark )?(k\d+)"', svg))
        return "; ".join(style for style, name in self.classes.items() if name in names)

    def sheet(self) -> str:
        """Return the style sheet of all classes."""
        return "\n".join(f".{name}{{{style}}}" for style, name in self.classes.items())


def svg_bytes(figure: Figure, look: Look) -> bytes:
    """Return a figure as matplotlib writes it, for ``inline_svg``.

    Args:
        figure: As ``figure_of`` returns it.
        look: With which it was drawn.
    """
    with warnings.catch_warnings():
        # The page's reader has other fonts than matplotlib, and the text stays text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        return image_bytes(figure, "svg", look)


def inline_svg(svg: bytes, drawn: Drawn, *, prefix: str, styles: Styles) -> str:
    """Return a figure as an ``<svg>`` element that can stand in a page beside others.

    Every id begins with the prefix, and references follow. A mark is an element ``PREFIXm7`` of class ``mark`` with
    its text as ``<title>``, which browsers show under the pointer without a script. What belongs to a series bears
    ``data-series`` and ``data-activation``, or lies in a group that does. Thousands of marks are one element each.
    A piece of a series' line beside its name is of class ``key``, and a legend of series is a group of class
    ``legend`` at the foot of the picture: a page with another list of the series can cut it off.

    Args:
        svg: The figure, as ``svg_bytes`` returns it.
        drawn: The chart that it shows.
        prefix: Of every id; another one for each chart of a page.
        styles: Those of the page, to which the picture's are added.
    """
    root = fromstring(svg)
    _rename_tags(root)
    _hatches(root)
    _place_all(root, drawn.data, prefix, styles)
    shared = Element("defs")
    shared.extend(_taken_out(root, "defs"))
    _simplify(root, {one.get("id", ""): one for one in shared})
    size = root.get("viewBox", "0 0 1 1").split()
    root.attrib.clear()
    root.attrib |= {
        "viewBox": " ".join(size),
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-desc",
        "class": "chart-svg",
        "preserveAspectRatio": "xMidYMin slice",  # in a lower frame its foot is cut off
        "style": f"aspect-ratio:{size[2]}/{size[3]}",
    }
    root.insert(0, shared)
    for tag, text in (("desc", drawn.data.caption), ("title", drawn.chart.title)):
        named = Element(tag, {"id": f"{prefix}-{tag}"})
        named.text = printable(text)
        root.insert(0, named)
    parts: list[str] = []
    _write(root, parts)
    return "".join(parts)


def page_color(color: str) -> str:
    """Return the page's variable for a colour of a figure, or the colour itself where it has none."""
    return VARIABLES.get(color, color)


def _rename_tags(root: Element) -> None:
    """Drop namespaces, which an HTML parser knows by itself, and put ``href`` in the place of ``xlink:href``."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name in list(element.attrib):
            if "}" in name:
                element.attrib[name.rpartition("}")[2]] = element.attrib.pop(name)


def _hatches(root: Element) -> None:
    """Make the ground of a hatch as pale as it was drawn, and its lines as dark.

    matplotlib's SVG fades the pattern as a whole, so that a dark hatch on a pale ground becomes one grey.
    """
    opacities: dict[str, str] = {}
    for element in root.iter():
        style = element.get("style", "")
        if (pattern := _HATCHED.search(style)) and (opacity := _OPACITY.search(style)):
            opacities[pattern[1]] = opacity[1]
            element.set("style", _OPACITY.sub("", style))
    for one in root.iter("pattern"):
        for rect in one.iter("rect"):
            ground = rect.attrib.pop("fill", "none")
            rect.set("style", f"fill: {ground}; fill-opacity: {opacities.get(one.get('id', ''), '1')}")
        for path in one.iter("path"):
            _dots(path)


def _dots(path: Element) -> None:
    """Draw the dots of a hatch as points of a round line: as circles of curves they take most of a page."""
    shapes = [shape for shape in path.get("d", "").split("z") if shape.strip()]
    if len(shapes) < 2 or any(shape.count("C") != 8 for shape in shapes):
        return
    places, width = [], 0.0
    for shape in shapes:
        numbers = [*map(float, _NUMBER.findall(shape))]
        (left, *_, right), (low, *_, high) = sorted(numbers[::2]), sorted(numbers[1::2])
        width = max(width, right - left, high - low)
        places.append(f"M{(left + right) / 2:.1f} {(low + high) / 2:.1f}h0")
    path.set("d", "".join(places))
    stroke = re.search(r"stroke: ([^;]+)", path.get("style", ""))
    color = stroke[1] if stroke else INK
    path.set("style", f"fill: none; stroke: {color}; stroke-width: {width + 0.5:.2f}; stroke-linecap: round")


def _place_all(root: Element, data: ChartData, prefix: str, styles: Styles) -> None:
    """Give every element its id, its series, its text and its class in the page."""
    ids = {name: f"{prefix}r{index}" for index, name in enumerate(_referenced(root))}
    for element in root.iter():
        name = element.attrib.pop("id", "")
        if _LEGEND.fullmatch(name) and any(_GID.fullmatch(one.get("id", "")) for one in element.iter()):
            element.set("class", "legend")
        if name in ids:
            element.set("id", ids[name])
        elif (found := _GID.fullmatch(name)) and int(found[1]) < len(data.series):
            _mark(element, found, data, prefix)
        if element.get("href", "").startswith("#"):
            element.set("href", f"#{ids[element.attrib['href'][1:]]}")
        for key, value in list(element.attrib.items()):
            if key in _POSITIONS:
                value = " ".join(_LONG.sub(lambda one: f"{float(one[0]):.1f}".removesuffix(".0"), value).split())
            element.set(key, _REFERENCE.sub(lambda one: f"url(#{ids[one[1]]})", value))
        if "style" in element.attrib:
            own = styles.of(element.attrib.pop("style"))
            element.set("class", f"{element.get('class', '')} {own}".strip())


def _referenced(root: Element) -> dict[str, None]:
    """Return the ids that something points to, in order; the others are matplotlib's names for its artists."""
    found: dict[str, None] = {}
    for element in root.iter():
        if element.get("href", "").startswith("#"):
            found[element.attrib["href"][1:]] = None
        for value in element.attrib.values():
            found.update(dict.fromkeys(_REFERENCE.findall(value)))
    return found


def _mark(element: Element, found: re.Match[str], data: ChartData, prefix: str) -> None:
    series = data.series[int(found[1])]
    element.set("data-series", found[1])
    element.set("data-activation", printable(series.activation))
    text = printable(series.name)
    if found[2] is not None:
        element.set("id", f"{prefix}m{found[2]}")
        element.set("class", "mark")
        text = printable(data.text(int(found[2])))
    elif seed := _SEED.match(found[3]):
        text = f"{text} · seed {seed[1]}"
    elif found[3] == "key":
        element.set("class", "key")
    title = Element("title")
    title.text = text
    element.insert(0, title)


def _taken_out(root: Element, tag: str) -> Iterator[Element]:
    """Take the elements of a tag out of the tree; yield what is in them. matplotlib's metadata and style go, too."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == tag:
                parent.remove(child)
                yield from (one for one in child if one.tag != "style")
            elif child.tag == "metadata":
                parent.remove(child)


def _simplify(element: Element, shared: dict[str, Element]) -> None:
    """Put the children of groups that say nothing in their place, and what belongs to one series into one group."""
    children: list[Element] = []
    for child in element:
        _simplify(child, shared)
        is_clip = child.tag == "g" and set(child.attrib) == {"clip-path"}
        if (child.tag == "g" and not child.attrib) or (is_clip and _are_inside(child, shared)):
            children += child
        else:
            children.append(_as_one(child))
    element[:] = _grouped(children)


def _are_inside(group: Element, shared: dict[str, Element]) -> bool:
    """Return whether a group holds markers alone, all of which lie so far inside that clipping changes nothing."""
    rect = shared[group.attrib["clip-path"].removeprefix("url(#").removesuffix(")")].find("rect")
    if rect is None or any(one.tag != "use" for one in group):
        return False
    left, top, width, height = (float(rect.get(key, "0")) for key in ("x", "y", "width", "height"))
    for one in group:
        marker = shared[one.attrib["href"].removeprefix("#")].get("d", "")
        room = max(map(abs, map(float, _NUMBER.findall(marker))), default=0.0) + EDGE
        x, y = float(one.attrib["x"]), float(one.attrib["y"])
        if not (left + room <= x <= left + width - room and top + room <= y <= top + height - room):
            return False
    return True


def _as_one(group: Element) -> Element:
    """Return a marked group of a title and one shape as that shape, with the title in it."""
    if group.tag != "g" or group.get("class") != "mark" or len(group) != 2 or group[1].tag not in ("use", "path"):
        return group
    title, shape = group
    classes = f"mark {shape.get('class', '')}".strip()
    shape.attrib |= {**group.attrib, "class": classes}
    shape.insert(0, title)
    return shape


def _grouped(children: list[Element]) -> list[Element]:
    """Return the children with neighbours of one series in a group, which says so once."""
    keys = ("data-series", "data-activation")
    found: list[Element] = []
    run: list[Element] = []

    def close() -> None:
        if len(run) > 1:
            group = Element("g", {key: run[0].attrib[key] for key in keys})
            for one in run:
                for key in keys:
                    del one.attrib[key]
            group.extend(run)
            found.append(group)
        else:
            found.extend(run)
        run.clear()

    for child in children:
        if run and child.get(keys[0]) != run[0].get(keys[0]):
            close()
        if keys[0] in child.attrib:
            run.append(child)
        else:
            found.append(child)
    close()
    return found


def _write(element: Element, parts: list[str]) -> None:
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
