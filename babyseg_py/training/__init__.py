"""Training: losses, recipes, checkpoints and the loop."""
