# Is the recipe enough, and do the models carry over to other benchmarks? -> curves.parquet, transfer.parquet

#: The benchmark of the curves is the first whose quality is trained under the most recipes.
RECIPES_OF = {
    benchmark: [
        job.recipe
        for job in study.jobs
        if (job.benchmark, job.target, job.variant) == (benchmark, "quality", FOLLOWED)
    ]
    for benchmark in study.benchmarks
}
CURVED = max(RECIPES_OF, key=lambda benchmark: len(RECIPES_OF[benchmark]))

#: The benchmarks to carry over between, under the last recipe of the main grid.
TRANSFERRED = [name for name in study.benchmarks if "quality" in get_benchmark(name).targets]
TRANSFER_RECIPE = config["recipes"][-1]

CURVES = [f"{RESULTS}/curves.parquet"] if RECIPES_OF[CURVED] else []
TRANSFER = [f"{RESULTS}/transfer.parquet"] if len(TRANSFERRED) > 1 else []


if CURVES:

    rule curves:
        input:
            [training_files(CURVED, recipe) for recipe in RECIPES_OF[CURVED]],
        output:
            CURVES,
        params:
            benchmark=CURVED,
            results=lambda wildcards, output: Path(output[0]).parent,
            values=[json.dumps(study.recipes[recipe].values, sort_keys=True) for recipe in RECIPES_OF[CURVED]],
            recipes=" ".join(f"--recipe {RECIPES / recipe}.yaml" for recipe in RECIPES_OF[CURVED]),
            seed=config["seeds"][0],
            code=fingerprint("mstclipiqa.analyses.learning_curves", get_variant(FOLLOWED).module),
        log:
            f"{RESULTS}/logs/curves.log",
        benchmark:
            f"{RESULTS}/timings/curves.tsv"
        conda:
            "../../environment.yml"
        shell:
            "python -m mstclipiqa curves {params.benchmark} --results {params.results:q} {params.recipes}"
            " --seed {params.seed} --out {output:q} 2>&1 | tee {log:q}"


if TRANSFER:

    rule transfer:
        input:
            [training_files(name, TRANSFER_RECIPE) for name in TRANSFERRED],
        output:
            TRANSFER,
        params:
            benchmarks=TRANSFERRED,
            results=lambda wildcards, output: Path(output[0]).parent,
            values=json.dumps(study.recipes[TRANSFER_RECIPE].values, sort_keys=True),
            recipe=RECIPES / f"{TRANSFER_RECIPE}.yaml",
            seed=config["seeds"][0],
            code=fingerprint("mstclipiqa.analyses.transfer", get_variant(FOLLOWED).module),
        log:
            f"{RESULTS}/logs/transfer.log",
        benchmark:
            f"{RESULTS}/timings/transfer.tsv"
        conda:
            "../../environment.yml"
        shell:
            "python -m mstclipiqa transfer {params.benchmarks} --results {params.results:q} --recipe {params.recipe:q}"
            " --seed {params.seed} --out {output:q} 2>&1 | tee {log:q}"
