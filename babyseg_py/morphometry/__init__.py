"""morphometry."""
