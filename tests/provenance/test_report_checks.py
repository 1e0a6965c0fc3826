"""A report held against what its results give, which here is planted; test_bundle.py makes real ones."""

from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from planted_manifest import FINGERPRINT, planted

from mstclipiqa.base.files import write_text
from mstclipiqa.provenance import folder, report_checks
from mstclipiqa.provenance.folder import PAPER_FILES, Folder
from mstclipiqa.provenance.report_checks import ACTIVE, AGAIN, BLANK, PACKAGES, PLACES, check_report
from mstclipiqa.report.table import Cell, Table

PICTURE = '<img src="data:image/jpeg;base64,AbC+/=" alt="a">'
MADE = {
    "index.html": f"page {PICTURE}", "summary.md": "summary", "tables/a.csv": "a", "tables/a.md": "|a|",
    "figures/a.svg": "<svg></svg>",
}  # fmt: skip
PLACE = "reports/planted"
NOT_AT_HAND = "the report: one of claims.yaml, paper_tables.csv, prior_results.csv is not at hand"


class Report:
    """The report of a planted folder: what is `there`, what is made again, and with which versions it was made."""

    def __init__(self, root: Path):
        self.root, self.there = root / "reports", dict(MADE)
        self.made, self.with_pictures = dict(MADE), {}
        self.lock = {package: version(package) for package in PACKAGES}
        self.config = True

    def check(self) -> Folder:
        found = planted(self.root.parent, self.here, config=self.config)
        for name in PAPER_FILES:
            write_text(self.root.parent / "config" / name, "claims")
        for name, text in self.there.items():
            write_text(self.root / name, text)
        self.before(found)
        check_report(found, self.root, self.lock)
        return found

    def here(self, manifest: dict) -> None:
        manifest["hardware"]["instructions"] = torch.backends.cpu.get_cpu_capability()

    def before(self, found: Folder) -> None:
        pass


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    report = Report(tmp_path)

    def again(found: Folder, sources: list[Path], reports: Path) -> tuple[dict, dict]:
        config = tmp_path / "config"
        assert (sources, reports) == ([config / name for name in PAPER_FILES], report.root)
        return tuple(
            {name: text.encode() for name, text in files.items()} for files in (report.made, report.with_pictures)
        )

    monkeypatch.setattr(report_checks, "_make_again", again)
    monkeypatch.setattr(folder, "fingerprint", lambda data: FINGERPRINT)
    return report


def test_a_report_that_its_results_give_is_counted(report: Report):
    verdict = report.check().verdict
    assert (verdict.findings, verdict.notes) == ([], [])
    assert dict(verdict.counts) == {"tables of the report": 1, "other files of the report": 4}


@pytest.mark.parametrize("name", MADE)
def test_a_file_that_the_results_do_not_give_is_named(report: Report, name: str):
    report.there[name] += " "
    verdict = report.check().verdict
    assert verdict.findings == [f"{PLACE}/{name}: not what the results give; {AGAIN}"]
    assert sum(verdict.counts.values()) == len(MADE) - 1


def test_a_report_without_a_page_is_not_made_again(report: Report):
    report.there["run-me.sh"] = "x"
    del report.there["tables/a.md"], report.there["index.html"]
    assert report.check().verdict.findings == [
        f"{PLACE}/index.html: is missing: a bundle has a page; {AGAIN}",
        f"{PLACE}/run-me.sh: no part of a report; {AGAIN}",
    ]


def test_files_of_a_report_with_a_page_that_one_side_lacks_are_named(report: Report):
    report.there["run-me.sh"] = "x"
    del report.there["tables/a.md"]
    assert report.check().verdict.findings == [
        f"{PLACE}/run-me.sh: no part of a report of these results; {AGAIN}",
        f"{PLACE}/tables/a.md: is missing from the report; {AGAIN}",
    ]


def test_pictures_whose_images_are_not_at_hand_are_set_aside(report: Report):
    blank = f'page <img src="{BLANK}" alt="a">'
    report.made["index.html"], report.with_pictures["index.html"] = "page", blank
    verdict = report.check().verdict
    assert verdict.findings == [] and verdict.counts["other files of the report"] == 4
    assert verdict.notes == ["the sample images: their images are not at hand"]


def test_pages_with_blank_pictures_are_what_they_should_be(report: Report):
    blank = f'page <img src="{BLANK}" alt="a">'
    report.there["index.html"], report.made["index.html"], report.with_pictures["index.html"] = blank, "page", blank
    verdict = report.check().verdict
    assert (verdict.findings, verdict.notes) == ([], [])


def test_other_words_beside_the_pictures_are_found(report: Report):
    report.there["index.html"] = report.there["index.html"].replace("page", "other")
    report.with_pictures["index.html"] = f'page <img src="{BLANK}" alt="a">'
    assert len(report.check().verdict.findings) == 1


def otherwise(verdict: folder.Verdict, count: int, name: str, why: str) -> bool:
    said = (
        f"{count} files of the report, e.g. {name}: they come out otherwise here, by {why}; `mstclipiqa report` makes"
    )
    return [note for note in verdict.notes if note.startswith(said)] == verdict.notes[-1:]


def test_on_another_machine_all_but_csv_may_come_out_otherwise(report: Report):
    report.here = lambda manifest: manifest["hardware"].update(instructions="VAX")
    report.there |= {"tables/a.md": "other", "index.html": "other"}
    verdict = report.check().verdict
    assert verdict.findings == [] and otherwise(verdict, 2, "index.html", "another machine")
    assert verdict.notes[-1].endswith("makes them anew") and verdict.counts["other files of the report"] == 2
    report.there |= {"tables/a.csv": "other"}
    assert report.check().verdict.findings == [f"{PLACE}/tables/a.csv: not what the results give; {AGAIN}"]


def test_a_manifest_without_hardware_is_of_another_machine(report: Report):
    report.here = lambda manifest: manifest.pop("hardware")
    report.there |= {"summary.md": "other"}
    assert otherwise(report.check().verdict, 1, "summary.md", "another machine")


@pytest.mark.parametrize("package", PACKAGES)
def test_by_other_packages_it_may_come_out_otherwise(report: Report, package: str):
    report.lock[package] = "0.0"
    report.there |= {"summary.md": "other"}
    why = f"{package} {version(package)} in place of 0.0"
    assert otherwise(report.check().verdict, 1, "summary.md", why)


def test_a_package_that_is_not_here_is_none(report: Report, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(report_checks, "PACKAGES", ("no-such-package",))
    report.there |= {"summary.md": "other"}
    assert otherwise(report.check().verdict, 1, "summary.md", "no-such-package none in place of None")


def test_by_another_version_it_may_come_out_otherwise(report: Report, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folder, "fingerprint", lambda data: "other")
    report.here = lambda manifest: manifest["hardware"].update(instructions="VAX")
    report.there |= {"summary.md": "other"}
    why = "another version of this package, another machine"
    assert otherwise(report.check().verdict, 1, "summary.md", why)


def test_a_drawing_that_comes_out_otherwise_may_hold_nothing_that_runs(report: Report):
    report.here = lambda manifest: manifest["hardware"].update(instructions="VAX")
    report.there |= {"figures/a.svg": "<svg  onload='x'></svg>", "summary.md": "<script>"}
    said = f"{PLACE}/figures/a.svg: holds 'onload=', which no drawing of this project does; {AGAIN}"
    assert report.check().verdict.findings == [said]


@pytest.mark.parametrize("at_hand", [False, True])
def test_what_is_not_made_again_is_held_to_its_places(report: Report, at_hand: bool):
    report.config = at_hand
    report.there |= {"tables/b.exe": "x", "figures/b.svg": "<svg><script></svg>", "index.html": "other"}
    if at_hand:  # but the results do not hold
        report.before = lambda found: found.verdict.find("a", "is wrong")
    verdict = report.check().verdict
    assert verdict.findings[-2:] == [
        f"{PLACE}/tables/b.exe: no part of a report; {AGAIN}",
        f"{PLACE}/figures/b.svg: holds '<script', which no drawing of this project does; {AGAIN}",
    ]
    assert len(verdict.findings) == 2 + at_hand and dict(verdict.counts) == {}
    assert verdict.notes == ([] if at_hand else [NOT_AT_HAND])


@pytest.mark.parametrize("name", PAPER_FILES)
def test_a_report_takes_every_file_of_the_paper(report: Report, tmp_path: Path, name: str):
    report.before = lambda found: (tmp_path / "config" / name).unlink()
    assert report.check().verdict.notes == [NOT_AT_HAND]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *((name, True) for name in (*MADE, "figures/a.png", "tables/a-b.tex")),
        *((name, False) for name in ("a.html", "tables/a.svg", "figures/a.csv", "tables/a/b.csv", "index.html.sh")),
    ],
)
def test_places_of_a_report(name: str, known: bool):
    assert bool(PLACES.fullmatch(name)) == known


@pytest.mark.parametrize("text", [b"<SCRIPT>", b" onclick =", b"javascript:", b"url(http", b'href="http', b"@import"])
def test_what_runs_or_leads_elsewhere(text: bytes):
    assert ACTIVE.search(b"<svg " + text)
    assert not ACTIVE.search(b'<svg href="#a" style="fill: url(#b)"><image href="data:image/png;base64,"/>')


# Made again


def test_what_is_made_again_is_the_reports_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found, calls, noted = planted(tmp_path), [], []
    sources = [tmp_path / name for name in PAPER_FILES]
    claims, printed, prior = sources
    errors = Table("sample_images", "Samples", pd.DataFrame(), pd.DataFrame({"Image": ["x"]}))
    tables = {"a": errors}
    monkeypatch.setattr(report_checks, "read_results", lambda *read, images: calls.append((*read, images)) or "results")
    monkeypatch.setattr(report_checks, "make_tables", lambda results: tables if results == "results" else {})
    monkeypatch.setattr(report_checks, "make_figures", lambda results: {"figure": results})

    def compose(results: str, given: dict, figures: dict) -> dict[str, bytes]:
        assert (results, figures) == ("results", {"figure": "results"})
        table = given.get("sample_images", errors)
        noted.append(table.notes)
        cells = [cell.image for cell in table.shown["Image"] if isinstance(cell, Cell)]
        return {"index.html": str(cells).encode(), "tables/a.csv": b"a"}

    monkeypatch.setattr(report_checks, "compose_report", compose)
    assert report_checks._make_again(found, sources, tmp_path) == ({"index.html": b"[]", "tables/a.csv": b"a"}, {})
    assert calls == [(found.root, printed, claims, prior, None)]
    shown = pd.DataFrame({"Image": [Cell("a", alt="a picture"), Cell("b"), Cell("c", alt="c", image="data:x"), "d"]})
    notes = ["2 pictures are not at hand under data", "kept"]
    tables["sample_images"] = SimpleNamespace(shown=shown, notes=notes)
    monkeypatch.setattr(
        report_checks, "replace",
        lambda thing, **new: SimpleNamespace(**vars(thing) | new) if isinstance(thing, SimpleNamespace) else Cell(
            **{"text": thing.text, "alt": thing.alt} | new
        ),
    )  # fmt: skip
    made, with_pictures = report_checks._make_again(found, sources, tmp_path)
    assert made["index.html"] == b"['', '', 'data:x']"
    assert with_pictures == {"index.html": f"['{BLANK}', '', 'data:x']".encode()}
    assert noted[-2:] == [notes, ["kept"]]
