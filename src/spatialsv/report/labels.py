"""Names of arms, tasks and sources of geometry in words."""

from __future__ import annotations

ARMS = {
    "base": "untuned base",
    "text": "text",
    "distill": "text + distillation",
    "spatialsv": "SpatialSV",
    "semi": "SpatialSV + unlabelled",
    "no_image": "no image (grey images)",
    "random": "random",
    "frequency": "most frequent",
}
TASKS = {
    "spatial": "all spatial",
    "spatial_choice": "spatial choices",
    "spatial_number": "spatial numbers",
    "recognition": "recognition",
    "choice": "all such choices",
    "number": "all such numbers",
    "abs_distance": "distance",
}
SOURCES = {  # of the geometry-only solver
    "exact": "exact",
    "lifted_depth": "lifted depth, exact cameras",
    "mean_depth": "mean depth, exact cameras",
    "lifted": "lifted",
    "lifted_cameras": "mean depth, lifted cameras",
    "response": "model's response",
    "chance": "chance",
}


def arm_label(arm: str) -> str:
    """Return an arm's name in words."""
    return ARMS.get(arm, arm)


def task_label(task: str) -> str:
    """Return the name of a task or a pool of tasks in words."""
    return TASKS.get(task, task.replace("_", " ").replace("rel ", "relative "))


def source_label(source: str) -> str:
    """Return where depth comes from: `exact`, `teacher:NAME`, `lifted:ARM` or `probed:ARM`."""
    kind, _, name = source.partition(":")
    if kind in ("lifted", "probed"):
        return f"{kind} from {arm_label(name)}"
    return f"teacher {name}" if kind == "teacher" else "ground truth"


def layer_label(layer: int) -> str:
    """Return a layer's name in words."""
    return {-1: "encoder", 0: "projector"}.get(layer, f"layer {layer}")
