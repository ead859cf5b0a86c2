"""`spatialsv evaluate BENCHMARK`: a model asked a benchmark's questions, from its authors' files.

What several questions show is read, decoded and prepared once, and its keys and values are computed
once. Replies are greedy. Each line of replies.jsonl holds all that its reply came from; a run that
was interrupted goes on after the last whole line; `spatialsv score` scores the file again, by any
rules, without the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import PIL
import torch
import transformers
from jaxtyping import UInt8
from PIL import Image

from spatialsv.benchmarks.benchmark import Scorer
from spatialsv.benchmarks.images import pictures as pictures_of
from spatialsv.benchmarks.item import Item
from spatialsv.benchmarks.names import benchmark
from spatialsv.benchmarks.score import Scoring, load, rules_of, scoring_of
from spatialsv.config import to_mapping
from spatialsv.evaluate.generate import Prompt, generate
from spatialsv.evaluate.replies import whole_lines
from spatialsv.evaluate.stage import checkpoint_of, weights_of
from spatialsv.manifest import (
    Manifest,
    digest_bytes,
    digest_path,
    write_json,
    write_manifest,
    write_text,
)
from spatialsv.model.families.family import Family
from spatialsv.model.mllm import load_mllm
from spatialsv.progress import progress
from spatialsv.samples.chat import Chat
from spatialsv.samples.views import GREY, Views
from spatialsv.scenes.picture import limited
from spatialsv.scenes.readers.video import read_frames

Shown = tuple[str, ...]  # images in order, or one video


@dataclass(frozen=True, kw_only=True)
class AskConfig:
    """How a benchmark is asked."""

    scorer: str | None = None  # whose prompts and rules; None: the authors'
    frames: int = 32  # of a video, evenly spread, both ends among them
    max_pixels: int | None = None  # of an image or a frame; larger ones are made smaller
    max_new_tokens: int = 16
    batch_size: int = 16  # questions
    videos_as: Literal["image", "video"] | None = None  # None: as the model was trained
    blank_images: bool = False  # grey in place of all that is shown: what the text gives away

    def __post_init__(self) -> None:
        for name in ("frames", "max_new_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}: expected 1 or more")


def ask(
    name: str, model: str | Path, data: Path, config: AskConfig, out: Path, family: str | None
) -> Scoring:
    """Ask `model` all questions of a benchmark; write replies.jsonl, scores.json, manifest.json.

    Args:
        name: of the benchmark.
        model: as for the stage `evaluate`.
        data: the folder of the benchmark's files.
        out: a folder; replies that are there already, of the same model and settings, are kept.
        family: the name of an adapter from outside, for `load_mllm`.

    Raises:
        ValueError: an unknown benchmark or scorer, files that are not laid out as expected, or an
            image or video that is missing or cannot be read: before the model is loaded, where it
            is missing.
    """
    known = benchmark(name)
    scorer, rules = rules_of(name, known, config.scorer)
    items = load(name, known, data)
    check_shown(items, data)
    checkpoint, blank = checkpoint_of(model)
    blank = config.blank_images or blank
    weights = weights_of(checkpoint)
    settings = to_mapping(config) | {"batch_size": None, "blank_images": blank}
    keys = {item.id: _key(item, rules, data, weights, json.dumps(settings)) for item in items}
    out.mkdir(parents=True, exist_ok=True)
    path = out / "replies.jsonl"
    lines = _kept(path, keys)
    left = [item for item in items if item.id not in lines]
    about: dict[str, Any] = {"benchmark": name, "scorer": scorer, "model": str(model)}
    about |= {"weights": weights, "blank_images": blank, "versions": versions()}
    if left:
        mllm, adapter = load_mllm(checkpoint, family=family)
        mllm.to("cuda" if torch.cuda.is_available() else "cpu")
        about |= {"dtype": str(mllm.dtype), "attention": mllm.config._attn_implementation}
        about["device"] = str(mllm.device)
        asking = _Asking(mllm, adapter, rules, data, config, blank)
        with path.open("a", encoding="utf-8") as file:
            for line in progress(asking(left), name, total=len(left)):
                lines[line["id"]] = line | {"key": keys[line["id"]]}
                file.write(json.dumps(lines[line["id"]]) + "\n")
                file.flush()
    replies = {item.id: lines[item.id]["reply"] for item in items}
    scoring = scoring_of(name, scorer, known, items, replies)
    _finish(out, scoring, [lines[item.id] for item in items], config, about)
    return scoring


def shown_in(item: Item) -> Shown:
    """What is shown with a question."""
    return (item.video,) if item.video is not None else item.images


def check_shown(items: Sequence[Item], data: Path) -> None:
    """Refuse a benchmark whose images or videos are not all there.

    Raises:
        ValueError: one is missing, or a question shows nothing; the message counts and names them.
    """
    if any("turn" in item.more for item in items):
        raise ValueError(
            "this benchmark is a dialogue, and questions are asked one by one here; make the"
            " replies elsewhere, and score them by `spatialsv score`"
        )
    if bare := [item.id for item in items if not shown_in(item)]:
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


@dataclass(frozen=True)
class _Asking:
    """Asks questions, those about the same images together."""

    model: Any
    adapter: Family
    rules: Scorer
    data: Path
    config: AskConfig
    blank: bool

    def __call__(self, items: Sequence[Item]) -> Iterator[dict[str, Any]]:
        """A line for each item, in the order in which replies come."""
        chat, groups = Chat(self.adapter), {}
        for item in items:
            groups.setdefault((item.video is not None, *shown_in(item)), []).append(item)
        waiting: list[tuple[Item, Prompt, dict[str, Any]]] = []
        for members in groups.values():
            views, seen = self._views(members[0])
            for item in members:
                text = self.rules.prompt(item)
                prompt = Prompt(tokens=chat.prompt(text, views).input_ids, views=views)
                waiting.append((item, prompt, {"prompt": text} | seen))
            if len(waiting) >= self.config.batch_size:
                yield from self._asked(waiting)
                waiting = []
        yield from self._asked(waiting)

    def _asked(
        self, waiting: Sequence[tuple[Item, Prompt, dict[str, Any]]]
    ) -> Iterator[dict[str, Any]]:
        prompts = [prompt for _, prompt, _ in waiting]
        tokens, size = self.config.max_new_tokens, self.config.batch_size
        for index, reply in generate(self.model, self.adapter, prompts, tokens, size):
            item, _, seen = waiting[index]
            said = self.rules.read(item, reply)
            value = self.rules.score(item, said)
            line = {"id": item.id, "scene": item.scene, "task": item.task, "answer": item.answer}
            yield line | seen | {"reply": reply, "extracted": said, "score": value}

    def _views(self, item: Item) -> tuple[Views, dict[str, Any]]:
        """What is shown, prepared, and what of it is told."""
        seen: dict[str, Any] = {"shown": list(shown_in(item))}
        limit, kind = self.config.max_pixels, "image"
        if item.video is not None:
            kind = self.config.videos_as or self.adapter.views_as
            pictures, seen["frames"] = read_frames(
                self.data / item.video, self.config.frames, limit
            )
            seen["decoder"] = f"PyAV {av.__version__}"
        else:
            found = [picture for name in item.images for picture in pictures_of(self.data, name)]
            pictures = [limited(picture, limit) for picture in found]
        seen["sizes"] = [list(picture.size) for picture in pictures]
        images = [self._pixels(picture) for picture in pictures]
        return self.adapter.prepare(images, kind), seen

    def _pixels(self, picture: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
        image = np.array(picture)
        return np.full_like(image, GREY) if self.blank else image


def _key(item: Item, rules: Scorer, data: Path, *context: str) -> str:
    """A digest of what a reply depends on; of files, their names and sizes."""
    files = [f"{name} {file_of(data, name).stat().st_size}" for name in shown_in(item)]
    return digest_bytes(*(part.encode() for part in (rules.prompt(item), *files, *context)))


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
    told = out / "manifest.json"
    if "device" not in about and told.is_file():  # nothing was left to ask
        about = json.loads(told.read_text()).get("about", {}) | about
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
    write_manifest(told, manifest)
