"""One valid row of every benchmark's release, and its files."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as parquet

from spatialsv.benchmarks.spatial457 import LEVELS

Row = dict[str, Any]
OPTIONS = ["A. a lamp", "B. a bed", "C. a sofa"]
QUESTION = "Which is near? A. a lamp B. a bed C. a sofa"
IMAGE = base64.b64encode(bytes(range(60))).decode()
TSV = {"index": "7", "question": "Which?", "A": "a lamp", "B": "a bed", "answer": "B"}
TSV |= {"category": "height_higher", "image": IMAGE}
VSI = {
    "id": 1,
    "dataset": "scannet",
    "scene_name": "scene0000_00",
    "question_type": "object_rel_distance",
    "question": "Which is near?",
    "ground_truth": "B",
    "options": OPTIONS,
}
MINDCUBE = {
    "id": "among_group1_q1",
    "category": ["x"],
    "question": QUESTION,
    "images": ["among/g1/front.jpg"],
    "gt_answer": "B",
}
ROWS: dict[str, tuple[str, Row]] = {  # benchmark -> file, row
    "vsi_bench": ("test.jsonl", VSI),
    "mindcube_tiny": ("MindCube_tinybench.jsonl", MINDCUBE),
    "mindcube": ("MindCube.jsonl", MINDCUBE),
    "ego3d_bench": (
        "test/data-00000-of-00001.arrow",
        {
            "category": "Travel_Time",
            "source": "nuscenes",
            "images": {
                f"{side}{end}": f"n/{side}{end}.jpg"
                for side in ("Front", "Back")
                for end in ("_Left", "", "_Right")
            },
            "question": "How long?",
            "options": OPTIONS,
            "answer": "B",
        },
    ),
    "spatial457": (
        "questions/L1_single.json",
        {
            "image_filename": "superCLEVR_new_000001.png",
            "question": "Is there a red sedan?",
            "answer": True,
            "question_index": 3,
        },
    ),
    "viewspatial": (
        "ViewSpatial-Bench.json",
        {
            "question_type": "Camera perspective - Relative Direction",
            "image_path": ["V/s/scene0011_00/1.jpg"],
            "question": "Where?",
            "answer": "B. a bed",
            "choices": "\n".join(OPTIONS),
        },
    ),
    "3dsrbench": ("3DSRBench.tsv", TSV | {"qid": "ABCD1234"}),
    "spbench_si": (
        "SPBench-SI.parquet",
        {name: VSI[name] for name in VSI if name != "dataset"} | {"images": ["1.jpg"]},
    ),
    "topviewrs": ("TopViewRS.tsv", TSV),
    "cv_bench": (
        "test.jsonl",
        {
            "idx": 0,
            "type": "2D",
            "task": "Count",
            "question": "How many lamps?",
            "choices": ["2", "1"],
            "answer": "(B)",
            "prompt": "How many lamps?\n(A) 2\n(B) 1",
            "filename": "img/2D/count/ade20k_1.png",
            "source": "ADE20K",
        },
    ),
    "mmbench": ("MMBench_DEV_EN.tsv", TSV | {"hint": "", "l2-category": "cp"}),
    "spar_bench": (
        "test-00000-of-00001.parquet",
        {"id": 1, "task": "distance_infer_center_oo", "question": QUESTION, "answer": "B"},
    ),
    "blink": (
        "Counting/val-00000-of-00001.parquet",
        {"idx": "val_1", "question": "?", "choices": ["two", "three"]}
        | {"answer": "(B)", "prompt": "Which? (A) two (B) three"},
    ),
    "mmsi_bench": (
        "MMSI_Bench.parquet",
        {"id": 1, "question_type": "MSR", "question": QUESTION, "answer": "B"},
    ),
    "site_bench": (
        "image_test/test-00000-of-00001.parquet",
        {"question": "Which is near?", "options": ["a lamp", "a bed", "a sofa"], "answer": "B"}
        | {"category": "counting & existence", "dataset": "CLEVR", "visual": ["CLEVR/1.jpg"]},
    ),
    "embspatial_bench": (
        "embspatial_bench.json",
        {"data_source": "mp3d", "question_id": "mp3d_57", "question": "Which is near?"}
        | {"relation": "close", "answer_options": ["a lamp", "a bed"], "answer": 1}
        | {"scene_id": "YVUC4YcDtcY", "image": IMAGE},
    ),
    "sti_bench": (
        "qa.parquet",
        {
            "Video": "v.mp4",
            "ID": 1,
            "Question": "Which?",
            "Candidates": json.dumps({"A": "a lamp", "B": "a bed"}),
            "Answer": "B",
            "Task": "Spatial Relation",
            "time_start": 0.0,
            "time_end": 2.5,
        },
    ),
    "all_angles": (
        "data.json",
        {
            "index": 1,
            "folder": "f",
            "category": "counting",
            "pair_idx": 2,
            "image_path": ["f/1.jpg"],
            "question": "How many?",
            "A": "1",
            "B": "2",
            "C": "3",
            "answer": "B",
        },
    ),
    "ost_bench": (
        "OST_bench.json",
        {
            "scan_id": "scene0000_00",
            "turn_id": 1,
            "type": "Agent_state-position(Judgement)",
            "origin_question": "?",
            "option": ["left", "right"],
            "answer": "left",
            "new_observations": ["1.jpg"],
            "system_prompt": "s",
            "user_message": "Where?",
        },
    ),
    "scanqa": (
        "ScanQA_v1.0_val.json",
        {"question_id": "val-1", "scene_id": "scene0011_00"}
        | {"question": "What is it?", "answers": ["bed"]},
    ),
    "sqa3d": (
        "v1_balanced_questions_test_scannetv2.json",
        {"question_id": 1, "scene_id": "scene0050_00"}
        | {"situation": "I sit.", "question": "What is it?"},
    ),
}
# The fields of a truth, of options, and of names of files.
TRUTHS = ("ground_truth", "gt_answer", "answer", "Answer")
CHOICES = ("options", "choices")
FILES = ("scene_name", "images", "image_filename", "image_path", "filename", "Video", "scan_id")


def write_release(name: str, folder: Path, row: Row) -> Path:
    """Write the files of a release of one row; return the folder."""
    path = folder / ROWS[name][0]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist([row]), path)
        if name == "site_bench":  # a part for videos
            (folder / "video_test").mkdir(exist_ok=True)
            (folder / "video_test/test.json").write_text(json.dumps([ROWS[name][1]]))
    elif path.suffix == ".arrow":
        table = pa.Table.from_pylist([row])
        with path.open("wb") as file, ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
    elif path.suffix == ".tsv":
        cells = ["" if value is None else str(value) for value in row.values()]
        path.write_text("\t".join(row) + "\n" + "\t".join(cells) + "\n")
    elif path.suffix == ".jsonl":
        path.write_text(json.dumps(row) + "\n")
    elif name == "sqa3d":
        note = {"question_id": 1, "answers": [{"answer": "bed"}]}
        notes = path.with_name("v1_balanced_sqa_annotations_test_scannetv2.json")
        path.write_text(json.dumps({"questions": [row]}))
        notes.write_text(json.dumps({"annotations": [note]}))
    else:
        for level in LEVELS if name == "spatial457" else (path.stem,):
            path.with_name(f"{level}.json").write_text(json.dumps([row]))
    return folder
