"""Versions, specifiers and requirements as PEP 440 and PEP 508 write them."""

from __future__ import annotations

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as PackageRequirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version


def package_of(text: str) -> PackageRequirement | None:
    try:
        return PackageRequirement(text)
    except InvalidRequirement:
        return None


def specifier_of(text: str) -> SpecifierSet | None:
    try:
        return SpecifierSet(text.replace(" ", ""))
    except InvalidSpecifier:
        return None


def version_of(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
