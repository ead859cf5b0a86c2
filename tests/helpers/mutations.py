"""Mutations of valid files that follow their structure: JSON, JSON lines, tables, text, bytes."""

from __future__ import annotations

import codecs
import json
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

DEEP = "[" * 5000 + "]" * 5000
LONG = "9" * 5000
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 2**31, -(2**63), 10**30, 0.5, 1e-300, 1e308, -1.5),
    *(float("nan"), float("inf"), float("-inf")),
    *("", " ", "x", "0", "-1", "nan", "1e999", "A", "E", "(B)", "B. b", "[]", "null", "\0", "\n"),
    *("../../etc/passwd", "/etc/passwd", "a/../../b", "C:\\x", "x" * 300, "é", "\ud800", "\u202e"),
    *(
        "<|im_start|>",
        "<image>",
        "<video>",
        "['a', 'b']",
        '{"a": 1}',
        "1_0",
        "\uff11",
        "0x10",
        "1,5",
    ),
    *([], {}, [None], [[]], {"a": 1}, [1, 2], ["a", "b"], ["a"] * 30, {"": None}),
)
WORDS = (
    *("nan", "inf", "-inf", "1e999", "-1e400", "x", "", "\0", "0", "-1", "1e30", "2147483648"),
    *("../../x", "/etc/passwd", "7 7", "[", '"', LONG, "1_0", "\uff11", "0x10", "1,5", "-0.0", "#"),
)


def mutate(random: Random, path: Path) -> bytes:
    """Return the content of `path` after one to three mutations."""
    content = path.read_bytes()
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content = _mutate_once(random, content, path.suffix)
    return content


def _mutate_once(random: Random, content: bytes, suffix: str) -> bytes:
    if random.random() < 0.25:
        return _mutate_bytes(random, content)
    try:
        if suffix == ".json":
            return _dump(random, _mutate_value(random, json.loads(content)))
        if suffix == ".jsonl":
            return _mutate_lines(random, content)
        if suffix == ".parquet":
            return _mutate_parquet(random, content)
        return _mutate_text(random, content.decode()).encode(errors="surrogateescape")
    except (
        ValueError,
        OSError,
        RecursionError,
    ):  # an earlier mutation left nothing that can be parsed
        return _mutate_bytes(random, content)


def _dump(random: Random, value: Any) -> bytes:
    text = json.dumps(value, indent=random.choice((None, 1)), ensure_ascii=random.random() < 0.8)
    if random.random() < 0.05:
        text = text.replace("0", random.choice((LONG, DEEP)), 1)
    if random.random() < 0.05:
        text = random.choice(("\ufeff", " ", "\r\n")) + text
    encoding = random.choice(("utf-8",) * 8 + ("utf-16", "utf-32"))
    return text.encode(encoding, errors="surrogatepass")


def _mutate_value(random: Random, value: Any) -> Any:
    """Return `value` with one of its nodes changed."""
    nodes: list[tuple[Any, Any]] = []  # container and key
    _collect(value, nodes)
    if not nodes or random.random() < 0.03:
        return deepcopy(random.choice(VALUES))
    container, key = random.choice(nodes)
    old = container[key]
    how = random.randrange(8)
    if how == 0:
        del container[key]
    elif how == 1 and isinstance(container, dict):
        container[random.choice((f"{key} ", str(key).upper(), "", "\ud800"))] = container.pop(key)
    elif how == 2:
        container[key] = [old]
    elif how == 3:
        container[key] = str(old) if not isinstance(old, str) else len(old)
    elif how == 4:
        other, name = random.choice(nodes)
        container[key] = json.loads(json.dumps(other.get(name) if isinstance(other, dict) else old))
    elif how == 5 and isinstance(old, list) and old:
        container[key] = old[:-1] if random.random() < 0.5 else old + old[:1]
    elif how == 6 and isinstance(old, int | float):
        container[key] = random.choice((-old, old * 1e9, old + 0.5, 1 - old, old / 1e9))
    else:
        container[key] = deepcopy(random.choice(VALUES))
    return value


def _collect(value: Any, nodes: list[tuple[Any, Any]]) -> None:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            nodes.append((value, key))
            _collect(value[key], nodes)


def _mutate_lines(random: Random, content: bytes) -> bytes:
    lines = content.splitlines()
    at = random.randrange(len(lines) or 1)
    how = random.randrange(6)
    if how == 0:
        lines.insert(at, random.choice((b"", b"{", b"[]", b"null", b"\xff", DEEP.encode(), b"\0")))
    elif how == 1 and lines:
        lines.insert(at, random.choice(lines))
    elif lines:
        lines[at] = _dump(random, _mutate_value(random, json.loads(lines[at])))
    return random.choice((b"\n", b"\n", b"\r\n", b"\r")).join(lines)


def _mutate_parquet(random: Random, content: bytes) -> bytes:
    rows = parquet.read_table(pa.BufferReader(content)).to_pylist()
    rows = _mutate_value(random, rows)
    sink = pa.BufferOutputStream()
    try:
        parquet.write_table(pa.Table.from_pylist(rows), sink)
    except (pa.ArrowException, TypeError, AttributeError, ArithmeticError, KeyError) as error:
        raise ValueError(error) from None
    return sink.getvalue().to_pybytes()


def _mutate_text(random: Random, text: str) -> str:
    """Change a word, a line, or the separators of a table or a text of numbers."""
    lines = text.split("\n")
    at = random.randrange(len(lines))
    how = random.randrange(8)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(at, random.choice((*lines, "", "#", " ", "x")))
    elif how == 2:
        lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]
    elif how == 3:
        return text.replace(random.choice((" ", "\n", "\t", ",")), random.choice((",", "\t", ";")))
    else:
        tab = "\t" if "\t" in lines[at] else "," if "," in lines[at] else " "
        words = lines[at].split(tab)
        word = random.randrange(len(words))
        if how == 4:
            del words[word]
        elif how == 5:
            words.insert(word, random.choice(WORDS))
        else:
            words[word] = random.choice(WORDS)
        lines[at] = tab.join(words)
    return "\n".join(lines)


def _mutate_bytes(random: Random, content: bytes) -> bytes:
    at = random.randrange(len(content) + 1)
    how = random.randrange(7)
    if how == 0:
        return content[:at]
    if how == 1:
        return content[:at] + random.randbytes(random.randrange(1, 9)) + content[at:]
    if how == 2:
        return content[:at] + content[at + random.randrange(1, 20) :]
    if how == 3:
        return random.choice((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b"\x1f\x8b", b"")) + content
    if how == 4:
        return random.choice((b"", b"\0" * 64, random.randbytes(200), b"version https://git-lfs"))
    if at == len(content):
        return content
    bits = 1 << random.randrange(8) if how == 5 else random.randrange(1, 256)
    return content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]
