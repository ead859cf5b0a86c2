"""Train SpatialSV with transformers' own Trainer: text, depth, rays and points.

    python examples/train_with_transformers.py BASE SCENES LABELS QUESTIONS OUT

BASE is a checkpoint of an MLLM; SCENES and LABELS are stores (.zarr) of the same scenes, and
QUESTIONS a .questions.jsonl file about them, as `spatialsv scenes` and `spatialsv labels` write.
"""

import sys
from pathlib import Path

from transformers import Trainer, TrainingArguments

import spatialsv
from spatialsv.model.spatialsv import save_spatialsv
from spatialsv.scenes.question import read_questions


def main(base: str, scenes: str, labels: str, questions: str, out: str) -> None:
    """Train for ten steps and save the model."""
    mllm, family = spatialsv.load_mllm(base)
    tasks = ("depth", "rays", "points")
    config = spatialsv.SpatialHeadsConfig(tasks=tasks, taps=family.default_taps())
    heads = spatialsv.SpatialHeads(config, mllm.config.get_text_config().hidden_size)
    losses = spatialsv.SpatialLossConfig(tasks=tasks)
    model = spatialsv.SpatialSV(mllm, family, heads, losses)
    dataset = spatialsv.SceneDataset(
        spatialsv.open_store(Path(scenes)),
        read_questions(Path(questions)),
        family,
        spatialsv.open_store(Path(labels)),
    )
    collate = spatialsv.Collate(processor=family)
    arguments = TrainingArguments(
        output_dir=out, max_steps=10, learning_rate=1e-3, save_strategy="no", report_to="none"
    )
    trainer = Trainer(
        model, arguments, train_dataset=dataset, data_collator=lambda s: {"batch": collate(s)}
    )
    trainer.train()
    save_spatialsv(Path(out), model.cpu())


if __name__ == "__main__":
    main(*sys.argv[1:])
