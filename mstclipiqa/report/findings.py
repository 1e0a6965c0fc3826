"""What the experiments on real ratings amount to, in sentences: for each the number, its interval and what follows."""

from types import SimpleNamespace

from mstclipiqa.base.names import ENTERED, LAST, MODELS, QUALITY
from mstclipiqa.evaluation.noise import FEWEST_SPLITS, noise_over_splits
from mstclipiqa.report.contrasts import HELPS, HURTS, NOT_SHOWN, found, limits
from mstclipiqa.report.dissection import found_by_dissection
from mstclipiqa.report.leakage_effect import found_of_leakage
from mstclipiqa.report.multiverse import found_in_specifications
from mstclipiqa.report.recipe_effects import found_of_recipes, ratio_tested
from mstclipiqa.report.results import Results, ordered
from mstclipiqa.report.rivals import RIVAL
from mstclipiqa.report.saturation import found_of_saturation
from mstclipiqa.report.unseen_generators import unseen_generators
from mstclipiqa.report.variance import found_in_variance

#: How the noise ceilings' names begin (analyses/noise_ceiling.py).
CEILING = "noise ceiling"

#: What a model's gain over ridge, or a loss on unseen generators, says of the paper's claim.
FOLLOWS_OF_RIDGE = {HELPS: "the head earns its parameters", HURTS: "ridge is better", NOT_SHOWN: "no gain is shown"}
FOLLOWS_OF_UNSEEN = {
    HELPS: "the unseen are ranked better",
    HURTS: "what is learned of seen generators does not carry over in full",
    NOT_SHOWN: "no loss is shown",
}


def further(results: Results) -> list[str]:
    """What is found beside the parts of the model, a sentence or two an experiment; of each where the suite has it."""
    makers = (
        *(found_by_dissection, found_of_recipes, found_against_ridge, found_of_generators, found_of_leakage),
        *(found_of_saturation, found_of_ceiling, found_in_variance, found_in_specifications),
    )
    return [sentence for make in makers for sentence in make(results)]


def found_against_ridge(results: Results) -> list[str]:
    """What the models gain over ridge on the same features and images, under protocols of several splits of which the
    main selection looks at no test image."""
    runs = results.on_real(results.metrics)
    runs = runs[results.is_main(runs) & runs["variant"].isin(MODELS) & ~runs["selection"].isin(["best-on-test", LAST])]
    runs = results.of_sources(runs)
    rivals = results.baselines[results.baselines["source"] == RIVAL]
    rivals = rivals.set_index(["benchmark", "target", "protocol", "split"])["srcc"].sort_index()
    place = ["benchmark", "target", "protocol", "recipe", "variant"]
    parts = []
    for key, rows in runs.groupby(place, sort=False):
        benchmark, target, protocol, recipe, variant = key
        if (benchmark, target, protocol) not in rivals.index.droplevel("split"):
            continue
        gains = (rows.groupby("split")["srcc"].mean() - rivals[benchmark, target, protocol]).dropna()
        if len(gains) >= FEWEST_SPLITS:
            noise = noise_over_splits(gains.to_numpy(), ratio_tested(results, benchmark, protocol))
            row = _of(gains.mean(), noise.interval(gains.mean()))
            parts.append(
                f"{results.title('variants', variant)}, {results.title('benchmarks', benchmark)}, {target}, "
                f"{protocol}, {results.title('recipes', recipe)}: {gains.mean():+.3f} "
                f"{limits(row)}, {FOLLOWS_OF_RIDGE[found(row)]}"
            )
    asked = "Do heads beat ridge, its penalty chosen by inner folds? Gain of SRCC"
    return [f"{asked}: {'; '.join(parts)}."] if parts else []


def found_of_generators(results: Results) -> list[str]:
    """What the models lose on generators that training did not see, of those that have an interval."""
    table = unseen_generators(results)
    if table is None:
        return []
    full = table.full[table.full["variant"].isin(MODELS) & table.full["low"].notna()]
    parts = [
        f"{results.title('variants', row.variant)}, {results.title('benchmarks', row.benchmark)}, {row.target}, "
        f"{row.protocol}, {results.title('recipes', row.recipe)}: {row.difference:+.3f} {limits(row)}, "
        f"{FOLLOWS_OF_UNSEEN[found(row)]}"
        for row in full.itertuples()
    ]
    asked = "Do models carry over to unseen generators? SRCC on them, less that where they were seen"
    return [f"{asked}: {'; '.join(parts)}."] if parts else []


def found_of_ceiling(results: Results) -> list[str]:
    """How near the best model under its best recipe comes to what raters' noise allows, on the first protocol that has
    both. An entered method is none: nobody knows what it was trained on."""
    rivals = results.baselines[results.baselines["source"].str.startswith(CEILING)]
    if rivals.empty:
        return []
    benchmark, known = rivals["benchmark"].iloc[0], set(rivals["protocol"])
    protocol = next(name for name in ordered(results.manifest, "protocols") if name in known)
    rivals = rivals[(rivals["target"] == QUALITY) & (rivals["protocol"] == protocol)]
    ceilings = rivals.groupby("source", sort=False)["srcc"].agg(["mean", "min", "max"])
    runs = results.metrics[(results.metrics["benchmark"] == benchmark) & (results.metrics["protocol"] == protocol)]
    runs = runs[results.is_main(runs) & (runs["target"] == QUALITY) & (runs["recipe"] != ENTERED)]
    best = runs.groupby(["recipe", "variant"])["srcc"].mean()
    if best.empty:
        return []
    parts = "; ".join(
        f"{str(name).removeprefix(f'{CEILING}, ')} {row['mean']:.3f} ({row['min']:.3f} to {row['max']:.3f} over splits)"
        for name, row in ceilings.iterrows()
    )
    below = best.max() < ceilings["mean"].min()
    follows = ": what is missing is the models’, not the raters’" if below else ""
    return [
        f"What does raters’ noise allow? SRCC of the true quality with the MOS, {protocol}: {parts}. The best model "
        f"has {best.max():.3f}{follows}."
    ]


def _of(difference: float, interval: tuple[float, float]) -> SimpleNamespace:
    return SimpleNamespace(difference=difference, low=interval[0], high=interval[1])
