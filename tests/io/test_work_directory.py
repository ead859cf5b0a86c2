"""Work directories: reused for the same inputs; others are refused or discarded with a message."""

import pytest

from spatialsv.io.work_directory import open_work_directory

FIRST = {"arm": "text", "config": {"lr": 0.1, "taps": (1, 2)}, "steps": 4}


@pytest.fixture
def work(tmp_path):
    folder = open_work_directory(tmp_path / "a/.work", FIRST, keep="checkpoint-*")
    (folder / "checkpoint-2").mkdir()
    return folder


def test_the_same_inputs_continue(work):
    open_work_directory(work, dict(reversed(FIRST.items())), keep="checkpoint-*")
    assert (work / "checkpoint-2").is_dir()


def test_other_inputs_are_refused_with_what_differs_and_what_to_do(work):
    other = FIRST | {"config": {"lr": 0.2, "taps": (1, 2), "new": True}, "arm": "distill"}
    expected = (
        r"\.work: found checkpoint-2 of a run with other inputs \(arm: \"text\" then, \"distill\""
        r" now; config\.lr: 0\.1 then, 0\.2 now; config\.new: null then, true now\)\. Restore these"
        r" to continue .* delete .*\.work"
    )
    with pytest.raises(ValueError, match=expected):
        open_work_directory(work, other, keep="checkpoint-*")
    assert (work / "checkpoint-2").is_dir()
    open_work_directory(work, FIRST, keep="checkpoint-*")


def test_many_differences_are_counted(work):
    other = FIRST | {f"input-{number}": number for number in range(9)}
    with pytest.raises(ValueError, match=r"input-4: .* and 4 more\)"):
        open_work_directory(work, other, keep="checkpoint-*")


def test_a_broken_record_is_not_taken_for_the_same_inputs(work):
    (work / "run.json").write_text("{")
    with pytest.raises(ValueError, match="found checkpoint-2"):
        open_work_directory(work, FIRST, keep="checkpoint-*")


def test_what_is_not_to_be_kept_is_discarded_with_a_warning(work):
    with pytest.warns(UserWarning, match=r"discarded .*\(steps: 4 then, 5 now\)"):
        open_work_directory(work, FIRST | {"steps": 5})
    assert [path.name for path in work.iterdir()] == ["run.json"]


@pytest.mark.filterwarnings("error")
def test_nothing_is_said_where_nothing_is_lost(work):
    (work / "checkpoint-2").rmdir()
    (work / "log.jsonl").touch()
    open_work_directory(work, FIRST | {"steps": 5}, keep="checkpoint-*")
    assert [path.name for path in work.iterdir()] == ["run.json"]
    open_work_directory(work, FIRST | {"steps": 6})
