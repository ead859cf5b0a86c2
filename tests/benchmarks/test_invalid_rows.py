"""Every field of every benchmark's rows is checked; an error has file, row and field."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.benchmark_rows import CHOICES, FILES, OPTIONS, ROWS, TRUTHS, VSI, write_release
from spatialsv.benchmarks.catalogue import NAMES, find_benchmark, load_items
from spatialsv.benchmarks.chance import random_scores
from spatialsv.benchmarks.files import read_rows
from spatialsv.benchmarks.spatial457 import score_lmms_eval

NULL, NAN, LISTED, BLANK = None, math.nan, [["x"]], " "
UNUSED = {  # fields that a loader does not need
    "mindcube_tiny": ["category"],
    "mindcube": ["category"],
    "ost_bench": ["origin_question"],
    "all_angles": ["pair_idx"],  # of a question without a twin
    "mmbench": ["hint"],
    "3dsrbench": ["index"],
    "embspatial_bench": ["image", "scene_id"],  # read when it is shown; not in all copies
}
# A value that means "none" in this field: no options, no images, no text.
EMPTY = {
    "ost_bench": ["new_observations", "system_prompt", "user_message"],
    "ego3d_bench": ["options"],  # they may be in the question
    "3dsrbench": ["A", "B"],  # a cell without text is no option
    "topviewrs": ["A", "B"],
    "mmbench": ["A", "B"],
}
CASES = [
    (name, field)
    for name, (_, row) in ROWS.items()
    for field in row
    if field not in UNUSED.get(name, ())
]


def test_there_is_a_row_of_every_benchmark():
    others = {"rooms", "questions", "vsi_bench_debiased", "vsi_bench_mc", "spar_bench_tiny"}
    assert set(ROWS) == set(NAMES) - others


@pytest.mark.parametrize("name", ROWS)
def test_a_valid_row_is_read(tmp_path: Path, name):
    items = load_items(name, write_release(name, tmp_path, ROWS[name][1]))
    assert {item.answer for item in items} <= {"B", "Yes", "left", "bed"}


@pytest.mark.parametrize("value", [NULL, NAN, LISTED, BLANK], ids=["null", "nan", "list", "blank"])
@pytest.mark.parametrize(("name", "field"), CASES)
def test_an_invalid_value_is_refused_with_file_row_and_field(tmp_path: Path, name, field, value):
    if value in (NULL, BLANK) and field in EMPTY.get(name, ()):
        return
    file, row = ROWS[name]
    data = write_release(name, tmp_path, row | {field: value})
    if file.endswith(".tsv") and value is not NULL and value != BLANK:
        return  # every cell of a TSV is text
    with pytest.raises(ValueError, match=rf"{re.escape(Path(file).name)}.*{field}\b") as found:
        load_items(name, data)
    assert re.search(r":\d+: |row 0: |questions\[0\]: ", str(found.value))


@pytest.mark.parametrize(("name", "field"), CASES)
def test_a_missing_field_is_named(tmp_path: Path, name, field):
    row = {key: value for key, value in ROWS[name][1].items() if key != field}
    if field in ("A", "B") and name != "all_angles":
        return  # a column of a TSV that no question has
    with pytest.raises(ValueError, match=field):
        load_items(name, write_release(name, tmp_path, row))


@pytest.mark.parametrize("name", ["3dsrbench", "topviewrs", "mmbench"])
@pytest.mark.parametrize("column", ["A", "B"])
def test_columns_of_options_have_no_gap(tmp_path: Path, name, column):
    """Chance counts options, and letters would no longer be theirs."""
    row = ROWS[name][1] | {"C": "a sofa", column: "", "answer": "C"}
    with pytest.raises(ValueError, match=r"A: expected options in the columns A, B, .* found .*C"):
        load_items(name, write_release(name, tmp_path, row))
    with pytest.raises(ValueError, match=r"A: expected options .*, found A$|found A\."):
        load_items(name, write_release(name, tmp_path, ROWS[name][1] | {"B": "", "answer": "A"}))


@pytest.mark.parametrize("response", ["9" * 5000, "²", "1" + "0" * 400])
def test_a_response_of_endless_digits_is_wrong(tmp_path: Path, response):
    (item, *_) = load_items(
        "spatial457", write_release("spatial457", tmp_path, ROWS["spatial457"][1])
    )
    assert score_lmms_eval(replace(item, answer="3"), response) == 0
    assert score_lmms_eval(replace(item, answer="3"), "03") == 1


@pytest.mark.parametrize("text", ["-1", "null", '"x"', "{}"])
@pytest.mark.parametrize("name", [name for name, (file, _) in ROWS.items() if ".json" in file])
def test_another_top_level_value_is_refused_with_the_file(tmp_path: Path, name, text):
    path = write_release(name, tmp_path, ROWS[name][1]) / ROWS[name][0]
    path.write_text(text)
    with pytest.raises(ValueError, match=path.name):
        load_items(name, tmp_path)


@pytest.mark.parametrize("name", ["ego3d_bench", "spbench_si"])
def test_no_damaged_byte_of_arrow_or_parquet_ends_the_process(tmp_path: Path, name):
    path = write_release(name, tmp_path, ROWS[name][1]) / ROWS[name][0]
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:
            assert len(read_rows(path)) <= 1
        except ValueError as error:
            assert path.name in str(error)


def truths() -> list[tuple[str, str]]:
    return [(name, field) for name, field in CASES if field in TRUTHS and field in ROWS[name][1]]


OTHERS = ("spatial457", "ost_bench", "embspatial_bench")  # words, or an index
LETTERED = [pair for pair in truths() if pair[0] not in OTHERS]


@pytest.mark.parametrize("truth", ["B", "b", "(B)", "B.", "B. {}", "(B) {}", "{}"])
@pytest.mark.parametrize(("name", "field"), LETTERED)
def test_a_truth_is_normalised_where_it_is_unambiguous(tmp_path: Path, name, field, truth):
    text = {"cv_bench": "1", "blink": "three", "all_angles": "2"}.get(name, "a bed")
    data = write_release(name, tmp_path, ROWS[name][1] | {field: truth.format(text)})
    assert load_items(name, data)[0].answer == "B"


@pytest.mark.parametrize("truth", ["F", "(F)", "B. a car", "AB", "A. a bed", "0"])
@pytest.mark.parametrize(("name", "field"), LETTERED)
def test_a_truth_that_is_none_of_the_options_is_refused(tmp_path: Path, name, field, truth):
    data = write_release(name, tmp_path, ROWS[name][1] | {field: truth})
    with pytest.raises(ValueError, match=f"{field}: expected one of the options A"):
        load_items(name, data)


@pytest.mark.parametrize("text", [str(OPTIONS), json.dumps(OPTIONS)])
@pytest.mark.parametrize("name", [name for name, field in CASES if field in CHOICES])
def test_options_as_text_are_a_list(tmp_path: Path, name, text):
    if name == "viewspatial":
        return  # one option a line
    (field,) = set(CHOICES) & set(ROWS[name][1])
    row = ROWS[name][1] | {field: text}
    item, *_ = load_items(name, write_release(name, tmp_path, row))
    assert len(item.options) == 3 and item.answer == "B"
    protocol = next(iter(find_benchmark(name).protocols.values()))
    if name == "vsi_bench":
        assert random_scores([item], protocol).overall == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "options", ["A. a lamp", "['A. a lamp' 'B. a bed']", "[1, [2]]", "[", "{}"]
)
def test_other_text_is_not_a_list(tmp_path: Path, options):
    data = write_release("vsi_bench", tmp_path, VSI | {"options": options})
    with pytest.raises(ValueError, match=r"test.jsonl:1: options: expected a list of"):
        load_items("vsi_bench", data)


@pytest.mark.parametrize("count", [1, 2, 6, 26, 27, 40])
@pytest.mark.parametrize("name", ["vsi_bench", "cv_bench", "blink"])
def test_any_number_of_options_is_read_or_refused(tmp_path: Path, name, count):
    (field,) = set(CHOICES) & set(ROWS[name][1])
    row = ROWS[name][1] | {field: [f"thing {n}" for n in range(count)]}
    row |= {key: f"thing {count - 1}" for key in TRUTHS if key in row}
    data, most = write_release(name, tmp_path, row), 5 if name == "blink" else 26
    if 2 <= count <= most:
        (item,) = load_items(name, data)
        assert (len(item.options), item.answer) == (count, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[count - 1])
        protocol = next(iter(find_benchmark(name).protocols.values()))
        assert random_scores([item], protocol).overall == pytest.approx(1 / count)
    else:
        with pytest.raises(ValueError, match=f"{field}: expected a list of 2 to {most} options"):
            load_items(name, data)


def test_options_out_of_order_are_refused(tmp_path: Path):
    data = write_release("vsi_bench", tmp_path, VSI | {"options": ["B. a bed", "A. a lamp"]})
    with pytest.raises(ValueError, match="options: expected options AB in order"):
        load_items("vsi_bench", data)


@pytest.mark.parametrize("outside", ["../secret", "/etc/passwd", "x/../../secret", "C:\\x"])
@pytest.mark.parametrize(("name", "field"), [pair for pair in CASES if pair[1] in FILES])
def test_a_name_of_a_file_may_not_leave_the_folder(tmp_path: Path, name, field, outside):
    value = ROWS[name][1][field]
    if isinstance(value, dict):
        value = value | {"Front": outside}
    else:
        value = [outside] if isinstance(value, list) else outside
    data = write_release(name, tmp_path, ROWS[name][1] | {field: value})
    with pytest.raises(ValueError, match=f"{field}.* not a relative path inside the data folder"):
        load_items(name, data)


@pytest.mark.parametrize("truth", ["nan", "inf", "many", "", None, True])
def test_a_number_is_finite(tmp_path: Path, truth):
    row = VSI | {"question_type": "object_counting", "options": None, "ground_truth": truth}
    with pytest.raises(ValueError, match="ground_truth: expected a finite number"):
        load_items("vsi_bench", write_release("vsi_bench", tmp_path, row))
