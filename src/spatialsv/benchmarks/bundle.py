"""A submission bundle: one ZIP file with a score and all that it was made from, checkable anywhere.

    bundle.json        benchmark, protocol, and the SHA-256 of each other file
    responses.jsonl    every scored response, with its prompt and what was shown
    scores.json        the scores, with their settings
    environment.json   versions of Python and packages with which the responses were scored
    manifest.json      of the run that generated the responses, if it is known

`spatialsv verify FILE.zip` compares the files with their digests. With the benchmark's files it
also scores the responses again. The ZIP has the same bytes whenever it is written.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spatialsv.benchmarks.responses import FILE, Response
from spatialsv.io.atomic import write_bytes
from spatialsv.io.manifest import find_manifest

SCHEMA = "spatialsv-bundle/1"
INDEX, SCORES, ENVIRONMENT, MANIFEST = (
    *("bundle.json", "scores.json", "environment.json", "manifest.json"),
)
PACKAGES = ("spatialsv", "numpy", "torch", "transformers", "pillow", "av")
DATE = (1980, 1, 1, 0, 0, 0)  # of each entry


def write_bundle(
    path: Path,
    scores: Mapping[str, Any],
    responses: Sequence[Response],
    originals: Sequence[Response],
    source: Path,
) -> None:
    """Write the bundle of a score.

    Args:
        path: the ZIP file.
        scores: the record of scores.json.
        responses: scored, one an item.
        originals: the same as they were read, with what their run recorded.
        source: the file that they were read from; the run's manifest may be in its folder.

    Raises:
        ValueError: the name does not end in .zip.
    """
    if path.suffix != ".zip":
        raise ValueError(f"{path}: expected a name that ends in .zip.")
    original = {response.id: response for response in originals}
    files = {
        FILE: "".join(_completed(one, original.get(one.id)).to_line() for one in responses),
        SCORES: _json(scores),
        ENVIRONMENT: _json(_environment()),
    }
    manifest = find_manifest(source)
    if manifest and manifest.path and source.name in manifest.payload:
        files[MANIFEST] = manifest.path.read_text()
    index = {
        "schema": SCHEMA,
        "benchmark": scores["benchmark"],
        "protocol": scores["protocol"],
        "files": {name: sha256(text.encode()) for name, text in files.items()},
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {INDEX: _json(index), **files}.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text.encode())
    write_bytes(path, content.getvalue())


def _completed(scored: Response, original: Response | None) -> Response:
    """Return a scored response with what the original records of how it was generated."""
    if original is None:
        return scored
    prompt = original.prompt or scored.prompt
    return replace(scored, prompt=prompt, inputs=original.inputs, key=original.key)


def _environment() -> dict[str, Any]:
    packages: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {"python": platform.python_version(), "platform": platform.platform()} | {
        "packages": packages
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def sha256(content: bytes) -> str:
    """Return the full SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
