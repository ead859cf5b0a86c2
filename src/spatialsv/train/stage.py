"""One arm, one seed: from manifests to a fine-tuned checkpoint and its manifest."""

from __future__ import annotations

import importlib.metadata
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraModel
from transformers import PreTrainedModel, set_seed

from spatialsv.config import to_mapping
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.io.work_directory import open_work_directory
from spatialsv.model.checkpoint import HEADS, CheckpointRef, resolve_model
from spatialsv.model.families.family import Family
from spatialsv.model.heads import SpatialHeads, load_heads
from spatialsv.model.mllm import load_mllm
from spatialsv.model.packed import NAME as PACKED
from spatialsv.model.packed import enable_packed_attention
from spatialsv.model.spatialsv import SpatialSV, save_spatialsv
from spatialsv.model.vision_cache import CachedVisionEncoder, FeatureCache
from spatialsv.optim.checkpoint import CHECKPOINT
from spatialsv.optim.distributed import (
    full_weights,
    join,
    rank,
    shard,
    transformer_layers,
    wait_for_all,
)
from spatialsv.optim.log import make_loggers, mean_of_last, read_log
from spatialsv.optim.loop import Loop
from spatialsv.optim.schedule import WarmupDecay
from spatialsv.samples.collate import Collate
from spatialsv.train.arm import ArmConfig
from spatialsv.train.config import TrainConfig
from spatialsv.train.data import TrainingData, load_data
from spatialsv.train.disk import ENCODED, WORK, check_cache, check_disk, disk_use
from spatialsv.train.lora import add_lora
from spatialsv.train.objective import ArmObjective
from spatialsv.train.parameters import (
    clipped_parts,
    freeze,
    make_optimizers,
    precision_of,
    rates_of,
)

LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "numpy")


def run(
    arm: str,
    seed: int,
    scenes: Sequence[Path],
    labels: Sequence[Path],
    pseudo: Sequence[Path],
    config: TrainConfig,
    out: Path,
    base: str | Path = "rooms",
    family: str | None = None,
) -> Manifest | None:
    """Fine-tune `base` as `arm` says and write mllm/, heads/, log.jsonl, metrics.json and `out`.

    A run that was killed continues from its last checkpoint, and ends as it would have without. It
    may continue in another number of processes, if `accumulation` makes up for it. Of several
    processes all call this alike, and only the first writes.

    Args:
        arm: a key of `ARMS`, or of `config.arms`. Its `text_share` and `teacher` are for the DAG,
            which chooses the manifests: all questions of those given here are used.
        seed: of the heads' first weights and of the order of the samples.
        scenes: manifests of the scenes with questions.
        labels: manifests of those scenes' labels; arms without geometry do not read them.
        pseudo: manifests of pseudo-labelled scenes; only arms that say so read them.
        config: the same for all arms.
        out: the manifest to write.
        base: "rooms" for the shipped model, else any that `resolve_model` knows, with its heads.
        family: the name of an adapter from outside, for `load_mllm`.

    Returns:
        The manifest, in the first process.

    Raises:
        ValueError: an unknown arm, data that do not fit it, another number of processes than
            `config` says, a disk too small for the checkpoints, or checkpoints of a run with other
            inputs; before any training.
    """
    chosen, device = config.arm(arm), join(config.processes)
    checkpoint = (reference := resolve_model(base)).checkpoint
    mllm, adapter = load_mllm(checkpoint, attn=config.attention, family=family)
    adapter.views_as = config.views_as or adapter.views_as
    bf16 = precision_of(config) == "bf16"
    work, encode = out.parent / WORK, None
    if config.cache_vision:
        encode = FeatureCache(CachedVisionEncoder(mllm, adapter, bf16), work / ENCODED)
    data = load_data(arm, chosen, config, adapter, seed, scenes, labels, pseudo, encode)
    set_seed(seed)
    model, lora = make_model(chosen, config, data, mllm, adapter, reference)
    about = _about(arm, seed, chosen, config, reference, model, data)
    _train(model, device, arm, seed, chosen, config, data, out, about)
    weights = full_weights(model) if config.sharded else None
    if rank() != 0:
        return None
    if weights is not None:
        mllm, _ = load_mllm(checkpoint, attn=config.attention, family=family)
        model, lora = make_model(chosen, config, data, mllm, adapter, reference)
        model.load_state_dict(weights)
    if lora is not None:
        lora.merge_and_unload()
    return _finish(out, work, model, config, about | {"base_name": str(base)})


def _train(
    model: SpatialSV,
    device: torch.device,
    name: str,
    seed: int,
    arm: ArmConfig,
    config: TrainConfig,
    data: TrainingData,
    out: Path,
    about: dict[str, Any],
) -> None:
    """Train `model` in the folder of `out`, if the disk has room; `about` identifies the run."""
    work, steps = out.parent / WORK, steps_of(arm, config, data)
    use = disk_use(model, config, steps)
    check_disk(out, use)
    if rank() == 0:
        inputs = {"config": config.deciding(), "passes": config.passes, "steps": steps}
        open_work_directory(work, about | inputs, keep=f"{CHECKPOINT}*")
    wait_for_all()
    bf16 = precision_of(config) == "bf16"
    if config.gradient_checkpointing:
        model.mllm.activation_checkpointing_enable()
    if config.sharded:
        shard(model, transformer_layers(model.mllm), device, bf16)
    model.to(device)
    if config.cache_vision:
        check_cache(data.first.views.encoded, data.view_sets, out, use)
    set_seed(seed)
    collate = Collate(processor=model.family, packed=config.packed)
    sampler = data.sampler(config, steps * config.passes, seed)
    label, events = f"train {name} {seed}", Path(name) / str(seed)
    Loop(
        model,
        ArmObjective(model, arm, config, data.pools, sampler, collate, bf16),
        make_optimizers(model, config),
        WarmupDecay(
            steps=steps, warmup=math.ceil(steps * config.warmup_ratio), decay=config.schedule
        ),
        steps=steps,
        folder=work,
        save_steps=config.save_steps,
        max_grad_norm=config.max_grad_norm,
        parts=clipped_parts(model),
        accumulation=config.accumulation,
        loggers=make_loggers(work / "log.jsonl", label, config.log_steps, events),
    ).run()


def make_model(
    arm: ArmConfig,
    config: TrainConfig,
    data: TrainingData,
    mllm: PreTrainedModel,
    family: Family,
    base: CheckpointRef | None = None,
) -> tuple[SpatialSV, LoraModel | None]:
    """Return what `arm` trains, and the owner of adapters, if it has any.

    Args:
        arm: which heads it has.
        config: of all arms.
        data: gives the width of the teacher's features.
        mllm: the MLLM.
        family: its adapter.
        base: where heads continue from those of the base, if it has any.
    """
    if config.packed:
        enable_packed_attention(mllm)
    lora = add_lora(mllm, config.lora) if config.lora else None
    model = SpatialSV(mllm, family, make_heads(arm, config, data, mllm, family, base))
    freeze(model, config)
    return model, lora


def make_heads(
    arm: ArmConfig,
    config: TrainConfig,
    data: TrainingData,
    mllm: Any,
    family: Family,
    base: CheckpointRef | None = None,
) -> SpatialHeads | None:
    """Return the heads that `arm` trains, those of `base` if it has any; None without geometry."""
    if not arm.geometry:
        return None
    settings = replace(
        config.heads,
        tasks=arm.tasks,
        taps=arm.taps or config.heads.taps or family.default_taps(),
        projectors=arm.projectors or config.heads.projectors,
        feature_channels=data.feature_channels if arm.distill else None,
        relation=_relation_state(arm, mllm.config.get_text_config().num_hidden_layers),
        detach=arm.gradient == "heads",
    )
    heads = SpatialHeads(settings, mllm.config.get_text_config().hidden_size)
    if base is not None and base.has_heads:
        _load_trained(heads, base.folder / HEADS)
    return heads


def _relation_state(arm: ArmConfig, last: int) -> int | None:
    """Return the hidden state whose relations `arm` learns, counted from 0.

    Raises:
        ValueError: the MLLM, whose last state is `last`, does not have it.
    """
    if arm.relation is None or 0 <= arm.relation <= last:
        return arm.relation
    if arm.relation == -1:
        return last
    raise ValueError(
        f"relation: hidden state {arm.relation} does not exist. The MLLM has 0 (embeddings) to"
        f" {last}, and -1 is the last."
    )


def _load_trained(heads: SpatialHeads, folder: Path) -> None:
    """Load the trained heads of `folder` into `heads`.

    Raises:
        ValueError: they have other settings.
    """
    trained = load_heads(folder)
    mine, theirs = asdict(heads.config), asdict(trained.config)
    differing = [k for k in mine if mine[k] != theirs[k] and k not in ("detach", "relation")]
    if differing:
        key = differing[0]
        raise ValueError(
            f"{folder}: these heads were trained with {key} {theirs[key]}, but this arm has"
            f" {mine[key]}. Give both the same, or start from a model without heads."
        )
    heads.load_state_dict(trained.state_dict())


def steps_of(arm: ArmConfig, config: TrainConfig, data: TrainingData) -> int:
    """Return the optimiser steps: given, or from the epochs over the questions (else the images).

    An arm with a fraction of the questions, or whose batches contain images without any, takes as
    many steps as an arm with all, or as many epochs over its own, as `arm.equal` says.
    """
    given = "steps" if config.epochs is None else "epochs"
    if config.epochs is None:
        steps = float(config.steps or 0)
    else:  # of an arm with all questions
        samples = (data.text or data.spatial) / arm.text_share
        steps = samples * config.epochs / (config.batch_size * config.passes)
    if (arm.equal or given) == "epochs":
        with_text = 1 - config.spatial_share if data.text and data.spatial else 1.0
        steps *= arm.text_share / with_text
    return math.ceil(round(steps, 6))  # 6.000000001 steps are six


def _about(
    name: str,
    seed: int,
    arm: ArmConfig,
    config: TrainConfig,
    base: CheckpointRef,
    model: SpatialSV,
    data: TrainingData,
) -> dict[str, Any]:
    """Return the checkpoint's provenance; only a run with the same one is resumed."""
    parts = {"base": Path(base.checkpoint)}
    if model.heads is not None and base.has_heads:
        parts["base_heads"] = base.folder / HEADS
    return {
        "arm": name,
        "seed": seed,
        "settings": asdict(arm),
        **{key: digest_path(path) if path.is_dir() else str(path) for key, path in parts.items()},
        "data": data.digests,
        "teachers": list(data.teachers),
        "images": data.images,
        "attention": PACKED if config.packed else config.attention,
        "precision": precision_of(config),
        "rates": rates_of(config, model.family),
        **model.family.settings(),
        "libraries": {library: importlib.metadata.version(library) for library in LIBRARIES},
    }


def _finish(
    out: Path,
    work: Path,
    model: SpatialSV,
    config: TrainConfig,
    about: dict[str, Any],
) -> Manifest:
    """Write the results, the manifest last, and only then delete the checkpoints."""
    out.unlink(missing_ok=True)
    model.to("cpu").to(torch.float32)
    save_spatialsv(out.parent, model)
    lines = read_log(work / "log.jsonl")
    shutil.copyfile(work / "log.jsonl", out.parent / "log.jsonl")
    write_json(out.parent / "metrics.json", mean_of_last(lines) | {"steps": len(lines)})
    parts = ["mllm", "log.jsonl", "metrics.json", *(["heads"] if model.heads else [])]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    manifest = Manifest(
        stage="train",
        payload={name: digest_path(out.parent / name) for name in parts},
        counts={"steps": len(lines), "parameters": trained},
        config=to_mapping(config),
        about=about,
    )
    write_manifest(out, manifest)
    shutil.rmtree(work)
    return replace(manifest, path=out)
