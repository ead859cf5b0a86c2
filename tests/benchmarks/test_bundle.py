"""Submission bundles: complete, the same bytes each time, and checked on any machine."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from helpers.benchmark_rows import VSI
from spatialsv.benchmarks.bundle_check import format_bundle, verify_bundle
from spatialsv.benchmarks.responses import Response, write_responses
from spatialsv.benchmarks.score import score
from spatialsv.cli import main
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, write_manifest


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [VSI | {"id": n, "scene_name": f"scene{n:04d}_00"} for n in range(5)]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def run(tmp_path) -> Path:
    """Responses with their manifest, as `spatialsv evaluate` writes them."""
    folder = tmp_path / "run"
    folder.mkdir()
    inputs = {"video": "v.mp4", "frames": [0, 4], "sizes": [[8, 8]] * 2, "decoder": "PyAV 15"}
    write_responses(
        folder / "responses.jsonl",
        [Response(id=str(n), response="AB"[n % 2], prompt="?", inputs=inputs) for n in range(5)],
    )
    payload = {"responses.jsonl": digest_path(folder / "responses.jsonl")}
    config = {"frames": 2, "max_pixels": None, "max_new_tokens": 16, "blank_images": False}
    about = {"model": "mine", "versions": {"torch": "2"}, "blank_images": False}
    manifest = Manifest(stage="evaluate", payload=payload, config=config, about=about)
    write_manifest(folder / "manifest.json", manifest)
    return folder


@pytest.fixture
def bundle(tmp_path, data, run) -> Path:
    path = tmp_path / "bundle.zip"
    words = ["score", "vsi_bench", "--data", str(data), "--bundle", str(path)]
    assert main([*words, "--responses", str(run / "responses.jsonl")]) == 0
    return path


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, **changed: bytes | None) -> None:
    """Write the bundle again with other entries; None leaves one out."""
    kept = entries(path) | {name.replace("__", "."): value for name, value in changed.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            if content is not None:
                archive.writestr(name, content)


def test_a_bundle_has_responses_scores_settings_environment_and_digests(bundle, data, run):
    found = entries(bundle)
    assert [*found] == [
        *("bundle.json", "responses.jsonl", "scores.json", "environment.json", "manifest.json")
    ]
    lines = [json.loads(line) for line in found["responses.jsonl"].splitlines()]
    assert [line["score"] for line in lines] == [0, 1, 0, 1, 0]
    assert lines[0]["inputs"]["frames"] == [0, 4] and lines[0]["prompt"] == "?"
    settings = json.loads(found["scores.json"])["settings"]
    assert (settings["frames"], settings["max_new_tokens"]) == (2, 16)
    assert (settings["decoder"], settings["decoding"]) == ("PyAV 15", "greedy")
    assert settings["versions"] == {"torch": "2"} and len(settings["revision"]) == 16
    assert json.loads(found["environment.json"])["packages"]["numpy"]
    assert found["manifest.json"] == (run / "manifest.json").read_bytes()


def test_a_bundle_has_the_same_bytes_each_time(bundle, data, run, tmp_path):
    score("vsi_bench", data, run / "responses.jsonl", bundle=tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_a_bundle_is_verified_with_and_without_the_benchmark(bundle, data, capsys):
    assert main(["verify", str(bundle)]) == 0
    text = capsys.readouterr().out.strip()
    assert text.startswith("verify: vsi_bench (official), 5 responses: no errors (digests;")
    assert main(["verify", str(bundle), "--data", str(data)]) == 0
    assert capsys.readouterr().out.strip().endswith("no errors (digests and scores)")


@pytest.mark.parametrize("name", ["responses.jsonl", "scores.json", "environment.json"])
def test_a_changed_file_is_named(bundle, name, capsys):
    rewrite(bundle, **{name.replace(".", "__"): entries(bundle)[name] + b" "})
    assert main(["verify", str(bundle)]) == 1
    assert f"{name}: its content is not what bundle.json lists." in capsys.readouterr().out


def test_missing_and_unlisted_files_are_named(bundle):
    rewrite(bundle, scores__json=None, more__txt=b"x")
    text = format_bundle(verify_bundle(bundle))
    assert "scores.json: missing." in text and "more.txt: not listed." in text


def forge(path: Path, overall: float) -> None:
    """Change the score, and all digests with it."""
    from spatialsv.benchmarks.bundle import sha256

    found = entries(path)
    scores = json.loads(found["scores.json"]) | {"overall": overall}
    content = json.dumps(scores).encode()
    index = json.loads(found["bundle.json"])
    index["files"]["scores.json"] = sha256(content)
    rewrite(path, scores__json=content, bundle__json=json.dumps(index).encode())


def test_a_score_that_the_responses_do_not_have_is_found_with_the_benchmark(bundle, data):
    forge(bundle, 0.9)
    assert not verify_bundle(bundle).errors
    (error,) = verify_bundle(bundle, data).errors
    assert "overall: scored again it is 0.4, not 0.9" in error


def test_another_revision_of_the_benchmark_is_named(bundle, data):
    rows = (data / "test.jsonl").read_text().replace("Which is near?", "Which is nearest?")
    (data / "test.jsonl").write_text(rows)
    (error,) = verify_bundle(bundle, data).errors
    assert "is another revision of vsi_bench" in error


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"x" * 100])
def test_what_is_no_bundle_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.zip: not a ZIP file that can be read"):
        verify_bundle(tmp_path / "a.zip")


def test_other_zips_and_names_are_refused(tmp_path, data, run):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(ValueError, match="not a spatialsv-bundle/1 bundle"):
        verify_bundle(tmp_path / "a.zip")
    with pytest.raises(ValueError, match=r"a\.tar: expected a name that ends in \.zip"):
        score("vsi_bench", data, run / "responses.jsonl", bundle=tmp_path / "a.tar")


def test_responses_of_unknown_origin_make_a_bundle(tmp_path, data):
    path = tmp_path / "plain.jsonl"
    path.write_text("".join(json.dumps({"id": str(n), "response": "B"}) + "\n" for n in range(5)))
    score("vsi_bench", data, path, bundle=tmp_path / "plain.zip")
    found = verify_bundle(tmp_path / "plain.zip", data)
    assert (
        not found.errors
        and found.rescored
        and "manifest.json" not in entries(tmp_path / "plain.zip")
    )
