"""Text from outside is read in every common encoding, and what is wrong is told with its line."""

from __future__ import annotations

import codecs

import numpy as np
import pytest

from spatialsv.io import text
from spatialsv.io.text import (
    iterate_jsonl,
    iterate_table,
    load_json,
    load_yaml,
    read_lines,
    read_text,
    scan_lines,
)

DEEP = "[" * 100_000 + "]" * 100_000


def lines(path):
    return [line for _, line in read_lines(path)]


@pytest.mark.parametrize(
    "content",
    [
        b"a\n\xc3\xb6\n",
        b"a\r\n\xc3\xb6\r\n",
        b"a\r\xc3\xb6",
        codecs.BOM_UTF8 + b"a\n\xc3\xb6",
        "a\nö\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "a\r\nö".encode("utf-16-be"),
        "a\nö".encode("utf-32"),
    ],
)
def test_encodings_and_line_ends(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert lines(path) == ["a", "ö"]
    assert read_text(path).rstrip("\n") == "a\nö"


@pytest.mark.parametrize("content", [b"a\nb\xff\n", b"a\nb\0\n", "a\nb".encode("utf-16-le")])
@pytest.mark.parametrize("read", [read_text, lines])
def test_bytes_that_are_no_text_name_their_line(tmp_path, content, read):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    line = 1 if content[1] == 0 else 2
    with pytest.raises(ValueError, match=rf"a\.txt:{line}: not text, found .*Save the file as UTF"):
        read(path)


def test_truncated_utf16_is_an_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("ö".encode("utf-16") + b"\x00\xd8")
    with pytest.raises(ValueError, match=r"a\.txt: cannot be read"):
        read_text(path)


def test_link_to_itself_is_an_error_and_missing_file_keeps_its_type(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(FileNotFoundError):
        read_text(path)
    path.symlink_to(path)
    with pytest.raises(ValueError, match=r"a\.txt: cannot be read \(Too many levels"):
        read_text(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_text(tmp_path)


def test_a_bad_or_huge_line_costs_only_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "MAX_LINE", 8)
    path = tmp_path / "a.txt"
    path.write_bytes(b"1\n" + b"x" * 30 + b"\n2\n\xff\n1234567\n12345678\n3")
    scanned = dict(scan_lines(path))
    assert [scanned[n] for n in (1, 3, 5, 7)] == ["1", "2", "1234567", "3"]
    assert [str(scanned[n]).partition(" ")[0] for n in (2, 4, 6)] == [
        f"{path}:{n}:" for n in (2, 4, 6)
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a":\n 1,\n}', "3: not JSON"),
        ("", "1: not JSON"),
        (DEEP, "1: not supported JSON .nested too deeply"),
        (r'"\ud800"', "1: not supported JSON .a string holds half of a surrogate pair"),
    ],
)
def test_json_errors_name_file_and_line(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"a\.json:{message}"):
        load_json(path)


def test_a_huge_integer_is_the_float_that_checks_find(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(f"[{'7' * 10_000}, -{'7' * 10_000}, 1e400, {10**299}]")
    assert load_json(path) == [np.inf, -np.inf, np.inf, 10**299]


def test_json_lines_give_their_numbers(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "\u2028"}\n\n[1]\n{"b": x}\n')
    values = iterate_jsonl(path)
    assert next(values) == (1, {"a": "\u2028"})
    assert next(values) == (3, [1])
    with pytest.raises(ValueError, match=r"a\.jsonl:4: not JSON"):
        next(values)


def test_tables(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(codecs.BOM_UTF8 + b'a\tb\r\n1\t"2\n3"\r\n\r\n4\t5\r\n6\r\n')
    rows = iterate_table(path, "\t")
    assert next(rows) == (3, {"a": "1", "b": "2\n3"})
    assert next(rows) == (5, {"a": "4", "b": "5"})
    with pytest.raises(ValueError, match=r"a\.tsv:6: expected 2 fields, found 1\."):
        next(rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb: @x", ":2: not YAML"),
        ("a: 2020-13-45", ": not supported YAML"),
        ("[" * 5_000, ": not supported YAML .nested"),
        ("a: !!python/object:os.system {}", ":1: not YAML"),
    ],
)
def test_yaml_errors_name_file_and_line(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"a\.yaml{message}"):
        load_yaml(path)
    path.write_text("a: [1, ö]")
    assert load_yaml(path) == {"a": [1, "ö"]}
