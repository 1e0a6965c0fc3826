# Is the recipe enough, and do the models carry over to other benchmarks? -> curves.parquet, transfer.parquet


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
        priority: SOON
        conda:
            "../../environment.yml"
        params:
            files=common_options(CURVED),
            cases=" ".join(case_options(CURVED, recipe) for recipe in CURVED_RECIPES),
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
            levels=at(layout.LEVELS, recipe=CARRIED),
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
            recipe=planned_recipe(CARRIED),
            seed=config["seeds"][0],
            code=code_of_variant("mstclipiqa.analyses.transfer", FOLLOWED),
        shell:
            "python -m mstclipiqa transfer {params.sources} --levels {input.levels:q} --recipe {params.recipe:q}"
            " --seed {params.seed} --out {output:q} 2>&1 | tee {log:q}"
