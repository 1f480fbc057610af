"""Train cross-scale pathology models: data, rewards, GRPO on verl, SFT, merge."""
