"""Check a file of records before it is used: `spatialsv check-data`.

Records are parsed as the stage `scenes` parses them. Of images and videos only the headers are
read, so that a large file takes seconds, and pixels that are damaged are not found.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spatialsv.io.paths import path_inside
from spatialsv.progress import progress
from spatialsv.scenes.images import IMAGE_SUFFIXES, image_size
from spatialsv.scenes.question import TASKS
from spatialsv.scenes.readers.decoding import open_video
from spatialsv.scenes.readers.files import list_files
from spatialsv.scenes.readers.llava import visuals_of
from spatialsv.scenes.readers.questions import DECISIVE, FIELDS, suggest_field
from spatialsv.scenes.readers.record import (
    Record,
    RecordError,
    RecordFields,
    parse_object,
    read_records,
)
from spatialsv.scenes.readers.record_formats import format_of, parse

REMEDIES = {  # by the reason of an error that does not say what was expected
    "not JSON": "Write one JSON object per line, or one JSON list",
    "not a JSON object": "Write one JSON object per line, or one JSON list",
    "several videos": "Write one record for each",
    "turns do not alternate": "Start with human, and let gpt and human take turns",
    "markers do not match images": "Write one <image> for each, before the text",
    "markers within the text": "Move all of them before the text: images are always shown first",
    "empty turn": "Add the question",
    "answer is not an option": "Correct the letter or the options",
    "no options": "Write at least two after the question, as in 'A. chair B. lamp'",
    "unknown setting": "Start the id with rotation, among or around",
    "duplicate id": "Give each record its own id, or remove the field",
    "missing file": "Correct the name, or name the folder of the files by --images",
    "file cannot be read": "Replace the file",
}


@dataclass
class DataCheck:
    """What a file of records holds, and what is wrong with it."""

    path: Path
    records: int = 0
    skipped: int = 0  # records with a problem
    problems: list[str] = field(default_factory=list)  # each with file, line, field and remedy
    notes: list[str] = field(default_factory=list)  # of fields that are not read
    formats: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # of images by name
    videos: set[str] = field(default_factory=set)
    answers: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    kinds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


def check_data(
    path: Path, images: Path | None = None, linked_folders: Sequence[str] = ()
) -> DataCheck:
    """Check a file of questions, conversations or MindCube's lines.

    Args:
        path: JSON lines or one JSON list
        images: folder of the images and videos that records name; by default that of the file
        linked_folders: folders outside `images` that links in it may lead to

    Returns:
        Problems, and a summary.

    Raises:
        ValueError: the file is missing or has no records.
    """
    found, files = DataCheck(path), _Files(images or path.parent, linked_folders)
    lines: dict[str, int] = {}  # id -> line
    unread: Counter[tuple[str, str | None]] = Counter()
    try:
        for number, line, text in progress(read_records(path, range(2**62)), path.name):
            found.records += 1
            problems: list[RecordError] = []
            try:
                value = parse_object(text, path, line)
            except RecordError as error:
                problems.append(error)
            else:
                found.formats[format_of(value)] += 1
                unread.update(_unread_fields(value))
                problems += _check_record(value, number, line, files, lines, found)
            found.skipped += bool(problems)
            found.problems += [f"{path}:{line}: {_with_remedy(error)}" for error in problems]
    except ValueError as error:
        if not found.records:
            raise
        found.problems.append(f"{error} Records from there on are not read.")
        found.skipped += 1
    if not found.records:
        raise ValueError(f"{path}: no records.")
    found.sizes, found.videos = files.sizes, files.videos
    found.notes += [
        f"field {name!r} of {count:,} records is not read."
        + (f" Did you mean {likely!r}?" if likely else "")
        for (name, likely), count in unread.items()
    ]
    return found


def _check_record(
    value: Mapping[str, Any],
    number: int,
    line: int,
    files: _Files,
    lines: dict[str, int],
    found: DataCheck,
) -> list[RecordError]:
    """Return the errors of a record and of its files, and count its answer."""
    errors: list[RecordError] = []
    try:
        record = parse(value, number)
    except RecordError as error:
        errors += [error, *error.others]
    else:
        if (first := lines.setdefault(record.id, line)) != line:
            errors.append(RecordError("duplicate id", f"{record.id!r}, as in line {first}"))
        _count(record, found)
    with suppress(RecordError):  # which `parse` has found
        shown, video = visuals_of(RecordFields(value))
        for name in shown:
            errors += files.errors(name, video)
    return errors


def _count(record: Record, found: DataCheck) -> None:
    group = record.category or record.task
    found.kinds[group][TASKS[record.task].kind] += 1
    if TASKS[record.task].is_scored:
        found.answers[group][record.answer] += 1


def _unread_fields(value: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Return the fields of a question that are not read, each with one that it may mean."""
    if format_of(value) != "questions":
        return []
    likely = {key: suggest_field(key, value) for key in value if key not in FIELDS}
    return [(key, field) for key, field in likely.items() if field not in DECISIVE]


def _with_remedy(error: RecordError) -> str:
    text, remedy = str(error), REMEDIES.get(error.reason)
    if text.endswith("?"):
        return text
    return f"{text.rstrip('.')}." + (f" {remedy}." if remedy else "")


class _Files:
    """Images and videos by name, each opened once."""

    def __init__(self, root: Path, linked: Sequence[str]) -> None:
        self.root, self.linked = root, linked
        self.sizes: dict[str, tuple[int, int]] = {}
        self.videos: set[str] = set()
        self._errors: dict[str, list[RecordError]] = {}

    def errors(self, name: str, video: bool) -> list[RecordError]:
        """Return what is wrong with a file: nothing, or one error."""
        if name not in self._errors:
            self._errors[name] = []
            try:
                self._open(name, video)
            except FileNotFoundError:
                self._errors[name] = [RecordError("missing file", str(self.root / name))]
            except (ValueError, OSError) as error:
                self._errors[name] = [RecordError("file cannot be read", str(error))]
        return self._errors[name]

    def _open(self, name: str, video: bool) -> None:
        path = path_inside(self.root, name, self.linked)
        if not video:
            self.sizes[name] = image_size(path)
            return
        if not path.is_dir():
            with open_video(path):
                pass
        elif not list_files(path.iterdir(), IMAGE_SUFFIXES):
            raise ValueError(f"{path}: no image files in this directory")
        self.videos.add(name)


def format_check(found: DataCheck) -> str:
    """Return the problems of a file, one a line, and a summary."""
    rows = [("category", "records", "answers", "most frequent answer")]
    for group, kinds in found.kinds.items():
        listed = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items())
        frequent = "not scored"
        if answers := found.answers.get(group):
            answer, count = answers.most_common(1)[0]
            frequent = f"{answer:.40} in {100 * count / answers.total():.1f} %"
        rows.append((group, f"{kinds.total():,}", listed, frequent))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    formats = ", ".join(f"{name} {count:,}" for name, count in found.formats.items())
    summary = [f"formats: {formats or 'none'}", f"files: {_describe_files(found)}", *table]
    end = f"check-data: {found.records:,} records, {found.skipped:,} would be skipped"
    notes = [f"note: {note}" for note in found.notes]
    return "\n".join([*found.problems, *notes, *summary, end])


def _describe_files(found: DataCheck) -> str:
    text = f"{len(found.sizes):,} images"
    if found.sizes:
        small, large = (pick(found.sizes.values(), key=_area) for pick in (min, max))
        text += f" of {small[0]} x {small[1]} to {large[0]} x {large[1]} pixels"
    return text + (f", {len(found.videos):,} videos" if found.videos else "")


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
