"""Segmentation: weights, windows, inference, post-processing and quality."""
