"""What a run will take: rows, steps, memory, disk, time."""
