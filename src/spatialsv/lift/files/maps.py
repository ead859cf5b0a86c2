"""Depth and confidence maps: images and arrays to compute with, and figures to look at.

`depth/`, `confidence/` and `depth_vis/` contain one PNG for each view; scene.jpg shows up to eight
views. depth_vis/, scene.jpg and exports/mini_npz are names of Depth Anything 3 (DA3), whose figures
have no scales.

Shapes: N views, H W pixels.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Shaped
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from spatialsv.io.atomic import write_bytes
from spatialsv.lift.result import LiftResult, PointCloud

DEPTH_STEPS = 1000  # of a depth PNG, in one unit of length: nerfstudio's millimetres
UNITS = ("1 = mean distance of the points", "1 = unsure")  # of depth and of confidence
PANEL, GAP, BAR = 3.2, 0.15, 0.75  # inches: largest height of a map, gap of maps, width of a scale
SMALL = 2.1  # inches: largest height of a map in scene.jpg
MAX_VIEWS = 8  # in scene.jpg, evenly spaced
Scales = tuple[ScalarMappable, ScalarMappable]  # of depth and of confidence


def write_npz(path: Path, result: LiftResult) -> None:
    """Write DA3's results.npz: `depth` (0 = invalid), `conf`, `extrinsics` and `intrinsics`.

    Extrinsics (N, 3, 4) are world-to-camera, like DA3's. K (N, 3, 3) has pixel centres at half
    integers, as everywhere here: where (0, 0) is the centre of the first pixel, subtract 0.5 from
    cx and cy.
    """
    content = BytesIO()
    np.savez_compressed(
        content,
        depth=np.where(result.valid, result.depth, 0),
        conf=result.confidence,
        extrinsics=result.world_to_cam()[:, :3],
        intrinsics=result.intrinsics,
    )
    write_bytes(path, content.getvalue())


def write_maps(out: Path, result: LiftResult) -> None:
    """Write depth/ as 16-bit PNG, 0 = invalid, and confidence/ as 8-bit PNG.

    A confidence is written as 255 (1 - 1 / confidence). Padding is not written. Where the pixels
    that show the photo have another aspect ratio than the image, rows or columns are repeated;
    depths are never interpolated.
    """
    steps = np.clip(np.round(result.depth * DEPTH_STEPS), 1, 65535)
    depth = np.where(result.valid, steps, 0).astype(np.uint16)
    confidence = (255 * (1 - 1 / np.maximum(result.confidence, 1))).astype(np.uint8)
    for folder, maps in (("depth", depth), ("confidence", confidence)):
        (out / folder).mkdir(exist_ok=True)
        for name, view, values in zip(result.names, result.views, maps, strict=True):
            shown = repeat_to_aspect(values[view.window(result.size)], view.image.size)
            Image.fromarray(shown).save(out / folder / f"{name}.png")


def repeat_to_aspect(
    values: Shaped[np.ndarray, "H W"], size: tuple[int, int]
) -> Shaped[np.ndarray, "_ _"]:
    """Repeat rows or columns of a map so that it gets the aspect ratio of `size` (w, h)."""
    height, width = values.shape
    new_width = max(width, round(height * size[0] / size[1]))
    new_height = max(height, round(width * size[1] / size[0]))
    rows = (np.arange(new_height) * height + height // 2) // new_height
    columns = (np.arange(new_width) * width + width // 2) // new_width
    return values[rows[:, None], columns]


def write_figures(out: Path, result: LiftResult, cloud: PointCloud) -> None:
    """Write depth_vis/, with image, depth and confidence of each view, and scene.jpg of all.

    All views share the scales. Invalid pixels are hatched; a contour in the confidence encloses
    pixels that are not in the clouds.
    """
    (out / "depth_vis").mkdir(exist_ok=True)
    scales = (
        _scale(result.depth[result.valid], "magma_r"),
        _scale(result.confidence[result.valid], "cividis"),
    )
    for number, name in enumerate(result.names):
        figure = _view_figure(result, number, scales, cloud.min_confidence)
        figure.savefig(out / "depth_vis" / f"{name}.png", dpi=120)
    _overview(result, scales).savefig(out / "scene.jpg", dpi=120, pil_kwargs={"quality": 92})


def _scale(values: Float[np.ndarray, " p"], colours: str) -> ScalarMappable:
    """Return the colours of values from the 1st to the 99th percentile."""
    low, high = np.quantile(values, [0.01, 0.99]) if values.size else (0.0, 1.0)
    return ScalarMappable(Normalize(low, max(high, low + 1e-6)), colours)


def _view_figure(result: LiftResult, number: int, scales: Scales, least: float) -> Figure:
    """Draw one view, laid out in inches, since a layout engine takes longer than all else."""
    view = result.views[number]
    window = (number, *view.window(result.size))
    depth, valid, confidence = (
        maps[window] for maps in (result.depth, result.valid, result.confidence)
    )
    aspect = view.image.width / view.image.height
    width, height = PANEL * min(1.5, aspect), PANEL * min(1, 1.5 / aspect)
    figure = Figure(figsize=(3 * width + 2 * (GAP + BAR) + GAP, height + 0.5))
    full_width, full_height = figure.get_size_inches()

    def add_axes(left: float, width: float) -> Axes:
        return figure.add_axes(
            (left / full_width, 0.1 / full_height, width / full_width, height / full_height)
        )

    lefts = (0.1, 0.1 + width + GAP, 0.1 + 2 * (width + GAP) + BAR)
    panels = [add_axes(left, width) for left in lefts]
    panels[0].imshow(view.image)
    show_map(panels[1], depth, valid, scales[0], view.image.size)
    show_map(panels[2], confidence, valid, scales[1], view.image.size)
    contour = bool((confidence < least).any() and (confidence >= least).any())
    if contour:
        rows, columns = confidence.shape
        x = (np.arange(columns) + 0.5) * view.image.width / columns
        y = (np.arange(rows) + 0.5) * view.image.height / rows
        known = np.ma.masked_array(confidence, ~valid)
        panels[2].contour(x, y, known, [least], colors="white", linewidths=0.8)
    title = "confidence (line: below it, not in clouds)" if contour else "confidence"
    for panel, text in zip(panels, (Path(view.name).name, "depth", title), strict=True):
        panel.set_title(text, fontsize=9)
        _hide_axes(panel)
    for left, scale, unit in zip(lefts[1:], scales, UNITS, strict=True):
        bar = figure.colorbar(scale, cax=add_axes(left + width + 0.08, 0.13), extend="both")
        bar.set_label(unit, fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return figure


def _overview(result: LiftResult, scales: Scales) -> Figure:
    views = np.linspace(0, len(result.views) - 1, min(MAX_VIEWS, len(result.views))).astype(int)
    aspect = max(view.image.width / view.image.height for view in result.views)
    width, height = SMALL * min(1.5, aspect), SMALL * min(1, 1.5 / aspect)
    figure = Figure(figsize=(len(views) * width + 1.2, 2 * height + 0.5), layout="constrained")
    axes = figure.subplots(2, len(views), squeeze=False)
    for column, number in enumerate(views):
        view = result.views[number]
        window = (number, *view.window(result.size))
        axes[0, column].imshow(view.image)
        axes[0, column].set_title(Path(view.name).name, fontsize=8)
        show_map(
            axes[1, column], result.depth[window], result.valid[window], scales[0], view.image.size
        )
    for axis in axes.flat:
        _hide_axes(axis)
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
    """Draw a map over an image of `size` (width, height); invalid pixels are hatched grey."""
    axis.set_facecolor("0.88")
    if not valid.all():
        axis.fill_between(
            [0, size[0]],
            0,
            size[1],
            zorder=0,
            facecolor="0.88",
            edgecolor="0.65",
            hatch="////",
            linewidth=0,
        )
    axis.imshow(
        np.ma.masked_array(values, ~valid),
        cmap=scale.get_cmap(),
        norm=scale.norm,  # type: ignore[arg-type]  # stubs of matplotlib: Norm is a Normalize
        extent=(0, size[0], size[1], 0),
        interpolation="nearest",
    )
    axis.set(xlim=(0, size[0]), ylim=(size[1], 0))


def _hide_axes(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
