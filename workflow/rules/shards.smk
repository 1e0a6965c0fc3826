# Extraction in shares, where `extraction: shards` asks for some: each job leaves its batches where the job that writes the
# stores finds them, and a mark, gone with it, that it is done.


use rule extract as extract_shard with:
    input:
        samples=at(layout.SAMPLES),
        root=f"{DATA}/{{benchmark}}",
        weights=[weights_file(name) for name in PAIR],
    output:
        temp(touch(mark("pair"))),
    log:
        f"{RESULTS}/logs/extract/{{benchmark}}-{{shard}}.log",
    benchmark:
        f"{RESULTS}/timings/shards/{{benchmark}}-{{shard}}.tsv"
    params:
        encoders=lambda wildcards: filling(layout.FEATURES, PAIR, benchmark=wildcards.benchmark),
        shard=share,


use rule extract_other as extract_other_shard with:
    input:
        samples=at(layout.SAMPLES),
        root=f"{DATA}/{{benchmark}}",
        weights=lambda wildcards: weights_file(wildcards.encoder),
    output:
        temp(touch(mark("{encoder}"))),
    log:
        f"{RESULTS}/logs/extract/{{benchmark}}-{{encoder}}-{{shard}}.log",
    benchmark:
        f"{RESULTS}/timings/shards/{{benchmark}}-{{encoder}}-{{shard}}.tsv"
    params:
        shard=share,


use rule extract_views as extract_views_shard with:
    input:
        samples=at(layout.SAMPLES),
        root=f"{DATA}/{{benchmark}}",
        weights=lambda wildcards: weights_file(wildcards.encoder),
    output:
        temp(touch(mark("{encoder}-{recipe}"))),
    log:
        f"{RESULTS}/logs/extract_views/{{benchmark}}-{{encoder}}-{{recipe}}-{{shard}}.log",
    benchmark:
        f"{RESULTS}/timings/shards/{{benchmark}}-{{encoder}}-{{recipe}}-{{shard}}.tsv"
    params:
        shard=share,
