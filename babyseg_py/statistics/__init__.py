"""Reliability, growth and associations with behaviour: data frames in, data frames out."""
