"""Captures of any format as scenes of one store: a shard of the stage `scenes`, or all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spatialsv.config import to_mapping
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.progress import progress
from spatialsv.scenes.readers.capture import CaptureError, FrameError
from spatialsv.scenes.readers.config import MAX_LISTED, ReadConfig
from spatialsv.scenes.readers.formats import FORMATS, detect
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.skipped import count_reasons
from spatialsv.scenes.scene import Scenes, grouped
from spatialsv.scenes.store import write_groups


@dataclass(kw_only=True)
class ReadResult:
    """What captures gave, and what of them did not pass."""

    scenes: list[Scenes] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # captures, with file and line
    skipped: list[FrameError] = field(default_factory=list)  # frames of the others


def read_split(source: str, split: str, shard: int, config: ReadConfig, out: Path) -> None:
    """Read shard number `shard` of the captures of `split`; write its store and manifest.

    Raises:
        ValueError: no place for the split, fewer captures there than the split counts, or no good
            one in the shard.
    """
    root = config.place(split)
    places = FORMATS[source].scenes(root)
    if not root.exists() or not places:
        raise ValueError(f"{root}: nothing here in the format {source}")
    rows = config.rows(shard)
    if config.stop is not None and len(places) < config.stop:
        raise ValueError(
            f"{root}: {len(places)} scenes, scenes.splits.{split} counts {config.stop}"
        )
    about = {"split": split, "rows": [rows.start, rows.stop]}
    _write(out, source, root, places[rows.start : rows.stop], config, about)


def ingest(root: Path, store: Path, format: str | None, config: ReadConfig) -> None:
    """Read all captures at or below `root` into the Zarr folder `store`.

    Beside it comes a manifest of the same name, which `spatialsv labels --scenes` takes.

    Args:
        format: one of FORMATS; None: found out.

    Raises:
        FileNotFoundError: nothing at `root`.
        ValueError: a format that is unknown or not clear, or not one good capture.
    """
    if store.suffix != ".zarr":
        raise ValueError(f"--out {store}: a store's name ends in .zarr")
    if format is not None and format not in FORMATS:
        raise ValueError(f"--format {format!r}: known are {', '.join(FORMATS)}")
    format = format or detect(root)
    places = FORMATS[format].scenes(root)
    if not places:
        raise ValueError(f"{root}: nothing here in the format {format}")
    _write(store.with_suffix(".json"), format, root, places, config, {})


def read_captures(
    format: str, root: Path, places: Sequence[Path], config: ReadConfig
) -> ReadResult:
    """The scenes of captures, each named after its place; one that is bad stops no other.

    Raises:
        ValueError: there is no good one.
    """
    found = ReadResult()
    for place in progress(places, "captures"):
        try:
            capture = FORMATS[format].capture(place)
            capture = replace(capture, id=capture_id(root, place))
            loaded = load(capture, config.frames, config.sampling, config.max_pixels)
        except (CaptureError, FileNotFoundError) as error:
            found.refused.append(f"{place}: {error}")
        else:
            found.scenes += loaded[0]
            found.skipped += loaded[1]
    if not found.scenes:
        told = "; ".join(found.refused[:MAX_LISTED])
        raise ValueError(f"{root}: no good scene of {len(places)}; {told}")
    return found


def capture_id(root: Path, place: Path) -> str:
    """A scene's id: the name of what is read, and the place below it."""
    below = place.relative_to(root)
    return "/".join((root.resolve().name, *below.parts))


def _write(
    out: Path,
    format: str,
    root: Path,
    places: Sequence[Path],
    config: ReadConfig,
    about: dict[str, Any],
) -> None:
    found = read_captures(format, root, places, config)
    groups = grouped(found.scenes)
    counts = {"captures": len(places), "refused": len(found.refused), "scenes": len(found.scenes)}
    counts["views"] = sum(len(group) * group.shape[0] for group in groups)
    counts |= count_reasons("skipped", found.skipped)
    about = about | {"source": format, "file": str(root)}
    about["licence"] = ", ".join(sorted({group.licence for group in groups}))
    for name in ("refused", "skipped"):
        if told := [str(error) for error in getattr(found, name)[:MAX_LISTED]]:
            about[name] = told
    out.parent.mkdir(parents=True, exist_ok=True)
    store = out.with_suffix(".zarr")
    payload = {store.name: write_groups(store, groups)}
    told = to_mapping(config)
    manifest = Manifest(stage="scenes", payload=payload, counts=counts, config=told, about=about)
    write_manifest(out, manifest)
