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
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from spatialsv.report.labels import arm_label
from spatialsv.report.style import WIDTH, Drawing

VIEWS = 4  # images per question
MAX_CODE = 65535  # of the largest depth; 0 is unknown
VIEW = {"elev": 35, "azim": -59}  # degrees: from the right, above and behind the first camera
REACH = 1.7  # of the 3D axes, in median distances of points from their centre
HOW = {"lifted": "lifted", "probed": "probed,\ntrue cameras"}


def examples_figure(pair: Mapping[str, Any]) -> Drawing:
    """Draw a block per question on which two arms disagree.

    Args:
        pair: a record of disagreements.json.

    Returns:
        The figure.
    """
    examples = pair["examples"]
    figure = Figure(figsize=(WIDTH, 3.3 * len(examples)), layout="constrained")
    blocks = np.atleast_1d(figure.subfigures(len(examples), 1))
    for block, example in zip(blocks, examples, strict=True):
        names = {"exact": "ground truth"} if "exact" in example["clouds"] else {}
        names |= {arm: f"{arm_label(arm)}\n{HOW[pair['sources'][arm]]}" for arm in pair["arms"]}
        block.suptitle(_title(example, pair["arms"]), x=0.01, ha="left", fontsize=7.5)
        _draw_block(block, example, names)
    arms = " and ".join(map(arm_label, pair["arms"]))
    each = len(examples)
    return Drawing(
        figure,
        f"Choices that only one arm answered correctly: up to {each}, evenly spaced over all, not"
        " picked. Near is dark. All clouds are drawn from the same viewpoint, without alignment.",
        f"Questions on which {arms} disagree: images, depth, point clouds and responses",
    )


def decode_cloud(
    cloud: Mapping[str, Any],
) -> tuple[Float[np.ndarray, "N H W"], Float[np.ndarray, "P 3"]]:
    """Decode a cloud as `cloud.js` does.

    Args:
        cloud: as the stage `analysis` encodes it.

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


def _draw_block(block: Any, example: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Rows of images and depth maps on the left, point clouds on the right."""
    images = [_decode_image(uri) for uri in example["images"]]
    views = example["views"][:VIEWS]
    clouds = {name: decode_cloud(example["clouds"][name]) for name in names}
    first_depth, first_points = next(iter(clouds.values()))
    low, high = np.nanquantile(first_depth, [0.02, 0.98])
    grid = block.add_gridspec(len(names) + 1, VIEWS + 2 * len(names), wspace=0.02, hspace=0.02)
    for row, (name, words) in enumerate([("", "images"), *names.items()]):
        for column, view in enumerate(views):
            ax = block.add_subplot(grid[row, column])
            if name:
                ax.imshow(clouds[name][0][view], cmap="viridis", vmin=low, vmax=high)
            else:
                ax.imshow(images[view])
            _strip_axes(ax)
            if column == 0:
                ax.set_ylabel(words, rotation=0, ha="right", va="center", fontsize=7)
    for number, (name, (depth, points)) in enumerate(clouds.items()):
        left = VIEWS + 2 * number
        ax = block.add_subplot(grid[:, left : left + 2], projection="3d")
        _draw_points(ax, points, pixel_colours(images, depth.shape), first_points)
        ax.set_title(names[name].split("\n")[0], fontsize=7, loc="center", weight="normal")


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


def _title(example: Mapping[str, Any], arms: Sequence[str]) -> str:
    question, *options = example["text"].splitlines()
    lines = [*textwrap.wrap(question, 130), *textwrap.wrap(" \u2003".join(options), 130)]
    responses = []
    for arm in arms:
        response = example["responses"][arm]
        words = textwrap.shorten(response["text"], 24, placeholder="...") or "(empty)"
        verdict = "correct" if response["is_correct"] else "incorrect"
        responses.append(f"{arm_label(arm)}: {words} ({verdict})")
    lines.append(f"Correct answer: {example['answer']}. {'; '.join(responses)}.")
    return "\n".join(lines).replace("$", r"\$")


def _decode_image(uri: str) -> UInt8[np.ndarray, "h w 3"]:
    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _strip_axes(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
