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
UNITS = ("1 = mean distance of the points", "1 = unsure")
PANEL, GAP, BAR = 3.2, 0.15, 0.75  # inches: a map's height at most, between maps, a scale's width
SMALL = 2.1  # inches: a map's height in scene.jpg, at most
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
    """Laid out by hand, in inches: a layout engine takes longer than all else together."""
    view, scenes = result.views[number], result.scenes
    valid, confidence = scenes.valid[0, number], scenes.confidence[0, number]
    aspect = view.picture.width / view.picture.height
    wide, high = (PANEL * min(1.5, aspect), PANEL * min(1, 1.5 / aspect))
    figure = Figure(figsize=(3 * wide + 2 * (GAP + BAR) + GAP, high + 0.5))

    def axes(left: float, width: float) -> Axes:
        across, down = figure.get_size_inches()
        return figure.add_axes((left / across, 0.1 / down, width / across, high / down))

    lefts = (0.1, 0.1 + wide + GAP, 0.1 + 2 * (wide + GAP) + BAR)
    panels = [axes(left, wide) for left in lefts]
    panels[0].imshow(view.picture)
    show_map(panels[1], scenes.depth[0, number], valid, scales[0], view.picture.size)
    show_map(panels[2], confidence, valid, scales[1], view.picture.size)
    ringed = (confidence < least).any() and (confidence >= least).any()
    if ringed:
        height, width = confidence.shape
        x = (np.arange(width) + 0.5) * view.picture.width / width
        y = (np.arange(height) + 0.5) * view.picture.height / height
        known = np.ma.masked_array(confidence, ~valid)
        panels[2].contour(x, y, known, [least], colors="white", linewidths=0.8)
    unsure = "confidence (line: below it, not in clouds)" if ringed else "confidence"
    for panel, title in zip(panels, (Path(view.name).name, "depth", unsure), strict=True):
        panel.set_title(title, fontsize=9)
        _bare(panel)
    for panel, scale, meaning in zip(lefts[1:], scales, UNITS, strict=True):
        bar = figure.colorbar(scale, cax=axes(panel + wide + 0.08, 0.13), extend="both")
        bar.set_label(meaning, fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return figure


def _overview(result: Result, scales: tuple[ScalarMappable, ScalarMappable]) -> Figure:
    views = np.linspace(0, len(result.views) - 1, min(SHOWN, len(result.views))).astype(int)
    wide = max(view.picture.width / view.picture.height for view in result.views)
    across, down = SMALL * min(1.5, wide), SMALL * min(1, 1.5 / wide)
    figure = Figure(figsize=(len(views) * across + 1.2, 2 * down + 0.5), layout="constrained")
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
    bar.set_label(f"depth, {UNITS[0]}", fontsize=7)
    bar.ax.tick_params(labelsize=8)
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
