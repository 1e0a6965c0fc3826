# What does MST-CLIPIQA* attend to in the prompts? Its first run, trained once more -> attention/<target>/<recipe>.parquet


rule attend:
    input:
        unpack(training_inputs),
    output:
        at(layout.ATTENTION),
    log:
        f"{RESULTS}/logs/attend/{{benchmark}}-{{target}}-{{recipe}}.log",
    conda:
        "../../environment.yml"
    params:
        results=subpath(input.samples, ancestor=2),
        recipe=lambda wildcards: planned_recipe(wildcards.recipe),
        seed=config["seeds"][0],
        split_seed=config.get("split_seeds", config["seeds"])[0],
        code=code_of_variant("mstclipiqa.analyses.attention", MODELS[1]),
    shell:
        "python -m mstclipiqa attend {wildcards.benchmark} --results {params.results:q} --recipe {params.recipe:q}"
        " --target {wildcards.target} --seed {params.seed} --split-seed {params.split_seed} --out {output:q}"
        " 2>&1 | tee {log:q}"
