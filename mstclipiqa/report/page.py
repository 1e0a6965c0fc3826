"""The report as files: tables, figures, the page that shows them, and a summary."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import jinja2
from markupsafe import Markup

from mstclipiqa.base.files import atomic
from mstclipiqa.base.names import TARGETS
from mstclipiqa.report import (
    ablations,
    atlas,
    attention,
    by_generator,
    claims,
    contrasts,
    data_tables,
    dissection,
    dissection_figures,
    efficiency,
    entered,
    findings,
    headline,
    heat_maps,
    intervals,
    leakage_effect,
    learning_rates,
    mechanisms,
    multiverse,
    packs,
    pipeline,
    pretraining,
    probe,
    prompts,
    protocol_audit,
    recipe_effects,
    results_tables,
    rivals,
    run_figures,
    saturation,
    training_tables,
    transfer,
    variance,
)
from mstclipiqa.report import overview_figures as overview
from mstclipiqa.report.canvas import Figure
from mstclipiqa.report.glossary import Terms
from mstclipiqa.report.paper import PAPER
from mstclipiqa.report.results import Results, cautions
from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.sample_images import sample_images
from mstclipiqa.report.summary import summarise_report
from mstclipiqa.report.table import Table, plain
from mstclipiqa.report.unseen_generators import unseen_generators
from mstclipiqa.report.views import library, make_views

#: The page, which is written last.
PAGE = "index.html"
#: Its hashes, versions and configuration, on a page of their own.
MANIFEST_PAGE = "manifest.html"

#: So many rows of tables stand on the page: all, of any suite but the whole study, whose page would not scroll. There
#: the longest tables are cut to one length.
MOST_ROWS = 2_000

#: How the names of tables on drawn stand-ins begin.
STAND_INS = "stand_ins_"


def write_report(
    results: Path,
    out: Path,
    paper_tables: Path | None = None,
    claims: Path | None = None,
    prior_results: Path | None = None,
) -> None:
    """Write the report of `results/<suite>/` into `out`.

    It is a page, a page of hashes, a summary, tables (CSV, Markdown, LaTeX) and figures (PNG, SVG). `paper_tables` are
    the paper's printed numbers, `claims` its claims, `prior_results` what others published; what is left out without
    them, see report/paper. Everything is computed before
    the first file is touched. The old page is removed first and the new one written last, so the files beside a page
    are always its own. Raises InputError where the results are incomplete.
    """
    read = read_results(Path(results), paper_tables, claims, prior_results)
    files = compose_report(read, make_tables(read), make_figures(read))

    out = Path(out)
    (out / PAGE).unlink(missing_ok=True)
    for folder, suffixes in (("tables", ("*.csv", "*.md", "*.tex")), ("figures", ("*.png", "*.svg"))):
        for stale in (path for suffix in suffixes for path in (out / folder).glob(suffix)):
            stale.unlink()
    for name, content in files.items():
        with atomic(out / name) as temporary:
            temporary.write_bytes(content)


def compose_report(results: Results, all_tables: dict[str, Table], all_figures: dict[str, Figure]) -> dict[str, bytes]:
    """Every file of the report by its name, the page last."""
    texts: dict[str, str] = {}
    for table in all_tables.values():
        texts |= {
            f"tables/{table.name}.{suffix}": text
            for suffix, text in (("csv", table.csv()), ("md", table.markdown()), ("tex", table.latex()))
        }
    files = {name: text.encode() for name, text in texts.items()}
    for figure in all_figures.values():
        files |= {f"figures/{figure.name}.svg": figure.svg.encode(), f"figures/{figure.name}.png": figure.png}
    manifest = make_environment().get_template("manifest.html.j2").render(manifest=results.manifest)
    page = render(results, all_tables, all_figures)
    files |= {"summary.md": summarise_report(results, all_tables).encode(), MANIFEST_PAGE: manifest.encode()}
    return files | {PAGE: page.encode()}


def make_tables(results: Results) -> dict[str, Table]:
    """Every table of the report by the name the template calls it.

    Where a suite has real benchmarks beside drawn ones, what is measured on the latter stands in tables of its own,
    whose names begin with STAND_INS."""
    real, drawn = results.parted()
    of_all = (
        *(data_tables.benchmarks, data_tables.mos_columns, data_tables.label_files, data_tables.defects),
        *(training_tables.encoders, training_tables.timings, training_tables.recipes, training_tables.parameters),
        *(entered.entered_methods, results_tables.all_metrics, data_tables.protocols, atlas.atlas, *packs.TABLES),
    )
    of_real: Iterable[Callable] = (
        *([probe.readout, probe.gates, probe.gate_variance] if results.probes else []),
        *(data_tables.leakage, sample_images, attention.attention, efficiency.efficiency, unseen_generators),
        *(contrasts.contrasts, multiverse.multiverse, variance.variance, rivals.baselines, rivals.heads_against_ridge),
        *(prompts.prompts, learning_rates.learning_rates, transfer.transfer, intervals.intervals),
        *(intervals.paired_tests, protocol_audit.protocol_audit, by_generator.by_generator),
        *(recipe_effects.recipe_effects, saturation.saturation, leakage_effect.leakage_effect),
        *(dissection.gate_interventions, dissection.gate_movements, dissection.decoding, dissection.skipping),
    )
    made = _measured(real, of_real) | _make(results, of_all) | ablations.tables(real)
    if drawn:
        of_drawn = (data_tables.leakage, rivals.baselines, transfer.transfer, sample_images)
        for key, table in _measured(drawn, of_drawn).items():
            if len(table.shown):
                made[f"{STAND_INS}{key}"] = replace(table, name=f"{STAND_INS}{table.name}")
    return made | claims.claim_tables(results) | mechanisms.mechanism_tables(results)


def _measured(results: Results, makers: Iterable[Callable]) -> dict[str, Table]:
    """The tables by target, and others."""
    return {target: results_tables.comparison(results, target) for target in TARGETS} | _make(results, makers)


def _make(results: Results, makers: Iterable[Callable[[Results], Table | None]]) -> dict[str, Table]:
    """The tables that there is anything for, by name."""
    return {make.__name__: table for make in makers if (table := make(results)) is not None}


def make_figures(results: Results) -> dict[str, Figure]:
    """Every figure of the report by name; targets without runs have none, nor has a suite without a probe. Of drawn
    stand-ins beside real benchmarks there is the transfer alone."""
    results, drawn = results.parted()
    made = [draw(results, target) for draw in (run_figures.scatter, run_figures.spread) for target in TARGETS]
    made += [pretraining.pretraining(results), probe.readout_dots(results), learning_rates.learning_curves(results)]
    made += [efficiency.cost_dots(results), overview.forest(results), overview.ablation_dots(results)]
    made += [overview.leakage_bars(results), contrasts.contrast_dots(results)]
    made += [multiverse.specification_curves(results), variance.variance_bars(results)]
    made += [dissection_figures.gate_histogram(results), dissection_figures.skipping_curve(results)]
    made += [heat_maps.transfer_map(results), heat_maps.generator_map(results), heat_maps.unseen_map(results)]
    made += [pipeline.pipeline(results)]
    if drawn and (transfer := heat_maps.transfer_map(drawn)):
        made.append(replace(transfer, name=f"{STAND_INS}{transfer.name}"))
    return {figure.name: figure for figure in made if figure is not None}


def make_environment() -> jinja2.Environment:
    """What renders the templates."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mstclipiqa.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    environment.filters["slug"] = lambda text: re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    environment.filters["indented_json"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    return environment


def longest(lengths: Sequence[int], most: int) -> int:
    """The greatest length to cut tables of these lengths to, so that they have at most so many rows together."""
    return max((cut for cut in range(1, max(lengths) + 1) if sum(min(cut, one) for one in lengths) <= most), default=1)


def render(results: Results, all_tables: dict[str, Table], all_figures: dict[str, Figure]) -> str:
    """The page as HTML."""
    first = {target: results_tables.is_shown_first(results, all_tables[target]) for target in TARGETS}
    main = {target: all_tables[target].only(rows) for target, rows in first.items()}
    rest = {target: all_tables[target].only(~rows) for target, rows in first.items()}
    others = [table for name, table in all_tables.items() if name not in TARGETS]
    most = longest([len(table.shown) for table in (*main.values(), *rest.values(), *others)], MOST_ROWS)
    real, stand_ins = results.parted()
    shown = {name: table.first(most) for name, table in all_tables.items()}
    return (
        make_environment()
        .get_template("page.html.j2")
        .render(
            answers=headline.answers(results),
            cards=headline.cards(results),
            findings=headline.findings(results),
            measured=contrasts.found_on_real_benchmarks(real),
            further=findings.further(real),
            attended=attention.found_of_attention(real),
            main={target: table.first(most) for target, table in main.items()},
            rest={target: table.first(most) for target, table in rest.items()},
            warnings=cautions(results, {name: results.title("benchmarks", name) for name in results.benchmarks}),
            terms=Terms(),
            results=results,
            real=real,
            stand_ins=stand_ins,
            of_stand_ins=[table for name, table in shown.items() if name.startswith(STAND_INS)],
            manifest=results.manifest,
            tables=shown,
            figures=all_figures,
            targets=list(TARGETS),
            ablated=[table for name, table in shown.items() if name.startswith("ablation_")],
            paper=PAPER,
            views=make_views(results),
            library=Markup(library()),
        )
    )
