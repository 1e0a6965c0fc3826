from mstclipiqa.report.data_tables import defects, leakage
from mstclipiqa.report.results import read_results


def test_leakage_spans_the_splits(make_results):
    shown = leakage(read_results(make_results())).shown.set_index("Protocol")
    assert shown.loc["lab-seed1", "Share"] == "100.0 %"
    # Three splits: 0 of 12, 1 of 13, 2 of 14 test images.
    assert shown.loc["grouped3", "Test"] == "12–14"
    assert shown.loc["grouped3", "Leaking test images"] == "0–2"
    assert shown.loc["grouped3", "Share"] == "0.0–14.3 %"


def test_markdown_keeps_hostile_text_in_its_cell(make_results):
    table = defects(read_results(make_results(word="<script>|\nx")))
    lines = table.markdown().splitlines()
    assert len(lines) == 2 + 2 + 1
    assert "<script>" not in table.markdown()
    assert lines[-1].count("|") - lines[-1].count("\\|") == lines[2].count("|")
