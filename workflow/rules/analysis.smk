rule analysis:
    input:
        train=dag.run_manifests("train"),
        lift=dag.run_manifests("lift"),
        probe=dag.run_manifests("probe"),
        evaluate=dag.run_manifests("evaluate"),
        pseudo=dag.run_manifests("pseudo"),
        scenes=dag.scenes_of(dag.split),
        labels=dag.labels_to_show(),
    output:
        # `snakemake --report` shows this; the manifest lists the rest.
        table=report(
            "data/analysis/plots/scores.csv", category="Results", caption="../report/table.rst"
        ),
        manifest="data/analysis/manifest.json",
    log:
        "data/logs/analysis.log",
    benchmark:
        "data/benchmarks/analysis.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
    params:
        code=code_version("analysis"),
        config=dag.section("analysis"),
    message:
        "analysis"
    shell:
        "spatialsv analysis --train {input.train} --lift {input.lift}"
        " --probe {input.probe} --evaluate {input.evaluate} --pseudo {input.pseudo}"
        " --scenes {input.scenes} --labels {input.labels}"
        " --config {params.config:q} --out {output.manifest} > {log} 2>&1"
