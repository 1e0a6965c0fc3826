# What the heads are held against: features/statistics.safetensors and zero-shot texts, then baselines.parquet


rule measure:
    input:
        samples=at(layout.SAMPLES),
        root=f"{DATA}/{{benchmark}}",
    output:
        at(layout.STATISTICS),
    log:
        f"{RESULTS}/logs/measure/{{benchmark}}.log",
    conda:
        "../../environment.yml"
    threads: config["extraction"]["threads"]
    params:
        code=fingerprint("mstclipiqa.encoders.measure"),
    shell:
        "python -m mstclipiqa measure --samples {input.samples:q} --root {input.root:q} --threads {threads}"
        " --out {output:q} 2>&1 | tee {log:q}"


if study.texts_packed is None:

    rule encode_zero_shot:
        input:
            weights=weights_file(config["text_encoder"]),
        output:
            at(layout.ZERO_SHOT),
        log:
            f"{RESULTS}/logs/encode_zero_shot.log",
        conda:
            "../../environment.yml"
        params:
            encoder=encoder_options(config["text_encoder"]),
            code=[FEATURES_CODE, fingerprint("mstclipiqa.analyses.zero_shot")],
        shell:
            "python -m mstclipiqa encode-texts {params.encoder} --zero-shot --out {output:q} 2>&1 | tee {log:q}"


rule baselines:
    input:
        samples=at(layout.SAMPLES),
        splits=at(layout.SPLITS),
        coarse=at(layout.FEATURES, encoder="coarse"),
        fine=at(layout.FEATURES, encoder="fine"),
        statistics=lambda wildcards: statistics_of(wildcards.benchmark),
        prompts=at(layout.PROMPTS),
        texts=at(layout.ZERO_SHOT),
        paired=at(layout.FEATURES, encoder=config["text_encoder"]),
        streams=[at(layout.FEATURES, encoder=name) for name in config.get("streams", [])],
    output:
        at(layout.BASELINES),
    log:
        f"{RESULTS}/logs/baselines/{{benchmark}}.log",
    conda:
        "../../environment.yml"
    params:
        statistics=lambda wildcards: " ".join(f"--statistics {path}" for path in statistics_of(wildcards.benchmark)),
        streams=lambda wildcards: " ".join(
            f"--stream {at(layout.FEATURES, encoder=name, **wildcards)}" for name in config.get("streams", [])
        ),
        code=fingerprint("mstclipiqa.analyses.baselines"),
    shell:
        "python -m mstclipiqa baselines --samples {input.samples:q} --splits {input.splits:q} --coarse {input.coarse:q}"
        " --fine {input.fine:q} {params.statistics} --prompts {input.prompts:q} --texts {input.texts:q}"
        " --paired {input.paired:q} {params.streams} --out {output:q} 2>&1 | tee {log:q}"
