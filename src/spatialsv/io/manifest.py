"""Manifests: the small JSON files that list what a job of a stage wrote.

A manifest lists its payload (stores, checkpoints, reports) with a content digest each. Payload
paths are relative to the manifest's directory. Snakemake and DVC consider a job done when its
manifest exists, so a manifest is written last, and atomically.

`made_from` says what the job depended on: `{"settings": digest, "code": digest, "inputs": {path:
digest}}`. The command line records it, so that stages need not: the workflow passes the digests of
settings and code as JSON in `--made-from`, and `inputs` are the files and folders that the command
was given, as it spelt them, with their `digest_input`. The entry is what it was when the job
started, so an input, a setting or code that changed later differs from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_bytes

SCHEMA = "spatialsv/1"
FIELDS = ("stage", "payload", "counts", "config", "about", "made_from")
_made_from: ContextVar[Mapping[str, Any]] = ContextVar("made_from", default={})  # noqa: B039


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What one job of one stage wrote."""

    stage: str
    payload: dict[str, str]  # path relative to the manifest's directory -> content digest
    counts: dict[str, int] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)  # provenance: versions, teacher, licence
    made_from: dict[str, Any] = field(default_factory=dict)  # settings, code, inputs: see above
    path: Path | None = None  # where it was read from

    def resolve(self, name: str) -> Path:
        """Return the path of the payload entry `name`.

        Raises:
            ValueError: the manifest was not read from a file.
        """
        if self.path is None:
            raise ValueError(f"This {self.stage} manifest was not read from a file.")
        return self.path.parent / name

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


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write `manifest` to `path`; call it after its payload is complete."""
    record = {name: getattr(manifest, name) for name in FIELDS}
    record["made_from"] = manifest.made_from or _made_from.get()
    write_json(path, {"schema": SCHEMA} | record)


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
        raise ValueError(
            f"{path}: no such manifest. Run `snakemake --cores all {path}` to make it."
        )
    try:
        record = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}: not JSON ({error}). Delete it and run snakemake again."
        ) from None
    if not isinstance(record, Mapping) or record.get("schema") != SCHEMA:
        raise ValueError(f"{path}: not a {SCHEMA} manifest. Delete it and run snakemake again.")
    record = {key: value for key, value in record.items() if key != "schema"}
    manifest = Manifest(**record, path=path)
    for name in manifest.payload:
        if not (path.parent / name).exists():
            raise ValueError(
                f"{path.parent / name}: missing, although {path} lists it. "
                f"Run `snakemake --cores all --force {path}` to make it again."
            )
    return manifest


def digest_payloads(manifests: Sequence[Manifest]) -> str:
    """Return one digest of everything these manifests list."""
    payloads = [f"{name}:{m.payload[name]}" for m in manifests for name in sorted(m.payload)]
    return digest_bytes("\n".join(payloads).encode())
