"""Networks: torch only, tensors in and out."""
