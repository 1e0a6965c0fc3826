# What each model costs -> efficiency.parquet, and timings/efficiency.parquet, which is another every time


rule efficiency:
    input:
        weights=[weights_file(name) for name in config["encoders"]],
    output:
        counted=f"{RESULTS}/efficiency.parquet",
        timed=f"{RESULTS}/timings/efficiency.parquet",
    params:
        config=json.dumps(config, sort_keys=True),
        values=[json.dumps(recipe.values, sort_keys=True) for recipe in study.recipes.values()],
        recipes=RECIPES,
        code=[FEATURES_CODE, fingerprint("mstclipiqa.analyses.efficiency", data=["model/fusions"])],
    log:
        f"{RESULTS}/logs/efficiency.log",
    resources:
        gpu=1,
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa efficiency --config {params.config:q} --recipes {params.recipes:q}"
        " --out {output.counted:q} --timings {output.timed:q} 2>&1 | tee {log:q}"
