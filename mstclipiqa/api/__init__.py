"""What is promised to those who import the package: names that stay."""
