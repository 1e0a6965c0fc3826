# What each model costs -> efficiency.parquet, and timings/efficiency.parquet, which is another every time


rule efficiency:
    input:
        weights=[weights_file(name) for name in config["encoders"]],
    output:
        counted=at(layout.EFFICIENCY),
        timed=at(layout.TIMED),
    log:
        f"{RESULTS}/logs/efficiency.log",
    conda:
        "../../environment.yml"
    resources:
        gpu=int(ENCODES_ON != "cpu"),
        gpu_mb=ENCODING_MB * (ENCODES_ON != "cpu"),
    params:
        config=json.dumps(config, sort_keys=True),
        planned=study.recipes_digest,
        recipes=RECIPES,
        code=[FEATURES_CODE, fingerprint("mstclipiqa.analyses.efficiency", data=["model/fusions", "model/rivals"])],
    shell:
        "python -m mstclipiqa efficiency --config {params.config:q} --recipes {params.recipes:q} --planned {params.planned}"
        " --out {output.counted:q} --timings {output.timed:q} 2>&1 | tee {log:q}"
