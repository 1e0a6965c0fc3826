# samples.parquet and images -> features/<encoder>.safetensors; texts -> prompts and levels


rule extract:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        root=f"{DATA}/{{benchmark}}",
        weights=lambda wildcards: weights_file(wildcards.encoder),
    output:
        f"{RESULTS}/{{benchmark}}/features/{{encoder}}.safetensors",
    params:
        encoder=lambda wildcards: encoder_spec(wildcards.encoder),
        batch_size=config["extraction"]["batch_size"],
        code=FEATURES_CODE,
    log:
        f"{RESULTS}/logs/extract/{{benchmark}}-{{encoder}}.log",
    benchmark:
        f"{RESULTS}/timings/extract/{{benchmark}}-{{encoder}}.tsv"
    threads: config["extraction"]["threads"]
    resources:
        gpu=1,
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa extract {params.encoder} --samples {input.samples:q} --root {input.root:q}"
        " --batch-size {params.batch_size} --threads {threads} --out {output:q} 2>&1 | tee {log:q}"


rule encode_prompts:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        weights=weights_file(config["text_encoder"]),
    output:
        f"{RESULTS}/{{benchmark}}/features/prompts.safetensors",
    params:
        encoder=encoder_spec(config["text_encoder"]),
        code=FEATURES_CODE,
    log:
        f"{RESULTS}/logs/encode_prompts/{{benchmark}}.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa encode-texts {params.encoder} --samples {input.samples:q} --out {output:q}"
        " 2>&1 | tee {log:q}"


rule encode_levels:
    input:
        weights=weights_file(config["text_encoder"]),
    output:
        f"{RESULTS}/levels/{{recipe}}.safetensors",
    params:
        encoder=encoder_spec(config["text_encoder"]),
        template=lambda wildcards: study.recipes[wildcards.recipe].template,
        code=FEATURES_CODE,
    log:
        f"{RESULTS}/logs/encode_levels/{{recipe}}.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa encode-texts {params.encoder} --template {params.template:q} --out {output:q}"
        " 2>&1 | tee {log:q}"
