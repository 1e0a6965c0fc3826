"""From predictions to metrics, intervals and paired tests."""
