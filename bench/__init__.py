"""Measurements, run by one command (`make bench`) and never asserted on time."""
