"""YAML text -> plain data with places: YAML 1.2's core schema, and nothing that could run or explode."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actbench.config.nodes import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, read, write
from actbench.config.places import SourceText, Span
from actbench.errors import ConfigError

SCALARS = [
    ("1e-3", 0.001),
    ("1E5", 100000.0),
    ("1.0", 1.0),
    (".5", 0.5),
    ("5.", 5.0),
    ("-1.5e+3", -1500.0),
    ("0o17", 15),
    ("0x1F", 31),
    ("010", 10),
    ("+7", 7),
    ("-7", -7),
    ("9223372036854775807", 2**63 - 1),
    ("true", True),
    ("True", True),
    ("FALSE", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("off", "off"),
    ("yes", "yes"),
    ("no", "no"),
    ("tRUE", "tRUE"),
    ("1:30", "1:30"),
    ("2024-01-31", "2024-01-31"),
    ("1_000", "1_000"),
    ("0b11", "0b11"),
    ("=", "="),
    ("1e", "1e"),
    ("'5'", "5"),
    ("!!str 5", "5"),
    ("!!float 1e3", 1000.0),
    ("x * sigmoid(1.702 * x)", "x * sigmoid(1.702 * x)"),
]


def _read(text: str) -> Any:
    document = read(SourceText("x.yaml", text))
    assert not document.problems
    return document.content


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_a_scalar_means_what_the_core_schema_of_yaml_1_2_says(text: str, value: object) -> None:
    content = _read(f"key: {text}\n")["key"]

    assert (content, type(content)) == (value, type(value))


def test_a_merge_key_is_an_ordinary_key() -> None:
    assert _read("a: &a {x: 1}\nb:\n  <<: *a\n")["b"] == {"<<": {"x": 1}}


def test_an_alias_stands_for_a_copy_of_its_anchor() -> None:
    assert _read("a: &a [1, {b: 2}]\nc: *a\n") == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}


def test_every_key_and_value_has_its_place() -> None:
    document = read(SourceText("x.yaml", "a:\n  - 1\n  - {bc: two}\n"))
    key, value = document.keys["a", 1, "bc"], document.values["a", 1, "bc"]

    assert isinstance(key, Span)
    assert isinstance(value, Span)
    assert (key.start, key.end) == ((2, 5), (2, 7))
    assert (value.start, value.end) == ((2, 9), (2, 12))


UNREADABLE = [
    ("", "1:1", "is empty"),
    ("# only a comment\n", "1:1", "is empty"),
    ("a: 1\n---\nb: 2\n", "2:1", "second document"),
    ("a: 1\nb:\n\tc: 1\n", "3:1", "tab"),
    ("a: [1, 2\n", "2:1", "a comma or the closing"),
    ("a: *nowhere\n", "1:4", "begins with * is an alias"),
    ("a: &a [1, *a]\n", "1:4", "refers to the value itself"),
    ("a: 1\nb: \x07\n", "2:4", "U+0007 is not allowed"),
    ("a: \ud800", "1:4", "U+D800 is not allowed"),
    ("[" * 100_000, f"1:{MAX_DEPTH + 1}", "nested deeper"),
    ("{a: " * 60, f"1:{4 * MAX_DEPTH - 2}", "nested deeper"),
    ("- " * 60, f"1:{2 * MAX_DEPTH + 1}", "nested deeper"),
    ("a" * (MAX_CHARACTERS + 1), "1:1", "longer than"),
    ("%YAML 3.0\n---\na: 1", "1:1", "not valid YAML"),
    (f"[{'1,' * MAX_NODES}]", None, "expands to more than"),
    ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{x}: &{x} [{','.join([f'*{y}'] * 10)}]\n" for x, y in ["ba", "cb", "dc", "ed", "fe", "gf", "hg"]
    ), None, "aliases are copied"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "message"), UNREADABLE)
def test_a_text_that_is_no_config_is_refused_at_its_place(text: str, place: str | None, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(SourceText("x.yaml", text))
    (problem,) = caught.value.problems

    assert message in problem.message
    assert place is None or problem.where == f"x.yaml:{place}"


FOUND = [
    ("a: 1\nb: 2\na: 3\n", "3:1", "duplicate key 'a': it already stands at 1:1", {"a": 1, "b": 2}),
    ("1: x\n", "1:1", "a key must be a string, and '1' is not: put it in quotes", {}),
    ("true: x\n", "1:1", "a key must be a string, and 'true' is not: put it in quotes", {}),
    ("? [a]\n: x\n", "1:3", "a key must be a string, and this one is not: put it in quotes", {}),
    ("a: !mine 1\n", "1:4", "the tag !mine is not allowed", {}),
    ("a: !!python/name:os.system x\n", "1:4", "the tag !!python/name:os.system is not allowed", {}),
    ("a: !!python/object/apply:os.system [x]\n", "1:4", "the tag !!python/object/apply:os.system is", {}),
    ("a: !!int x\n", "1:4", "the tag !!int is not allowed here", {}),
    ("a: !!set {x}\n", "1:4", "the tag !!set is not allowed", {}),
    ("a: [1, .nan]\n", "1:8", ".nan is not a finite number", {"a": [1]}),
    ("a: -.inf\n", "1:4", "-.inf is not a finite number", {}),
    ("a: 1e999\n", "1:4", "1e999 is not a finite number", {}),
    ("a: 9223372036854775808\n", "1:4", "an integer beyond 64 bits", {}),
    (f"a: {'9' * 5000}\n", "1:4", "an integer beyond 64 bits", {}),
]


@pytest.mark.parametrize(("text", "place", "message", "content"), FOUND)
def test_what_a_config_may_not_hold_is_left_out_and_reported(
    text: str, place: str, message: str, content: object
) -> None:
    document = read(SourceText("x.yaml", text))
    problems = document.problems

    assert [problem.where for problem in problems] == [f"x.yaml:{place}"]
    assert problems[0].message.startswith(message)
    assert document.content == content


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["1e3", "0o17", "off", "1:30", "null", "", "<<", "=", "2024-01-31", "010", "a: b", "- x", "#"])
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(content=st.dictionaries(st.sampled_from("abc"), PLAIN, min_size=1, max_size=3))
def test_what_is_written_is_read_back_unchanged(content: dict[str, Any]) -> None:
    assert _read(write(content)) == content


@pytest.mark.parametrize(("items", "fits"), [(MAX_NODES - 1, True), (MAX_NODES, False)])
def test_a_text_may_hold_ten_thousand_values_and_not_one_more(items: int, fits: bool) -> None:
    assert MAX_NODES == 10_000
    source = SourceText("x.yaml", f"[{','.join(['1'] * items)}]")  # the list is a value, too
    if fits:
        assert read(source).content == [1] * items
        return
    with pytest.raises(ConfigError, match="expands to more than 10,000 values"):
        read(source)
