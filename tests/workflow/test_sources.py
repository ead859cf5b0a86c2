"""Code digests follow imports; dvc.yaml lists the same code."""

from __future__ import annotations

from pathlib import Path

import pytest

import sources
from sources import code_digest, code_paths, find_modules, path_digest, with_deps

ROOT = Path(__file__).parents[2]
FILES = {
    "labels/__init__.py": "from spatialsv.labels.stage import run\n",
    "labels/stage.py": "from spatialsv.io import atomic\nfrom spatialsv.scenes.store import read\n",
    "labels/unused.py": "",
    "labels/style.css": "",
    "labels/workers/run.py": "",
    "io/__init__.py": "",
    "io/atomic.py": "def f():\n    import spatialsv.config\n",
    "io/other.py": "",
    "scenes/__init__.py": "",
    "scenes/store/__init__.py": "from spatialsv.scenes.store.reader import read\n",
    "scenes/store/reader.py": "if TYPE_CHECKING:\n    import spatialsv.io.other\n",
    "formats/__init__.py": "",
    "formats/one.py": "",
    "gather.py": "",
    "presenters.py": "",
    "config.py": "import_module(f'spatialsv.formats.{name}')\nimport spatialsv.progress\n",
    "progress.py": "",
    "weights/teacher/model": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small repository, whose stage is `labels`."""
    for name, text in FILES.items():
        path = tmp_path / "src/spatialsv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_imports_are_followed_wherever_they_stand(root):
    names = ("labels", "labels.stage", "io.atomic", "config", "formats.one")
    names += ("scenes.store", "scenes.store.reader")
    assert find_modules(root, ["spatialsv.labels"]) == {f"spatialsv.{name}" for name in names}


def test_a_folder_stands_for_all_its_modules_and_assets_belong_to_them(root):
    assert set(code_paths(root, "labels")) == {
        "config.py",
        "formats",
        "io/atomic.py",
        "labels/__init__.py",
        "labels/stage.py",
        "labels/style.css",
        "labels/workers",
        "scenes",
    }


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("labels/stage.py", True),
        ("labels/style.css", True),
        ("labels/workers/run.py", True),
        ("weights/teacher/model", True),
        ("labels/unused.py", False),
        ("io/other.py", False),
        ("progress.py", False),
        ("labels/__pycache__/stage.pyc", False),
    ],
)
def test_a_digest_follows_the_files_of_its_stage(root, name, changes):
    before = code_digest(root, "labels")
    path = root / "src/spatialsv" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x = 1\n")
    assert (code_digest(root, "labels") != before) == changes


def test_weights_that_are_not_made_yet_count_as_empty(root):
    with_weights = code_digest(root, "labels")
    (root / "src/spatialsv/weights/teacher/model").unlink()
    assert code_digest(root, "labels") != with_weights
    assert code_digest(root, "labels") == code_digest(root, "labels", weights=False)


def test_dvc_depends_on_the_code_of_each_stage(root, monkeypatch, capsys):
    old = "vars:\n  - a\n\nstages:\n  labels:\n    deps:\n      - old\n      - data/scenes\n"
    new = with_deps(old + "    outs:\n      - data/labels\n", root)
    deps = [line.strip("- ") for line in new.splitlines() if line.startswith("      - ")]
    assert "old" not in deps and "data/scenes" in deps and "data/labels" in deps
    assert "workflow/rules/labels.smk" in deps and "src/spatialsv/io/atomic.py" in deps
    assert "src/spatialsv/weights/teacher" in deps and "workflow/dag.py" in deps
    assert new.startswith("vars:\n  - a\n\nstages:\n") and "    outs:\n" in new
    assert with_deps(new, root) == new
    (root / "dvc.yaml").write_text(old)
    monkeypatch.setattr(sources, "ROOT", root)
    monkeypatch.setattr(sources, "with_deps", lambda text: new)
    assert sources.main(["--check"]) == 1 and "out of date" in capsys.readouterr().err
    assert sources.main([]) == 0 and sources.main(["--check"]) == 0


def test_a_path_has_a_digest_of_its_content_or_of_names_and_sizes(tmp_path):
    assert path_digest(tmp_path / "x") == ""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    folder, file = path_digest(tmp_path / "a"), path_digest(tmp_path / "a/x")
    (tmp_path / "a/x").write_text("2")
    assert path_digest(tmp_path / "a") == folder and path_digest(tmp_path / "a/x") != file
    (tmp_path / "a/x").write_text("22")
    assert path_digest(tmp_path / "a") != folder
