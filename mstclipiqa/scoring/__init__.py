"""Trained heads as files, and scores of any image by them."""
