"""What results were made from, whether they hold, and whether they are still the committed ones."""
