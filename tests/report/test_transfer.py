"""Transfer between benchmarks."""

from results_tables import rows_of

from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.transfer import transfer


def test_transfer_marks_a_benchmarks_own_images(root):
    table = transfer(read_results(root))
    rows = rows_of(table, "MST-CLIPIQA, Main text")
    assert str(rows.loc["AGIQA-3K"]["Tested on", "AGIQA-3K"]) == "0.7000 own"
    assert str(rows.loc["AGIQA-3K"]["Tested on", "AGIQA-1K"]) == "0.3000"
    assert len(rows_of(table, "Ridge on f_c and f_f")) == 2
    assert any(note.startswith("Synthetic") and "AGIQA-1K" in note for note in table.notes)


def test_what_was_measured_between_real_and_drawn_benchmarks_is_of_neither(root):
    assert not [part for part in read_results(root).parted() if transfer(part)]
