from small_study import SmallStudy
from tampering import SAMPLES, assert_found, verify

from mstclipiqa.base.files import read_table


def test_changed_label_file_is_found(study: SmallStudy):
    path = study.data / "agiqa-3k" / "data.csv"
    path.write_text(path.read_text() + "\n")
    assert_found(verify(study, data_root=study.data), str(path), "SHA-256")


def test_changed_image_is_found(study: SmallStudy):
    path = study.data / "agiqa-3k" / read_table(study.results / SAMPLES)[0]["path"].iloc[4]
    path.write_bytes(path.read_bytes() + b"\0")
    assert_found(verify(study, data_root=study.data), SAMPLES, f"sha256 of {path.name}")


def test_missing_inputs_are_found(study: SmallStudy):
    path = study.data / "agiqa-3k" / "data.csv"
    image = study.data / "agiqa-3k" / read_table(study.results / SAMPLES)[0]["path"].iloc[4]
    image.unlink()
    assert_found(verify(study, data_root=study.data), image.name, "not found")
    path.unlink()
    assert_found(verify(study, data_root=study.data), str(path), "is missing")
