"""Maps as pictures: numbers to compute with, and figures to look at.

`depth/`, `confidence/` and `depth_vis/` hold one PNG a view; scene.jpg shows up to eight views.
depth_vis/ and scene.jpg are DA3's names, whose figures have no scales.

Shapes: N views, H W pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Shaped
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from spatialsv.lift.files.result import Cloud, Result

DEPTH_STEPS = 1000  # of a depth PNG, in one unit of length: nerfstudio's millimetres
NEAR_TO_FAR, UNSURE_TO_SURE = "magma_r", "cividis"
SHOWN = 8  # views in scene.jpg, evenly spread


def write_maps(out: Path, result: Result) -> None:
    """depth/ as 16-bit PNG, 0 = invalid; confidence/ as 8-bit PNG, 255 (1 - 1 / confidence).

    Where the maps are of other proportions than the picture, rows or columns are repeated, so that
    both files are of its proportions; depths are picked, never blended.
    """
    for folder in ("depth", "confidence"):
        (out / folder).mkdir(exist_ok=True)
    scenes = result.scenes
    steps = np.clip(np.round(scenes.depth[0] * DEPTH_STEPS), 1, 65535)
    steps = np.where(scenes.valid[0], steps, 0).astype(np.uint16)
    sure = (255 * (1 - 1 / np.maximum(scenes.confidence[0], 1))).astype(np.uint8)
    for number, (name, view) in enumerate(zip(result.names(), result.views, strict=True)):
        for folder, values in (("depth", steps), ("confidence", sure)):
            shown = proportioned(values[number], view.picture.size)
            Image.fromarray(shown).save(out / folder / f"{name}.png")


def proportioned(
    values: Shaped[np.ndarray, "H W"], size: tuple[int, int]
) -> Shaped[np.ndarray, "_ _"]:
    """`values` with as many rows or columns repeated as give it the shape of `size` (w, h)."""
    height, width = values.shape
    across = max(width, round(height * size[0] / size[1]))
    down = max(height, round(width * size[1] / size[0]))
    rows = (np.arange(down) * height + height // 2) // down
    columns = (np.arange(across) * width + width // 2) // across
    return values[rows[:, None], columns]


def write_figures(out: Path, result: Result, cloud: Cloud) -> None:
    """depth_vis/: picture, depth and confidence of each view, with scales; invalid pixels hatched.

    All views share the scales. A line in the confidence rings what clouds leave out.
    """
    (out / "depth_vis").mkdir(exist_ok=True)
    scales = _scales(result)
    for number, name in enumerate(result.names()):
        figure = _figure(result, number, scales, cloud.least)
        figure.savefig(out / "depth_vis" / f"{name}.png", dpi=120)
    _overview(result, scales).savefig(out / "scene.jpg", dpi=120, pil_kwargs={"quality": 92})


def _scales(result: Result) -> tuple[ScalarMappable, ScalarMappable]:
    """Colours of depth and of confidence, from what all but 1 % of the valid pixels have."""
    scenes, found = result.scenes, []
    for values, colours in ((scenes.depth, NEAR_TO_FAR), (scenes.confidence, UNSURE_TO_SURE)):
        known = values[scenes.valid]
        low, high = np.quantile(known, [0.01, 0.99]) if known.size else (0.0, 1.0)
        found.append(ScalarMappable(Normalize(low, max(high, low + 1e-6)), colours))
    return found[0], found[1]


def _figure(
    result: Result, number: int, scales: tuple[ScalarMappable, ScalarMappable], least: float
) -> Figure:
    view, scenes = result.views[number], result.scenes
    valid, confidence = scenes.valid[0, number], scenes.confidence[0, number]
    wide = view.picture.width / view.picture.height
    figure = Figure(figsize=(3 * 3.2 * min(wide, 1.5) + 2.0, 3.2 * min(1, 1.5 / wide) + 0.5))
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, 3)
    axes[0].imshow(view.picture)
    show_map(axes[1], scenes.depth[0, number], valid, scales[0], view.picture.size)
    show_map(axes[2], confidence, valid, scales[1], view.picture.size)
    ringed = (confidence < least).any() and (confidence >= least).any()
    if ringed:
        height, width = confidence.shape
        x = (np.arange(width) + 0.5) * view.picture.width / width
        y = (np.arange(height) + 0.5) * view.picture.height / height
        axes[2].contour(x, y, confidence, [least], colors="white", linewidths=0.8)
    unsure = "confidence (line: below it, not in the clouds)" if ringed else "confidence"
    titles = (Path(view.name).name, "depth", unsure)
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=9)
        _bare(axis)
    figure.colorbar(scales[0], ax=axes[1], fraction=0.046, extend="both").set_label(
        "1 = mean distance of the points", fontsize=8
    )
    figure.colorbar(scales[1], ax=axes[2], fraction=0.046, extend="both").set_label(
        "1 = unsure", fontsize=8
    )
    return figure


def _overview(result: Result, scales: tuple[ScalarMappable, ScalarMappable]) -> Figure:
    views = np.linspace(0, len(result.views) - 1, min(SHOWN, len(result.views))).astype(int)
    wide = max(view.picture.width / view.picture.height for view in result.views)
    figure = Figure(figsize=(2.1 * len(views) * min(wide, 1.5) + 1.2, 4.6), layout="constrained")
    axes = figure.subplots(2, len(views), squeeze=False)
    for column, number in enumerate(views):
        view = result.views[number]
        depth, valid = result.scenes.depth[0, number], result.scenes.valid[0, number]
        axes[0, column].imshow(view.picture)
        axes[0, column].set_title(Path(view.name).name, fontsize=8)
        show_map(axes[1, column], depth, valid, scales[0], view.picture.size)
    for axis in axes.flat:
        _bare(axis)
    bar = figure.colorbar(scales[0], ax=axes[1], extend="both", aspect=15)
    bar.set_label("depth", fontsize=8)
    return figure


def show_map(
    axis: Axes,
    values: Float[np.ndarray, "H W"],
    valid: Bool[np.ndarray, "H W"],
    scale: ScalarMappable,
    size: tuple[int, int],
) -> None:
    """A map over a picture of `size` (width, height); hatched grey where it is not valid."""
    axis.set_facecolor("0.88")
    if not valid.all():
        hatched = {"facecolor": "0.88", "edgecolor": "0.65", "hatch": "////", "linewidth": 0}
        axis.fill_between([0, size[0]], 0, size[1], zorder=0, **hatched)
    axis.imshow(
        np.ma.masked_array(values, ~valid),
        cmap=scale.get_cmap(),
        norm=scale.norm,
        extent=(0, size[0], size[1], 0),
        interpolation="nearest",
    )
    axis.set(xlim=(0, size[0]), ylim=(size[1], 0))


def _bare(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
