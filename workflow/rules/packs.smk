# A feature pack takes the place of a benchmark's images and of what is encoded of them -> samples.parquet, features/;
# where every benchmark has one, no encoder is needed for levels/ either. And packs of what was encoded -> packs/


for packed in study.packed:

    # Without wildcards, so that it comes before the rules that read and encode images.
    rule:
        name:
            f"unpack_{packed.replace('-', '_')}"
        input:
            pack_input(packed),
        output:
            samples=at(layout.SAMPLES, benchmark=packed),
            stores=[*unpacked(packed), *unpacked_texts(packed)],
        log:
            f"{RESULTS}/logs/unpack/{packed}.log",
        priority: AT_ONCE
        conda:
            "../../environment.yml"
        params:
            benchmark=packed,
            source=study.packs[packed],
            stores=unpack_options(packed),
            precision=config["extraction"]["precision"],
            code=fingerprint("mstclipiqa.study.packing", get_benchmark(packed).read.__module__),
        shell:
            "python -m mstclipiqa unpack {params.benchmark} --pack {params.source:q} --samples {output.samples:q}"
            " {params.stores} --precision {params.precision} 2>&1 | tee {log:q}"


# `snakemake --cores all packs` -> packs/<benchmark>.zip: of encoders whose features a recipe trains on as they are; one
# that serves augmented views alone would be of no use without these
rule packs:
    input:
        [at(layout.PACK, benchmark=name) for name in study.benchmarks],


rule pack:
    input:
        samples=at(layout.SAMPLES),
        prompts=at(layout.PROMPTS),
        stores=lambda wildcards: [at(layout.FEATURES, encoder=name) for name in study.packable(wildcards.benchmark)],
        levels=[
            *(at(layout.LEVELS, recipe=name) for name in study.recipes),
            *(at(layout.FINE_LEVELS, recipe=name) for name in study.with_two_towers),
            at(layout.ZERO_SHOT),
        ],
    output:
        at(layout.PACK),
    log:
        f"{RESULTS}/logs/pack/{{benchmark}}.log",
    conda:
        "../../environment.yml"
    params:
        results=subpath(input.samples, ancestor=2),
        encoders=lambda wildcards: " ".join(f"--encoder {name}" for name in study.packable(wildcards.benchmark)),
        code=fingerprint("mstclipiqa.study.packing"),
    shell:
        "python -m mstclipiqa pack {wildcards.benchmark} --results {params.results:q} {params.encoders} --out {output:q}"
        " 2>&1 | tee {log:q}"
