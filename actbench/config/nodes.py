"""YAML text -> mappings, lists and scalars, with the place of every key and value.

PyYAML constructs objects by YAML 1.1, where ``1e-3`` is a string, ``off`` is false, ``010`` is eight and ``1:30`` is
ninety, forgets where a value stood, and takes the last of two equal keys. So only its node graph is used here: scalars
are read by YAML 1.2's core schema, each node's place is kept, and no object is ever constructed from a tag.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from actbench.config.document import Document
from actbench.config.places import Place, SourceText, Span
from actbench.config.shipped import missing_text
from actbench.errors import ConfigError, KeyPath, Problem
from actbench.system.files import read_input

MAX_NODES = 10_000
"""Values after the expansion of aliases; a handful of lines of nested aliases could otherwise fill the memory."""

MAX_DEPTH = 50
"""Levels of nesting; PyYAML composes recursively, and no config needs more than six."""

MAX_CHARACTERS = 1_000_000
"""Characters of a config; the longest one that is shipped has under a thousand."""

_STANDARD = "tag:yaml.org,2002:"
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INTEGER = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(
    r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
# In the order in which a plain scalar is matched; one that matches none is a string.
_SCALARS = {"null": _NULL, "bool": _BOOLEAN, "int": _INTEGER, "float": _FLOAT}
_INDENTED = "this line is indented otherwise than the keys that it belongs with: let all of them begin in one column"
_UNCLOSED = re.compile(r"expected ',' or '([\]}])'")
_BRACKETS = {"]": "list", "}": "mapping"}
_EXPLAINED = {
    "'\\t'": "a tab can't indent YAML: use spaces",
    "found another document": "a second document ('---') begins here: a config is one document",
    "undefined alias": "a value that begins with * is an alias in YAML: put it in quotes",
    "mapping values are not allowed": (
        "a second ': ' in one line: put a value that holds ': ' in quotes, and each key on a line of its own"
    ),
    "expected <block end>, but found '<block mapping start>'": _INDENTED,
    "unexpected end of stream": "a quote is opened and never closed",
    "expected <block end>, but found '<block sequence start>'": (
        "this '-' stands in another column than the other lines of its list: let all of them begin in one"
    ),
    "expected <block end>, but found '<scalar>'": (
        "a value ends before this text: put the whole value in quotes, or a comma between two"
    ),
    "expected <block end>, but found '-'": "a list item can't stand among keys: a list needs a key of its own above it",
    "could not find expected ':'": "a key needs a ':' and a blank behind it: 'activation: relu'",
    "cannot start any token": "a value can't begin with this character: put it in quotes",
}
"""Part of PyYAML's text -> words for someone who does not know how YAML is parsed."""

_MISSING = object()  # for None is a value


def read(source: SourceText) -> Document:
    """Parse one YAML document.

    Returns:
        The content, without those parts that no config may hold; ``problems`` explains each of these.

    Raises:
        ConfigError: When the text is too long, is not YAML, is empty, or expands to too much.
    """
    if len(source.text) > MAX_CHARACTERS:
        raise _unreadable(Span.at_index(source, 0), f"longer than {MAX_CHARACTERS:,} characters: not a config")
    root = _compose(source)
    if root is None:
        raise _unreadable(Span.at_index(source, 0), "this config is empty: there is nothing to run")
    reader = _Reader(source)
    content = reader.value(root, ())
    kept = None if content is _MISSING else content
    return Document(kept, reader.keys, reader.values, tuple(reader.problems), frozenset(reader.left_out))


def read_text(path: Path) -> str:
    """Return the text of a config file.

    Raises:
        ConfigError: For a file that is absent, unreadable, too large or not UTF-8.
    """
    try:
        content = read_input(path, MAX_CHARACTERS + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ConfigError([Problem(_no_text(path, error), place=str(path), file=str(path))]) from error
    if len(content) > MAX_CHARACTERS:  # characters are never more than bytes
        raise ConfigError(
            [Problem(f"larger than {MAX_CHARACTERS:,} bytes: not a config", place=str(path), file=str(path))]
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = SourceText(str(path), content[: error.start].decode("utf-8-sig"))
        text = f"byte 0x{content[error.start]:02x} is not UTF-8 text: save the file as UTF-8"
        raise ConfigError([Span.at_index(before, len(before.text)).problem(text)]) from error


def _no_text(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return missing_text(path)
    if isinstance(error, IsADirectoryError):
        return "is a folder: name a config file inside it"
    return f"can't be read: {error.strerror if isinstance(error, OSError) else error}"


def read_config(source: SourceText) -> Document:
    """Parse one YAML document that is a mapping.

    Raises:
        ConfigError: As ``read`` does, and when it is not a mapping.
    """
    document = read(source)
    if not isinstance(document.content, dict):
        text = "a config is a mapping of keys to values, such as 'activation: relu'"
        raise ConfigError(document.problems or [document.values[()].problem(text)])
    return document


def write(content: Any) -> str:
    """Return content as YAML text that ``read`` turns into equal content."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def write_inline(content: Any) -> str:
    """Return content as YAML text of one line.

    >>> write_inline({"activation": ["relu", "max(x, 0)"]})
    "{activation: [relu, 'max(x, 0)']}"
    """
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")


class _Loader(yaml.SafeLoader):
    """Composes nodes with YAML 1.2's core schema and a limit on nesting; constructs nothing."""

    # PyYAML looks the patterns up by a scalar's first letter ("" for an empty one); these replace those of YAML 1.1
    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML reads it from the class
        first: [(_STANDARD + name, pattern) for name, pattern in _SCALARS.items()]
        for first in ["", *"~nNtTfF0123456789+-."]
    }
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose as PyYAML does, but refuse nesting that would end in a RecursionError."""
        if self.depth >= MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes each string that YAML 1.1 or 1.2 would read as something else.

    ``read`` follows 1.2, but a study's config is kept beside its results, for programs that may follow 1.1.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML reads it from the class
        first: [*_Loader.yaml_implicit_resolvers.get(first, []), *patterns]
        for first, patterns in {
            **dict.fromkeys(_Loader.yaml_implicit_resolvers, ()),
            **yaml.SafeDumper.yaml_implicit_resolvers,
        }.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that stands twice twice, without anchors that nobody wrote."""
        return True


def _compose(source: SourceText) -> yaml.Node | None:
    try:
        return _Loader(source.text).get_single_node()
    except yaml.MarkedYAMLError as error:
        is_unclosed = "quoted scalar" in (error.context or "")  # found at the end, and made at the beginning
        mark = error.context_mark if is_unclosed else error.problem_mark or error.context_mark
        where = (mark.line, mark.column) if mark else (0, 0)
        before = source.lines[where[0]][: where[1]] if where[0] < len(source.lines) else ""
        raise _unreadable(Span(source, where, (where[0], where[1] + 1)), _syntax(error, before)) from error
    except yaml.reader.ReaderError as error:
        code = error.character
        message = f"the character U+{code:04X} is not allowed in YAML"
        if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte of the command line (PEP 383)
            message = f"the byte 0x{code - 0xDC00:02x} is not UTF-8 text"
        raise _unreadable(Span.at_index(source, error.position), message) from error


def _syntax(error: yaml.MarkedYAMLError, before: str) -> str:
    """Say what is wrong with the YAML.

    Args:
        error: PyYAML's.
        before: The line up to the place of the error.
    """
    problem = error.problem or "can't be read"
    if "mapping values are not allowed" in problem and ":" not in before:
        return _INDENTED
    if found := _UNCLOSED.match(problem):
        began = f", which began in line {error.context_mark.line + 1}," if error.context_mark else ""
        return f"a comma or the closing '{found[1]}' is missing here: the {_BRACKETS[found[1]]}{began} goes on"
    for sign, text in _EXPLAINED.items():
        if sign in problem:
            return text
    start = f", {error.context} from line {error.context_mark.line + 1}" if error.context_mark else ""
    return f"not valid YAML: {problem}{start}"


def _unreadable(span: Span, message: str) -> ConfigError:
    return ConfigError([span.problem(message)])


class _Reader:
    """Walks a node graph once and collects the places of its parts.

    Args:
        source: The text that the graph was composed from.
    """

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.keys: dict[KeyPath, Place] = {}
        self.values: dict[KeyPath, Place] = {}
        self.problems: list[Problem] = []
        self.left_out: set[KeyPath] = set()
        self.nodes = 0
        self.open: set[int] = set()  # ids of the nodes between the root and here: meeting one again is a cycle

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the node's data, or ``_MISSING`` where a problem explains why there is none."""
        span = self._span(node)
        # An alias is the very node of its anchor, so the graph of a small text may unfold into a huge tree: nine lines
        # of ten aliases each are a billion values. Counting visits stops that, and the set of open nodes stops a cycle.
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _unreadable(span, f"expands to more than {MAX_NODES:,} values (aliases are copied)")
        self.values[path] = span
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self.open:
            raise _unreadable(span, "an alias inside this value refers to the value itself")
        self.open.add(id(node))
        content = self._collection(node, path)
        self.open.remove(id(node))
        return content

    def _collection(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == _STANDARD + "map":
            return self._mapping(node, path)
        if not isinstance(node, yaml.SequenceNode) or node.tag != _STANDARD + "seq":
            return self._refuse(node, f"the tag {_short(node.tag)} is not allowed: use plain mappings and lists")
        content: list[Any] = []
        parts_of_cut: set[int] = set()
        for position, item in enumerate(node.value):
            if position in parts_of_cut:
                continue
            at = (*path, len(content))  # the position in the content, not in the text
            cut = self._cut_at_commas(node, node.value[position:])
            parts_of_cut |= set(range(position, position + cut))
            value = _MISSING if cut else self.value(item, at)
            if value is _MISSING:
                self.left_out.add(at)
            else:
                content.append(value)
        return content

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        content: dict[str, Any] = {}
        parts_of_cut: set[int] = set()
        for position, (key_node, value_node) in enumerate(node.value):
            if position in parts_of_cut:
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            self.keys[*path, key] = self._span(key_node)
            # what YAML took for further keys, without values of their own
            others = [other for other, its_value in node.value[position + 1 :] if _is_empty(its_value)]
            cut = self._cut_at_commas(node, [value_node, *others])
            parts_of_cut |= set(range(position + 1, position + cut))
            value = _MISSING if cut else self.value(value_node, (*path, key))
            if value is _MISSING:
                self.left_out.add((*path, key))
            else:
                content[key] = value
        return content

    def _cut_at_commas(self, around: yaml.CollectionNode, nodes: Sequence[yaml.Node]) -> int:
        """Report a value that YAML cut at its commas, as ``[max(x, 0.1*x)]``: in brackets they separate values.

        Args:
            around: The list or mapping.
            nodes: The first part, and what follows it there.

        Returns:
            The number of parts; 0 where the first node is a whole value.
        """
        if not around.flow_style:
            return 0
        plain = itertools.takewhile(lambda node: isinstance(node, yaml.ScalarNode) and node.style is None, nodes)
        depth, parts = 0, list[yaml.Node]()
        for part in plain:
            parts.append(part)
            depth += part.value.count("(") - part.value.count(")")
            if depth <= 0:
                break
        if len(parts) < 2 or depth:
            return 0
        whole = Span(self.source, self._span(parts[0]).start, self._span(parts[-1]).end)
        text = ", ".join(part.value for part in parts)
        self.problems.append(whole.problem(f"YAML cuts this value at its commas: put it in quotes, '{text}'"))
        return len(parts)

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        if not isinstance(node, yaml.ScalarNode) or node.tag != _STANDARD + "str":
            shown = f"'{node.value}'" if isinstance(node, yaml.ScalarNode) else "this one"
            self._refuse(node, f"a key must be a string, and {shown} is not: put it in quotes")
            return None
        key = self._text(node)
        if key is _MISSING:
            return None
        first = self.keys.get((*path, key))
        if isinstance(first, Span):
            line, column = first.start
            self._refuse(node, f"duplicate key '{key}': it already stands at {line + 1}:{column + 1}")
            return None
        return str(key)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix(_STANDARD)
        if kind == "str":
            return self._text(node)
        if kind not in _SCALARS or not _SCALARS[kind].match(node.value):
            # a tag was written: !mine, or !!int before something else; an implicit one always matches
            return self._refuse(node, f"the tag {_short(node.tag)} is not allowed here: write the plain value")
        if kind == "null":
            return None
        if kind == "bool":
            return node.value.lower() == "true"
        return self._number(node, kind)

    def _text(self, node: yaml.ScalarNode) -> Any:
        r"""Return a string; the two escapes with which JSON writes an emoji (``\ud83d\ude00``) are one character."""
        try:
            return node.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            return self._refuse(node, "half of a character: the escapes from \\ud800 to \\udfff are written in pairs")

    def _number(self, node: yaml.ScalarNode, kind: str) -> Any:
        text = node.value.lower()
        if kind == "float":
            value = float(text.replace(".inf", "inf").replace(".nan", "nan"))
            return value if math.isfinite(value) else self._refuse(node, f"{node.value} is not a finite number")
        base = {"0x": 16, "0o": 8}.get(text[:2], 10)
        # Few programs read larger integers back from JSON. 64 binary digits at most, a sign and a prefix; the length
        # first, as int() refuses thousands of digits.
        if len(text) > 67 or abs(int(text, base)) >= 2**63:
            return self._refuse(node, "an integer beyond 64 bits")
        return int(text, base)

    def _refuse(self, node: yaml.Node, message: str) -> Any:
        self.problems.append(self._span(node).problem(message))
        return _MISSING

    def _span(self, node: yaml.Node) -> Span:
        start, end = node.start_mark, node.end_mark
        is_running_on = isinstance(node, yaml.ScalarNode) and node.style is None and start.line < end.line
        return Span(self.source, (start.line, start.column), (end.line, end.column), is_running_on)


def _is_empty(node: yaml.Node) -> bool:
    """Return whether nothing at all is written where a value stands."""
    return isinstance(node, yaml.ScalarNode) and node.style is None and not node.value


def _short(tag: str) -> str:
    """Spell a standard tag as people write it: ``!!int``."""
    return tag.replace(_STANDARD, "!!", 1)
