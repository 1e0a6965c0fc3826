# Is the recipe enough, and do the models carry over to other benchmarks? -> curves.parquet, transfer.parquet

#: The model that both train; every variant of the paper is trained from the same files but for its fine stream.
FOLLOWED = MODELS[0]


def files_of(jobs):
    """All that is trained from, for some (benchmark, recipe)."""
    return [path for job in jobs for path in training_files(*job, FOLLOWED).values()]


def common_options(benchmark):
    """What all curves of a benchmark are drawn from, as options of the command."""
    entries = {"samples": layout.SAMPLES, "splits": layout.SPLITS, "prompts": layout.PROMPTS}
    return " ".join(f"--{name} {at(entry, benchmark=benchmark)}" for name, entry in entries.items())


def case_options(benchmark, recipe):
    """The files of one recipe's curves, as options of the command."""
    files, own = training_files(benchmark, recipe, FOLLOWED), recipe_file(recipe)
    views = f" --views {own} {files['coarse-views']} {files['fine-views']}" if "coarse-views" in files else ""
    return f"--case {own} {files['coarse']} {files['fine']} {files['levels']}{views}"


def source_options(benchmark, recipe):
    """The files of one benchmark to carry over from, as options of the command."""
    files = training_files(benchmark, recipe, FOLLOWED)
    names = ("samples", "splits", "coarse", "fine", "prompts")
    views = (
        f" --views {files['samples']} {files['coarse-views']} {files['fine-views']}" if "coarse-views" in files else ""
    )
    return f"--source {' '.join(files[name] for name in names)}{views}"


if study.curved:
    CURVED, CURVED_RECIPES = study.curved

    rule curves:
        input:
            files_of((CURVED, recipe) for recipe in CURVED_RECIPES),
        output:
            at(layout.CURVES),
        log:
            f"{RESULTS}/logs/curves.log",
        benchmark:
            f"{RESULTS}/timings/curves.tsv"
        conda:
            "../../environment.yml"
        params:
            files=common_options(CURVED),
            cases=" ".join(case_options(CURVED, recipe) for recipe in CURVED_RECIPES),
            values=[recipe_values(recipe) for recipe in CURVED_RECIPES],
            seed=config["seeds"][0],
            code=code_of_variant("mstclipiqa.analyses.learning_curves", FOLLOWED),
        shell:
            "python -m mstclipiqa curves {params.files} {params.cases} --seed {params.seed} --out {output:q}"
            " 2>&1 | tee {log:q}"


if study.transferred:
    CARRIED = config["recipes"][-1]

    rule transfer:
        input:
            files_of((name, CARRIED) for name in study.transferred),
        output:
            at(layout.TRANSFER),
        log:
            f"{RESULTS}/logs/transfer.log",
        benchmark:
            f"{RESULTS}/timings/transfer.tsv"
        conda:
            "../../environment.yml"
        params:
            sources=" ".join(source_options(name, CARRIED) for name in study.transferred),
            levels=at(layout.LEVELS, recipe=CARRIED),
            recipe=recipe_file(CARRIED),
            values=recipe_values(CARRIED),
            seed=config["seeds"][0],
            code=code_of_variant("mstclipiqa.analyses.transfer", FOLLOWED),
        shell:
            "python -m mstclipiqa transfer {params.sources} --levels {params.levels:q} --recipe {params.recipe:q}"
            " --seed {params.seed} --out {output:q} 2>&1 | tee {log:q}"
