"""From a global batch to gradient accumulation steps."""

from virgo_factory.core.errors import UserError


def accumulation_steps(global_batch_size: int, ranks: int, per_device: int) -> int:
    """Return the gradient accumulation steps that give `global_batch_size` rows an optimiser step.

    Raises:
        ValueError: it does not divide; the message gives the nearest sizes that do.

    >>> accumulation_steps(128, ranks=64, per_device=1)
    2
    """
    rows = ranks * per_device
    if global_batch_size % rows == 0 and global_batch_size > 0:
        return global_batch_size // rows

    below = max(global_batch_size, 0) // rows * rows
    nearest = f"{below} or {below + rows}" if below > 0 else f"{below + rows}"
    raise UserError(
        f"global_batch_size: {global_batch_size} is not a multiple of {ranks} ranks x per_device_train_batch_size "
        f"{per_device} = {rows} rows. Nearest possible: {nearest}. Or change per_device_train_batch_size or the "
        "number of GPUs."
    )
