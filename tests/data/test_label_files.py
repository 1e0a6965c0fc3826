import json

import numpy as np
import pandas as pd
import pytest

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.label_files import base_names, find_label_file, read_sheet, require_label_file, to_numbers


class TestFindingFiles:
    def test_the_first_pattern_that_matches(self, tmp_path):
        (tmp_path / "b.csv").touch()
        assert find_label_file(tmp_path, "a.csv", "b.csv") == tmp_path / "b.csv"
        (tmp_path / "a.csv").touch()
        assert find_label_file(tmp_path, "a.csv", "b.csv") == tmp_path / "a.csv"
        with pytest.raises(InputError, match=r"2 files match \*.csv \(a.csv, b.csv\); keep one"):
            find_label_file(tmp_path, "*.csv")

    def test_none(self, tmp_path):
        assert find_label_file(tmp_path, "a.csv") is None
        with pytest.raises(InputError, match="label file a.csv or b.csv not found"):
            require_label_file(tmp_path, "a.csv", "b.csv")


class TestReadSheet:
    def test_text_stays_text(self, tmp_path):
        cells = {
            "name": ["a", "b", "c", "d"],
            "prompt": ["NA", "null", "1984", "木, 'x'"],
            "n": [0.1, 1 / 3, 2, 1e-9],
        }
        frame = pd.DataFrame(cells)
        frame.to_csv(tmp_path / "t.csv", index=False)
        frame.to_csv(tmp_path / "bom.csv", index=False, encoding="utf-8-sig")
        frame.to_excel(tmp_path / "t.xlsx", index=False)
        (tmp_path / "t.json").write_text(json.dumps(frame.to_dict("records")))
        frame.to_csv(tmp_path / "t.txt", index=False, sep="\t")
        for path in tmp_path.iterdir():
            sheet = read_sheet(path, ["prompt", "n"])
            assert list(sheet.columns) == ["prompt", "n"]
            assert list(sheet["prompt"]) == cells["prompt"]
            # Excel files hold 16 digits.
            np.testing.assert_allclose(to_numbers(path, "n", sheet["n"]), cells["n"], rtol=1e-15)

    def test_without_a_header(self, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text("a,1\nb,2\n")
        assert read_sheet(path, ["name", "n"], header=False).to_dict("list") == {
            "name": ["a", "b"],
            "n": ["1", "2"],
        }
        with pytest.raises(InputError, match="t.csv: 2 columns; expected 1: name"):
            read_sheet(path, ["name"], header=False)

    @pytest.mark.parametrize("text", ["a,b\n1,2,3\n", "a,b\n1,2\n1,2,3\n", 'a,b\n1,"2\n', ""])
    def test_ragged_or_cut(self, text, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text(text)
        with pytest.raises(InputError, match=r"t.csv: cannot be read \(\w+: .*\); replace it from the source$"):
            read_sheet(path, ["a", "b"])

    def test_a_missing_column_and_an_empty_cell(self, tmp_path):
        path = tmp_path / "t.csv"
        path.write_text('a,"b\nb"\n1,2\n')
        with pytest.raises(InputError, match=r"missing column b, c; found 'a', 'b\\nb'$"):
            read_sheet(path, ["a", "b", "c"])
        path.write_text("a,b\n1,2\n1, \n1\n")
        with pytest.raises(InputError, match=r"b is empty in data row 2 \(2 such rows\)"):
            read_sheet(path, ["a", "b"])
        assert len(read_sheet(path, ["a"])) == 3  # only the columns asked for must be filled

    def test_an_excel_error_value_is_empty(self, tmp_path):
        pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "#N/A"]}).to_excel(tmp_path / "t.xlsx", index=False)
        with pytest.raises(InputError, match="b is empty in data row 2"):
            read_sheet(tmp_path / "t.xlsx", ["a", "b"])

    def test_a_file_that_may_not_be_read(self, tmp_path):
        (tmp_path / "t.csv").mkdir()
        with pytest.raises(InputError, match="IsADirectoryError"):
            read_sheet(tmp_path / "t.csv", ["a"])


class TestNumbers:
    def test_text_and_numbers(self, tmp_path):
        for values in ([" 1.5 ", "2e0", "3"], [1.5, 2, 3], np.array([1.5, 2, 3], dtype=np.float32)):
            assert list(to_numbers(tmp_path, "MOS", pd.Series(values))) == [1.5, 2, 3]

    def test_floats_survive_exactly(self, tmp_path):
        values = np.random.default_rng(0).random(1000) * 100
        assert (to_numbers(tmp_path, "MOS", pd.Series(values)) == values).all()
        assert (to_numbers(tmp_path, "MOS", pd.Series(map(repr, values.tolist()))) == values).all()

    @pytest.mark.parametrize("bad", ["good", "3,5", "", "nan", "-inf", "True", "1 2", "#DIV/0!"])
    def test_the_first_bad_one_is_named(self, bad, tmp_path):
        values = pd.Series(["1", bad, "2", bad])
        with pytest.raises(InputError, match=r"MOS is .* in data row 2 \(2 such rows\); give"):
            to_numbers(tmp_path, "MOS", values)


def test_base_names():
    paths = pd.Series(["a.jpg", "All/a.jpg", "x/All/a.jpg", r"C:\All\a.jpg", "/a.jpg"])
    assert set(base_names(paths)) == {"a.jpg"}
