from spatialsv.report.plots import curves_csv, scores_csv


def test_scores_have_a_row_an_arm():
    rows = [
        {"arm": "text", "scores": {"spatial": {"mean": 0.5}, "among": {"mean": 0.25}}},
        {"arm": "random", "scores": {"spatial": {"mean": 0.25}}},
    ]
    assert scores_csv({"rows": rows}) == "arm,spatial,among\ntext,0.5,0.25\nrandom,0.25,\n"


def test_curves_have_a_row_a_step_and_blanks_where_an_arm_has_none():
    curves = {"half": ([1.0, 2.0], [0.9, 0.8]), "text": ([1.0, 3.0], [0.7, 0.6])}
    assert curves_csv(curves) == "step,half,text\n1,0.9,0.7\n2,0.8,\n3,,0.6\n"
    assert curves_csv({}) == "step\n"
