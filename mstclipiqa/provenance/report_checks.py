"""A bundle's report: every file of it made again from the results in the bundle, and compared byte for byte.

Tables as CSV are compared always. The other files are where the code, the libraries that draw and write, and the
machine's kernels are the same; elsewhere that is said, and drawings may hold nothing that runs.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mstclipiqa.provenance.folder import PAPER_FILES, Folder
from mstclipiqa.report.page import PAGE, compose_report, make_figures, make_tables
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.sample_images import MISSING, sample_images
from mstclipiqa.report.table import Cell, Table

#: What decides the bytes of a report beside this package.
PACKAGES = (
    *("contourpy", "jinja2", "kiwisolver", "markupsafe", "matplotlib", "numpy", "pandas", "pillow", "pylatexenc"),
    *("scipy", "seaborn", "tabulate"),
)

AGAIN = "get the bundle again from its source"

#: A sample image, and what stands for one that is not at hand.
PICTURE = re.compile(rb'(?<=<img src=")data:image/jpeg;base64,[A-Za-z0-9+/=]*(?=")')
BLANK = "data:image/jpeg;base64,"

#: What runs, or leads elsewhere, in a drawing.
ACTIVE = re.compile(
    rb"<script|<foreignobject|<iframe|<!entity|\son\w+\s*=|javascript:|@import"
    rb"|href\s*=\s*[\"'](?!#|data:image/(png|jpeg);)|url\((?!#)",
    re.IGNORECASE,
)

#: Where the files of a report may lie, where they cannot be made again.
PLACES = re.compile(r"index\.html|manifest\.html|summary\.md|tables/[\w.-]+\.(csv|md|tex)|figures/[\w.-]+\.(svg|png)")


def check_report(folder: Folder, reports: Path, lock: Mapping[str, str]) -> None:
    """The files in the folder `reports` are those that the results of `folder` give. `lock` says which versions of
    packages they were made with."""
    there = {path.relative_to(reports).as_posix(): path for path in sorted(reports.rglob("*")) if path.is_file()}
    place, verdict, sources = f"reports/{folder.config['suite']}", folder.verdict, folder.paper_files
    if PAGE not in there:
        verdict.find(f"{place}/{PAGE}", "is missing: a bundle has a page", AGAIN)
    if not sources:
        verdict.notes.append(f"the report: one of {', '.join(PAPER_FILES)} is not at hand")
    if not sources or verdict.findings:  # of results that do not hold nothing can be made
        for name in sorted(there):
            if not PLACES.fullmatch(name):
                verdict.find(f"{place}/{name}", "no part of a report", AGAIN)
        _check_drawings(folder, place, there)
        return
    made, with_pictures = _make_again(folder, sources, reports)
    for name in sorted(made.keys() ^ there.keys()):
        what = "is missing from the report" if name in made else "no part of a report of these results"
        verdict.find(f"{place}/{name}", what, AGAIN)
    others = _why_not_comparable(folder, lock)
    different = []
    for name in sorted(made.keys() & there.keys()):
        held = there[name].read_bytes()
        if held == made[name]:
            verdict.counts["tables of the report" if name.endswith(".csv") else "other files of the report"] += 1
        elif name in with_pictures and PICTURE.sub(b"", held) == PICTURE.sub(b"", with_pictures[name]):
            verdict.counts["other files of the report"] += 1
            if held != with_pictures[name]:
                verdict.notes.append("the sample images: their images are not at hand")
        elif others and not name.endswith(".csv"):
            different.append(name)
        else:
            verdict.find(f"{place}/{name}", "not what the results give", AGAIN)
    if different:
        verdict.notes.append(
            f"{len(different)} files of the report, e.g. {different[0]}: they come out otherwise here, by {others}; "
            "`mstclipiqa report` makes them anew"
        )
        _check_drawings(folder, place, {name: there[name] for name in different})


def _make_again(folder: Folder, sources: list[Path], reports: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Every file of the report, and those that would differ if all pictures were at hand, which then are blank."""
    claims, printed, prior = sources
    results = read_results(folder.root, printed, claims, prior, images=folder.data_root)
    tables, figures = make_tables(results), make_figures(results)
    made = compose_report(results, tables, figures)
    sampled = {name: table for name, table in tables.items() if name.endswith(sample_images.__name__)}
    if not sampled:
        return made, {}
    filled = {name: _with_blank_pictures(table) for name, table in sampled.items()}
    blank = compose_report(results, tables | filled, figures)
    return made, {name: content for name, content in blank.items() if content != made[name]}


def _with_blank_pictures(table: Table) -> Table:
    """Sample images as they are shown where every picture is at hand."""

    def fill(cell: object) -> object:
        return replace(cell, image=BLANK) if isinstance(cell, Cell) and cell.alt and not cell.image else cell

    notes = [note for note in table.notes if MISSING not in note]
    return replace(table, shown=table.shown.map(fill), notes=notes)


def _why_not_comparable(folder: Folder, lock: Mapping[str, str]) -> str:
    """What is other here than where the report was made; nothing where its bytes are to be the same."""
    others = [] if folder.same_code else ["another version of this package"]
    for package in PACKAGES:
        try:
            here = version(package)
        except PackageNotFoundError:
            here = "none"
        if lock.get(package) != here:
            others.append(f"{package} {here} in place of {lock.get(package)}")
    if folder.manifest.get("hardware", {}).get("instructions") != torch.backends.cpu.get_cpu_capability():
        others.append("another machine")
    return ", ".join(others)


def _check_drawings(folder: Folder, place: str, there: Mapping[str, Path]) -> None:
    """Drawings that are not made again hold nothing that runs."""
    for name, path in there.items():
        if name.endswith(".svg") and (found := ACTIVE.search(path.read_bytes())):
            what = f"holds {found[0].decode(errors='replace').strip()!r}, which no drawing of this project does"
            folder.verdict.find(f"{place}/{name}", what, AGAIN)
