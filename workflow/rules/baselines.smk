# What the heads are held against: features/statistics.safetensors, then baselines.parquet by ridge regression


rule measure:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        root=f"{DATA}/{{benchmark}}",
    output:
        f"{RESULTS}/{{benchmark}}/features/statistics.safetensors",
    params:
        code=fingerprint("mstclipiqa.extraction"),
    log:
        f"{RESULTS}/logs/measure/{{benchmark}}.log",
    threads: config["extraction"]["threads"]
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa measure --samples {input.samples:q} --root {input.root:q} --threads {threads}"
        " --out {output:q} 2>&1 | tee {log:q}"


rule baselines:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        splits=f"{RESULTS}/{{benchmark}}/splits.parquet",
        coarse=f"{RESULTS}/{{benchmark}}/features/coarse.safetensors",
        fine=f"{RESULTS}/{{benchmark}}/features/fine.safetensors",
        statistics=f"{RESULTS}/{{benchmark}}/features/statistics.safetensors",
    output:
        f"{RESULTS}/{{benchmark}}/baselines.parquet",
    params:
        code=fingerprint("mstclipiqa.baselines"),
    log:
        f"{RESULTS}/logs/baselines/{{benchmark}}.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa baselines --samples {input.samples:q} --splits {input.splits:q} --coarse {input.coarse:q}"
        " --fine {input.fine:q} --statistics {input.statistics:q} --out {output:q} 2>&1 | tee {log:q}"
