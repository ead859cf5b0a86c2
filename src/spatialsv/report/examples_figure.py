"""The figure of disagreements: images, depth maps, point clouds and replies of two models."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from spatialsv.report.browser import depth_uri, jpeg_uri
from spatialsv.report.examples import Disagreement, Example
from spatialsv.report.jobs import Answer, arm_label
from spatialsv.report.splat import points_of, splat
from spatialsv.report.viewer import Cloud

WIDTH, NAMES, SIDE, GAP, VIEWS = 640, 92, 46, 3, 4  # of the strips, in SVG units
LINE, LETTERS = 13, 112  # height of a line of text, and letters in it
CLOUD_LEFT = NAMES + VIEWS * (SIDE + GAP) + 8
NAME = 13  # above a cloud's picture
CLOUD = (112, 4 * (SIDE + GAP) - GAP - NAME)  # its width and height
ZOOM, QUALITY = 2, 85  # pixels a unit, and of JPEGs
PIXELS = (CLOUD[1] * ZOOM, CLOUD[0] * ZOOM)  # height and width
HOW = {"lifted": "lifted", "probed": "read by a probe, cameras known"}


def examples_figure(found: Disagreement) -> str:
    """A block a question, as SVG."""
    title = f"Where {' and '.join(map(arm_label, found.arms))} disagree"
    marks, y = [f'<text class="title" x="0" y="12">{escape(title)}</text>'], 30
    for example in found.examples:
        block, y = _block(example, found, y)
        marks.append(block)
    label = f"{title}: images, depth, point clouds and replies"
    return (
        f'<svg class="intervals" viewBox="0 0 {WIDTH} {y - 14}" role="img"'
        f' aria-label="{escape(label)}">{"".join(marks)}</svg>'
    )


def _block(example: Example, found: Disagreement, y: int) -> tuple[str, int]:
    """Question, replies, four strips and the clouds. Returns: where the next one starts."""
    marks = []
    for line in _lines(example):
        marks.append(f'<text x="0" y="{y}">{escape(line)}</text>')
        y += LINE
    replies = "; ".join(f"{arm_label(arm)}: {_said(example.replies[arm])}" for arm in found.arms)
    told = f"Right: {example.question.answer}. {replies}."
    marks.append(f'<text class="tick" x="0" y="{y}">{escape(told)}</text>')
    top, views = y + 8, example.question.views[:VIEWS]
    low, high = _range(example, found.arms[0])
    strips = [("images", [jpeg_uri(example.images[view], ZOOM * SIDE, QUALITY) for view in views])]
    clouds = [("known", example.known)] if example.known is not None else []
    clouds += [(arm_label(arm), example.seen[arm]) for arm in found.arms]
    strips += [(name, [_depth(cloud, view, low, high) for view in views]) for name, cloud in clouds]
    how = {arm_label(arm): HOW[found.how[arm]] for arm in found.arms}
    for row, (name, uris) in enumerate(strips):
        marks.append(_strip(name, how.get(name, ""), uris, top + row * (SIDE + GAP)))
    around = points_of(clouds[0][1])
    for place, (name, cloud) in enumerate(clouds):
        picture = splat(points_of(cloud), _colours(example, cloud), around, PIXELS, dot=3)
        x = CLOUD_LEFT + place * (CLOUD[0] + GAP)
        marks.append(f'<text x="{x}" y="{top + 9}">{escape(name)}</text>')
        marks.append(_image(_png(picture), x, top + NAME, *CLOUD, f"points, {name}"))
    return "".join(marks), top + 4 * (SIDE + GAP) + 26


def _lines(example: Example) -> list[str]:
    question, *options = example.question.text.splitlines()
    return [*textwrap.wrap(question, LETTERS), *textwrap.wrap(" \u2003".join(options), LETTERS)]


def _said(answer: Answer) -> str:
    words = textwrap.shorten(answer.reply, 24, placeholder="...") or "nothing"
    return f"{words} ({'right' if answer.scored.score == 1 else 'wrong'})"


def _strip(name: str, how: str, uris: Sequence[str], y: int) -> str:
    marks = [f'<text x="0" y="{y + 18}">{escape(name)}</text>']
    for line, words in enumerate(textwrap.wrap(how, 17)):
        marks.append(f'<text class="tick" x="0" y="{y + 29 + 10 * line}">{escape(words)}</text>')
    for place, uri in enumerate(uris):
        x = NAMES + place * (SIDE + GAP)
        marks.append(_image(uri, x, y, SIDE, SIDE, f"{name}, view {place + 1}"))
    return "".join(marks)


def _image(uri: str, x: int, y: int, width: int, height: int, words: str) -> str:
    return (
        f'<image href="{uri}" x="{x}" y="{y}" width="{width}" height="{height}">'
        f"<title>{escape(words)}</title></image>"
    )


def _range(example: Example, first: str) -> tuple[float, float]:
    """What is near and far in all maps of a scene: by what is known, else by the first model."""
    cloud = example.known or example.seen[first]
    depth = cloud.depth[cloud.valid].numpy()
    low, high = np.quantile(depth, [0.02, 0.98]) if depth.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))


def _depth(cloud: Cloud, view: int, low: float, high: float) -> str:
    depth, valid = cloud.depth[view].numpy(), cloud.valid[view].numpy()
    return depth_uri(depth, valid, low, high, ZOOM * SIDE, QUALITY)


def _colours(example: Example, cloud: Cloud) -> UInt8[np.ndarray, "P 3"]:
    """The image at each of the cloud's pixels."""
    views, height, width = cloud.depth.shape
    rows = (np.arange(height) + 0.5) * example.images.shape[1] / height
    columns = (np.arange(width) + 0.5) * example.images.shape[2] / width
    picked = example.images[:views, rows.astype(int)[:, None], columns.astype(int)]
    return picked.reshape(-1, 3)


def _png(picture: UInt8[np.ndarray, "H W 4"]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).quantize(128, method=Image.Quantize.FASTOCTREE).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
