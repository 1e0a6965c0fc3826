"""Learning rates and curves."""

import pandas as pd
from results_beside import write_curves
from results_tables import rows_of

from mstclipiqa.base.files import read_table, write_table
from mstclipiqa.report import learning_rates, page
from mstclipiqa.report.results_folder import read_results


def test_learning_rates_end_where_the_curves_do(root):
    table = learning_rates.learning_rates(read_results(root))
    rows = rows_of(table, "Released code")
    assert [str(label) for label in rows.index] == ["5e-06 the recipe's own", "5e-05", "ridge on f_c and f_f"]
    assert list(rows["Epochs"]) == ["3", "2", "—"]
    assert list(rows["SRCC, test"]) == ["0.4000", "0.6000", "0.6500"]
    assert list(rows["Test less ridge"]) == ["-0.2500", "-0.0500", "—"]
    assert "Released code at 5e-05 stopped early: the run has diverged" in table.notes


def test_a_learning_rate_has_one_colour_in_every_panel(make_results, monkeypatch):
    root = make_results(present={"agiqa-1k": 40, "agiqa-3k": 60})
    write_curves(root)
    frame, metadata = read_table(root / "curves.parquet")
    own = frame[frame["recipe"] == frame["recipe"].iloc[0]]
    lowest = own["learning_rate"].min()
    other = own[own["learning_rate"] != lowest].assign(recipe="main_text")
    one = metadata["learning_rates"][own["recipe"].iloc[0]]
    metadata["learning_rates"]["main_text"], metadata["ridge"]["main_text"] = one, {"train": 0.5, "test": 0.5}
    kept = frame[frame["recipe"] != "main_text"]
    write_table(root / "curves.parquet", pd.concat([kept, other]), metadata)
    palettes = []
    monkeypatch.setattr(learning_rates.sns, "lineplot", lambda *_, palette, **__: palettes.append(palette))
    assert learning_rates.learning_curves(read_results(root)) is not None
    assert len(palettes) == 2 and lowest not in palettes[1]
    assert all(palettes[0][rate] == colour for rate, colour in palettes[1].items())


def test_the_page_shows_them_and_is_the_same_again(controlled, tmp_path):
    root = controlled()
    for name in ("one", "two"):
        page.write_report(root, tmp_path / name)
    html = (tmp_path / "one" / "index.html").read_text()
    for anchor in ("baselines", "curves", "transfer"):
        assert f'href="#{anchor}"' in html and f'<section id="{anchor}"' in html
    assert 'id="drawn-learning_curves"' in html
    for path in ("index.html", "figures/learning_curves.svg", "figures/learning_curves.png", "tables/transfer.csv"):
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
