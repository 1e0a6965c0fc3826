"""The atlas: the paper's printed SRCC among all that others have published on the same benchmarks and targets."""

import pandas as pd

from mstclipiqa.base.names import MODELS, TARGETS
from mstclipiqa.data.prior_results import STANDINGS, of_target
from mstclipiqa.report.paper import BEST_RIVAL
from mstclipiqa.report.results import Results
from mstclipiqa.report.table import DASH, Cell, Table, frame_of, span


def atlas(results: Results) -> Table | None:
    """A row per benchmark and target of the paper's main tables: its two models and their rank among others. The CSV
    has every published result. None without the printed numbers, the claims, or what others published."""
    paper = results.paper
    shown, groups = [], []
    for target in TARGETS if len(paper.prior) and paper.claims else ():
        table, benchmarks = paper.table_of(target)
        names = paper.variants.get(table, {})
        ours = [names[model] for model in MODELS if model in names]
        printed = paper.printed[(paper.printed["table"] == table) & (paper.printed["metric"] == "srcc")]
        for benchmark in benchmarks if ours else ():
            rows = printed[printed["benchmark"] == benchmark].set_index("method")["value"]
            others = of_target(paper.prior, benchmark, target, ours)
            shown.append(
                {"Benchmark": results.title("benchmarks", benchmark)}
                | {name: f"{rows[name]:.4f}" for name in ours}
                | _among(rows[ours].max(), others)
            )
            groups.append(Cell(target.capitalize()))
    if not shown:
        return None
    columns = list(shown[0])
    counts = paper.prior["standing"].value_counts()
    return Table(
        "atlas",
        f"The paper’s SRCC among {len(paper.prior)} published results of {paper.prior['method'].nunique()} methods.",
        paper.prior,
        frame_of(shown, columns),
        numeric=tuple(column for column in columns if column not in ("Benchmark", "Highest")),
        groups=groups,
        grouped_by="Target",
        notes=[
            "These numbers cannot be compared: splits, epochs and repetitions differ from source to source, and the "
            "CSV says how. A method counts by its highest number.",
            "Rank: of the better of the two models. Higher: methods above it.",
            f"{BEST_RIVAL}: least to greatest of what is printed of this one method, over sources and splits.",
            f"Results by standing: {'; '.join(f'{counts.get(k, 0)} {k} ({what})' for k, what in STANDINGS.items())}. "
            "Doubted ones are in the file in tables/ alone. Whether a result of “elsewhere” came before the paper is "
            "known only where its source has a date.",
        ],
    )


def _among(best: float, others: pd.DataFrame) -> dict[str, object]:
    """Where a model of SRCC `best` stands among the rows of others, the highest first."""
    by_method = others.drop_duplicates("method")
    higher = by_method[by_method["srcc"] > best]
    later = int((higher["standing"] == "later").sum())
    top, rival = by_method.iloc[0], others[others["method"] == BEST_RIVAL]
    printed = f"{len(rival)} result{'s' * (len(rival) > 1)}"
    return {
        "Rank": f"{len(higher) + 1} of {len(by_method) + 1}",
        "Higher": Cell(str(len(higher)), f"{later} later" if later else ""),
        "Highest": Cell(f"{top['method']} {top['srcc']:.4f}", f"{top['protocol']}; {top['source']}"),
        BEST_RIVAL: Cell(span(rival["srcc"], "{:.4f}"), printed) if len(rival) else DASH,
    }
