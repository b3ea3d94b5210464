"""What the operator's people do over HTTP: under /operator, with a session instead of a signature."""

from typing import Any

from fastapi import FastAPI

from api.operator import (
    abuse,
    adjustments,
    audit,
    bank,
    bank_files,
    contracts,
    defaults,
    disputes,
    exposure,
    finance,
    money,
    nights,
    partners,
    people,
    proposals,
    reports,
    runs,
    sessions,
    webhooks,
)
from api.operator.desk import Desk, add_error_answers

__all__ = ["TYPES", "Desk", "mount"]

_MODULES = (
    sessions,
    people,
    proposals,
    audit,
    partners,
    contracts,
    adjustments,
    abuse,
    nights,
    runs,
    bank,
    bank_files,
    defaults,
    disputes,
    exposure,
    finance,
    money,
    reports,
    webhooks,
)
TYPES: tuple[Any, ...] = tuple(each for module in _MODULES for each in module.TYPES)
"""The types of requests and answers, for the description."""


def mount(app: FastAPI, desk: Desk) -> None:
    """Serve operators' addresses."""
    app.state.desk = desk
    for module in _MODULES:
        app.include_router(module.router)
    add_error_answers(app)
