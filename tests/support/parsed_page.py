"""A page as a browser parses it: elements with attributes, text and children, without any library of the product."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "input", "br", "link", "img", "wbr"}


@dataclass
class Element:
    """One element of a page."""

    tag: str
    attributes: dict
    parent: "Element | None" = None
    children: list = field(default_factory=list)

    def all(self, tag=None, **attributes):
        """Every element below with this tag and these attributes; ``class_`` is one of the classes."""
        found = []
        for child in self.children:
            if isinstance(child, str):
                continue
            if tag in (None, child.tag) and all(child.has(key, value) for key, value in attributes.items()):
                found.append(child)
            found += child.all(tag, **attributes)
        return found

    def one(self, tag=None, **attributes):
        """The only such element."""
        (found,) = self.all(tag, **attributes)
        return found

    def has(self, key, value):
        """Whether an attribute has a value; underscores stand for dashes."""
        if key == "class_":
            return value in (self.attributes.get("class") or "").split()
        name = key.rstrip("_").replace("_", "-")
        return name in self.attributes if value is True else self.attributes.get(name) == value

    @property
    def text(self):
        """All text below, with single blanks."""
        return " ".join("".join(self._texts()).split())

    def _texts(self):
        for child in self.children:
            if isinstance(child, str):
                yield child
            else:
                yield from child._texts()


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = self.place = Element("document", {})
        self.wrong = []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.wrong.append(f"<{tag}> has an attribute twice")
        found = Element(tag, dict(attrs), self.place)
        self.place.children.append(found)
        if tag not in VOID:
            self.place = found

    def handle_startendtag(self, tag, attrs):
        self.place.children.append(Element(tag, dict(attrs), self.place))

    def handle_endtag(self, tag):
        if tag != self.place.tag:
            self.wrong.append(f"</{tag}> closes <{self.place.tag}>")
            return
        self.place = self.place.parent

    def handle_data(self, data):
        self.place.children.append(data)


def parsed(html):
    """The document of a page, in which every element is closed by its own end tag."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert not parser.wrong, parser.wrong[:5]
    assert parser.place is parser.root, f"<{parser.place.tag}> is never closed"
    return parser.root
