rule train_arm:
    input:
        scenes=arm_scenes,
        labels=arm_labels,
        pseudo=arm_pseudo,
    output:
        manifest=f"data/train/{BASE}/{{arm}}/{{seed}}/manifest.json",
    log:
        f"data/logs/train/{BASE}/{{arm}}/{{seed}}.log",
    benchmark:
        f"data/benchmarks/train/{BASE}/{{arm}}/{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=4000,
        gpu=GPU,
    params:
        code=code_version(
            "geometry",
            "losses",
            "model",
            "samples",
            "scenes/rooms/question",
            "scenes/scene",
            "scenes/store",
            "train",
            "weights/mllm",
        ),
        base=BASE,
        config=arm_section,
    message:
        "train arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv train --arm {wildcards.arm} --seed {wildcards.seed} --base {params.base}"
        " --scenes {input.scenes} --labels {input.labels} --pseudo {input.pseudo}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"


rule train:
    input:
        models_of("train", settings["train"]["arms"]),
    output:
        manifest="data/train/manifest.json",
    log:
        "data/logs/train.log",
    conda:
        "../../environment.yml"
    message:
        "gather train"
    shell:
        "spatialsv gather --of train --out {output.manifest} {input} 2>&1 | tee {log}"
