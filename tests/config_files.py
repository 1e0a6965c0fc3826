"""Where the configuration lies that tests read."""

from pathlib import Path

CONFIG = Path(__file__).parents[1] / "config"
CLAIMS, PAPER_TABLES, RECIPES = CONFIG / "claims.yaml", CONFIG / "paper_tables.csv", CONFIG / "recipes"
PRIOR_RESULTS = CONFIG / "prior_results.csv"
