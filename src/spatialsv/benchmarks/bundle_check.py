"""Checks of a submission bundle: its digests and, given the benchmark's files, its scores."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spatialsv.benchmarks.bundle import INDEX, SCHEMA, SCORES, sha256
from spatialsv.benchmarks.responses import FILE
from spatialsv.benchmarks.score import score
from spatialsv.io.text import parse_json

LARGEST = 2**30  # bytes of an entry; larger ones are refused


@dataclass(frozen=True, kw_only=True)
class BundleVerification:
    """What was checked of a bundle, and what is wrong with it."""

    benchmark: str
    protocol: str
    responses: int
    rescored: bool  # whether the responses were scored again and agree
    errors: tuple[str, ...]


def verify_bundle(path: Path, data: Path | None = None) -> BundleVerification:
    """Check a bundle: the digests of its files and, given the benchmark, its scores.

    Args:
        path: the ZIP file.
        data: the folder of the benchmark's files; None: scores are not computed again

    Returns:
        What was checked, and the errors found.

    Raises:
        ValueError: not a bundle, or `data` is not laid out as expected.
    """
    files = _read(path)
    index = parse_json(files.get(INDEX, b"null").decode(errors="replace"), path)
    if not isinstance(index, dict) or index.get("schema") != SCHEMA:
        raise ValueError(f"{path}: not a {SCHEMA} bundle. `spatialsv score --bundle` writes one.")
    listed = index.get("files")
    if not isinstance(listed, dict) or not {FILE, SCORES} <= set(listed):
        raise ValueError(f"{path}: {INDEX}: files: expected digests of {FILE} and {SCORES}.")
    errors = [f"{path}: {name}: missing." for name in listed if name not in files]
    errors += [f"{path}: {name}: not listed." for name in files if name not in (*listed, INDEX)]
    errors += [
        f"{path}: {name}: its content is not what {INDEX} lists."
        for name, digest in listed.items()
        if name in files and sha256(files[name]) != digest
    ]
    if not errors:
        scores = parse_json(files[SCORES].decode(errors="replace"), path)
        errors += _check_scores(path, index, scores, files[FILE], data)
    return BundleVerification(
        benchmark=str(index.get("benchmark")),
        protocol=str(index.get("protocol")),
        responses=files.get(FILE, b"").count(b"\n"),
        rescored=data is not None and not errors,
        errors=tuple(errors),
    )


def _check_scores(
    path: Path,
    index: Mapping[str, Any],
    scores: Any,
    responses: bytes,
    data: Path | None,
) -> list[str]:
    """Return what contradicts scores.json: the index, the responses, or the benchmark's files."""
    names = ("benchmark", "protocol", "items", "overall")
    if not isinstance(scores, dict) or not set(names) <= set(scores):
        return [f"{path}: {SCORES}: expected {', '.join(names)}."]
    errors = [
        f"{path}: {name} is {index.get(name)!r} in {INDEX}, {scores[name]!r} in {SCORES}."
        for name in ("benchmark", "protocol")
        if index.get(name) != scores[name]
    ]
    if scores["items"] != (count := responses.count(b"\n")):
        errors.append(f"{path}: {scores['items']} items were scored, but {count} responses listed.")
    if errors or data is None:
        return errors
    return [f"{path}: {problem}" for problem in _score_again(scores, responses, data)]


def _score_again(scores: Mapping[str, Any], content: bytes, data: Path) -> list[str]:
    """Return how the scores of the responses differ from those in the bundle."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        file.write_bytes(content)
        again = score(str(scores["benchmark"]), data, file, str(scores["protocol"]))
    revision = (scores.get("settings") or {}).get("revision")
    if revision not in (None, again.settings["revision"]):
        return [
            f"{data} is another revision of {scores['benchmark']}: its digest is"
            f" {again.settings['revision']}, that of the bundle {revision}."
        ]
    found = again.to_json()
    return [
        f"{name}: scored again it is {found[name]}, not {scores[name]}."
        for name in ("unparsed", "overall", "tasks")
        if name in scores and not _agree(scores[name], found[name])
    ]


def format_bundle(found: BundleVerification) -> str:
    """Return the errors and a summary in lines of text."""
    checked = f"{found.benchmark} ({found.protocol}), {found.responses:,} responses"
    how = "digests and scores" if found.rescored else "digests; --data DIR also checks the scores"
    count = len(found.errors) or "no"
    return "\n".join([*found.errors, f"{checked}: {count} errors ({how})"])


def _agree(stated: Any, found: Any) -> bool:
    """Compare scores up to rounding; references that only the bundle has are not compared."""
    if isinstance(stated, dict) and isinstance(found, dict):
        shared = [name for name in found if name in stated]
        return len(shared) == len(found) and all(_agree(stated[n], found[n]) for n in shared)
    if isinstance(stated, list) and isinstance(found, list):
        return len(stated) == len(found) and all(map(_agree, stated, found))
    if isinstance(found, float) and isinstance(stated, int | float):
        return math.isclose(stated, found, rel_tol=0, abs_tol=1e-9)
    return bool(stated == found)


def _read(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if any(entry.file_size > LARGEST for entry in entries):
                raise ValueError(f"{path}: a file in it is larger than 1 GiB.")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path}: not a ZIP file that can be read ({error}).") from None
