from mstclipiqa.report.data_tables import defects, leakage
from mstclipiqa.report.results_folder import read_results


def test_leakage_spans_the_splits(make_results):
    shown = leakage(read_results(make_results())).shown.set_index("Protocol")
    assert shown.loc["lab-seed1", "Share"] == "100.0 %"
    # Three splits: 0 of 12, 1 of 13, 2 of 14 test images.
    assert shown.loc["grouped3", "Test"] == "12–14"
    assert shown.loc["grouped3", "Prompt in train"] == "0–2"
    assert shown.loc["grouped3", "Share"] == "0.0–14.3 %"
    assert list(shown.loc["lab-seed1", ["Near prompt in train", "Bytes in train"]]) == ["2", "1"]
    assert list(shown["Splits"].map(str)) == ["1", "3"]


def test_splits_that_count_as_another_and_protocols_without_a_split_are_shown(make_results):
    results = read_results(make_results())
    protocols = results.splits["agiqa-3k"]["protocols"]
    for split, first in ((1, 0), (2, 0)):
        protocols["grouped3"][split]["counts_as"] = first
    protocols["lab-seed1"] = []
    table = leakage(results)
    shown = table.shown.set_index("Protocol")
    assert [str(cell) for cell in shown["Splits"]] == ["none of this benchmark", "3 1 distinct"]
    assert set(shown.loc["lab-seed1"][2:]) == {"—"}
    assert table.notes == [
        "AGIQA-3K, grouped3: splits with at least 90 % of the test images of an earlier one are that one "
        "again, and not run: 1 as 0, 2 as 0."
    ]
    assert table.full["counts_as"].tolist()[1:] == [0, 0, 0] and "<NA>" not in table.csv() + table.markdown()


def test_markdown_keeps_hostile_text_in_its_cell(make_results):
    table = defects(read_results(make_results(word="<script>|\nx")))
    lines = table.markdown().splitlines()
    assert len(lines) == 2 + 2 + 1
    assert "<script>" not in table.markdown()
    assert lines[-1].count("|") - lines[-1].count("\\|") == lines[2].count("|")
