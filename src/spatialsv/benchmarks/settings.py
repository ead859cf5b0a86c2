"""What a score depends on besides the model, and whether two scores may be compared.

What was shown and how it was prompted is in the responses themselves; limits and versions are in a
run's manifest. What is not recorded is null, and is not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.responses import Response
from spatialsv.io.digests import digest_bytes
from spatialsv.io.manifest import find_manifest

Setting = Literal["answers", "prompts", "images", "frames", "max_pixels", "max_new_tokens", "shown"]
# Settings that two comparable scores share, and what a difference means. Those with an option of
# `spatialsv evaluate` come first: they may be the reason of the others.
COMPARED: Mapping[Setting, str] = {
    "shown": "what is shown of the images",
    "frames": "frames of a video",
    "max_pixels": "pixels of an image",
    "max_new_tokens": "longest response in tokens",
    "answers": "questions or correct answers: another revision of the benchmark",
    "prompts": "prompts: another protocol or revision",
    "images": "frames or sizes of the images",
}
OPTIONS: tuple[Setting, ...] = ("shown", "frames", "max_pixels", "max_new_tokens")
VIDEO = ("frames", "videos_as", "decoder")  # only where there are videos
ORIGIN = ("weights", "dtype", "attention", "versions")  # of a manifest


def digest_items(items: Iterable[Item]) -> str:
    """Return a digest of a benchmark's questions, options and answers: its revision."""
    rows = [[item.id, item.task, item.question, item.options, item.answer] for item in items]
    return digest_bytes(*(json.dumps(row).encode() for row in rows))


def settings_of(
    responses: Sequence[Response], config: Mapping[str, Any], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings of a run.

    Args:
        responses: of the run.
        config: `EvaluateConfig` as in its manifest; empty if unknown.
        about: the manifest's; empty if unknown.

    Returns:
        The settings in `COMPARED`, digests of what differs by question; and `decoding`, `decoder`,
        `videos_as`, and `weights`, `dtype`, `attention`, `versions`.
    """
    inputs = [one.inputs for one in responses]
    blank = bool(about.get("blank_images", config.get("blank_images")))
    shown = about.get("shown", "grey" if blank else "all") if config else None
    found: dict[str, Any] = {
        "answers": _digest([(one.id, one.answer) for one in responses]),
        "prompts": _digest([(one.id, one.prompt) for one in responses]),
        "images": _digest(
            [(r.id, [r.inputs.get(k) for k in ("frames", "sizes")]) for r in responses]
        )
        if all(inputs)
        else None,
        "shown": shown,
        "decoding": "greedy" if config else None,
        "decoder": next((one["decoder"] for one in inputs if "decoder" in one), None),
        **{name: config.get(name) for name in ("max_pixels", "max_new_tokens")},
        **{name: config.get(name) for name in ("frames", "videos_as")},
        **{name: about.get(name) for name in ORIGIN},
    }
    return found if any("video" in one for one in inputs) else found | dict.fromkeys(VIDEO)


def settings_of_file(
    path: Path, responses: Sequence[Response], items: Iterable[Item]
) -> dict[str, Any]:
    """Return the settings of the run whose responses are from `path`, and the items' revision."""
    return run_settings(path, responses) | {"revision": digest_items(items)}


def run_settings(path: Path, responses: Sequence[Response]) -> dict[str, Any]:
    """Return the settings of the run whose responses are in `path`; see `settings_of`."""
    manifest = find_manifest(path)
    if manifest is None or path.name not in manifest.payload:
        return settings_of(responses, {}, {})
    return settings_of(responses, manifest.config, manifest.about)


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Setting]:
    """Return the settings in `COMPARED` that both runs record, with different values.

    Grey images, the no-image baseline, may be compared with the images themselves.
    """
    if first.get("shown") and second.get("shown"):  # both have a manifest: no limit is a value too
        unlimited = {"max_pixels": "no limit"}
        first, second = (
            dict(run) | (unlimited if run["max_pixels"] is None else {}) for run in (first, second)
        )
    first, second = (
        dict(run) | ({"shown": "all"} if run.get("shown") == "grey" else {})
        for run in (first, second)
    )
    known = [n for n in COMPARED if first.get(n) is not None and second.get(n) is not None]
    return [name for name in known if first[name] != second[name]]


def describe_settings(settings: Mapping[str, Any]) -> str:
    """Return the known settings in one line, without weights and versions."""
    names = ("revision", "prompts", "images", "frames", "max_pixels", "max_new_tokens", "shown")
    known = [
        f"{name} {settings[name]}"
        for name in (*names, "decoding", "decoder")
        if settings.get(name) is not None
    ]
    return ", ".join(known)


def _digest(pairs: Sequence[tuple[str, Any]]) -> str | None:
    """Return a digest that does not depend on the order; None where nothing is recorded."""
    if not pairs or all(value in ("", None) for _, value in pairs):
        return None
    return digest_bytes(*(json.dumps(pair).encode() for pair in sorted(pairs, key=lambda p: p[0])))
