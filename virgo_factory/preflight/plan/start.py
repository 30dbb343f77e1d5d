"""The block that a run prints before its weights are loaded: what it trains on and what it will take."""

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from virgo_factory.preflight.plan.memory import Shape
from virgo_factory.preflight.plan.plan import Machine, Plan, Rows, make_plan
from virgo_factory.preflight.versions import CRASHES, REMEDY


SLOT_USE = "slot use: "
"""How the line of the batch order begins."""
PACKED = "packed: "
"""How that of the bins begins."""
SKIP_VARIABLE = "VIRGO_FACTORY_SKIP_PREFLIGHT"


def look_ahead(
    recipe: Mapping[str, Any], rows: Rows, machine: Machine, cutoff_len: int, shape: Shape | None, on_gpu: bool
) -> tuple[list[str], list[str], list[str]]:
    """Return the lines of the block, the warnings, and what is certain to crash the run.

    `on_gpu`: whether `machine.memory` is that of a GPU.
    """
    plan = make_plan(recipe, rows, machine, cutoff_len, shape, "")
    lengths = plan.tokens
    used = {order.name: order.slot_use for order in plan.orders}
    names = [name for name in ("shuffle", "balanced", "grouped", "packed") if name in used and name != plan.order]
    others = f" ({', '.join(f'{name} {used[name]:.2f}' for name in names)})" if names else ""
    lines = [
        f"rows: {plan.trained_rows:,}, {lengths['mean']:,.0f} tokens on average, {lengths['longest']:,} the longest",
        f"steps: {plan.steps:,} = {plan.epochs:.4g} epochs of {plan.steps_epoch:,}, "
        f"{plan.global_batch:,} rows a step = {_ranks(plan)} x {plan.per_device} x {plan.accumulation}",
    ]
    if plan.order in used:
        lines.append(f"{SLOT_USE}{used[plan.order]:.2f} with batch_order: {plan.order}{others}")

    if plan.order == "packed" and plan.orders:
        passes = next(order.passes for order in plan.orders if order.name == plan.order)
        lines.append(f"{PACKED}{passes:.2f} forward passes a rank and step instead of {plan.accumulation}")

    warnings = list(plan.warnings)
    if plan.memory is not None and on_gpu:
        lines.append(
            f"memory: about {plan.memory.peak / 1e9:,.0f} of {machine.memory / 1e9:,.0f} GB a GPU at the longest row"
        )
        if not plan.fits:
            change = next((f": {change.what}" for change in plan.changes if change.fits), "")
            warnings.append(f"memory: the longest row may not fit. virgo-factory plan RECIPE shows what would{change}")

    if plan.disk is not None and plan.disk.free is not None:
        lines.append(f"disk: {plan.disk.peak / 1e9:,.1f} GB at the peak, {plan.disk.free / 1e9:,.0f} GB free")

    certain: list[str] = []
    if recipe.get("flash_attn") == "fa2" and importlib.metadata.version("transformers") == "5.6.0":
        certain.append(f"transformers: {CRASHES}. {REMEDY}")

    return lines, warnings, certain


def _ranks(plan: Plan) -> str:
    share = plan.method.share
    return f"{plan.method.groups} {'ranks' if share == 1 else f'groups of {share} ranks'}"
