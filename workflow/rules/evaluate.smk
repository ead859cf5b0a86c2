rule evaluate_model:
    input:
        model=lambda wildcards: dag.model_manifest(wildcards.arm, wildcards.seed),
        adapter=ADAPTER_FILES,
        scenes=dag.scenes_of(dag.split),
        train_scenes=lambda wildcards: dag.baseline_scenes(wildcards.arm),
    output:
        manifest=f"data/evaluate/{dag.base}/{{arm}}/{{seed}}/manifest.json",
    log:
        f"data/logs/evaluate/{dag.base}/{{arm}}/{{seed}}.log",
    benchmark:
        f"data/benchmarks/evaluate/{dag.base}/{{arm}}/{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=3000,
        gpu=GPU,
    params:
        code=lambda wildcards: code_version("evaluate", wildcards.arm == "base"),
        model=lambda wildcards: dag.model_path(wildcards.arm, wildcards.seed),
        family=FAMILY,
        scenes=words("scenes"),
        train_scenes=words("train_scenes"),
        config=dag.section("evaluate"),
    message:
        "answer questions: arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv evaluate --model {params.model:q} {params.family:q} "
        " --scenes {params.scenes:q} --train-scenes {params.train_scenes:q}"
        " --config {params.config:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {output.manifest:q} 2>&1 | tee {log:q}"


# A third-party benchmark, in its authors' files: `evaluate.benchmarks` names them.
rule evaluate_benchmark:
    input:
        model=lambda wildcards: dag.model_manifest(wildcards.arm, wildcards.seed),
        adapter=ADAPTER_FILES,
        train_scenes=lambda wildcards: dag.training_scenes(wildcards.arm),
    output:
        manifest=f"data/evaluate/{dag.base}/{{arm}}/{{seed}}/{{name}}/manifest.json",
    log:
        f"data/logs/evaluate/{dag.base}/{{arm}}/{{seed}}/{{name}}.log",
    benchmark:
        f"data/benchmarks/evaluate/{dag.base}/{{arm}}/{{seed}}/{{name}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS
    resources:
        mem_mb=3000,
        gpu=GPU,
    params:
        code=lambda wildcards: code_version("evaluate", wildcards.arm == "base"),
        model=lambda wildcards: dag.model_path(wildcards.arm, wildcards.seed),
        family=FAMILY,
        data=lambda wildcards: dag.benchmarks[wildcards.name]["data"],
        files=lambda wildcards: digest_of(dag.benchmarks[wildcards.name]["data"]),
        train_scenes=words("train_scenes"),
        config=lambda wildcards: dag.benchmark_section(wildcards.name),
        out=f"data/evaluate/{dag.base}/{{arm}}/{{seed}}/{{name}}",
    message:
        "answer {wildcards.name}: arm {wildcards.arm}, seed {wildcards.seed}"
    shell:
        "spatialsv evaluate {wildcards.name:q} --data {params.data:q}"
        " --model {params.model:q} {params.family:q} --train-scenes {params.train_scenes:q}"
        " --config {params.config:q} --made-from .snakemake/jobs/{output.manifest:q}"
        " --out {params.out:q} 2>&1 | tee {log:q}"


rule evaluate:
    input:
        dag.stage_manifests("evaluate"),
