"""Side-by-side benchmarks of weft and its peers; see docs/benchmarking.md."""
