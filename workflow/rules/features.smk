# samples.parquet and images -> features/<encoder>.safetensors and prompts.safetensors; augmented views of the images ->
# features/<encoder>-<recipe>.safetensors; texts of the quality levels -> levels/

#: What decides features: the code, and the architectures and weights that this project brings along.
FEATURES_CODE = fingerprint(
    "mstclipiqa.encoders.encode",
    *(["mstclipiqa.data.translations"] if study.translations else []),
    data=["encoders/model_configs", "encoders/weights"],
)

#: How all encoders of images run, as options of the command.
EXTRACTION = (
    "--batch-size {batch_size} --gpu-batch-size {gpu_batch_size} --precision {precision}".format_map(
        config["extraction"]
    )
    + f" --device {ENCODES_ON}"
)


# A job starts once for both encoders of the pair and the prompts, and decodes an image once. `update` leaves the stores
# that are there to the command, which encodes what they lack: with another fine encoder, the coarse one's stays.
rule extract:
    input:
        lambda wildcards: marks("pair", wildcards.benchmark),
        samples=at(layout.SAMPLES),
        root=f"{DATA}/{{benchmark}}",
        weights=[weights_file(name) for name in dict.fromkeys([*PAIR, config["text_encoder"]])],
        translations=lambda wildcards: study.translations.get(wildcards.benchmark, []),
    output:
        update([*(at(layout.FEATURES, encoder=name) for name in PAIR), at(layout.PROMPTS)]),
    log:
        f"{RESULTS}/logs/extract/{{benchmark}}.log",
    benchmark:
        at(layout.EXTRACTION, encoders="-".join(PAIR))
    priority: AT_ONCE
    conda:
        "../../environment.yml"
    threads: config["extraction"]["threads"]
    resources:
        gpu=int(ENCODES_ON != "cpu"),
        gpu_mb=ENCODING_MB * (ENCODES_ON != "cpu"),
    params:
        encoders=lambda wildcards: " ".join(
            [
                filling(layout.FEATURES, PAIR, benchmark=wildcards.benchmark),
                filling_prompts(wildcards.benchmark),
                *translated(wildcards.benchmark),
            ]
        ),
        views="",
        extraction=EXTRACTION,
        shard="",
        code=FEATURES_CODE,
    shell:
        "python -m mstclipiqa extract {params.encoders} --samples {input.samples:q} --root {input.root:q}"
        " {params.views} {params.extraction} {params.shard} --threads {threads} 2>&1 | tee {log:q}"


# An encoder that only some recipes and variants need
use rule extract as extract_other with:
    input:
        lambda wildcards: marks(wildcards.encoder, wildcards.benchmark),
        samples=at(layout.SAMPLES),
        root=f"{DATA}/{{benchmark}}",
        weights=lambda wildcards: weights_file(wildcards.encoder),
    output:
        update(at(layout.FEATURES)),
    log:
        f"{RESULTS}/logs/extract/{{benchmark}}-{{encoder}}.log",
    benchmark:
        at(layout.EXTRACTION, encoders="{encoder}")
    params:
        encoders=lambda wildcards: filling(layout.FEATURES, [wildcards.encoder], benchmark=wildcards.benchmark),


# The augmented views of a recipe that trains on some, by one encoder
use rule extract_other as extract_views with:
    input:
        lambda wildcards: marks(f"{wildcards.encoder}-{wildcards.recipe}", wildcards.benchmark),
        samples=at(layout.SAMPLES),
        root=f"{DATA}/{{benchmark}}",
        weights=lambda wildcards: weights_file(wildcards.encoder),
    output:
        update(at(layout.VIEWS)),
    log:
        f"{RESULTS}/logs/extract_views/{{benchmark}}-{{encoder}}-{{recipe}}.log",
    benchmark:
        f"{RESULTS}/timings/extract_views/{{benchmark}}-{{encoder}}-{{recipe}}.tsv"
    params:
        encoders=lambda wildcards: filling(
            layout.VIEWS, [wildcards.encoder], benchmark=wildcards.benchmark, recipe=wildcards.recipe
        ),
        views=lambda wildcards: f"--recipe {quote(planned_views(wildcards.recipe))}",


ruleorder: extract > extract_other > extract_views


rule encode_levels:
    input:
        weights=weights_file(config["text_encoder"]),
    output:
        at(layout.LEVELS),
    log:
        f"{RESULTS}/logs/encode_levels/{{recipe}}.log",
    priority: AT_ONCE
    conda:
        "../../environment.yml"
    params:
        encoder=encoder_options(config["text_encoder"]),
        template=lambda wildcards: study.recipes[wildcards.recipe].template,
        code=FEATURES_CODE,
    shell:
        "python -m mstclipiqa encode-texts {params.encoder} --template {params.template:q} --out {output:q}"
        " 2>&1 | tee {log:q}"


# Level texts by the fine encoder's own text tower, for two complete CLIPs
use rule encode_levels as encode_fine_levels with:
    input:
        weights=weights_file("fine"),
    output:
        at(layout.FINE_LEVELS),
    log:
        f"{RESULTS}/logs/encode_fine_levels/{{recipe}}.log",
    params:
        encoder=encoder_options("fine"),
