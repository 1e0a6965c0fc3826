# What the heads are held against: features/statistics.safetensors and zero-shot texts, then baselines.parquet


rule measure:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        root=f"{DATA}/{{benchmark}}",
    output:
        f"{RESULTS}/{{benchmark}}/features/statistics.safetensors",
    params:
        code=fingerprint("mstclipiqa.encoders.extraction"),
    log:
        f"{RESULTS}/logs/measure/{{benchmark}}.log",
    threads: config["extraction"]["threads"]
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa measure --samples {input.samples:q} --root {input.root:q} --threads {threads}"
        " --out {output:q} 2>&1 | tee {log:q}"


rule encode_zero_shot:
    input:
        weights=weights_file(config["text_encoder"]),
    output:
        f"{RESULTS}/levels/zero_shot.safetensors",
    params:
        encoder=encoder_spec(config["text_encoder"]),
        code=[FEATURES_CODE, fingerprint("mstclipiqa.analyses.baselines")],
    log:
        f"{RESULTS}/logs/encode_zero_shot.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa encode-texts {params.encoder} --zero-shot --out {output:q} 2>&1 | tee {log:q}"


rule baselines:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        splits=f"{RESULTS}/{{benchmark}}/splits.parquet",
        coarse=f"{RESULTS}/{{benchmark}}/features/coarse.safetensors",
        fine=f"{RESULTS}/{{benchmark}}/features/fine.safetensors",
        statistics=f"{RESULTS}/{{benchmark}}/features/statistics.safetensors",
        prompts=f"{RESULTS}/{{benchmark}}/features/prompts.safetensors",
        texts=f"{RESULTS}/levels/zero_shot.safetensors",
        paired=f"{RESULTS}/{{benchmark}}/features/{config['text_encoder']}.safetensors",
    output:
        f"{RESULTS}/{{benchmark}}/baselines.parquet",
    params:
        code=fingerprint("mstclipiqa.analyses.baselines"),
    log:
        f"{RESULTS}/logs/baselines/{{benchmark}}.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa baselines --samples {input.samples:q} --splits {input.splits:q} --coarse {input.coarse:q}"
        " --fine {input.fine:q} --statistics {input.statistics:q} --prompts {input.prompts:q} --texts {input.texts:q}"
        " --paired {input.paired:q} --out {output:q} 2>&1 | tee {log:q}"
