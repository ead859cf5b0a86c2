"""Response files of lmms-eval, VLMEvalKit and EASI, read as these tools write them.

- lmms-eval (0.7.3): `*_samples_TASK.jsonl`, one object a line with `doc_id`, `target`,
  `filtered_resps` and `input`. Metrics may hold the document or its id; older files hold `doc`.
- VLMEvalKit (e8e78f05): a table in .xlsx, .tsv or .json with the columns `index` and `prediction`
  and those of the data set. EASI's fork of it writes such tables as well: `MODEL_DATA.xlsx`, and
  `*_extract_matching.xlsx`, in which choices come first.

Both number questions in their own way. So each record is matched with an item by an id that both
know, else by its number, and then the question's text or the answer must agree.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.parsing import as_float
from spatialsv.benchmarks.responses import Response
from spatialsv.io.letters import find_letters, letter_options, options_in
from spatialsv.io.text import iterate_jsonl, iterate_table, load_json

IDS = ("id", "idx", "qid", "question_id")  # of the benchmark's own files
ID_FIELDS = (*IDS, "index")  # which VLMEvalKit may have counted itself
TABLES = (".xlsx", ".tsv", ".json")


@dataclass(frozen=True, kw_only=True)
class HarnessRecord:
    """One response in another tool's file."""

    where: str  # file and line or row, for errors
    ids: Mapping[str, str]  # field -> what may be the id of an item
    number: int | None  # of the question in the tool's data
    text: str
    question: str = ""  # the prompt or the question
    answer: str = ""  # the correct one


def read_harness_file(path: Path) -> list[HarnessRecord] | None:
    """Read a file of another tool, detected by its content.

    Returns:
        The records; None: the file is of none of these tools.

    Raises:
        ValueError: the file is broken, or needs a package that is not installed.
    """
    if path.suffix == ".jsonl":
        _, first = next(iterate_jsonl(path), (0, None))
        if not isinstance(first, Mapping) or "doc_id" not in first:
            return None
        return [_from_sample(row, f"{path}:{line}") for line, row in iterate_jsonl(path)]
    if path.suffix in TABLES:
        return [_from_row(row, where) for where, row in _rows(path)]
    return None


def match_items(
    records: Sequence[HarnessRecord], items: Sequence[Item], path: Path
) -> list[Response]:
    """Return the response of each record, under the id of its item.

    Args:
        records: of one file.
        items: of the benchmark, in the order of its files.
        path: the file, for errors.

    Returns:
        The responses. A record without an item keeps its own id.

    Raises:
        ValueError: no way to match records with items agrees with questions and answers.
    """
    by_id = {item.id: item for item in items}
    problems = []
    for name, names in _candidates(records, items):
        if not by_id.keys() & set(names):
            continue
        pairs = [(by_id[n], r) for n, r in zip(names, records, strict=True) if n in by_id]
        agreed = [_agree(item, record) for item, record in pairs]
        if False not in agreed and (name in IDS or True in agreed):
            return [Response(id=n, response=r.text) for n, r in zip(names, records, strict=True)]
        if False in agreed:
            item, record = pairs[agreed.index(False)]
            said = f"{record.where} is {item.id!r}, whose answer is {item.answer!r}"
            problems.append(f"by {name}, {said}, but the file says {record.answer!r}")
        else:
            problems.append(f"by {name}, no question or answer could be compared")
    reasons = "; ".join(problems) or f"none of {', '.join(ID_FIELDS)} names a question"
    raise ValueError(
        f"{path}: its records do not match the {len(items)} questions: {reasons}. Give a file of"
        ' the same benchmark and version, or lines of {"id": ..., "response": ...}.'
    )


def _candidates(
    records: Sequence[HarnessRecord], items: Sequence[Item]
) -> Iterator[tuple[str, list[str]]]:
    """Yield how records may be named: by each field that all have, then by their numbers."""
    for field in ID_FIELDS:
        names = [record.ids.get(field, "") for record in records]
        if all(names) and len(set(names)) == len(names):
            yield field, names
    numbers = [record.number for record in records if record.number is not None]
    if len(numbers) == len(records):
        for first in (0, 1):
            if min(numbers) >= first and max(numbers) - first < len(items):
                yield f"its number from {first}", [items[n - first].id for n in numbers]


def _agree(item: Item, record: HarnessRecord) -> bool | None:
    """Return whether a record is about an item; None: the record does not say."""
    agrees = _same_answer(item, record.answer.strip())
    if agrees is None and item.question and _plain(item.question) in _plain(record.question):
        return True
    return agrees


def _same_answer(item: Item, truth: str) -> bool | None:
    """Return whether `truth` is the item's answer; None: it is not one in a known form."""
    if truth.casefold() == item.answer.casefold():
        return True
    if item.kind == "number":
        number = as_float(truth)
        return None if number is None else abs(number - float(item.answer)) < 1e-6
    letters = find_letters(truth, _options(item)) if truth and item.kind == "choice" else []
    return letters == [item.answer] if letters else None


def _options(item: Item) -> dict[str, str]:
    try:
        return letter_options(item.options) if item.options else options_in(item.question)
    except ValueError:
        return {}


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _from_sample(row: Any, where: str) -> HarnessRecord:
    """Return the record of a line of lmms-eval's samples."""
    if not isinstance(row, Mapping) or not isinstance(row.get("doc_id"), int):
        raise ValueError(f"{where}: expected a sample of lmms-eval with doc_id.")
    said = row["filtered_resps"] if "filtered_resps" in row else row.get("resps")
    while isinstance(said, list) and said:  # of requests, and of what each returned
        said = said[0]
    if not isinstance(said, str):
        raise ValueError(f"{where}: filtered_resps: expected text, found {said!r:.80}.")
    documents = [row[name] for name in row if isinstance(row[name], Mapping)]
    known = {name: one[name] for name in ID_FIELDS for one in documents if name in one}
    prompt = row.get("input")
    return HarnessRecord(
        where=where,
        ids={name: str(value) for name, value in known.items()},
        number=row["doc_id"],
        text=said,
        question=prompt if isinstance(prompt, str) else "",
        answer=str(row.get("target", "")),
    )


def _from_row(row: Mapping[str, Any], where: str) -> HarnessRecord:
    """Return the record of a row of VLMEvalKit's table."""
    if missing := [name for name in ("index", "prediction") if name not in row]:
        found = ", ".join(map(str, row)) or "none"
        raise ValueError(
            f"{where}: no column {missing[0]!r}; found {found}. Expected a file of VLMEvalKit with"
            " index and prediction."
        )
    index = _text(row["index"])
    return HarnessRecord(
        where=where,
        ids={name: _text(row[name]) for name in ID_FIELDS if name in row},
        number=int(index) if index.isascii() and index.isdecimal() else None,
        text=_text(row["prediction"]),
        question=_text(row.get("question")),
        answer=_text(row.get("answer")),
    )


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the rows of a table, each with its place."""
    read: Mapping[str, Callable[[Path], Iterator[tuple[str, Mapping[str, Any]]]]] = {
        ".xlsx": _read_xlsx,
        ".tsv": lambda file: ((f"{file}:{n}", row) for n, row in iterate_table(file, "\t")),
        ".json": _read_json,
    }
    yield from read[path.suffix](path)


def _read_json(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the rows of a list of objects, or of pandas' `columns` and `data`."""
    value = load_json(path)
    if isinstance(value, Mapping) and {"columns", "data"} <= value.keys():
        value = [dict(zip(value["columns"], row, strict=True)) for row in value["data"]]
    if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value):
        raise ValueError(
            f"{path}: expected a list of objects with index and prediction, as VLMEvalKit writes."
        )
    for number, row in enumerate(value):
        yield f"{path}: row {number}", row


def _read_xlsx(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the rows of an Excel file's first sheet."""
    if importlib.util.find_spec("openpyxl") is None:
        raise ValueError(
            f"{path}: reading .xlsx needs openpyxl: `pip install openpyxl`, or"
            " `pip install spatialsv[readers]`."
        )
    import pandas as pd

    try:
        table = pd.read_excel(path, dtype=str, keep_default_na=False, engine="openpyxl")
    except Exception as error:  # openpyxl raises errors of many types
        raise ValueError(f"{path}: not an Excel file ({error}).") from None
    for number, row in enumerate(table.to_dict("records"), start=2):
        yield f"{path}:{number}", {str(name): cell for name, cell in row.items()}
