"""The README's example, run as it stands, on a small checkpoint and small stores."""

import re
from pathlib import Path

from helpers.tiny_families import save_internvl
from spatialsv.scenes.store import write_store

README = Path(__file__).parents[1] / "README.md"


def test_an_mllm_of_ones_own_lifts_and_has_targets(tmp_path, tiny_scenes, tiny_labels, monkeypatch):
    (example,) = re.findall(r"```python\n(from pathlib.*?)```", README.read_text(), re.DOTALL)
    save_internvl(tmp_path / "OpenGVLab/InternVL3-1B-hf")
    for name, scenes in (("scenes", tiny_scenes), ("labels/rooms", tiny_labels)):
        store = tmp_path / f"data/{name}/train/0000.zarr"
        store.parent.mkdir(parents=True)
        write_store(store, scenes)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(compile(example, "README.md", "exec"), found)  # what a reader would paste
    lifted, targets = found["lifted"], found["batch"].geometry
    assert lifted.depth.shape == (2, 2, 224, 224) and lifted.points.shape[-1] == 3
    assert targets.present.all() and targets.depth.shape[:2] == (2, 2)
