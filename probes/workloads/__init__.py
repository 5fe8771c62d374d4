"""What is trained: the workload interface, how user files are loaded, the built-in workloads."""

BUILT_IN = {
    "causal-lm": "probes.workloads.causal_lm:CausalLM",
    "convnet": "probes.workloads.convnet:ConvNet",
    "sft": "finetuning.workload:SFT",
    "transformer": "probes.workloads.transformer:Transformer",
    "visnet": "probes.workloads.visnet:ViSNet",
}
"""Registered names and where their classes live."""
