# samples.parquet and images -> features/<encoder>.safetensors and prompts.safetensors; augmented views of the images ->
# features/<encoder>-<recipe>.safetensors; texts of the quality levels -> levels/

# A job starts once for all of its encoders and the prompts, and decodes an image once. `update` leaves the stores that
# are there to the command, which encodes what they lack: with another fine encoder, the coarse one's stays as it is.

STORES = f"{RESULTS}/{{benchmark}}/features/{{encoder}}.safetensors"


rule extract:
    input:
        marks("pair"),
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        root=f"{DATA}/{{benchmark}}",
        weights=[weights_file(name) for name in dict.fromkeys([*PAIR, config["text_encoder"]])],
    output:
        update(expand(STORES, encoder=[*PAIR, "prompts"], allow_missing=True)),
    params:
        encoders=lambda wildcards: " ".join(
            [encoders_into(STORES, PAIR, wildcards.benchmark), prompts_into(STORES, wildcards.benchmark)]
        ),
        extraction=EXTRACTION,
        shard="",
        code=FEATURES_CODE,
    log:
        f"{RESULTS}/logs/extract/{{benchmark}}.log",
    benchmark:
        f"{RESULTS}/timings/extract/{{benchmark}}-{'-'.join(PAIR)}.tsv"
    threads: config["extraction"]["threads"]
    resources:
        gpu=1,
    conda:
        "../../environment.yml"
    shell:
        "python -m mstclipiqa extract {params.encoders} --samples {input.samples:q} --root {input.root:q}"
        " {params.extraction} {params.shard} --threads {threads} 2>&1 | tee {log:q}"


use rule extract as extract_shard with:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        root=f"{DATA}/{{benchmark}}",
        weights=[weights_file(name) for name in PAIR],
    output:
        temp(touch(mark("pair"))),
    params:
        encoders=lambda wildcards: encoders_into(STORES, PAIR, wildcards.benchmark),
        shard=lambda wildcards: share(wildcards.shard),
    log:
        f"{RESULTS}/logs/extract/{{benchmark}}-{{shard}}.log",
    benchmark:
        f"{RESULTS}/timings/extract/{{benchmark}}-{'-'.join(PAIR)}-{{shard}}.tsv"


# Encoders that only some recipes and variants need
use rule extract as extract_other with:
    input:
        marks("{encoder}"),
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        root=f"{DATA}/{{benchmark}}",
        weights=lambda wildcards: weights_file(wildcards.encoder),
    output:
        update(STORES),
    params:
        encoders=lambda wildcards: encoders_into(STORES, [wildcards.encoder], wildcards.benchmark),
    log:
        f"{RESULTS}/logs/extract/{{benchmark}}-{{encoder}}.log",
    benchmark:
        f"{RESULTS}/timings/extract/{{benchmark}}-{{encoder}}.tsv"


use rule extract_other as extract_other_shard with:
    input:
        samples=f"{RESULTS}/{{benchmark}}/samples.parquet",
        root=f"{DATA}/{{benchmark}}",
        weights=lambda wildcards: weights_file(wildcards.encoder),
    output:
        temp(touch(mark("{encoder}"))),
    params:
        shard=lambda wildcards: share(wildcards.shard),
    log:
        f"{RESULTS}/logs/extract/{{benchmark}}-{{encoder}}-{{shard}}.log",
    benchmark:
        f"{RESULTS}/timings/extract/{{benchmark}}-{{encoder}}-{{shard}}.tsv"


# Which encoders see a recipe's augmented views differs between benchmarks: a rule for each, and one for each shard
for (benchmark, recipe), encoders in study.views.items():
    for shard in ["", *SHARDS]:
        views = f"{RESULTS}/{{benchmark}}/features/{{encoder}}-{recipe}.safetensors"
        job = "_".join([benchmark, recipe, *([shard] if shard else [])])

        rule:
            name:
                f"extract_views_{job}"
            input:
                [] if shard else marks(f"views-{recipe}", benchmark),
                samples=f"{RESULTS}/{benchmark}/samples.parquet",
                root=f"{DATA}/{benchmark}",
                weights=[weights_file(name) for name in encoders],
            output:
                temp(touch(mark(f"views-{recipe}", benchmark, shard)))
                if shard
                else update(expand(views, benchmark=benchmark, encoder=encoders)),
            params:
                encoders=encoders_into(views, encoders, benchmark),
                extraction=EXTRACTION,
                shard=share(shard),
                augmentation=json.dumps([study.recipes[recipe].views, study.recipes[recipe].augmentation]),
                recipe=RECIPES / f"{recipe}.yaml",
                code=FEATURES_CODE,
            log:
                f"{RESULTS}/logs/extract_views/{job}.log",
            threads: config["extraction"]["threads"]
            resources:
                gpu=1,
            conda:
                "../../environment.yml"
            shell:
                "python -m mstclipiqa extract {params.encoders} --samples {input.samples:q} --root {input.root:q}"
                " --recipe {params.recipe:q} {params.extraction} {params.shard} --threads {threads} 2>&1 | tee {log:q}"


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
    log:
        f"{RESULTS}/logs/encode_fine_levels/{{recipe}}.log",
