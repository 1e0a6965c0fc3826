import base64
import io

import pytest
from PIL import Image
from report_page import Page
from results_beside import write_attention

from mstclipiqa.base.files import read_table
from mstclipiqa.data.benchmarks import get_benchmark
from mstclipiqa.report import write_report
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.sample_images import sample_images

DRAWN = {"present": {"agiqa-3k": 60}, "synthetic": ("agiqa-3k",)}
RUN = "protocol == 'lab-seed1' and selection == 'best-on-test'"


def pictures(table) -> list:
    return list(table.shown["Image"])


def test_best_typical_and_worst_are_of_the_run_that_reads_the_prompt(make_results):
    root = make_results(**DRAWN)
    table = sample_images(read_results(root))
    frame, _ = read_table(root / "agiqa-3k/runs/quality/released_code/mst-clipiqa-star.parquet")
    run = frame.query(RUN).set_index("image")
    size = (run["prediction"] - run["mos"]).abs().sort_values()
    found = table.full[table.full["target"] == "quality"]
    middle = len(size) // 2
    expected = [*size.index[:2], *size.index[middle - 1 : middle + 1], *size.index[-2:]]
    assert list(found["image"]) == expected and list(found["kind"]) == ["best"] * 2 + ["typical"] * 2 + ["worst"] * 2
    assert found["error"].abs().tolist() == size[expected].tolist()
    worst = found.iloc[-1]
    assert list(map(str, table.shown.iloc[5])) == [
        worst["image"], "worst", worst["prompt"], "sd1.5", f"{worst['mos']:.2f}", f"{worst['prediction']:.2f}",
        f"{worst['error']:+.2f}",
    ]  # fmt: skip
    assert [group.text for group in table.groups[::6]] == ["AGIQA-3K, quality", "AGIQA-3K, correspondence"]


def test_without_the_prompts_model_it_is_the_first_other(make_results):
    table = sample_images(read_results(make_results(**DRAWN, variants=["coarse-only", "mst-clipiqa"])))
    assert set(table.full["variant"]) == {"mst-clipiqa"} and len(table.full) == 2 * 6


def test_a_thumbnail_is_the_small_picture_of_its_image(make_results):
    table = sample_images(read_results(make_results(**DRAWN)))
    for cell, image in zip(pictures(table), table.full["image"], strict=True):
        kind, _, data = cell.image.partition(",")
        thumbnail = Image.open(io.BytesIO(base64.b64decode(data)))
        assert (kind, thumbnail.format, thumbnail.size) == ("data:image/jpeg;base64", "JPEG", (144, 96))
        red, green, _ = thumbnail.getpixel((50, 50))
        # Pictures of the results folder differ in red, by the number in their name.
        assert abs(red - 4 * int(image[6:10])) <= 3 and abs(green - 100) <= 3


def test_pictures_of_a_real_benchmark_stand_where_its_licence_allows_it(make_results, tmp_path):
    """With the attribution; elsewhere a line says why there are none."""
    root = make_results(present={"agiqa-3k": 60, "pku-aigiqa-4k": 60}, synthetic=("agiqa-3k",))
    results = read_results(root)
    for card in (results.cards["agiqa-3k"], *results.runs.values()):
        card["synthetic"] = False
    table = sample_images(results)
    shown = {
        name: {bool(cell.image) for cell in rows["Image"]}
        for name, rows in table.shown.groupby(table.full["benchmark"])
    }
    assert shown == {"agiqa-3k": {True}, "pku-aigiqa-4k": {False}}
    notes = " ".join(table.notes)
    assert table.caption.endswith(f"Pictures made smaller from {get_benchmark('agiqa-3k').attribution}.")
    assert "No pictures of PKU-AIGIQA-4K: no licence is known that lets their images be shown." in notes
    results.manifest["config"]["packs"] = {"agiqa-3k": "shipped"}
    packed = sample_images(results)
    assert not any(cell.image or cell.alt for cell in pictures(packed))
    assert "No pictures of AGIQA-3K: its features come from a pack, which has no images." in packed.notes


def test_only_agiqa_3k_is_known_to_let_its_images_be_shown():
    """Another licence takes another look at it; an attribution goes with each."""
    names = ("agiqa-1k", "agiqa-3k", "aigciqa2023", "aigiqa-20k", "pku-aigiqa-4k", "tifa160", "genai-bench")
    shown = [name for name in names if get_benchmark(name).open_images]
    assert shown == ["agiqa-3k"] and all(get_benchmark(name).attribution for name in shown)


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"another")])
def test_pictures_that_are_not_those_rated_are_left_out_with_a_note(make_results, spoil):
    results = read_results(make_results(**DRAWN))
    whole = sample_images(results)
    name = whole.full["image"].iloc[0]
    spoil(results.root.parents[1] / "data" / "agiqa-3k" / name)
    table = sample_images(results)
    without = [cell.image == "" for cell in pictures(table)]
    assert without == [image == name for image in table.full["image"]]
    assert f"{sum(without)} pictures are not at hand under {results.manifest['config']['data_root']}." in table.notes
    # Where a report is made of results alone, its table is the same.
    assert table.csv() == whole.csv() and table.latex().startswith(whole.latex().partition(r"\begin{itemize}")[0])


def test_a_prompt_is_shaded_by_the_attention_of_the_same_run(make_results, tmp_path):
    root = make_results()
    weights = write_attention(root)
    table = sample_images(read_results(root))
    quality = [
        cell for cell, target in zip(table.shown["Prompt"], table.full["target"], strict=True) if target == "quality"
    ]
    for cell, image in zip(quality, table.full["image"], strict=False):
        assert cell.shades == tuple((f"t{k}", pytest.approx(4 * weight)) for k, weight in enumerate(weights[image]))
    assert not any(cell.shades for cell in table.shown["Prompt"][len(quality) :])
    write_report(root, tmp_path / "report")
    page = Page(tmp_path / "report" / "index.html")
    shades = [tag for tag in page.all("span") if tag.get("class") == "shade"]
    assert len(shades) == 4 * len(quality)
    assert shades[0] == {
        "class": "shade",
        "style": f"--weight: {4 * weights[table.full['image'][0]][0]:.2f}",
        "title": f"{4 * weights[table.full['image'][0]][0]:.2f} times an even share",
    }
    write_attention(root, seed=7)  # of another run
    assert not any(cell.shades for cell in sample_images(read_results(root)).shown["Prompt"])
