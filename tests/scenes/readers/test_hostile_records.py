"""A record that no parser takes costs that record, never its shard."""

import json

import pytest

from helpers.outside import llava_record, mindcube_line, save_picture
from spatialsv.io import text
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.question import read_questions
from spatialsv.scenes.readers.config import ReadConfig
from spatialsv.scenes.readers.stage import read_shard

DEEP = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"
HALF = json.dumps(mindcube_line(9, ["a.jpg"])).replace("Sofa", r"\ud800")
GOOD = [json.dumps(mindcube_line(n, ["a.jpg"])) for n in range(3)]


@pytest.fixture
def read(tmp_path):
    save_picture(tmp_path / "a.jpg", (32, 32), 0)

    def run(content, source="mindcube", name="train.jsonl", **more):
        path, out = tmp_path / name, tmp_path / "out/0000.json"
        path.write_bytes(content)
        config = ReadConfig(files={"train": str(path)}, images=str(tmp_path), **more)
        read_shard(source, "train", 0, config, out)
        return read_manifest(out)

    return run


def reasons(manifest):
    return {k.removeprefix("skipped: "): n for k, n in manifest.counts.items() if ": " in k}


@pytest.mark.parametrize("bad", [DEEP, HALF, "\udcff", '{"a": "\0"}', '{"a": tru}'])
@pytest.mark.parametrize("as_list", [False, True])
def test_a_record_that_no_parser_takes_is_skipped(read, bad, as_list):
    records = [GOOD[0], bad, *GOOD[1:]]
    text = "[" + ",\n".join(records) + "]\n" if as_list else "\n".join(records) + "\n"
    content = text.encode(errors="surrogateescape")
    if as_list and bad in ("\udcff", '{"a": "\0"}'):  # no longer one text
        with pytest.raises(ValueError, match=r"train\.jsonl:2: not text"):
            read(content)
        return
    manifest = read(content)
    assert (manifest.counts["questions"], manifest.counts["records"]) == (3, 4)
    assert reasons(manifest) == {"not JSON": 1}
    (told,) = manifest.about["skipped"]
    assert told.partition(" ")[0].endswith("train.jsonl:2:")


def test_a_huge_line_is_skipped_and_never_held(read, monkeypatch):
    monkeypatch.setattr(text, "MAX_LINE", 4096)
    long = json.dumps(mindcube_line(9, ["a.jpg"]) | {"note": "x" * 100_000})
    manifest = read("\n".join([GOOD[0], long, *GOOD[1:]]).encode())
    assert (manifest.counts["questions"], reasons(manifest)) == (3, {"not JSON": 1})
    (told,) = manifest.about["skipped"]
    assert "train.jsonl:2: not JSON: line of more than 4096 characters" in told


@pytest.mark.parametrize("field", ["id", "question", "images", "gt_answer"])
def test_a_huge_integer_costs_its_record(read, field):
    line = mindcube_line(9, ["a.jpg"]) | {field: 0}
    bad = json.dumps(line).replace(f'"{field}": 0', f'"{field}": {"9" * 10_000}')
    manifest = read("\n".join([*GOOD, bad]).encode())
    assert manifest.counts["questions"] == 3 and manifest.counts["skipped"] == 1


def test_links_to_themselves_and_names_that_cannot_be_cost_their_record(tmp_path, read):
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/loop").symlink_to(tmp_path / "folder")
    names = ["loop.jpg", "folder", "a.jpg/b.jpg", "x" * 5000, "\udc00.jpg", "loop.jpg/a.jpg"]
    said = ("<image>\nWhat is it?", "A sofa.")
    records = [llava_record({"image": name}, *said) for name in ["a.jpg", *names]]
    said = ("<video>\nWhat is it?", "A sofa.")
    names = ["loop.jpg", "folder", "x" * 5000, "folder/loop"]
    records += [llava_record({"video": name}, *said) for name in names]
    manifest = read(json.dumps(records).encode(), "llava", "train.json")
    assert manifest.counts["questions"] == 1
    assert manifest.counts["skipped"] == len(records) - 1
    (question,) = read_questions(tmp_path / "out/0000.questions.jsonl")
    assert question.answer == "A sofa."


def test_utf16_lines_with_a_mark_are_read(read):
    manifest = read("\r\n".join(GOOD).encode("utf-16"))
    assert (manifest.counts["questions"], manifest.counts["skipped"]) == (3, 0)
