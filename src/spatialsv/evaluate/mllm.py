"""An MLLM that answers the items of a benchmark."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import av
import PIL
import torch
import transformers

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.responses import Response
from spatialsv.config import to_mapping
from spatialsv.evaluate.baselines import ItemModel
from spatialsv.evaluate.config import Shown
from spatialsv.evaluate.prompter import Prompter
from spatialsv.evaluate.task import EvaluationTask
from spatialsv.io.digests import digest_path
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.mllm import load_mllm

ATTENTION: Literal["sdpa"] = "sdpa"  # transformers' implementation
DTYPE = torch.float32  # of the weights


class Mllm(ItemModel):
    """An MLLM; it is loaded when the first response is generated."""

    def __init__(self, model: str | Path, family: str | None, task: EvaluationTask) -> None:
        self._task = task
        reference = resolve_model(model)
        self._checkpoint = reference.checkpoint
        self._is_blank = task.config.blank_images or reference.uses_blank_images
        self._load = cache(
            partial(load_mllm, self._checkpoint, DTYPE, attn=ATTENTION, family=family)
        )
        self._weights = (
            digest_path(Path(self._checkpoint))
            if Path(self._checkpoint).is_dir()
            else self._checkpoint
        )
        self._device = "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def context(self) -> tuple[str, ...]:
        """What responses depend on besides the items: weights and settings."""
        without = {"batch_size", "images", "linked_folders", "resamples", "seed"}
        settings = {k: v for k, v in to_mapping(self._task.config).items() if k not in without}
        settings["blank_images"] = self._shown == "grey"
        if self._shown in ("all", "grey"):  # as before there was this setting
            del settings["shown"]
        return (self._weights, json.dumps(settings))

    @property
    def _shown(self) -> Shown:
        """What is shown; a model that was trained on grey images is shown these."""
        shown, is_blank = self._task.config.shown, self._is_blank
        return "grey" if shown == "all" and is_blank else shown

    def for_task(self, task: EvaluationTask) -> Mllm:
        """Return the same model for other items or settings; it is loaded once."""
        other = copy(self)
        other._task = task
        return other

    def respond(self, items: Sequence[Item], done: Mapping[str, Response]) -> Iterator[Response]:
        """Yield a response to each item that is not in `done`."""
        mllm, adapter = self._load()
        mllm.to(self._device)  # type: ignore[arg-type]  # transformers wraps it without its signature
        task = self._task
        prompter = Prompter(
            mllm, adapter, task.benchmark, task.protocol, task.data, task.config, self._shown
        )
        yield from prompter.respond(items, done)

    def describe(self) -> dict[str, Any]:
        """Return weights, versions and precision, for the manifest."""
        return {
            "weights": self._weights,
            "blank_images": self._shown == "grey",
            **({} if self._shown in ("all", "grey") else {"shown": self._shown}),
            "versions": _versions(),
            "dtype": str(DTYPE),
            "attention": ATTENTION,
            "device": self._device,
        }


def _versions() -> dict[str, str]:
    """Return the versions of all packages that a response depends on, besides this one."""
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "pillow": PIL.__version__,
        "av": av.__version__,
    }
