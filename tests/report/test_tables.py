from spatialsv.report.tables import Table, as_html, as_markdown, as_text, geometry_table

TABLE = Table(
    title="Scores",
    head=("", "all spatial (n 12)", "p"),
    rows=(("text", "50.0 [40.0, 60.0]", "0.5"), ("a|b <i>", "-", "0.01")),
    note="A note.",
)


def test_text_aligns_columns():
    lines = as_text(TABLE).splitlines()
    assert lines[0] == "Scores"
    assert len({len(line) for line in lines[-3:]}) == 1  # rule and rows are equally wide
    assert lines[-2].startswith("text") and lines[-2].endswith("0.5")


def test_markdown_is_a_table_and_escapes_its_bars():
    lines = as_markdown(TABLE).splitlines()
    assert lines[2] == "|  | all spatial (n 12) | p |"
    assert lines[3] == "| :-- | --: | --: |"
    assert lines[5] == "| a\\|b <i> | - | 0.01 |"
    assert lines[-1] == "A note."


def test_html_escapes_and_marks_intervals():
    html = as_html(TABLE)
    assert "a|b &lt;i&gt;" in html and "<i>" not in html
    assert '50.0 <span class="interval">[40.0, 60.0]</span>' in html


def test_geometry_headlines_are_in_words_and_the_rest_by_name():
    arms = {
        "text": {"rmse": {"mean": 0.512345, "deviation": None, "n": 1}},
        "spatialsv": {
            "abs_rel": {"mean": 0.1, "deviation": 0.012, "n": 2},
            "view_rmse": {"mean": 2.0, "deviation": None, "n": 1},
        },
    }
    table = geometry_table(arms, "Probe")
    assert table.head == ("", "text", "SpatialSV")
    assert table.rows == (("depth AbsRel", "-", "0.1 ± 0.012"), ("depth RMSE", "0.5123", "-"))
    names = [row[0] for row in geometry_table(arms, "Probe", every=True).rows]
    assert names == ["rmse", "abs_rel", "view_rmse"]
    unknown = {"text": {"other": {"mean": 1.0, "deviation": None, "n": 1}}}
    assert geometry_table(unknown, "Probe").rows == (("other", "1"),)
