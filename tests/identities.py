"""Identities of encoders, as features' metadata have them: one of the paper's, and one of the small pair."""

OPENAI = {"pretrained": True, "weights": "openai", "model": "ViT-B-32-quickgelu", "activation": "QuickGELU"}
OPENAI |= {"label": "ViT-B-32-quickgelu, weights openai"}
SMALL = OPENAI | {"weights": "embedded", "model": "mst-small-32", "label": "mst-small-32, weights embedded"}
