rule report:
    input:
        train=models_of("train", settings["train"]["arms"]),
        lift=models_of("lift", settings["lift"]["arms"]),
        probe=models_of("probe", settings["probe"]["arms"]),
        evaluate=models_of("evaluate", settings["evaluate"]["arms"]),
    output:
        manifest="data/report/manifest.json",
    log:
        "data/logs/report.log",
    benchmark:
        "data/benchmarks/report.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=1000,
    params:
        code=code_version("report", "stats", "scenes", "geometry"),
        config=section("report"),
    message:
        "results table and report"
    shell:
        "spatialsv report --train {input.train} --lift {input.lift}"
        " --probe {input.probe} --evaluate {input.evaluate}"
        " --config {params.config:q} --out {output.manifest} 2>&1 | tee {log}"
