"""From features, splits and a recipe to predictions for the test images of every run."""
