# Does the gate matter, and how much of the fine stream is needed? Trained models taken apart -> dissection/<recipe>/

if study.dissected:

    rule dissect:
        input:
            lambda wildcards: training_files(wildcards.benchmark, wildcards.recipe, FOLLOWED).values(),
        output:
            [at(entry) for entry in layout.DISSECTION],
        log:
            f"{RESULTS}/logs/dissect/{{benchmark}}-{{recipe}}.log",
        benchmark:
            f"{RESULTS}/timings/dissect/{{benchmark}}-{{recipe}}.tsv"
        conda:
            "../../environment.yml"
        params:
            files=training_options,
            recipe=lambda wildcards: planned_recipe(wildcards.recipe),
            seed=config["seeds"][0],
            folder=lambda wildcards, output: Path(output[0]).parent,
            code=fingerprint(
                "mstclipiqa.analyses.dissection",
                *(module for name in DISSECTED for module in get_variant(name).modules),
            ),
        shell:
            "python -m mstclipiqa dissect {params.files} --recipe {params.recipe:q} --seed {params.seed}"
            " --out {params.folder:q} 2>&1 | tee {log:q}"
