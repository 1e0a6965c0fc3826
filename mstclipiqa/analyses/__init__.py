"""What is measured beside the main grid: rivals without a head, learning curves, transfer, the probe, costs."""
