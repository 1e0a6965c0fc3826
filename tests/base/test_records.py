"""Records of folders, lists and shards: each of them once, in order, and none without a word."""

from pathlib import Path

import pytest
from shards import png, write_shard

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.records import MOST_BYTES, Record, Span, find_sources


def records(*paths: object) -> list[Record]:
    return [record for source in find_sources(map(str, paths)) for record in source.records()]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png())


def test_a_folder_gives_its_shards_and_then_its_images_in_order(tmp_path):
    touch(tmp_path, "b/2.png", "b/10.JPG", "a.webp", ".hidden/3.png", ".4.png")
    (tmp_path / "notes.md").write_text("no image")
    write_shard(tmp_path / "b" / "000.tar", {"x.png": png(3)})
    found = records(tmp_path)
    assert [Path(record.name).relative_to(tmp_path).as_posix() for record in found] == [
        "b/000.tar/x.png", "a.webp", "b/10.JPG", "b/2.png",
    ]  # fmt: skip
    assert [record.read_image() for record in found] == [png(3), png(), png(), png()]


def test_a_list_gives_a_record_for_each_row(tmp_path):
    touch(tmp_path, "a/1.png", "a/2.png")
    (tmp_path / "a" / "list.txt").write_text("1.png\n\n  2.png  \n")
    (tmp_path / "list.csv").write_text('\ufeffimage,generator,prompt\na/1.png,x,"a, b"\na/2.png,x,c,d\na/3.png,x,NA\n')
    assert [Path(record.name) for record in records(tmp_path / "a" / "list.txt")] == [
        tmp_path / "a" / "1.png", tmp_path / "a" / "2.png",
    ]  # fmt: skip
    one, wide, absent = records(tmp_path / "list.csv")
    assert (one.read_image(), one.read_prompt()) == (png(), "a, b") and absent.read_prompt() == "NA"
    with pytest.raises(InputError, match=r"list.csv:3: 4 cells in line 3 of a list of 3 columns"):
        wide.read_image()
    with pytest.raises(InputError, match=r"3.png: cannot be read \(No such file"):
        absent.read_image()


def test_a_shard_is_read_as_webdataset_writes_it(tmp_path):
    files = {
        "__meta__.json": b"{}", "s/0.png": png(0), "s/0.txt": b" a corgi\n", "s/0.json": b"{}", "s/1.txt": b"alone",
        "s/2.png": png(2), "s/2.jpg": png(3), "s/3.0.png": png(4), "s/4.png": None, "s/5.seg.png": png(4),
        "s/5.PNG": png(5), "s/6.png": png(6), "s/6.txt": b"\xff", "s/7.png": b"",
    }  # fmt: skip
    shard = write_shard(tmp_path / "0.tar", files)
    found = {record.name.removeprefix(f"{shard}/s/"): record for record in records(shard)}
    assert list(found) == ["0.png", "1", "2.png", "3", "4.png", "5.png", "6.png", "7.png"]
    assert (found["0.png"].read_image(), found["0.png"].read_prompt()) == (png(0), "a corgi")
    assert (found["5.png"].read_image(), found["5.png"].read_prompt()) == (png(5), "")
    for name, words in {"1": "no images", "2.png": "2 images", "3": "no images", "4.png": "a link or device"}.items():
        with pytest.raises(InputError, match=words):
            found[name].read_image()
    with pytest.raises(InputError, match="6.png: its prompt: is not UTF-8"):
        found["6.png"].read_prompt()


def test_where_a_shard_is_cut_the_records_before_are_whole_and_the_rest_is_one_fault(tmp_path):
    whole = write_shard(tmp_path / "whole.tar", {f"{number}.png": png(number) for number in range(4)})
    content, names = whole.read_bytes(), [record.name for record in records(whole)]
    ends = [record.image.start + record.image.size for record in records(whole)]
    for cut in range(512, ends[-1], 256):
        path = tmp_path / "cut.tar"
        path.write_bytes(content[:cut])
        *before, last = records(path)
        assert "damaged" in last.fault and last.name == str(path)
        readable = []
        for record in before:
            try:
                readable.append(record.read_image())
            except InputError as error:
                assert str(error).endswith("cut short")
        assert readable == [png(number) for number, end in enumerate(ends) if end <= cut], cut
    assert len(names) == 4


def test_a_damaged_header_is_no_end(tmp_path):
    path = write_shard(tmp_path / "a.tar", {f"{number}.png": png(number) for number in range(4)})
    start = records(path)[2].image.start - 512
    content = bytearray(path.read_bytes())
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    assert [record.fault == "" for record in records(path)] == [True, True, False]


def test_what_is_no_source_is_refused(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.zip").write_bytes(b"PK")
    (tmp_path / "a.csv").write_text("path,prompt\nx,y\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "gone.tar").write_bytes(b"x" * 2000)
    for names, words in {
        ("nowhere",): "no such file or folder",
        ("empty",): "neither an image nor a shard below it",
        ("a.zip",): "neither an image, a list",
        ("a.csv",): "no column image",
        ("bytes.txt",): "cannot be read as a list",
        ("a.csv", "a.csv"): "stands there twice",
        (): "no image is named",
    }.items():
        with pytest.raises(InputError, match=words):
            records(*(tmp_path / name for name in names))
    assert "is no tar" in records(tmp_path / "gone.tar")[0].fault


def test_no_file_is_read_that_is_too_large(tmp_path):
    with open(tmp_path / "a.png", "wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(InputError, match="more than"):
        records(tmp_path)[0].read_image()
    with pytest.raises(InputError, match="its prompt: .*more than"):
        Record("a", text=Span(tmp_path / "a.png")).read_prompt()
