# samples.parquet and images -> features/<encoder>.safetensors, views of them -> features/<encoder>-<recipe>.safetensors;
# texts -> prompts and levels


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


rule extract_views:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        root=f"{DATA}/{{benchmark}}",
        weights=lambda wildcards: weights_file(wildcards.encoder),
    output:
        f"{RESULTS}/{{benchmark}}/features/{{encoder}}-{{recipe}}.safetensors",
    params:
        encoder=lambda wildcards: encoder_spec(wildcards.encoder),
        batch_size=config["extraction"]["batch_size"],
        views=lambda wildcards: json.dumps(
            [study.recipes[wildcards.recipe].views, study.recipes[wildcards.recipe].augmentation]
        ),
        recipe=lambda wildcards: RECIPES / f"{wildcards.recipe}.yaml",
        code=FEATURES_CODE,
    log:
        f"{RESULTS}/logs/extract_views/{{benchmark}}-{{encoder}}-{{recipe}}.log",
    threads: config["extraction"]["threads"]
    resources:
        gpu=1,
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa extract {params.encoder} --samples {input.samples:q} --root {input.root:q}"
        " --recipe {params.recipe:q} --batch-size {params.batch_size} --threads {threads} --out {output:q}"
        " 2>&1 | tee {log:q}"


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


# Level texts by the fine encoder's own text tower, for two complete CLIPs
use rule encode_levels as encode_fine_levels with:
    input:
        weights=weights_file("fine"),
    output:
        f"{RESULTS}/levels/{{recipe}}-fine.safetensors",
    params:
        encoder=encoder_spec("fine"),
        template=lambda wildcards: study.recipes[wildcards.recipe].template,
        code=FEATURES_CODE,
    log:
        f"{RESULTS}/logs/encode_fine_levels/{{recipe}}.log",
