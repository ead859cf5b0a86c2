"""`spatialsv evaluate BENCHMARK`: a model asked a benchmark's questions, from its authors' files.

What several questions show is read, decoded and prepared once, and its keys and values are computed
once. Replies are greedy. Each line of replies.jsonl holds all that its reply came from; a run that
was interrupted goes on after the last whole line; `spatialsv score` scores the file again, by any
rules, without the model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import av
import PIL
import torch
import transformers

from spatialsv.benchmarks.benchmark import Scorer
from spatialsv.benchmarks.item import Item
from spatialsv.benchmarks.names import benchmark
from spatialsv.benchmarks.overlap import overlap_of_run, summary, told
from spatialsv.benchmarks.score import Scoring, load, read_blind, rules_of, scoring_of
from spatialsv.config import to_mapping
from spatialsv.evaluate.asking import AskConfig, Asking, shown_in
from spatialsv.evaluate.dialogue import dialogues
from spatialsv.evaluate.replies import whole_lines
from spatialsv.evaluate.stage import weights_of
from spatialsv.evaluate.taught import taught_scenes
from spatialsv.io.atomic import write_json, write_text
from spatialsv.io.digests import digest_bytes, digest_path
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.mllm import load_mllm
from spatialsv.progress import progress


def ask(
    name: str,
    model: str | Path,
    data: Path,
    config: AskConfig,
    out: Path,
    family: str | None,
    train_scenes: Sequence[Path] = (),
    *,
    blind: Path | None = None,
) -> Scoring:
    """Ask `model` all questions of a benchmark; write replies.jsonl, scores.json, manifest.json.

    Args:
        name: of the benchmark.
        model: as for the stage `evaluate`.
        data: the folder of the benchmark's files.
        out: a folder; replies that are there already, of the same model and settings, are kept.
        family: the name of an adapter from outside, for `load_mllm`.
        train_scenes: manifests of the scenes that the model was taught; what these and the
            benchmark share is printed, and told in the manifest. None: as `taught_scenes` finds.
        blind: replies of the same model to the text alone, to be scored beside.

    Raises:
        ValueError: an unknown benchmark or scorer, files that are not laid out as expected, or an
            image or video that is missing or cannot be read: before the model is loaded, where it
            is missing.
    """
    known = benchmark(name)
    scorer, rules = rules_of(name, known, config.scorer)
    tokens = config.max_new_tokens or known.reply_tokens
    config = replace(config, scorer=scorer, max_new_tokens=tokens)
    items = load(name, known, data)
    unseen = None if blind is None else read_blind(blind, [item.id for item in items])
    check_shown(items, data)
    ref = resolve_model(model)
    blank = config.blank_images or ref.uses_blank_images
    weights = weights_of(ref.checkpoint)
    settings = to_mapping(config) | {"batch_size": None, "blank_images": blank}
    keys = _keys(items, rules, data, weights, json.dumps(settings))
    out.mkdir(parents=True, exist_ok=True)
    path = out / "replies.jsonl"
    lines = _kept(path, keys)
    left = [item for item in items if item.id not in lines]
    about: dict[str, Any] = {"benchmark": name, "scorer": scorer, "model": str(model)}
    about |= {"weights": weights, "blank_images": blank, "versions": versions()}
    if taught := train_scenes or taught_scenes(model):
        shared = overlap_of_run(taught, name, items, data)
        about["overlap"] = summary(shared)
        sys.stdout.write(f"{told(shared)}\n")
    if left:
        mllm, adapter = load_mllm(ref.checkpoint, family=family)
        mllm.to("cuda" if torch.cuda.is_available() else "cpu")
        about |= {"dtype": str(mllm.dtype), "attention": mllm.config._attn_implementation}
        about["device"] = str(mllm.device)
        asking = Asking(mllm, adapter, rules, data, config, blank)
        with path.open("a", encoding="utf-8") as file:
            for line in progress(asking(items, lines), name, total=len(left)):
                lines[line["id"]] = line | {"key": keys[line["id"]]}
                file.write(json.dumps(lines[line["id"]]) + "\n")
                file.flush()
    replies = {item.id: lines[item.id]["reply"] for item in items}
    scoring = scoring_of(name, scorer, known, items, replies, unseen)
    _finish(out, scoring, [lines[item.id] for item in items], config, about)
    return scoring


def check_shown(items: Sequence[Item], data: Path) -> None:
    """Refuse a benchmark whose images or videos are not all there.

    Raises:
        ValueError: one is missing, or a question shows nothing; the message counts and names them.
    """
    if bare := [turns[0].id for turns in dialogues(items) if not shown_in(turns[0])]:
        raise ValueError(f"{len(bare)} questions show no image, such as {bare[0]!r}")
    names = dict.fromkeys(name for item in items for name in shown_in(item))
    if missing := [name for name in names if not file_of(data, name).is_file()]:
        raise ValueError(
            f"{data}: {len(missing)} of {len(names)} images or videos are missing, such as"
            f" {missing[0]}"
        )


def file_of(data: Path, name: str) -> Path:
    """The file that an image is, or is in."""
    return data / name.partition("#")[0]


def versions() -> dict[str, str]:
    """Of all that a reply depends on, beside this package's own code."""
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "pillow": PIL.__version__,
        "av": av.__version__,
    }


def _keys(items: Sequence[Item], rules: Scorer, data: Path, *context: str) -> dict[str, str]:
    """By id, a digest of what a reply depends on: all turns up to it; of files, names and sizes."""
    found = {}
    for turns in dialogues(items):
        key = ""
        for item in turns:
            files = [f"{name} {file_of(data, name).stat().st_size}" for name in shown_in(item)]
            words = str(item.more.get("system", ""))
            parts = (
                rules.prompt(item),
                *files,
                *context,
                *((words, key) if len(turns) > 1 else ()),
            )
            key = found[item.id] = digest_bytes(*(part.encode() for part in parts))
    return found


def _kept(path: Path, keys: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The lines of an earlier run that still hold, and `path` cut down to these."""
    found = map(json.loads, whole_lines(path))
    kept = {line["id"]: line for line in found if keys.get(line["id"]) == line.get("key")}
    _write(path, list(kept.values()))
    return kept


def _write(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def _finish(
    out: Path,
    scoring: Scoring,
    lines: Sequence[dict[str, Any]],
    config: AskConfig,
    about: dict[str, Any],
) -> None:
    path = out / "manifest.json"
    if "device" not in about and path.is_file():  # nothing was left to ask
        about = json.loads(path.read_text()).get("about", {}) | about
    _write(out / "replies.jsonl", lines)
    write_json(out / "scores.json", scoring.to_json())
    names = ("replies.jsonl", "scores.json")
    manifest = Manifest(
        stage="evaluate",
        payload={name: digest_path(out / name) for name in names},
        counts={"questions": len(lines), "scenes": len({line["scene"] for line in lines})},
        config=asdict(config),
        about=about,
    )
    write_manifest(path, manifest)
