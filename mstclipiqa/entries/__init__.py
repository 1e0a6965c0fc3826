"""Scores of other methods: an entry is read, checked against a benchmark, ranked among others, and shown on a board."""
