"""What `data check` reports over all rows: findings, duplicates, overlap with benchmarks."""
