"""What is asked beside the benchmarks: changed pictures, thoughts closed early, claims looked at again, a judge on the process."""
