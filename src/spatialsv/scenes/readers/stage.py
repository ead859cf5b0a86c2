"""The stage `scenes` on data from outside: one shard of captures, or of records.

Captures are places with or without geometry; records are images, or a video, and questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spatialsv.config import to_mapping
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.scenes.question import Question, write_questions
from spatialsv.scenes.readers import llava, mindcube
from spatialsv.scenes.readers.config import MAX_LISTED, ReadConfig
from spatialsv.scenes.readers.formats import FORMATS
from spatialsv.scenes.readers.read_captures import read_split
from spatialsv.scenes.readers.record import Record, RecordError, parse_object, read_records
from spatialsv.scenes.readers.record_images import Names, RecordImages
from spatialsv.scenes.readers.skipped import count_reasons
from spatialsv.scenes.store import write_groups

SOURCES: dict[str, Callable[[Mapping[str, Any], int], Record]] = {
    "mindcube": mindcube.parse,
    "llava": llava.parse,
}


def read_shard(source: str, split: str, shard: int, config: ReadConfig, out: Path) -> None:
    """Read shard number `shard` of `split` and write its store, questions and manifest.

    A record that is bad is left out; the manifest counts such records by reason, and names the
    first few with file and line. So it is with captures and their frames.

    Raises:
        ValueError: an unknown source, no file for the split, fewer records in it than it counts, or
            no good one in the shard.
    """
    if source in FORMATS:
        read_split(source, split, shard, config, out)
    elif source in SOURCES:
        _read_records(source, split, shard, config, out)
    else:
        known = ", ".join(["rooms", *SOURCES, *FORMATS])
        raise ValueError(f"scenes.source: no source {source!r}; known: {known}")


def _read_records(source: str, split: str, shard: int, config: ReadConfig, out: Path) -> None:
    path, rows = config.place(split), config.rows(shard)
    record_images = RecordImages(Path(config.images), config.frames, config.max_pixels)
    records, shown, skipped = parse_rows(path, rows, SOURCES[source], record_images)
    found = len(records) + len(skipped)
    if config.stop is not None and found < len(rows):
        raise ValueError(
            f"{path}: {rows.start + found} records, and scenes.splits.{split} counts {config.stop}"
        )
    if not records:
        told = "; ".join(f"{where}: {error}" for where, error in skipped[:MAX_LISTED])
        raise ValueError(f"{path}: no good record of {found} from number {rows.start} on; {told}")
    groups, places = record_images.scenes(shown, source)
    out.parent.mkdir(parents=True, exist_ok=True)
    store = out.with_suffix(".zarr")
    payload = {store.name: write_groups(store, groups)}
    counts = {"records": found, "scenes": sum(map(len, groups)), "padded": record_images.padded}
    counts["views"] = sum(len(group) * group.shape[0] for group in groups)
    counts |= count_reasons("skipped", (error for _, error in skipped))
    if split not in config.without_text:
        asked = [_question(*pair) for pair in zip(records, places, strict=True)]
        questions = out.with_suffix(".questions.jsonl")
        payload[questions.name] = write_questions(questions, asked)
        counts |= {"questions": len(asked)} | Counter(question.task for question in asked)
    about = {"source": source, "split": split, "file": str(path), "rows": [rows.start, rows.stop]}
    if skipped:
        about["skipped"] = [f"{where}: {error}" for where, error in skipped[:MAX_LISTED]]
    write_manifest(
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
    """The good records, the views that each shows, and the bad ones with file and line."""
    records, shown, skipped, seen = [], [], [], set()
    for number, line, text in read_records(path, rows):
        try:
            record = parse(parse_object(text), number)
            if record.id in seen:
                raise RecordError("id seen before", repr(record.id))
            shown.append(record_images.add(record))
        except RecordError as error:
            skipped.append((f"{path}:{line}", error))
        else:
            seen.add(record.id)
            records.append(record)
    return records, shown, skipped


def _question(record: Record, place: tuple[str, tuple[int, ...]]) -> Question:
    scene, views = place
    return Question(
        id=record.id,
        scene=scene,
        task=record.task,
        text=record.text,
        answer=record.answer,
        options=record.options,
        views=views,
        more=record.more,
    )
