import base64
import io

import pytest
from PIL import Image
from report_page import Page

from mstclipiqa.base.files import read_table
from mstclipiqa.report import write_report
from mstclipiqa.report.largest_errors import largest_errors
from mstclipiqa.report.results import read_results
from mstclipiqa.report.table import Cell

DRAWN = {"present": {"agiqa-3k": 60}, "synthetic": ("agiqa-3k",)}


def pictures(table) -> list[Cell]:
    return [cell for row in table.shown.to_numpy() for cell in row if isinstance(cell, Cell)]


def test_the_largest_errors_are_found_and_in_order(make_results):
    root = make_results(**DRAWN)
    table = largest_errors(read_results(root))
    frame, _ = read_table(root / "agiqa-3k/runs/quality/released_code/mst-clipiqa.parquet")
    run = frame.query("protocol == 'lab-seed1' and selection == 'best-on-test'").set_index("image")
    errors = (run["prediction"] - run["mos"]).abs().nlargest(5)
    found = table.full[table.full["target"] == "quality"]
    assert list(found["image"]) == list(errors.index)
    assert found["error"].abs().tolist() == errors.tolist()
    first = found.iloc[0]
    assert str(table.shown["Largest error"].iloc[0]) == (
        f"MOS {first['mos']:.2f}, predicted {first['prediction']:.2f} “{first['prompt']}”, sd1.5"
    )
    assert [group.text for group in table.groups] == ["Quality", "Correspondence"]


def test_a_thumbnail_is_the_small_picture_of_its_image(make_results):
    table = largest_errors(read_results(make_results(**DRAWN)))
    for cell, image in zip(pictures(table), table.full["image"], strict=True):
        kind, _, data = cell.image.partition(",")
        thumbnail = Image.open(io.BytesIO(base64.b64decode(data)))
        assert (kind, thumbnail.format, thumbnail.size) == ("data:image/jpeg;base64", "JPEG", (144, 96))
        red, green, _ = thumbnail.getpixel((50, 50))
        # Pictures of the results folder differ in red, by the number in their name.
        assert abs(red - 4 * int(image[6:10])) <= 3 and abs(green - 100) <= 3


def test_images_of_real_benchmarks_are_not_shown_and_a_line_says_so(make_results, tmp_path):
    assert largest_errors(read_results(make_results())) is None
    write_report(make_results(), tmp_path / "report")
    page = Page(tmp_path / "report" / "index.html")
    assert page.all("img") == [] and "No pictures of the largest errors" in page.text


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"another")])
def test_pictures_that_are_not_those_rated_are_left_out_with_a_note(make_results, spoil):
    results = read_results(make_results(**DRAWN))
    whole = largest_errors(results)
    name = whole.full["image"].iloc[0]
    spoil(results.root.parents[1] / "data" / "agiqa-3k" / name)
    table = largest_errors(results)
    without = [cell.image == "" for cell in pictures(table)]
    assert without == [image == name for image in table.full["image"]]
    assert f"{sum(without)} pictures are not at hand under {results.manifest['config']['data_root']}." in table.notes
    # Where a report is made of results alone, its table is the same.
    assert table.csv() == whole.csv() and table.latex().startswith(whole.latex().partition(r"\begin{itemize}")[0])
