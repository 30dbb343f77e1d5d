"""The block that a run prints before its weights are loaded: what it trains on and what it will take."""

from collections.abc import Mapping
from typing import Any

from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.doctor.doctor import diagnose
from virgo_factory.preflight.doctor.environment import read_environment
from virgo_factory.preflight.plan.memory import Shape
from virgo_factory.preflight.plan.plan import Machine, Plan, Rows, make_plan


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
        lines.append(f"slot use: {used[plan.order]:.2f} with batch_order: {plan.order}{others}")

    if plan.order == "packed" and plan.orders:
        passes = next(order.passes for order in plan.orders if order.name == plan.order)
        lines.append(f"packed: {passes:.2f} forward passes a rank and step instead of {plan.accumulation}")

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

    asked = {**recipe, "flash_attn": None, "enable_liger_kernel": False}  # the kernels have been imported by then
    there = read_environment(asked)
    certain: list[str] = []
    for item in diagnose(there, {**asked, "flash_attn": recipe.get("flash_attn")}):
        if _is_new(item):
            told = certain if _is_certain(item, recipe) else warnings
            told.append(f"{item.check}: {item.found}. {item.remedy}")

    return lines, warnings, certain


def _ranks(plan: Plan) -> str:
    share = plan.method.share
    return f"{plan.method.groups} {'ranks' if share == 1 else f'groups of {share} ranks'}"


def _is_new(item: Diagnosis) -> bool:
    """Whether a finding says what this run has not shown to be right by having come so far."""
    return item.severity == "error" and item.check in ("transformers", "torch", "requirement", "driver", "fastapi")


def _is_certain(item: Diagnosis, recipe: Mapping[str, Any]) -> bool:
    return item.check == "transformers" and item.found.startswith("5.6.0") and recipe.get("flash_attn") == "fa2"
