"""YAML and JSON are read into values with lines; what could mislead or exhaust is refused."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_gateway.cli.output import as_yaml
from penstock_gateway.manifest_text import DEPTH_MAX, Marks, TextError, json_marks, read_json, read_yaml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def values(text: str) -> list[object]:
    return [document.value for document in read_yaml(text)]


def refusal(text: str) -> TextError:
    with pytest.raises(TextError) as raised:
        list(read_yaml(text))
    return raised.value


def test_a_plain_word_is_a_number_or_boolean_only_where_all_agree() -> None:
    text = "{a: no, b: on, c: true, d: ~, e: 010, f: 1e3, n: 1.5e+3, o: -3, p: 08, g: 2024-01-01, h: 1.5, i: '5', j: 0x10, k: 1_000, l: , m: 12:30}"

    assert values(text) == [
        {
            "a": "no", "b": "on", "c": True, "d": None, "e": "010", "f": "1e3", "n": 1500.0, "o": -3, "p": "08", "g": "2024-01-01", "h": 1.5, "i": "5",
            "j": "0x10", "k": "1_000", "l": None, "m": "12:30",
        }
    ]  # fmt: skip


def test_every_document_is_read_and_empty_ones_are_not() -> None:
    assert values("a: 1\n---\n---\n- 2\n---\nword\n") == [{"a": 1}, [2], "word"]


@given(VALUES)
def test_what_the_commands_print_as_yaml_is_read_back(value: object) -> None:
    assert values(as_yaml({"value": value})) == [{"value": value}]


@given(VALUES)
def test_json_is_read_as_json_does(value: object) -> None:
    assert read_json(json.dumps(value)) == value


@given(st.text(max_size=200))
def test_any_text_gives_values_or_our_error(text: str) -> None:
    with suppress(TextError):
        list(read_yaml(text))
    with suppress(TextError):
        read_json(text)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands twice in one mapping; remove one"),
        ("a: &x [1]\nb: *x\n", 2, "alias *x: aliases are not read here; write the value out"),
        ("a: !!python/object:os.system x\n", 1, "tag tag:yaml.org,2002:python/object:os.system"),
        ("a: !thing {}\n", 1, "tag !thing: tags are not read here; remove it"),
        ("? {a: 1}\n: 2\n", 1, "a key must be text"),
        ("a: [1\nb: 2\n", 2, "this is not YAML"),
        ("a:\n\tb: 1\n", 2, "this is not YAML"),
        ("a: 1\nb: \x01\n", 2, "this character is not allowed in YAML"),
        ("[" * (DEPTH_MAX + 1), 1, f"nested deeper than {DEPTH_MAX} levels"),
        ("[" * 100_000, 1, f"nested deeper than {DEPTH_MAX} levels"),
    ],
)
def test_what_misleads_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    error = refusal(text)

    assert error.line == line
    assert words in error.text


def test_a_page_of_aliases_does_not_unfold() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))

    assert "alias" in refusal(bomb).text


def test_lines_are_those_of_the_fields() -> None:
    document = next(read_yaml("kind: Model\nspec:\n  versions:\n    - id: 1\n      framework: onnx\n"))

    lines = {
        loc: document.marks.line_of(loc)
        for loc in [(), ("spec",), ("spec", "versions", 0, "framework"), ("spec", "versions", 7)]
    }
    assert lines == {(): 1, ("spec",): 2, ("spec", "versions", 0, "framework"): 5, ("spec", "versions", 7): 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "this is not JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ("[" * 200_000, "nested deeper"),
        ("1" * 5000, "a number is too long"),
    ],
)
def test_what_is_no_json_is_refused(text: str, words: str) -> None:
    with pytest.raises(TextError) as raised:
        read_json(text)

    assert words in raised.value.text


def test_json_has_lines_too() -> None:
    marks = json_marks('{\n "kind": "Model",\n "spec": {"a":\n 1}\n}')

    assert marks.line_of(("kind",)) == 2
    assert marks.line_of(("spec", "a")) == 3
    assert json_marks("\t{").line_of(("a",)) == Marks(1, {}).line
