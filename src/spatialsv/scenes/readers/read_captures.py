"""Read captures of any format into a store: one shard of stage `scenes`, or all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spatialsv.config import to_mapping
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.progress import progress
from spatialsv.scenes.readers.capture import FrameError
from spatialsv.scenes.readers.config import MAX_LISTED, ReadConfig
from spatialsv.scenes.readers.formats import FORMATS, detect, find_captures
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.skipped import count_reasons
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.scene_list import count_without_depth, group_by_shape
from spatialsv.scenes.store import write_groups


@dataclass(kw_only=True)
class ReadResult:
    """Scenes of captures, and the errors of invalid captures and frames."""

    scenes: list[Scenes] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # errors of captures, with file and line
    skipped: list[FrameError] = field(default_factory=list)  # errors of frames


def read_split(source: str, split: str, shard: int, config: ReadConfig, out: Path) -> Manifest:
    """Read one shard of the captures of a split and write its store and manifest.

    Args:
        source: a key of `FORMATS`.
        split: a key of `config.files`.
        shard: number of the shard, from 0.
        config: input files and sampling.
        out: the manifest to write.

    Returns:
        The manifest.

    Raises:
        ValueError: the split has no path or fewer captures than configured, or no capture of the
            shard is valid.
    """
    root = config.path_of(split)
    paths = find_captures(source, root)
    if not root.exists() or not paths:
        raise ValueError(f"{root}: no capture in the format {source}")
    rows = config.rows(shard)
    if config.stop is not None and len(paths) < config.stop:
        raise ValueError(f"{root}: {len(paths)} scenes, but scenes.splits.{split} is {config.stop}")
    about = {"split": split, "rows": [rows.start, rows.stop]}
    return _write(out, source, root, paths[rows.start : rows.stop], config, about)


def ingest(root: Path, store: Path, format: str | None, config: ReadConfig) -> Manifest:
    """Read all captures at or below `root` into a store and write its manifest.

    The manifest has the name of the store with the suffix .json, for `spatialsv labels --scenes`.

    Args:
        root: a file or a directory.
        store: the Zarr directory to write.
        format: a key of `FORMATS`; None: detected.
        config: sampling.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: `root` does not exist.
        ValueError: the format is unknown or ambiguous, or no capture is valid.
    """
    if store.suffix != ".zarr":
        raise ValueError(f"--out {store}: expected a name that ends in .zarr")
    if format is not None and format not in FORMATS:
        raise ValueError(
            f"--format: unknown format {format!r}. Known formats: {', '.join(FORMATS)}."
        )
    format = format or detect(root)
    paths = find_captures(format, root)
    if not paths:
        raise ValueError(f"{root}: no capture in the format {format}")
    return _write(store.with_suffix(".json"), format, root, paths, config, {})


def read_captures(format: str, root: Path, paths: Sequence[Path], config: ReadConfig) -> ReadResult:
    """Read captures; an invalid one does not stop the others.

    Args:
        format: a key of `FORMATS`.
        root: what scene ids are relative to.
        paths: the captures.
        config: sampling.

    Returns:
        Scenes and errors.

    Raises:
        ValueError: no capture is valid.
    """
    result = ReadResult()
    for path in progress(paths, "captures"):
        try:
            capture = FORMATS[format].capture(path)
            capture = replace(capture, id=capture_id(root, path))
            loaded = load(capture, config.frames, config.sampling, config.max_pixels)
        except (OSError, ValueError) as error:
            message = str(error)
            result.refused.append(message if str(path) in message else f"{path}: {message}")
        else:
            result.scenes += loaded[0]
            result.skipped += loaded[1]
    if not result.scenes:
        reasons = "; ".join(result.refused[:MAX_LISTED])
        raise ValueError(f"{root}: none of {len(paths)} captures is valid: {reasons}")
    return result


def capture_id(root: Path, path: Path) -> str:
    """Return the id of a capture: the name of `root` and the path below it."""
    below = path.relative_to(root)
    return "/".join((root.resolve().name, *below.parts))


def _write(
    out: Path,
    format: str,
    root: Path,
    paths: Sequence[Path],
    config: ReadConfig,
    about: dict[str, Any],
) -> Manifest:
    result = read_captures(format, root, paths, config)
    groups = group_by_shape(result.scenes)
    counts = {"captures": len(paths), "refused": len(result.refused), "scenes": len(result.scenes)}
    counts["views"] = sum(len(group) * group.shape[0] for group in groups)
    if empty := sum(map(count_without_depth, groups)):
        counts["scenes_without_valid_depth"] = empty
    counts |= count_reasons("skipped", result.skipped)
    about = about | {"source": format, "file": str(root)}
    about["geometry"] = " or ".join(sorted({_geometry(group) for group in groups}))
    about["licence"] = ", ".join(sorted({group.licence for group in groups}))
    for name in ("refused", "skipped"):
        if listed := [str(error) for error in getattr(result, name)[:MAX_LISTED]]:
            about[name] = listed
    out.parent.mkdir(parents=True, exist_ok=True)
    store = out.with_suffix(".zarr")
    payload = {store.name: write_groups(store, groups)}
    manifest = Manifest(
        stage="scenes", payload=payload, counts=counts, config=to_mapping(config), about=about
    )
    return write_manifest(out, manifest)


def _geometry(scenes: Scenes) -> str:
    """Return which geometry scenes have."""
    if scenes.has_geometry:
        return "cameras and depth"
    return "cameras" if scenes.has_cameras else "no geometry"
