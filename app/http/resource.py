"""Routers: for the routes of one resource, and for pages."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from app.http.caller import Scope
from app.http.reply import JsonReply
from app.http.security import Needs


def resource(tag: str, prefix: str = "") -> APIRouter:
    """Complete in itself: ``app.service.application`` takes its routes as they are."""
    return APIRouter(prefix=prefix, tags=[tag], default_response_class=JsonReply)


def pages(scope: Scope | None = "read") -> APIRouter:
    """For pages that need a key of this scope; ``None``: no key. The API does not describe them."""
    needs = [Depends(Needs(scope))] if scope else []
    return APIRouter(dependencies=needs, include_in_schema=False)
