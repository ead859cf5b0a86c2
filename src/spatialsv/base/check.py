"""How well the base lists objects and the teacher measures depth, on validation rooms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import UInt8
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from spatialsv.base.corpus import patchify
from spatialsv.base.encode import TaskEncoder
from spatialsv.base.tasks import caption_question
from spatialsv.base.teacher import exact_labels
from spatialsv.progress import progress
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions.captions import list_views
from spatialsv.rooms.splits import split_seeds
from spatialsv.rooms.views import render_views
from spatialsv.teachers.network import TeacherNetwork

SCENES = 16  # at a time


@dataclass(frozen=True, kw_only=True)
class ListingScores:
    """How well lists of objects agree with the truth, over all views."""

    category_f1: float  # micro-averaged over objects, by category
    name_f1: float  # by colour and category
    order: float  # fraction of correctly named pairs in the correct left-to-right order


def score_listings(responses: Sequence[str], truths: Sequence[str]) -> ListingScores:
    """Score responses such as "red chair, blue lamp" against the true lists."""
    texts = zip(responses, truths, strict=True)
    pairs = [(_names(response), _names(truth)) for response, truth in texts]
    correct = total = 0
    for names, truth in pairs:
        unique = [n for n in truth if truth.count(n) == 1 and names.count(n) == 1]
        for a, b in combinations(unique, 2):
            correct += (names.index(a) < names.index(b)) == (truth.index(a) < truth.index(b))
            total += 1
    kinds = [([n.split()[-1] for n in r], [n.split()[-1] for n in t]) for r, t in pairs]
    return ListingScores(
        category_f1=_f1(kinds), name_f1=_f1(pairs), order=correct / total if total else float("nan")
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip() and name.strip() != "nothing"]


def _f1(pairs: Sequence[tuple[list[str], list[str]]]) -> float:
    hits = sum(sum((Counter(names) & Counter(truth)).values()) for names, truth in pairs)
    named = sum(len(names) + len(truth) for names, truth in pairs)
    return 2 * hits / named if named else float("nan")


@torch.inference_mode()
def list_objects(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    image_processor: Qwen2VLImageProcessorPil,
    images: UInt8[np.ndarray, "S N H W 3"],
) -> list[str]:
    """Return the base's list of objects for each view of each scene; all views are visible."""
    _, views, height, _, _ = images.shape
    side = height // image_processor.patch_size // image_processor.merge_size
    encoder = TaskEncoder(tokenizer, views, side)
    prompts = torch.stack([encoder.encode_prompt(caption_question(view)) for view in range(views)])
    responses: list[str] = []
    for start in progress(range(0, len(images), SCENES), "listing"):
        scenes = images[start : start + SCENES]
        pixels, grid = patchify(np.concatenate(scenes.repeat(views, axis=0)), image_processor)
        batch = prompts.repeat(len(scenes), 1).to(model.device)
        output = model.generate(  # type: ignore[operator]  # untyped
            input_ids=batch,
            attention_mask=torch.ones_like(batch),
            mm_token_type_ids=torch.eq(batch, encoder.image_id).int(),
            pixel_values=pixels.to(model.device),
            image_grid_thw=grid.to(model.device),
            max_new_tokens=48,
        )
        responses += tokenizer.batch_decode(output[:, batch.shape[1] :], skip_special_tokens=True)
    return responses


def check_mllm(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    image_processor: Qwen2VLImageProcessorPil,
    rooms: RoomsConfig,
    count: int,
) -> ListingScores:
    """Score the base's lists of every view of the first `count` validation rooms."""
    layouts, scenes = render_views(split_seeds("validation", 0, count), rooms)
    pairs = zip(layouts, scenes.instance, strict=True)
    truths = [line for room, instance in pairs for line in list_views(room, instance)]
    return score_listings(list_objects(model, tokenizer, image_processor, scenes.image), truths)


@torch.inference_mode()
def check_teacher(network: TeacherNetwork, rooms: RoomsConfig, count: int) -> dict[str, float]:
    """Return errors over the first `count` validation rooms, in the labels' unit, not aligned."""
    _, scenes = render_views(split_seeds("validation", 0, count), rooms)
    device = next(network.parameters()).device
    ratios, angles, offsets = [], [], []
    for start in range(0, count, 16):
        part = scenes.select(slice(start, start + 16))
        truth = exact_labels(part, np.arange(part.depth.shape[1])).to(device)
        predicted = network(torch.from_numpy(part.image / np.float32(255)).to(device))
        ratios.append((predicted.depth / truth.depth)[truth.valid])
        cosine = torch.cosine_similarity(predicted.rays.directions, truth.ray_directions, dim=-1)
        angles.append(torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).flatten())
        offsets.append((predicted.rays.origins - truth.ray_origins).norm(dim=-1).flatten())
    ratio = torch.cat(ratios)
    return {
        "abs_rel": (ratio - 1).abs().mean().item(),
        "delta1": (torch.maximum(ratio, 1 / ratio) < 1.25).float().mean().item(),
        "ray_angle_degrees": torch.cat(angles).mean().item(),
        "ray_origin": torch.cat(offsets).mean().item(),
    }
