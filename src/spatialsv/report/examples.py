"""The figure of disagreements: images, depth maps, point clouds and responses of two arms.

Shapes: N views, H W pixels, P points.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from PIL import Image

from spatialsv.report.data import Row
from spatialsv.report.style import WIDTH
from spatialsv.report.texts import arm_label

VIEWS = 4  # images per question
MAX_CODE = 65535  # of the largest depth; 0 is unknown
VIEW = {"elev": 35, "azim": -59}  # degrees: from the right, above and behind the first camera
REACH = 1.7  # of the 3D axes, in median distances of points from their centre
HOW = {"lifted": "lifted", "probed": "probed,\ntrue cameras"}


def examples_figure(
    rows: Sequence[Row], browser: Mapping[str, Any], clouds: Mapping[str, Any]
) -> Figure:
    """Draw a block per row of the table `disagreements`, from the data of the two viewers."""
    questions = {question["id"]: question for question in browser["questions"]}
    arms = [arm["name"] for arm in browser["arms"]]
    figure = Figure(figsize=(WIDTH, 3.3 * len(rows)), layout="constrained")
    blocks = figure.subfigures(len(rows), 1, squeeze=False).flat
    for block, row in zip(blocks, rows, strict=True):
        question = questions[row["question"]]
        pair = (row["arm"], row["reference"])
        responses = {arm: question["responses"][arms.index(arm)] for arm in pair}
        block.suptitle(_title(question, responses), x=0.01, ha="left", fontsize=7.5)
        names = [source["name"] for source in clouds["sources"]]
        stored = {names[c["source"]]: c for c in clouds["scenes"][row["scene"]]}
        known = {"ground truth": stored["exact"]} if "exact" in stored else {}
        for arm in pair:
            kind = "lifted" if f"lifted:{arm}" in stored else "probed"
            known[f"{arm_label(arm)}\n{HOW[kind]}"] = stored[f"{kind}:{arm}"]
        decoded = {name: decode_cloud(cloud) for name, cloud in known.items()}
        images = [_decode_image(uri) for uri in browser["scenes"][row["scene"]]["images"]]
        _draw_block(block, images, question["views"][:VIEWS], decoded)
    return figure


def decode_cloud(
    cloud: Mapping[str, Any],
) -> tuple[Float[np.ndarray, "N H W"], Float[np.ndarray, "P 3"]]:
    """Decode a cloud of clouds.json, as `cloud.js` does.

    Returns:
        Depth, and the points of its pixels in the first view's frame; NaN where unknown.
    """
    views, height, width = cloud["size"]
    codes = np.frombuffer(base64.b64decode(cloud["depth"]), "<u2").reshape(cloud["size"])
    z = np.where(codes > 0, codes / MAX_CODE * cloud["top"], np.nan)
    fx, skew, cx, fy, cy = np.reshape(cloud["K"], (views, 5)).T[..., None, None]
    y = (np.arange(height)[:, None] + 0.5 - cy) / fy
    x = (np.arange(width) + 0.5 - cx - skew * y) / fx
    poses = np.reshape(cloud["poses"], (views, 3, 4))
    camera = np.stack(np.broadcast_arrays(x * z, y * z, z), axis=-1)
    points = np.einsum("nij,nhwj->nhwi", poses[..., :3], camera) + poses[:, None, None, :, 3]
    return z, points.reshape(-1, 3)


def _draw_block(
    block: Any,
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    views: Sequence[int],
    clouds: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    """Rows of images and depth maps on the left, point clouds on the right."""
    first_depth, first_points = next(iter(clouds.values()))
    low, high = np.nanquantile(first_depth, [0.02, 0.98])
    grid = block.add_gridspec(len(clouds) + 1, VIEWS + 2 * len(clouds), wspace=0.02, hspace=0.02)
    rows: dict[str, Any] = {"images": images} | {name: d for name, (d, _) in clouds.items()}
    for row, (name, maps) in enumerate(rows.items()):
        for column, view in enumerate(views):
            ax = block.add_subplot(grid[row, column])
            ax.imshow(maps[view], cmap="viridis", vmin=low, vmax=high)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set_visible(False)
            if column == 0:
                ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    for number, (name, (depth, points)) in enumerate(clouds.items()):
        left = VIEWS + 2 * number
        ax = block.add_subplot(grid[:, left : left + 2], projection="3d")
        _draw_points(ax, points, pixel_colours(images, depth.shape), first_points)
        ax.set_title(name.split("\n")[0], fontsize=7, loc="center", weight="normal")


def pixel_colours(
    images: Sequence[UInt8[np.ndarray, "h w 3"]], size: Sequence[int]
) -> UInt8[np.ndarray, "P 3"]:
    """Return the images' colours at the pixels of a depth map of `size` (views, height, width)."""
    views, height, width = size
    rows = (np.arange(height) + 0.5) * images[0].shape[0] / height
    columns = (np.arange(width) + 0.5) * images[0].shape[1] / width
    picked = np.stack(images[:views])[:, rows.astype(int)[:, None], columns.astype(int)]
    return picked.reshape(-1, 3)


def _draw_points(
    ax: Any,
    points: Float[np.ndarray, "P 3"],
    colours: UInt8[np.ndarray, "P 3"],
    around: Float[np.ndarray, "Q 3"],
) -> None:
    """Draw points in axes that are placed by `around`, so that clouds share a viewpoint."""
    known = np.isfinite(points).all(axis=1)
    reference = around[np.isfinite(around).all(axis=1)]
    centre = np.median(reference, axis=0)
    reach = REACH * float(np.median(np.linalg.norm(reference - centre, axis=1))) + 0.05
    x, y, z = (points[known] - centre).T  # right, down, forward
    near = np.abs([x, y, z]).max(axis=0) < 3 * reach
    colours = colours[known][near] / 255
    ax.scatter(x[near], z[near], -y[near], c=colours, s=1.5, depthshade=False, rasterized=True)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(-reach, reach))
    ax.set_proj_type("persp")
    ax.set_box_aspect((1, 1, 1), zoom=1.5)
    ax.view_init(**VIEW)
    ax.set_axis_off()


def _title(question: Mapping[str, Any], responses: Mapping[str, Sequence[Any]]) -> str:
    first, *options = question["text"].splitlines()
    lines = [*textwrap.wrap(first, 130), *textwrap.wrap(" \u2003".join(options), 130)]
    parts = []
    for arm, (text, score) in responses.items():
        words = textwrap.shorten(text, 24, placeholder="...") or "(empty)"
        parts.append(f"{arm_label(arm)}: {words} ({'correct' if score == 1 else 'incorrect'})")
    lines.append(f"Correct answer: {question['answer']}. {'; '.join(parts)}.")
    return "\n".join(lines).replace("$", r"\$")


def _decode_image(uri: str) -> UInt8[np.ndarray, "h w 3"]:
    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
