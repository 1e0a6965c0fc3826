"""The paper's model: fusions, heads, the variants to compare, and the recipes to train them."""
