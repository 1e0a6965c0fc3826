"""Drawn images of known content and quality: the stand-ins for benchmarks, and what the small encoders learn from."""
