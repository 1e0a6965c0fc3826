import pytest
from results_beside import write_statistics, write_transfer

from mstclipiqa.report import heat_maps
from mstclipiqa.report.heat_maps import generator_map, transfer_map, unseen_map
from mstclipiqa.report.results_folder import read_results


def test_transfer_is_drawn_with_the_numbers_of_its_table(make_results):
    root = make_results(present={"agiqa-3k": 60, "agiqa-1k": 60})
    write_transfer(root)
    figure = transfer_map(read_results(root))
    assert "AGIQA-3K, AGIQA-1K 0.300" in figure.alt
    assert figure.svg.count("<path") > 4


def test_generators_are_drawn_with_their_srcc(make_results):
    root = make_results(present={"agiqa-3k": 60})
    write_statistics(root)
    results = read_results(root)
    table = results.statistics["generators"]
    figure = generator_map(results)
    row = table[results.is_main(table) & (table["level"] == "generator")].iloc[0]
    assert f", {row['name']} {row['srcc']:.3f}" in figure.alt


def test_what_was_not_measured_is_not_drawn(make_results):
    results = read_results(make_results())
    assert transfer_map(results) is generator_map(results) is unseen_map(results) is None


def test_a_loss_is_drawn_around_zero(monkeypatch):
    seen = []
    monkeypatch.setattr(heat_maps.sns, "heatmap", lambda matrix, **options: seen.append(options))
    heat_maps._draw("a", "A.", {"p": heat_maps.pd.DataFrame({"x": [-0.2], "y": [0.1]}, ["r"])}, heat_maps.DIVERGING)
    assert (seen[0]["vmin"], seen[0]["vmax"]) == pytest.approx((-0.2, 0.2))


def test_what_nobody_reads_is_not_drawn():
    panels = {"p": heat_maps.pd.DataFrame(0.0, range(heat_maps.MOST_CELLS + 1), ["x"])}
    assert heat_maps._draw("a", "A.", panels, heat_maps.SCALE) is None
