"""Made-up data in the formats of outside: MindCube's JSON lines and LLaVA's conversations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

WORDS = ("Sofa", "Lamp", "Tv", "Dining table")


def save_picture(path: Path, size: tuple[int, int], seed: int) -> Path:
    """A JPEG of smooth coloured patches, (width, height) pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, quality=95)
    return path


def save_video(path: Path, frames: int, size: tuple[int, int] = (64, 48)) -> Path:
    """An MP4 whose frame k is of grey 8 k."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            grey = np.full((*size[::-1], 3), 8 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return path


def trimmed(video: Path, hidden: int) -> Path:
    """The same frames, of which an edit list hides the first, as trimming without encoding does."""
    path = video.with_stem(f"{video.stem}_trimmed")
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    with av.open(video) as source, av.open(path, "w", options=options) as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        start = round(hidden / (stream.average_rate * stream.time_base))
        for packet in source.demux(stream):
            if packet.size:
                packet.pts, packet.dts = packet.pts - start, packet.dts - start
                packet.stream = copy
                target.mux(packet)
    return path


def mindcube_line(number: int, images: list[str], setting: str = "among") -> dict[str, Any]:
    """One question about these images, as MindCube asks it."""
    options = " ".join(f"{letter}. {word}" for letter, word in zip("ABCD", WORDS, strict=True))
    return {
        "id": f"{setting}_group{number:03d}_q0_1_1",
        "category": [setting, "perpendicular", "P-O"],
        "type": "multi_view",
        "meta_info": list(WORDS),
        "images": images,
        "question": f"Based on these images: from image {number + 1}, what is behind me? {options}",
        "gt_answer": "ABCD"[number % 4],
    }


def write_mindcube(root: Path, name: str, places: int) -> Path:
    """Two questions about each place, one of all its views, one of two; wide and tall places."""
    lines = []
    for place in range(places):
        size = (80, 48) if place % 2 else (48, 64)
        images = [f"{name}/place{place:03d}/{view}.jpg" for view in range(3 + place % 2)]
        for view, image in enumerate(images):
            save_picture(root / image, size, 10 * place + view)
        lines.append(mindcube_line(2 * place, images))
        lines.append(mindcube_line(2 * place + 1, images[2:0:-1], "aroundnew"))
    return write_lines(root / f"{name}.jsonl", lines)


def write_lines(path: Path, records: list[Any]) -> Path:
    """JSON lines; a text stands as it is."""
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("\n".join(lines) + "\n")
    return path


def llava_record(images: dict[str, Any], *said: str, id: str = "0") -> dict[str, Any]:
    """A conversation in which human and gpt take turns."""
    turns = [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(said)]
    return {"id": id, **images, "conversations": turns}


def write_llava(root: Path, name: str) -> Path:
    """A list of one image, two images, a video file, a folder of frames, and a choice."""
    save_picture(root / "a.jpg", (80, 48), 0)
    save_picture(root / "b.jpg", (48, 64), 1)
    save_video(root / "clips/walk.mp4", 12)
    for frame in range(12):
        save_picture(root / f"clips/frames/{frame}.jpg", (64, 48), frame)
    choice = "<image>\nWhich is nearest?\nA. the lamp\nB. the sofa"
    records = [
        llava_record({"image": "a.jpg"}, "<image>\nWhat is it?", "A hall.", "How big?", "Small."),
        llava_record({"image": "a.jpg"}, "Name its colour.\n<image>", "Blue."),
        llava_record({"image": ["a.jpg", "b.jpg"]}, "<image>\n<image>\nDo they differ?", "Yes."),
        llava_record({"video": "clips/walk.mp4"}, "<video>\nWhat happens?", "It gets brighter."),
        llava_record({"video": "clips/frames"}, "<image>\nWhere are we?", "Indoors."),
        llava_record({"image": "b.jpg"}, choice, "B"),
    ]
    path = root / f"{name}.json"
    path.write_text(json.dumps(records, indent=1))
    return path
