"""Write the plan of each recipe in workflow/config/paper.yaml into docs/guides/models.md.

The plans use the sizes in the MLLMs' config.json, not their weights. Each sample has four views of
640 x 480 pixels. Questions are in the shipped model's tokens, of which a text has more than of
Qwen's.

    python workflow/recipes.py [--tflops 400]
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from spatialsv.config import from_mapping
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.model.checkpoint import resolve_model
from spatialsv.scenes.question import Question, write_questions
from spatialsv.scenes.scene import Cameras, Geometry, Scenes
from spatialsv.scenes.store import write_store
from spatialsv.train import TrainConfig
from spatialsv.train.plan import Plan, plan

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
from settings import load_settings  # noqa: E402
from write_results import replace_block  # noqa: E402

VIEWS, SIZE = 4, (480, 640)
VISION = {
    **{"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16},
    **{"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2},
    **{"window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31]},
}
LLM = {  # from each config.json
    "qwen2_5_vl_3b": {
        **{"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36},
        **{"num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151936},
        "tie_word_embeddings": True,
    },
    "qwen2_5_vl_7b": {
        **{"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28},
        **{"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064},
        "tie_word_embeddings": False,
    },
}
ROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
HEAD = "| MLLM | recipe | trained, M | memory of a GPU, GiB | disk, GiB | hours |"


def make_base(folder: Path, model: str) -> Path:
    """Copy the shipped model's folder without weights, with the sizes of `model`."""
    shipped = Path(resolve_model("rooms").checkpoint)
    shutil.copytree(shipped, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((shipped / "config.json").read_text())
    text = {"rope_parameters": ROPE, "layer_types": None, "max_window_layers": 1000}
    config["text_config"] |= LLM[model] | text
    config["vision_config"] |= VISION | {"out_hidden_size": LLM[model]["hidden_size"]}
    config["tie_word_embeddings"] = LLM[model]["tie_word_embeddings"]
    (folder / "config.json").write_text(json.dumps(config))
    images = json.loads((shipped / "preprocessor_config.json").read_text())
    pixels = {"shortest_edge": 56 * 56, "longest_edge": 12845056}
    images |= {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2, "size": pixels}
    images |= {"min_pixels": pixels["shortest_edge"], "max_pixels": pixels["longest_edge"]}
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    return folder


def make_data(folder: Path, questions: int) -> tuple[Path, Path]:
    """Write scenes with questions, and labels, of realistic shapes; return both manifests."""
    ids = tuple(f"scene-{i}" for i in range(4))
    shape = (len(ids), VIEWS, *SIZE)
    scenes = Scenes(
        ids=ids,
        geometry=Geometry(
            cameras=Cameras(
                intrinsics=np.broadcast_to(np.eye(3), (*shape[:2], 3, 3)).copy(),
                cam_to_world=np.broadcast_to(np.eye(4), (*shape[:2], 4, 4)).copy(),
            ),
            depth=np.broadcast_to(np.float32(1), shape),
            valid=np.broadcast_to(True, shape),
            features=np.broadcast_to(np.float16(1), (*shape[:2], 18, 24, 1024)),
        ),
        image=np.broadcast_to(np.uint8(1), (*shape, 3)),
    )
    items = [
        Question(
            id=f"q-{i}",
            scene=ids[i % len(ids)],
            task="among",
            text="From where the first view was taken, what is to my right when I turn to the door?"
            "\nA. a chair\nB. the table\nC. a lamp\nD. the sofa",
            answer="A",
            options=("a chair", "the table", "a lamp", "the sofa"),
            views=tuple(range(VIEWS)),
        )
        for i in range(questions)
    ]
    payload = {
        "plan.questions.jsonl": write_questions(folder / "plan.questions.jsonl", items),
        "plan.zarr": write_store(folder / "plan.zarr", scenes),
    }
    for stage in ("scenes", "labels"):
        write_manifest(folder / f"{stage}.json", Manifest(stage=stage, payload=payload))
    return folder / "scenes.json", folder / "labels.json"


def plan_recipe(folder: Path, model: str, recipe: str, tflops: float) -> Plan:
    """Plan the training of the paper's arm `spatialsv` by a recipe."""
    settings = load_settings(ROOT, {"overlay": "paper", "train": {"base": model, "recipe": recipe}})
    known = {field.name for field in fields(TrainConfig)}
    train = {name: value for name, value in settings["train"].items() if name in known}
    return plan(
        arm="spatialsv",
        seed=0,
        scenes=[folder / "scenes.json"],
        labels=[folder / "labels.json"],
        pseudo=[],
        config=from_mapping(TrainConfig, train, "train"),
        out=folder / "manifest.json",
        base=folder / model,
        tflops=tflops,
        gib=float(re.findall(r"(\d+)gb", recipe)[0]),
    )


def format_row(model: str, recipe: str, estimate: Plan) -> str:
    """Return a line of the table."""
    cells = [
        model.replace("qwen2_5_vl_", "Qwen2.5-VL-").upper().replace("QWEN", "Qwen"),
        f"`{recipe}`",
        f"{sum(estimate.trained.values()) / 1e6:,.0f}",
        f"{estimate.memory.peak / 2**30:.1f} of {estimate.device.memory / 2**30:.0f}",
        f"{estimate.disk.most / 2**30:.0f}",
        f"{estimate.hours:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Plan each recipe and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tflops",
        type=float,
        default=400.0,
        help="bf16 matrix throughput of a GPU, TFLOP/s (default: 400)",
    )
    arguments = parser.parse_args()
    models: dict[str, Any] = load_settings(ROOT, {"overlay": "paper"})["models"]
    lines = [HEAD, "| :-- | :-- | --: | --: | --: | --: |"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, questions=10000)
        for model in LLM:
            make_base(folder / model, model)
            for recipe in models[model]["recipes"]:
                estimate = plan_recipe(folder, model, recipe, arguments.tflops)
                lines.append(format_row(model, recipe, estimate))
                print(
                    lines[-1], *(f for f in estimate.problems if f.startswith("memory")), flush=True
                )
    replace_block(ROOT / "docs/guides/models.md", "recipes", "\n".join(lines))


if __name__ == "__main__":
    main()
