"""From a benchmark's files to a table of samples and its splits."""
