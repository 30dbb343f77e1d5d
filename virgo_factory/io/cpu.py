"""What the CPU of this machine does itself."""

from pathlib import Path


def has_bf16() -> bool:
    """Whether this machine's CPU multiplies bfloat16 itself, as oneDNN asks: else a step takes ten times as long."""
    try:
        return not {"avx512bw", "bf16"}.isdisjoint(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
