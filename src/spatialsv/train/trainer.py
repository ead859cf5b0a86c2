"""`SpatialTrainer`: transformers' Trainer with the geometry's losses and three learning rates.

Trainer brings mixed precision, accumulation, schedules and several devices. What it lacks for an
exact resume is here: a checkpoint counts only when it is whole, and one epoch of its loop is the
whole run, whose batches are known beforehand. So is what a step on several devices needs: means
over all samples of the step, and a stop of all processes where one has met a value that is not
finite.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from spatialsv.io.atomic import write_json
from spatialsv.losses.weighting import RULES, errors_of
from spatialsv.model.families.family import Family
from spatialsv.model.mllm import has_bf16
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.samples.batch import Batch
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import Pools
from spatialsv.samples.sampler import BatchSampler
from spatialsv.train.arm import ArmConfig
from spatialsv.train.config import TrainConfig
from spatialsv.train.disk import KEPT
from spatialsv.train.distributed import load_part, save_part, whole
from spatialsv.train.gradients import gradient_norms, shared_parameters
from spatialsv.train.lora import ADAPTER
from spatialsv.train.loss import arm_losses, losses_of
from spatialsv.train.shares import UNCUT, counts, shares

WEIGHTS = "model.safetensors"
GRADIENT_OF = {True: "MLLM", False: "3D parts"}
NOT_FINITE = "not_finite.json"
WEIGHTING = "weighting.json"  # in a checkpoint: the state of adaptive weights
WHOLE = "whole"  # an empty file, written last into a checkpoint


class SpatialTrainer(Trainer):
    """Trains a `SpatialSV` on the batches of a sampler.

    Args:
        model: with `freeze` behind it.
        arm: which losses it learns from.
        config: rates and sizes.
        pools: what `sampler` draws from.
        sampler: every batch of the run.
        collate: samples to a batch.
        logs: take each step's loss terms.
        steps: of the optimiser.
        seed: Trainer's own; nothing here draws from it.
        work: the folder of the checkpoints.
    """

    def __init__(
        self,
        model: SpatialSV,
        *,
        arm: ArmConfig,
        config: TrainConfig,
        pools: Pools,
        sampler: BatchSampler,
        collate: Collate,
        logs: list[TrainerCallback],
        steps: int,
        seed: int,
        work: Path,
    ) -> None:
        self.arm, self.config, self.sampler = arm, config, sampler
        own = config.weighting
        self.weighting = RULES[own.by](own) if own else None
        self._shared = shared_parameters(model) if own and own.by == "gradient_norm" else []
        self._norms: dict[str, Tensor] = {}  # of the signals' gradients, in steps that measure them
        self._terms: dict[str, Tensor] = {}
        self._ids: list[str] = []  # of this step's questions
        arguments = _arguments(config, steps, seed, work)
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=pools,
            data_collator=lambda samples: {"batch": collate(samples)},  # Trainer wants a mapping
            callbacks=logs if arguments.should_save else [],  # only the first process writes
        )
        self.remove_callback(PrinterCallback)
        self.is_distributed_loading_by_transformers = config.sharded  # so is not to be wrapped

    def get_train_dataloader(self) -> DataLoader:
        """The run's batches, dealt out to the processes."""
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=self.sampler,
            collate_fn=self.data_collator,
            num_workers=self.config.workers,
        )
        return self.accelerator.prepare(loader)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Batch],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """The weighted sum of all terms; the terms are kept for the log.

        Args:
            num_items_in_batch: the average counts of this step's forward passes.
        """
        batch = inputs["batch"]
        output = model(batch)
        weights = self.weighting.weights if self.weighting else None
        share = UNCUT
        if num_items_in_batch is not None:
            share = shares(self._counts(batch), num_items_in_batch)
        terms = arm_losses(output, batch, self.arm, self.config, weights, share)
        self._ids += batch.ids
        self._stop_unless_finite(terms)
        if self._measures_gradients():
            self._norms = gradient_norms(terms, self._shared)
        for name, value in terms.items():
            part = value.detach() / self.current_gradient_accumulation_steps
            self._terms[name] = self._terms.get(name, 0) + part
        return (terms["total"], output) if return_outputs else terms["total"]

    def _get_num_items_in_batch(
        self, batch_samples: list[dict[str, Batch]], device: torch.device
    ) -> Tensor | None:
        """What a forward pass of this step runs over, on average over passes and processes.

        None where the step has no other one.
        """
        if len(batch_samples) == self.accelerator.num_processes == 1:
            return None
        own = [self._counts(inputs["batch"]) for inputs in batch_samples]
        return self.accelerator.reduce(torch.stack(own).mean(dim=0).to(device), "mean")

    def _counts(self, batch: Batch) -> Tensor:
        return counts(batch, self.config.text_reduction, losses_of(self.arm, self.config))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the loss terms of this step, averaged over processes, then log as Trainer does."""
        terms = self._averaged(self._terms)
        terms.pop("total", None)
        weights = self._adapt(terms) if self.weighting and terms else {}
        self._terms.clear()
        self._ids.clear()
        super().log(logs | terms | weights, start_time)

    def _averaged(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Means over the processes; where a batch had no labels, their terms are missing, or 0."""
        every = gather_object([{name: float(value) for name, value in values.items()}])
        names = dict.fromkeys(name for found in every for name in found)
        return {name: sum(found.get(name, 0.0) for found in every) / len(every) for name in names}

    def _measures_gradients(self) -> bool:
        """Whether this forward pass is the first of a step that measures each signal's gradient."""
        own = self.config.weighting
        return bool(self._shared) and not self._terms and self.state.global_step % own.every == 0

    def _adapt(self, terms: dict[str, float]) -> dict[str, float]:
        """Set the next step's weights. Returns: those of this step, for the log."""
        used = {
            f"weight/{signal}": weight for signal, weight in sorted(self.weighting.weights.items())
        }
        self.weighting.update(errors_of(terms), self._averaged(self._norms))
        self._norms.clear()
        return used

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with a learning rate for each part of the model."""
        if self.optimizer is None:
            model = model or self.model
            self.optimizer = torch.optim.AdamW(parameter_groups(model, self.config))
        return self.optimizer

    def _clip_grad_norm(self, model: nn.Module) -> Tensor:
        """Clip the MLLM and the 3D parts each by themselves; the MLLM's norm is what is logged.

        The heads' own gradients are many times larger. Clipped in one norm with them, the text's
        step would shrink whenever the heads' grows, and arms would differ by that alone.
        """
        parts: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter in self.accelerator.unwrap_model(model).named_parameters():
            parts[name.startswith("mllm.")].append(parameter)
        norms = {
            is_mllm: whole(self.accelerator.clip_grad_norm_(parameters, self.args.max_grad_norm))
            for is_mllm, parameters in parts.items()
            if parameters
        }
        self._stop_unless_finite({f"gradient, {GRADIENT_OF[part]}": n for part, n in norms.items()})
        return norms[True]

    def _stop_unless_finite(self, values: dict[str, Tensor]) -> None:
        """Stop before weights are spoilt, all processes alike, and keep what it happened on.

        Raises:
            FloatingPointError: one of `values` is not finite, here or in another process.
        """
        found = torch.stack([value.detach().float() for value in values.values()])
        finite = found.isfinite().all()
        if self.accelerator.gather(finite[None]).all():
            return
        step, path = self.state.global_step + 1, Path(self.args.output_dir) / NOT_FINITE
        own = {name: str(value) for name, value in zip(values, found.tolist(), strict=True)}
        met = gather_object([] if finite else [(own, self._ids)])
        told = met[0][0]
        if self.args.should_save:
            questions = [name for _, ids in met for name in ids]
            write_json(path, {"step": step, "values": told, "questions": questions})
        raise FloatingPointError(
            f"step {step}: {told}; {path} names the questions of this step. Lower train.lr_llm or"
            " train.lr_heads, or look at their scenes' labels"
        )

    def resume(self) -> None:
        """Train from the last whole checkpoint, or from the start."""
        work = Path(self.args.output_dir)
        if self.args.should_save:
            for folder in work.glob("checkpoint-*"):
                if not (folder / WHOLE).is_file():
                    shutil.rmtree(folder)
        self.accelerator.wait_for_everyone()
        self.train(resume_from_checkpoint=get_last_checkpoint(work))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        mark = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}" / WHOLE
        mark.unlink(missing_ok=True)  # Trainer writes the last checkpoint twice
        self.accelerator.wait_for_everyone()
        super()._save_checkpoint(model, trial)
        if self.weighting and self.args.should_save:
            write_json(mark.with_name(WEIGHTING), self.weighting.state)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark.touch()

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        # Trainer's own would refuse the shared tensors of tied embeddings, and pickle its arguments
        if self.args.should_save and not self.config.sharded:
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            model = self.accelerator.unwrap_model(self.model)
            safetensors.torch.save_model(model, folder / WEIGHTS)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        folder = Path(resume_from_checkpoint)
        if not self.config.sharded:
            safetensors.torch.load_model(model or self.model, folder / WEIGHTS, strict=True)
        if self.weighting:
            self.weighting.state = json.loads((folder / WEIGHTING).read_text())

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.config.sharded:
            save_part(output_dir, self._parts())
        else:
            super()._save_optimizer_and_scheduler(output_dir)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if self.config.sharded and checkpoint is not None:
            load_part(checkpoint, self._parts())
        else:
            super()._load_optimizer_and_scheduler(checkpoint)

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "scheduler": self.lr_scheduler}


def precision_of(config: TrainConfig) -> Literal["fp32", "bf16"]:
    """What is really computed in: bf16 only where the device has instructions for it."""
    device = torch.accelerator.current_accelerator()
    return config.precision if has_bf16(device.type if device else "cpu") else "fp32"


def freeze(model: SpatialSV, config: TrainConfig) -> None:
    """Leave the vision encoder out of training and, where adapters are trained, the LLM's own."""
    for name, parameter in model.mllm.named_parameters():
        part = model.family.component_of(name)
        adapted = config.lora is not None and part == "llm"
        parameter.requires_grad_(ADAPTER in name if adapted else part != "vision")


def rates_of(config: TrainConfig, family: Family) -> dict[str, float]:
    """The learning rate of each part: the config's, or the family's where it has none."""
    given = {
        "llm": (config.lr_llm, family.lr_llm),
        "projector": (config.lr_vl_projector, family.lr_vl_projector),
        "heads": (config.lr_heads, family.lr_heads),
    }
    return {part: own if rate is None else rate for part, (rate, own) in given.items()}


def parameter_groups(model: SpatialSV, config: TrainConfig) -> list[dict[str, Any]]:
    """AdamW's groups: each part at its own rate, with weight decay on matrices only."""
    rates = rates_of(config, model.family)
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((model.component_of(name), parameter.ndim > 1), []).append(parameter)
    return [
        {
            "name": f"{part}{'' if decay else ' (no decay)'}",
            "params": parameters,
            "lr": rates[part],
            "weight_decay": config.weight_decay if decay else 0.0,
        }
        for (part, decay), parameters in groups.items()
    ]


def _arguments(config: TrainConfig, steps: int, seed: int, work: Path) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(work),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        # Sharded gradients are added up part by part: whole ones would not fit.
        accelerator_config={"gradient_accumulation_kwargs": {"sync_each_batch": config.sharded}},
        lr_scheduler_type=config.schedule,
        warmup_steps=config.warmup_ratio,
        max_grad_norm=config.max_grad_norm,
        bf16=precision_of(config) == "bf16",
        use_cpu=not torch.accelerator.is_available(),  # Trainer must be told for bf16
        save_strategy="steps",
        save_steps=config.save_steps,
        save_total_limit=KEPT,  # the one before stays until the new one is whole
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is not finite must show
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        ddp_find_unused_parameters=False,  # every weight has a gradient in every pass
        seed=seed,
        data_seed=seed,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # else each batch is split over all GPUs in sight
    return arguments
