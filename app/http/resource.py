"""A router for the routes of one resource."""

from __future__ import annotations

from fastapi import APIRouter

from app.http.reply import JsonReply


def resource(tag: str, prefix: str = "") -> APIRouter:
    """Complete in itself: ``app.service.application`` takes its routes as they are."""
    return APIRouter(prefix=prefix, tags=[tag], default_response_class=JsonReply)
