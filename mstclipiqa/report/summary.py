"""The report on one page of Markdown, short enough for a comment on a pull request."""

from dataclasses import replace

from mstclipiqa.base.names import ENTERED, TARGETS
from mstclipiqa.report.results import Results, cautions
from mstclipiqa.report.table import DASH, Cell, Table, frame_of, markdown_text


def summarise_report(results: Results, tables: dict[str, Table]) -> str:
    """Verdicts, the main numbers, what they rest on and how much leaks; the page has the rest."""
    manifest = results.manifest
    titles = {name: results.title("benchmarks", name) for name in results.benchmarks}
    encoders = "; ".join(f"{role} {identity['label']}" for role, identity in manifest["encoders"].items())
    absent = {title: results.absent(name) for name, title in titles.items()}
    real, stand_ins = results.parted()
    facts = [
        f"{real.run_count} runs on {len(real.cards)} of {len(titles)} benchmarks. Encoders: {encoders}. "
        f"mstclipiqa {manifest['code']['version']}, commit {manifest['code']['commit'] or 'not recorded'}.",
        *(f"{title} is absent: {reason}" for title, reason in absent.items() if reason is not None),
        f"The whole report: `reports/{manifest['suite']}/index.html`, beside this file.",
    ]
    if stand_ins:
        names = ", ".join(titles[name] for name in stand_ins.cards)
        facts.append(f"Drawn stand-ins, which are left out here: {names}.")
    parts = [f"# {markdown_text(manifest['title'])}\n"]
    parts += [f"> **{markdown_text(caution)}**\n" for caution in cautions(real, titles)]
    parts += [f"* {markdown_text(fact)}" for fact in facts]
    if "verdicts" in tables:
        parts += ["\n## The paper’s claims\n", _counts(tables["verdicts"]).markdown()]
    rows = [_key_rows(real, tables[target]) for target in TARGETS]
    parts += ["\n## Results\n", *(table.markdown() for table in rows if len(table.shown))]
    parts += ["\n## Prompt leakage\n", _leakage(tables["leakage"]).markdown()]
    return "\n".join(parts)


def _counts(table: Table) -> Table:
    """The verdicts without the rules that lead to them."""
    shown = table.shown.map(lambda value: value.text if isinstance(value, Cell) else value)
    return replace(table, shown=shown, notes=[])


def _key_rows(results: Results, table: Table) -> Table:
    """A table of results with SRCC alone: the first recipe by each protocol's main selection, and the printed rows."""
    rows = table.full.reindex(columns=["protocol", "selection", "recipe"])
    recipe = next(iter(results.among("recipe", results.metrics)), None)
    kept = (results.is_main(rows) & rows["recipe"].isin([recipe, ENTERED])) | rows["protocol"].isna()
    columns = [column for column in table.shown.columns if column[1] in ("Method", "SRCC")]
    return replace(
        table,
        caption=f"{table.caption.partition(',')[0]}: mean ± sample SD over splits and seeds, by each protocol's main "
        f"selection, recipe {results.title('recipes', recipe) if recipe else DASH}.",
        shown=frame_of(table.shown[kept.to_list()].to_dict("records"), columns),
        groups=[group for group, keep in zip(table.groups or (), kept, strict=True) if keep],
        notes=[],
    )


def _leakage(table: Table) -> Table:
    """The share of leaking test images, benchmark by protocol."""
    rows: dict[str, dict] = {}
    for row in table.shown.to_dict("records"):
        rows.setdefault(row["Benchmark"], {"Benchmark": row["Benchmark"]})[row["Protocol"]] = row["Share"]
    return replace(
        table,
        caption="Share of test images whose prompt is in training, least to greatest over the splits of a protocol.",
        shown=frame_of(rows.values(), ["Benchmark", *table.shown["Protocol"].unique()]),
    )
