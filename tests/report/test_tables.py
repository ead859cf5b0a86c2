from spatialsv.report.result_tables import geometry_tables
from spatialsv.report.tables import TEST_HEAD, Table, as_markdown, as_text, format_test

TABLE = Table(
    title="Scores",
    head=("", "all spatial (n 12)", "p"),
    rows=(("text", "50.0 [40.0, 60.0]", "0.5"), ("a|b <i>", "-", "0.01")),
    note="A note.",
)


def test_text_aligns_columns():
    lines = as_text(TABLE).splitlines()
    assert lines[0] == "Scores"
    assert len({len(line) for line in lines[-3:]}) == 1
    assert lines[-2].startswith("text") and lines[-2].endswith("0.5")


def test_markdown_is_a_table_and_escapes_its_bars():
    lines = as_markdown(TABLE).splitlines()
    assert lines[2] == "|  | all spatial (n 12) | p |"
    assert lines[3] == "| :-- | --: | --: |"
    assert lines[5] == "| a\\|b <i> | - | 0.01 |"
    assert lines[-1] == "A note."


def test_geometry_headlines_are_in_words_and_the_rest_by_name():
    values = (("text", "rmse", 0.512345, None), ("spatialsv", "abs_rel", 0.1, 0.012))
    values += (("spatialsv", "view_rmse", 2.0, None),)
    rows = [
        {"stage": "probe", "arm": arm, "metric": metric, "mean": mean, "deviation": deviation}
        for arm, metric, mean, deviation in values
    ]
    (table,) = geometry_tables({"geometry": rows})
    assert table.head == ("", "text", "SpatialSV")
    assert table.rows == (("depth AbsRel", "-", "0.1 ± 0.012"), ("depth RMSE", "0.5123", "-"))
    (full,) = geometry_tables({"geometry": rows}, every=True)
    assert [row[0] for row in full.rows] == ["rmse", "abs_rel", "view_rmse"]
    unknown = [rows[0] | {"metric": "other", "mean": 1.0}]
    assert geometry_tables({"geometry": unknown})[0].rows == (("other", "1"),)


def test_a_comparison_says_what_it_covers_and_why_no_size_is_given():
    note = "scores differ in 2 of 41 scenes, at least 10 are needed"
    row = {
        **{"difference": 0.01, "low": -0.02, "high": 0.04, "seed_deviation": None, "p_holm": 0.4},
        **{"significant": False, "seed_variance": "not covered"},
        **{"minimum_detectable_difference": None, "minimum_detectable_difference_note": note},
    }
    cells = dict(zip(TEST_HEAD, format_test(row), strict=True))
    assert cells["variance across seeds"] == "not covered"
    assert cells["minimum detectable difference"] == f"unknown: {note}"
    known = dict(
        zip(TEST_HEAD, format_test(row | {"minimum_detectable_difference": 0.031}), strict=True)
    )
    assert known["minimum detectable difference"] == "3.1"
    assert set(format_test(dict.fromkeys(row))) == {"-"}
