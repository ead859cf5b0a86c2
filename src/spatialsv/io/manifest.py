"""Manifests: the small JSON files that list what a job of a stage wrote.

A manifest lists its payload (stores, checkpoints, reports) with a content digest each. Payload
paths are relative to the manifest's directory. Snakemake and DVC consider a job done when its
manifest exists, so a manifest is written last, and atomically.

`made_from` says what the job depended on: `{"settings": digest, "code": digest, "inputs": {path:
digest}}`. The command line records it, so that stages need not. The workflow writes the digests of
settings and code and the paths of a job's inputs to a file, the request, and passes that with
`--made-from`. `inputs` are these and the files and folders that the command was given, as it spelt
them, with their `digest_input`. The entry is what it was when the job started, so an input, a
setting or code that changed later differs from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spatialsv.io.atomic import write_json
from spatialsv.io.digests import cached_digest, digest_bytes
from spatialsv.io.text import load_json

SCHEMA = "spatialsv/1"
FIELDS = ("stage", "payload", "counts", "config", "about", "made_from")
_made_from: ContextVar[Mapping[str, Any]] = ContextVar("made_from", default={})  # noqa: B039


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What one job of one stage wrote."""

    stage: str  # that the job belongs to
    payload: dict[str, str]  # path relative to the manifest's directory -> content digest
    counts: dict[str, int] = field(default_factory=dict)  # of what was written and skipped
    config: dict[str, Any] = field(default_factory=dict)  # settings of the job
    about: dict[str, Any] = field(default_factory=dict)  # provenance: versions, teacher, licence
    made_from: dict[str, Any] = field(default_factory=dict)  # settings, code, inputs: see above
    path: Path | None = None  # where it was read from

    def resolve(self, name: str) -> Path:
        """Return the path of the payload entry `name`, after comparing its content with the digest.

        Each version of a file is read once; see `cached_digest`. A store is compared by the digest
        that it records of itself, and checks its parts when they are read.

        Raises:
            ValueError: the manifest was not read from a file or does not list `name`, or the entry
                is not what the manifest's job wrote.
        """
        if self.path is None:
            raise ValueError(f"This {self.stage} manifest was not read from a file.")
        if name not in self.payload:
            raise ValueError(f"{self.path}: lists no {name!r}, only {', '.join(self.payload)}.")
        path = self.path.parent / name
        if stored_digest(path) != self.payload[name]:
            raise ValueError(
                f"{path}: its content is not what {self.path} lists. It was changed or damaged."
                f" {self.remedy}"
            )
        return path

    @property
    def remedy(self) -> str:
        """How to make the payload again, for messages."""
        if "code" in self.made_from:
            return f"Run `snakemake --cores all --force {self.path}` to make it again."
        return f"Run again the command that made {self.path}."

    def find(self, suffix: str) -> Path:
        """Return the only payload path that ends in `suffix`.

        Raises:
            ValueError: no entry or several entries match.
        """
        found = [name for name in self.payload if name.endswith(suffix)]
        if len(found) != 1:
            raise ValueError(
                f"{self.path}: expected one payload ending in {suffix!r}, found {found}."
            )
        return self.resolve(found[0])


@contextmanager
def recorded_origin(made_from: Mapping[str, Any]) -> Iterator[None]:
    """Let the manifests that the block writes record `made_from`, unless they have one."""
    token = _made_from.set(made_from)
    try:
        yield
    finally:
        _made_from.reset(token)


def write_manifest(path: Path, manifest: Manifest) -> Manifest:
    """Write `manifest` to `path`, after its payload is complete, and return it with that path."""
    record = {name: getattr(manifest, name) for name in FIELDS}
    record["made_from"] = manifest.made_from or _made_from.get()
    record = json.loads(json.dumps(record))  # numbers as keys become text
    write_json(path, {"schema": SCHEMA, "checksum": _checksum(record)} | record)
    return replace(manifest, path=path)


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest and check that its payload exists.

    Args:
        path: the manifest file.

    Returns:
        The manifest, with `path` set.

    Raises:
        ValueError: `path` is missing or not a manifest, or a listed payload is missing. The message
            gives the command that makes it again.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such manifest. {_advice(path)}")
    manifest = _parse(load_json(path), path)
    for name in manifest.payload:
        if not (path.parent / name).exists():
            raise ValueError(
                f"{path.parent / name}: missing, although {path} lists it. {manifest.remedy}"
            )
    return manifest


def _advice(path: Path) -> str:
    """Return how to come by the missing manifest `path`."""
    if path.is_dir():
        return f"This is a folder; a manifest is a JSON file, such as {path.with_suffix('.json')}."
    if "data" in path.parts:
        return f"Run `snakemake --cores all {path}` to make it."
    return (
        "Give the JSON file that a command wrote next to its result, such as mine.json of"
        " `spatialsv ingest PATH --out mine.zarr`."
    )


def check_listed(path: Path) -> None:
    """Raise ValueError if the manifest next to `path` lists it with other content."""
    manifest = find_manifest(path)
    if manifest and path.name in manifest.payload:
        manifest.resolve(path.name)


def find_manifest(path: Path) -> Manifest | None:
    """Return the manifest next to `path`: manifest.json, or 0000.json of 0000.zarr, if any."""
    for name in ("manifest.json", f"{path.name.partition('.')[0]}.json"):
        manifest = path.parent / name
        if manifest.is_file() and manifest != path and is_manifest(load_json(manifest)):
            return read_manifest(manifest)
    return None


def is_manifest(record: Any) -> bool:
    """Return whether a JSON value is a manifest of this version."""
    return isinstance(record, Mapping) and record.get("schema") == SCHEMA


def stored_digest(path: Path) -> str:
    """Return the digest that a manifest lists for `path`: a store's own, else that of the bytes."""
    return recorded_digest(path) or cached_digest(path)


def recorded_digest(path: Path) -> str | None:
    """Return the digest of its content that a store records in its root; None for all else."""
    root = path / "zarr.json"
    if root.is_file():
        with suppress(ValueError, KeyError, TypeError):
            return str(load_json(root)["attributes"]["digest"])
    return None


def _parse(record: Any, path: Path) -> Manifest:
    """Return the manifest of a JSON value, after checking the types of its fields and its checksum.

    Raises:
        ValueError: the value is not a valid manifest.
    """
    remake = "Delete it and make it again."
    if not is_manifest(record):
        raise ValueError(f"{path}: not a {SCHEMA} manifest. {remake}")
    fields = {name: value for name, value in record.items() if name not in ("schema", "checksum")}
    kinds = {name: str if name == "stage" else dict for name in FIELDS}
    for name in fields | dict.fromkeys(("stage", "payload")):
        if name not in kinds or not isinstance(record.get(name), kinds[name]):
            raise ValueError(f"{path}: invalid field {name!r}. {remake}")
    for name, kind in ("payload", str), ("counts", int):
        if any(not isinstance(value, kind) for value in record.get(name, {}).values()):
            raise ValueError(f"{path}: invalid field {name!r}. {remake}")
    if record.get("checksum", checksum := _checksum(fields)) != checksum:
        raise ValueError(f"{path}: changed or damaged (checksum). {remake}")
    return Manifest(**fields, path=path)


def _checksum(fields: Mapping[str, Any]) -> str:
    return digest_bytes(json.dumps(fields, sort_keys=True).encode())


def digest_payloads(manifests: Sequence[Manifest]) -> str:
    """Return one digest of everything these manifests list."""
    payloads = [f"{name}:{m.payload[name]}" for m in manifests for name in sorted(m.payload)]
    return digest_bytes("\n".join(payloads).encode())
