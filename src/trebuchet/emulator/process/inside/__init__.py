"""Programs that run inside sandboxes, on any Python from 3.8 on and nothing else."""
