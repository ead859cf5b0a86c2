"""Stage `scenes` on external data: one shard of captures or of records.

Captures are places with or without geometry; records are images, or a video, with questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spatialsv.config import to_mapping
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.scenes.question import Question, write_questions
from spatialsv.scenes.readers.config import MAX_LISTED, ReadConfig
from spatialsv.scenes.readers.formats import FORMATS
from spatialsv.scenes.readers.read_captures import read_split
from spatialsv.scenes.readers.record import Record, RecordError, parse_object, read_records
from spatialsv.scenes.readers.record_formats import SOURCES
from spatialsv.scenes.readers.record_images import Names, RecordImages
from spatialsv.scenes.readers.skipped import count_reasons
from spatialsv.scenes.store import write_groups


def read_shard(source: str, split: str, shard: int, config: ReadConfig, out: Path) -> Manifest:
    """Read one shard of a split and write its store, questions and manifest.

    Invalid records, captures and frames are skipped. The manifest counts them by reason and lists
    the first ones with file and line.

    Args:
        source: a key of `SOURCES` or a format of captures.
        split: a key of `config.files`.
        shard: number of the shard, from 0.
        config: input files and sampling.
        out: the manifest to write; store and questions are written next to it.

    Returns:
        The manifest.

    Raises:
        ValueError: the source is unknown, the split has no file or fewer records than configured,
            or no record of the shard is valid.
    """
    if source in FORMATS:
        return read_split(source, split, shard, config, out)
    if source in SOURCES:
        return _read_records(source, split, shard, config, out)
    known = ", ".join(["rooms", *SOURCES, *FORMATS])
    raise ValueError(f"scenes.source: unknown source {source!r}. Known sources: {known}.")


def _read_records(source: str, split: str, shard: int, config: ReadConfig, out: Path) -> Manifest:
    path, rows = config.path_of(split), config.rows(shard)
    record_images = RecordImages(
        Path(config.images), config.frames, config.max_pixels, config.linked_folders
    )
    records, shown, skipped = parse_rows(path, rows, SOURCES[source], record_images)
    total = len(records) + len(skipped)
    if config.stop is not None and total < len(rows):
        raise ValueError(
            f"{path}: {rows.start + total} records, but scenes.splits.{split} is {config.stop}."
        )
    if not records:
        reasons = "; ".join(f"{where}: {error}" for where, error in skipped[:MAX_LISTED])
        raise ValueError(
            f"{path}: none of {total} records from number {rows.start} on is valid: {reasons}"
        )
    groups, places = record_images.scenes(shown, source)
    out.parent.mkdir(parents=True, exist_ok=True)
    store = out.with_suffix(".zarr")
    payload = {store.name: write_groups(store, groups)}
    counts = {"records": total, "scenes": sum(map(len, groups)), "padded": record_images.padded}
    counts["views"] = sum(len(group) * group.shape[0] for group in groups)
    counts |= count_reasons("skipped", (error for _, error in skipped))
    if split not in config.without_text:
        questions = [
            _question(record, *place) for record, place in zip(records, places, strict=True)
        ]
        file = out.with_suffix(".questions.jsonl")
        payload[file.name] = write_questions(file, questions)
        counts |= {"questions": len(questions)} | Counter(question.task for question in questions)
    about = {"source": source, "split": split, "file": str(path), "rows": [rows.start, rows.stop]}
    if skipped:
        about["skipped"] = [f"{where}: {error}" for where, error in skipped[:MAX_LISTED]]
    return write_manifest(
        out,
        Manifest(
            stage="scenes",
            payload=payload,
            counts=counts,
            config=to_mapping(config),
            about=about,
        ),
    )


def parse_rows(
    path: Path,
    rows: range,
    parse: Callable[[Mapping[str, Any], int], Record],
    record_images: RecordImages,
) -> tuple[list[Record], list[Names], list[tuple[str, RecordError]]]:
    """Return the valid records, the views of each, and the invalid ones with file and line."""
    records: list[Record] = []
    shown: list[Names] = []
    skipped: list[tuple[str, RecordError]] = []
    seen: set[str] = set()
    for number, line, text in read_records(path, rows):
        try:
            record = parse(parse_object(text, path, line), number)
            if record.id in seen:
                raise RecordError("duplicate id", repr(record.id))
            shown.append(record_images.add(record))
        except RecordError as error:
            skipped.append((f"{path}:{line}", error))
        else:
            seen.add(record.id)
            records.append(record)
    return records, shown, skipped


def _question(record: Record, scene: str, views: tuple[int, ...]) -> Question:
    return Question(
        id=record.id,
        scene=scene,
        task=record.task,
        text=record.text,
        answer=record.answer,
        options=record.options,
        views=views,
        more=record.more,
        category=record.category,
    )
