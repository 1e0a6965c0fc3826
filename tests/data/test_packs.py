"""A feature pack: what is written is read, equal contents are equal bytes, and what anyone may send is refused."""

import io
import json
import struct
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from packed import (
    COUNT,
    DIM,
    edit_card,
    edit_members,
    edit_table,
    identity,
    make_arrays,
    make_card,
    make_pack,
    make_samples,
    read_members,
)

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.packs import ROUNDING, as_stored, read_pack, write_pack


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return make_pack(tmp_path / "agiqa-3k.zip")


def test_what_is_packed_is_read(pack: Path):
    read, arrays = read_pack(pack), make_arrays()
    assert read.samples.to_dict() == make_samples().to_dict(), "every number to its last digit"
    assert read.card["images"] == make_card(make_samples())["images"]
    assert read.sha256 == sha256(pack.read_bytes()).hexdigest()
    assert read.texts("text") == [f"a prompt, no. {number}" for number in range(3)] + ["a photo"]
    for name, values in arrays.items():
        assert np.array_equal(read.arrays[name], values.astype(read.arrays[name].dtype))
        assert np.allclose(read.arrays[name], values, rtol=ROUNDING, atol=1e-7), "the stated rounding"
    assert {name: values.dtype.name for name, values in read.arrays.items()} == {
        name: "int64" if name == "text.lengths" else "float16" for name in arrays
    }


def test_numpy_and_pandas_read_it_too(pack: Path):
    """Referees: its arrays are .npy files, and every member is stored as it is."""
    members, read = read_members(pack), read_pack(pack)
    assert list(members)[:3] == ["README.md", "card.json", "samples.csv"]
    for name, values in read.arrays.items():
        assert np.array_equal(np.load(io.BytesIO(members[f"{name}.npy"]), allow_pickle=False), values)
    with zipfile.ZipFile(pack) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_equal_contents_are_equal_bytes(pack: Path, tmp_path: Path):
    samples, arrays = make_samples(), make_arrays()
    turned = dict(reversed(list(make_card(samples).items())))
    again = tmp_path / "again.zip"
    write_pack(again, turned, samples, {name: values.astype(values.dtype) for name, values in sorted(arrays.items())})
    assert again.read_bytes() == pack.read_bytes()
    stored = {name: values.astype(np.float32) for name, values in read_pack(pack).arrays.items()}
    write_pack(again, turned, read_pack(pack).samples, stored)
    assert again.read_bytes() == pack.read_bytes(), "what was rounded once is not rounded again"


def test_the_card_says_what_a_person_needs(pack: Path):
    text = read_members(pack)["README.md"].decode()
    for words in ("AGIQA-3K", "MIT", "its authors", "float16", "data.csv", "Derived", identity()["weights_sha256"]):
        assert words in text, words
    assert "DRAWN" not in text


def test_storage_is_part_of_an_identity_once():
    plain = {"label": "a model", "model": "m"}
    stored = as_stored(plain)
    assert stored != plain and "float16" in stored["label"] and as_stored(stored) == stored


def test_what_float16_does_not_hold_is_refused(tmp_path: Path):
    samples, arrays = make_samples(), make_arrays()
    arrays["coarse"][0, 0] = 1e5
    with pytest.raises(InputError, match="coarse has values that float16 does not hold"):
        write_pack(tmp_path / "pack.zip", make_card(samples), samples, arrays)
    assert list(tmp_path.iterdir()) == []


# Packs of strangers


def refused(pack: Path, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_pack(pack)
    said = str(caught.value)
    assert "\n" not in said and said.startswith(str(pack)), said
    assert all(word in said for word in words), said


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 0.999])
def test_cut(pack: Path, share: float):
    content = pack.read_bytes()
    pack.write_bytes(content[: int(share * len(content))])
    refused(pack)


def test_missing(tmp_path: Path):
    refused(tmp_path / "no.zip", "no such file")


def test_no_pack(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    refused(tmp_path / "other.zip", "no feature pack")
    (tmp_path / "page.zip").write_text("<html>")
    refused(tmp_path / "page.zip", "no zip")


def test_a_flipped_byte_of_a_member_is_found_out(pack: Path):
    content = bytearray(pack.read_bytes())
    starts = {info.header_offset for info in zipfile.ZipFile(pack).infolist()}
    fields = {start + at for start in starts for at in range(30)}  # of a header that the directory repeats
    directory = zipfile.ZipFile(pack).start_dir
    rng = np.random.default_rng(0)
    for place in rng.choice(directory, 150, replace=False):
        if int(place) in fields:
            continue
        content[place] ^= 1
        pack.write_bytes(content)
        refused(pack)
        content[place] ^= 1


def test_compressed(pack: Path):
    members = read_members(pack)
    with zipfile.ZipFile(pack, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refused(pack, "compressed")


def test_ten_gigabytes_claimed(pack: Path):
    """In the directory of the zip, and in the card."""
    content, name = bytearray(pack.read_bytes()), b"coarse.npy"
    place = content.rindex(name) - 46
    content[place + 20 : place + 28] = struct.pack("<II", 4_000_000_000, 4_000_000_000)
    pack.write_bytes(content)
    refused(pack, "claims more bytes than the file has")
    make_pack(pack)
    edit_card(pack, lambda card: card["files"]["coarse.npy"].update(bytes=10_000_000_000))
    refused(pack, "coarse.npy is not what its card says")
    make_pack(pack)
    edit_card(pack, lambda card: card["texts"]["text"].update(tokens=10**12))
    refused(pack, "no array of shape")


def test_too_large(pack: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mstclipiqa.data.packs.MOST_BYTES", 1000)
    refused(pack, "more than the 1,000")


def test_a_member_twice_hidden_or_with_a_path(pack: Path):
    whole = pack.read_bytes()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(pack, "a") as archive:
        archive.writestr("coarse.npy", b"")
    refused(pack, "there twice")
    for name in ("../evil.sh", "/etc/passwd", "folder/coarse.npy", "coarse.npy.exe"):
        pack.write_bytes(whole)
        with zipfile.ZipFile(pack, "a") as archive:
            archive.writestr(name, b"evil")
        refused(pack, "is not named by its card")
    pack.write_bytes(b"PK\x03\x04hidden" + whole)
    refused(pack)
    pack.write_bytes(whole + b"hidden")
    refused(pack)
    pack.write_bytes(whole)
    with zipfile.ZipFile(pack, "a") as archive:
        archive.comment = b"hidden"
    refused(pack, "something lies between")


def test_edited(pack: Path):
    edit_members(pack, lambda members: members.update({"coarse.npy": members["fine.npy"]}), honest=False)
    refused(pack, "coarse.npy is not what its card says")
    make_pack(pack)
    edit_members(pack, lambda members: members.pop("fine.npy"))
    refused(pack, "'fine.npy' is missing")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("image_1.jpg", "image_0.jpg", ["image image_0.jpg is there twice"]),
        ("image_1.jpg", "../image_1.jpg", ["no name of an image"]),
        ("image_1.jpg", "/etc/image_1.jpg", ["no name of an image"]),
        ("image_1.jpg", "..\\image_1.jpg", ["no name of an image"]),
        ("image_1.jpg", ".image_1.jpg", ["no name of an image"]),
        ("image_1.jpg", "image_1.svg", ["no name of an image"]),
        ("image_1.jpg", "image\x1b_1.jpg", ["no name of an image"]),
        ("image_1.jpg", "i" * 5000 + ".jpg", ["no name of an image"]),
        (",512,512,1,", ",512,512,0,", ["row 0 is there twice"]),
        (",512,512,1,", ",0,512,1,", ["without its size"]),
        (",512,512,1,", ",512.5,512,1,", ["cannot be read"]),
        (",512,512,1,", ",0512,512,1,", ["written otherwise"]),
        (sha256(bytes([2])).hexdigest(), "abc", ["without its SHA-256"]),
        ("AttnGAN", "DALLE2", ["other generators than its card counts"]),
        ("AttnGAN", "Attn\x00GAN", ["samples.csv"]),
        ('"a prompt, no. 1"', '"another prompt"', ["other prompts"]),
        ('"a prompt, no. 1"', '""', ["is no prompt"]),
        ("quality_sd", "quality_se", ["other columns"]),
        ("image,", "Image,", ["other columns"]),
    ],
)
def test_other_samples(pack: Path, old: str, new: str, words: list[str]):
    edit_table(pack, old, new)
    refused(pack, *words)


@pytest.mark.parametrize("mos", ["5.5", "-1", "nan", "inf", "1e400", "four"])
def test_other_mos(pack: Path, mos: str):
    value = repr(float(make_samples()["quality"].iloc[0]))
    edit_table(pack, value, mos)
    refused(pack, "samples.csv")


def test_labels_within_the_scale_but_others(pack: Path):
    edit_table(pack, repr(float(make_samples()["quality"].iloc[0])), "2.5")
    refused(pack, "other labels")


def set_at(card: dict, value: object, *keys: str) -> None:
    for key in keys[:-1]:
        card = card[key]
    card[keys[-1]] = value


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["format"], 2),
        (["benchmark"], "koniq"),
        (["licence"], "public domain"),
        (["stored"], "float32"),
        (["extra"], 1),
        (["labels", "ranges", "quality"], [0, 100]),
        (["labels", "synthetic"], "no"),
        (["label_files"], {"../data.csv": "ab" * 32}),
        (["label_files"], {"data.csv": "ab"}),
        (["images", "coarse", "encoder", "stored"], "float32"),
        (["images", "coarse", "encoder", "dim"], DIM + 1),
        (["images", "coarse", "encoder", "dim"], 10**9),
        (["images", "coarse", "made", "device"], "a\nb"),
        (["images"], {}),
        (["images", "../evil"], {"encoder": identity(), "made": {"device": "cpu"}}),
        (["images", "other"], {"encoder": identity(), "made": {"device": "cpu"}}),
        (["texts", "text", "prompts"], 2),
        (["texts", "text", "prompts"], 0),
        (["texts", "text", "texts"], ["a", "b"]),
        (["texts", "text", "truncated"], [4]),
        (["texts", "text", "tokens"], 9),
        (["labels", "defects"], [{"what": "a\x1b[2J", "count": 1, "rule": "r", "examples": []}]),
    ],
)
def test_other_cards(pack: Path, keys: list[str], value: object):
    edit_card(pack, lambda card: set_at(card, value, *keys))
    with pytest.raises(InputError) as caught:
        read_pack(pack)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"format": NaN}', b"[" * 10**5])
def test_cards_that_are_no_json(pack: Path, content: bytes):
    edit_members(pack, lambda members: members.update({"card.json": content}), honest=False)
    refused(pack, "card.json")


def npy(values: np.ndarray, pickled: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=pickled)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy(np.zeros((COUNT, DIM), np.float32)),
        npy(np.zeros((COUNT, DIM), ">f2")),
        npy(np.zeros((DIM, COUNT), np.float16)),
        npy(np.asfortranarray(np.zeros((COUNT, DIM), np.float16))),
        npy(np.full((COUNT, DIM), np.nan, np.float16)),
        npy(np.full((COUNT, DIM), np.inf, np.float16)),
        npy(np.full((COUNT, DIM), print, object), pickled=True),
        npy(np.zeros((COUNT, DIM), np.float16)) + b"more",
    ],
)
def test_other_arrays(pack: Path, content: bytes):
    edit_members(pack, lambda members: members.update({"coarse.npy": content}))
    refused(pack, "coarse.npy")


@pytest.mark.parametrize("lengths", [[2, 4, 1, 2], [0, 6, 1, 3], [-1, 7, 1, 3], [2, 4, 1, 300], [2**62, 2**62, 1, 3]])
def test_other_lengths(pack: Path, lengths: list[int]):
    edit_members(pack, lambda members: members.update({"text.lengths.npy": npy(np.array(lengths, np.int64))}))
    refused(pack, "text.lengths")


def test_labels_that_no_licence_lets_be_passed_on(pack: Path):
    def claim(card: dict) -> None:
        for part in (card, card["labels"]):
            part |= {"benchmark": "aigciqa2023", "title": "AIGCIQA2023", "paper": "arXiv:2307.00211"}
            part["licence"] = "not stated by the authors' repository"

    edit_card(pack, claim)
    refused(pack, "no licence lets be passed on")


def test_the_card_is_not_trusted_to_be_small(pack: Path):
    edit_members(pack, lambda members: members.update({"README.md": b"x" * 10}), honest=False)
    refused(pack, "README.md is not what its card says")
    assert json.loads(read_members(make_pack(pack))["card.json"])["files"]["README.md"]["bytes"] > 500
