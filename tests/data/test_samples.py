import os

import numpy as np
import pandas as pd
import pytest
from layouts import write_image
from PIL import Image

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.benchmarks.benchmark import SYNTHETIC_MARK, Benchmark, Defect, Labels
from mstclipiqa.data.samples import check_labels, collect_samples, find_images, inspect_image, normalise_prompt


def benchmark(labels=None, ranges=None):
    return Benchmark("toy", "Toy", "arXiv:0", "CC0", ranges or {"quality": (1, 5)}, lambda root: labels)


def labels(root, **columns):
    columns = {"prompt": "a boat", "generator": "G", "quality": 3.0, **columns}
    return Labels(pd.DataFrame(columns), [root / "labels.csv"], {"quality": "a column"})


def test_prompts_are_grouped_by_text():
    assert normalise_prompt("  A  Corgi\tin\u00a0STRASSE ") == "a corgi in strasse"
    assert normalise_prompt("straße") == normalise_prompt("STRASSE")
    assert normalise_prompt("a corgi") != normalise_prompt("a corgi.")


class TestCheckLabels:
    def test_rows_keep_their_number(self, tmp_path):
        given = labels(tmp_path, image=["a", "b", "b", "c"], quality=[1.0, 2.0, 3.0, 4.0])
        usable = check_labels(benchmark(), given)
        assert list(usable["image"]) == ["a", "c"] and list(usable["row"]) == [0, 3]
        assert given.defects == [
            Defect(
                "label rows of one image name with different values",
                2,
                "all excluded: nothing says which is right",
                ("b",),
            )
        ]
        assert len(given.frame) == 4

    def test_three_rows_two_of_them_equal(self, tmp_path):
        given = labels(tmp_path, image=["b", "b", "b", "c"], quality=[2.0, 2.0, 3.0, 4.0])
        assert list(check_labels(benchmark(), given)["image"]) == ["c"]
        assert [defect.count for defect in given.defects] == [1, 2]

    def test_another_prompt_is_a_contradiction_too(self, tmp_path):
        given = labels(tmp_path, image=["b", "b", "c"], prompt=["a boat", "a cat", "a boat"])
        assert list(check_labels(benchmark(), given)["image"]) == ["c"]

    @pytest.mark.parametrize("column", ["image", "prompt", "generator"])
    @pytest.mark.parametrize("value", ["", "  ", None, np.nan])
    def test_empty_text(self, column, value, tmp_path):
        given = labels(tmp_path, **{"image": ["a", "b"], column: ["a", value]})
        with pytest.raises(InputError, match=f"labels.csv: {column} is empty in data row 2"):
            check_labels(benchmark(), given)

    @pytest.mark.parametrize("value", [0.99, 5.01, np.nan, np.inf])
    def test_out_of_range(self, value, tmp_path):
        given = labels(tmp_path, image=["a", "b", "c"], quality=[3.0, value, value])
        said = r"quality MOS .* of b is outside 1..5 \(2 such rows\); the scale of Toy is 1 to 5"
        with pytest.raises(InputError, match=said):
            check_labels(benchmark(), given)

    def test_the_ends_of_the_scale_are_on_it(self, tmp_path):
        assert len(check_labels(benchmark(), labels(tmp_path, image=["a", "b"], quality=[1.0, 5.0]))) == 2

    def test_labels_of_another_scale(self, tmp_path):
        given = labels(tmp_path, image=["a", "b"], quality=[3.6, 0.2])
        with pytest.raises(InputError, match="no quality MOS is above 3.6; the scale of Toy is 0 to 100"):
            check_labels(benchmark(ranges={"quality": (0, 100)}), given)

    def test_no_rows(self, tmp_path):
        with pytest.raises(InputError, match="no label rows"):
            check_labels(benchmark(), labels(tmp_path, image=[]))


class TestFindImages:
    def test_anywhere_and_by_exact_name(self, tmp_path):
        for name in ("x/a.jpg", "y/z/b.PNG", "y/notes.txt", "y/.c.jpg"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        paths, others = find_images(tmp_path, ["b.PNG"])
        assert paths == {"b.PNG": tmp_path / "y/z/b.PNG"} and others == ["a.jpg"]
        with pytest.raises(InputError, match="2 of 2 labelled images not found, e.g. b.png, c.jpg; complete"):
            find_images(tmp_path, ["b.png", "c.jpg"])

    def test_one_name_for_two_images(self, tmp_path):
        write_image(tmp_path / "x" / "a.png", 1)
        write_image(tmp_path / "y" / "a.png", 1)
        assert find_images(tmp_path, ["a.png"])[0] == {"a.png": tmp_path / "x" / "a.png"}
        write_image(tmp_path / "y" / "a.png", 2)
        with pytest.raises(InputError, match=r"different images share the name a.png \(x/a.png, y/a.png\)"):
            find_images(tmp_path, ["a.png"])


class TestCheckImage:
    def test_size(self, tmp_path):
        write_image(tmp_path / "a.jpg", size=(30, 20))
        assert inspect_image(tmp_path / "a.jpg") == ((30, 20), {})

    @pytest.mark.parametrize("content", [b"", b"<html>quota</html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
    def test_no_image(self, content, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(content)
        with pytest.raises(InputError, match="a.png: .*; replace it from the source"):
            inspect_image(path)

    def test_too_large(self, tmp_path, monkeypatch):
        write_image(tmp_path / "a.png", size=(30, 20))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
        with pytest.raises(InputError, match="DecompressionBombError"):
            inspect_image(tmp_path / "a.png")


class TestCollectSamples:
    def collect(self, root, **columns):
        (root / "labels.csv").write_text("read elsewhere")
        names = ["b.png", "a.png"]
        for i, name in enumerate(names):
            write_image(root / "pictures" / name, i)
        given = labels(root, image=names, **columns)
        return collect_samples(benchmark(given, {"quality": (1, 5)}), root)

    def test_table(self, tmp_path):
        samples, card = self.collect(tmp_path, quality=[2.0, 4.0], quality_sd=[0.5, 0.25])
        assert list(samples.columns) == [
            *("benchmark", "image", "row", "path", "sha256", "width", "height", "prompt", "prompt_group"),
            *("generator", "quality", "quality_sd", "authenticity", "correspondence"),
        ]
        assert list(samples["path"]) == ["pictures/b.png", "pictures/a.png"]  # in label-file order
        assert list(samples["quality_sd"]) == [0.5, 0.25]
        assert samples["sha256"].nunique() == 2 and samples["sha256"].str.fullmatch("[0-9a-f]{64}").all()
        assert card["mos"]["quality"] == {"min": 2.0, "max": 4.0, "mean": 3.0, "std": np.sqrt(2)}
        assert card["defects"] == [] and card["generators"] == {"G": 2}

    def test_synthetic_data_say_so(self, tmp_path):
        assert self.collect(tmp_path)[1]["synthetic"] is False
        (tmp_path / SYNTHETIC_MARK).touch()
        assert self.collect(tmp_path)[1]["synthetic"] is True

    def test_one_picture_under_two_names_is_counted(self, tmp_path):
        (tmp_path / "labels.csv").touch()
        for name, shade in {"a.png": 1, "b.png": 1, "c.png": 2}.items():
            write_image(tmp_path / name, shade)
        given = labels(tmp_path, image=["a.png", "b.png", "c.png"], quality=[2.0, 3.0, 4.0])
        samples, card = collect_samples(benchmark(given), tmp_path)
        assert len(samples) == 3
        assert [(defect["count"], defect["examples"]) for defect in card["defects"]] == [(2, ("a.png", "b.png"))]

    def test_withheld_images_are_no_surprise(self, tmp_path):
        for name in ("v.png", "w.png"):
            write_image(tmp_path / name)
        (tmp_path / "labels.csv").touch()
        write_image(tmp_path / "a.png", 1)
        given = labels(tmp_path, image=["a.png"])
        given.withheld = ["v.png", "not there.png"]
        _, card = collect_samples(benchmark(given), tmp_path)
        assert [(defect["what"], defect["examples"]) for defect in card["defects"]] == [
            ("images without a label row", ("w.png",))
        ]

    def test_equal_inputs_give_equal_tables(self, tmp_path):
        first, first_card = self.collect(tmp_path)
        again, again_card = self.collect(tmp_path)
        pd.testing.assert_frame_equal(first, again)
        assert first_card == again_card

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "toy").touch()
        with pytest.raises(InputError, match="no such folder; put Toy there or set data_root"):
            collect_samples(benchmark(), tmp_path / "toy")


@pytest.mark.skipif(os.name == "nt", reason="a POSIX file name")
def test_names_with_odd_characters(tmp_path):
    name = "odd 木'\" name.png"
    write_image(tmp_path / name)
    (tmp_path / "labels.csv").touch()
    samples, _ = collect_samples(benchmark(labels(tmp_path, image=[name])), tmp_path)
    assert list(samples["path"]) == [name]
