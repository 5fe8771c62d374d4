"""The description of the interface is complete: a reader needs no other."""

from __future__ import annotations

import re

import pytest

from app.http.problem_types import TYPES
from app.http.runtime import Service
from app.service.application import create_app
from app.service.gate import PUBLIC
from app.settings import load_settings
from tests.app.one_kind import kind  # noqa: F401

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document():
    service = Service(None, load_settings(environ={}), needs_keys=True)  # type: ignore[arg-type]
    return create_app(service).openapi()


@pytest.fixture(scope="module")
def operations(document):
    return [
        (path, method, operation)
        for path, all_ in document["paths"].items()
        for method, operation in all_.items()
        if method in METHODS
    ]


def test_every_resource_is_there(document):
    resources = {path.split("/")[2] for path in document["paths"] if path.startswith("/v1/")}
    assert resources == {
        "devices",
        "device-groups",
        "fleet",
        "workloads",
        "studies",
        "bundles",
        "measurements",
        "recommendations",
        "checks",
        "fleet-answers",
        "runs",
        "finetunings",
        "knowledge",
        "predictions",
    }


def test_every_operation_says_what_it_does(operations):
    for path, method, operation in operations:
        assert operation["summary"], path
        assert len(operation["description"]) > 20, (method, path)
        for parameter in operation.get("parameters", []):
            if parameter["name"] != "limit" or parameter["in"] != "query":
                schema = parameter["schema"]
                words = parameter.get("description") or schema.get("description")
                assert words or parameter["required"], (path, parameter["name"])


def test_every_schema_of_ours_has_an_example(document):
    lacking = [
        name
        for name, schema in document["components"]["schemas"].items()
        if re.search("(Out|Create|Post|In|Detail|Stored)$", name)
        and name not in PARTS
        and not schema.get("examples")
    ]
    assert lacking == []


PARTS = {
    "EnergyIn",
    "FleetDeviceOut",
    "StudyDeviceOut",
    "StepTimeIn",
    "GrowthIn",
    "TraceIn",
    "ScopeIn",
    "FingerprintIn",
    "HereIn",
    "NamedOut",
    "PresetOut",
    "PriorOut",
    "TaskOut",
}
"""Shown as a part of the example of what they belong to."""


def test_errors_are_declared_and_always_problem_documents(operations):
    for path, method, operation in operations:
        errors = {s: each for s, each in operation["responses"].items() if s >= "4"}
        assert "500" in errors, path
        for status, answer in errors.items():
            assert list(answer["content"]) == ["application/problem+json"], (path, status)
            for slug in answer["content"]["application/problem+json"]["examples"]:
                assert str(TYPES[slug].status) == status
        if path not in PUBLIC:
            assert {"401", "403", "429", "503"} <= set(errors), path
        if "requestBody" in operation:
            assert {"400", "408", "413", "422"} <= set(errors), (method, path)
        if "{" in path:
            assert "404" in errors, path


def test_every_kind_of_problem_but_the_pathless_is_declared_somewhere(operations):
    declared = {
        slug
        for _, _, operation in operations
        for answer in operation["responses"].values()
        for slug in answer.get("content", {})
        .get("application/problem+json", {})
        .get("examples", {})
    }
    assert set(TYPES) - declared == {"method-not-allowed", "form-expired"}


def test_reads_declare_that_they_can_be_not_modified(operations):
    reads = [op for path, method, op in operations if method == "get" and path.startswith("/v1/")]
    cached = [op for op in reads if "304" in op["responses"]]
    assert len(cached) >= len(reads) - 1  # the event stream is no document


def test_what_needs_a_key_says_so(operations):
    for path, _, operation in operations:
        assert ("security" in operation) == (path not in PUBLIC)


def test_operations_have_readable_unique_names(operations):
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names)


def test_the_page_for_people_works_without_a_network(api):
    page = api.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert re.findall(r'(?:src|href)="(?!/|#)', page.text) == []
    for path in api.get("/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in page.text


def test_the_root_is_the_dashboard(api):
    assert "<h1>Overview</h1>" in api.get("/").text


def test_a_service_without_keys_does_not_ask_for_authorization():
    service = Service(None, load_settings(environ={}), needs_keys=False)  # type: ignore[arg-type]
    open_ = create_app(service).openapi()
    assert "securitySchemes" not in open_["components"]
    for operations in open_["paths"].values():
        for operation in operations.values():
            assert "security" not in operation
            assert "401" not in operation["responses"]
