"""What headrace costs, beside a hand-written loop and beside its peers: ``python -m benchmarks``."""
