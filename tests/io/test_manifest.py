"""Manifests vouch for what is there, and pruning keeps exactly that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_bytes, digest_path
from spatialsv.io.manifest import SCHEMA, Manifest, read_manifest, write_manifest
from spatialsv.io.prune import prune


def written(folder: Path, name: str) -> Path:
    """A manifest over one file and one folder."""
    (folder / f"{name}.zarr").mkdir(parents=True)
    (folder / f"{name}.zarr/zarr.json").write_text("{}")
    (folder / f"{name}.jsonl").write_text("{}\n")
    names = (f"{name}.zarr", f"{name}.jsonl")
    payload = {part: digest_path(folder / part) for part in names}
    path = folder / f"{name}.json"
    manifest = Manifest(
        stage="scenes",
        payload=payload,
        counts={"scenes": 1},
        about={"steps": {10: 0.5, 2: float("nan")}},
        made_from={"code": "c"},
    )
    write_manifest(path, manifest)
    return path


def test_round_trip(tmp_path):
    path = written(tmp_path, "0000")
    manifest = read_manifest(path)
    assert manifest.stage == "scenes" and manifest.counts == {"scenes": 1}
    assert manifest.find(".zarr") == tmp_path / "0000.zarr"
    assert json.loads(path.read_text())["schema"] == SCHEMA
    assert not list(tmp_path.glob(".*"))  # no temporary file is left


def test_the_same_record_has_the_same_bytes(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5]})
    write_json(tmp_path / "b.json", {"a": [1.5], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_lost_payload_is_told_with_the_command(tmp_path):
    path = written(tmp_path, "0000")
    (tmp_path / "0000.jsonl").unlink()
    with pytest.raises(ValueError, match=r"0000.jsonl: missing.*snakemake .*--force.* .*0000.json"):
        read_manifest(path)


def test_a_changed_payload_is_refused_with_the_command(tmp_path):
    path = written(tmp_path, "0000")
    assert read_manifest(path).find(".jsonl").is_file()
    (tmp_path / "0000.jsonl").write_text("[]\n")
    manifest = read_manifest(path)
    with pytest.raises(ValueError, match=r"0000.jsonl: .*not what .*0000.json lists.* --force "):
        manifest.find(".jsonl")
    with pytest.raises(ValueError, match=r"0000.json: lists no 'x', only 0000.jsonl, 0000.zarr"):
        manifest.resolve("x")
    write_manifest(path, replace(manifest, made_from={"inputs": {}}))
    with pytest.raises(ValueError, match=r"Run again the command that made .*0000.json"):
        read_manifest(path).find(".jsonl")


def test_no_bit_of_a_manifest_changes_unnoticed(tmp_path):
    path = written(tmp_path, "0000")
    content = path.read_bytes()
    manifest = read_manifest(path)
    for at in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
            try:
                assert repr(read_manifest(path)) == repr(manifest)  # a bit of the layout
            except ValueError as error:
                assert str(path) in str(error)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no such manifest"),
        ("{", "not JSON"),
        ("[]", "not a"),
        ('{"schema": "x"}', "not a"),
        ('{"schema": "spatialsv/1"}', "invalid field 'stage'"),
        ('{"schema": "spatialsv/1", "stage": "x", "payload": []}', "invalid field 'payload'"),
        ('{"schema": "spatialsv/1", "stage": "x", "payload": {"a": 1}}', "invalid field 'payload'"),
        ('{"schema": "spatialsv/1", "stage": "x", "payload": {}, "b": 1}', "invalid field 'b'"),
    ],
)
def test_what_is_no_manifest_is_told(tmp_path, text, told):
    path = tmp_path / "m.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=told):
        read_manifest(path)


def test_find_wants_exactly_one(tmp_path):
    manifest = read_manifest(written(tmp_path, "0000"))
    with pytest.raises(ValueError, match=r"expected one payload ending in '\.png'"):
        manifest.find(".png")
    with pytest.raises(ValueError, match="expected one payload ending in ''"):
        manifest.find("")


def test_prune_keeps_manifests_and_their_payload_only(tmp_path):
    kept, dropped = written(tmp_path / "train", "0000"), written(tmp_path / "train", "0001")
    written(tmp_path / "test", "0000")
    single = tmp_path / "keep.txt"
    single.write_text("")
    (tmp_path / "train/.0000.json.123").write_text("left over")
    prune(tmp_path, [kept, single])
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {
        "keep.txt",
        "train/0000.json",
        "train/0000.jsonl",
        "train/0000.zarr/zarr.json",
    }
    assert not dropped.exists()


def test_prune_of_a_missing_folder_does_nothing(tmp_path):
    assert prune(tmp_path / "gone", []) == []


def test_digests_follow_contents_and_names(tmp_path):
    assert digest_bytes(b"ab", b"c") != digest_bytes(b"a", b"bc")
    (tmp_path / "a").write_text("x")
    first = digest_path(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert digest_path(tmp_path) != first
    assert digest_path(tmp_path / "b") == digest_bytes(b"x")
    assert digest_path(tmp_path) == digest_bytes(b"b", b"x")
