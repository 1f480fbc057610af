"""verl on a machine without a GPU, through verl's own extension points.

plugin.py    entry point of the group `verl.plugins`: verl imports it in every process
platform.py  a CPU platform for verl's platform registry
engine.py    verl's FSDP2 engine without pinned memory
rollout.py   rollouts by Transformers' `generate`, for verl's rollout registry (CPU and GPU)

These modules import torch and verl; only processes of a training run load them.
"""
