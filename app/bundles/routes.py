"""``/v1/bundles``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Path, Response

from app.bundles import service as bundles
from app.bundles.archive import InvalidBundle
from app.bundles.schemas import BundleOut
from app.http import problem_types as types
from app.http.declared import problems
from app.http.problems import HttpProblem
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Admin, CodeSender

router = resource("bundles", "/v1/bundles")

MEDIA_TYPE = "application/octet-stream"

BundleId = Annotated[
    str,
    Path(
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the archive, before compression.",
        examples=["b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"],
    ),
]


@router.get(
    "/{bundle_id}",
    summary="Read about a bundle",
    responses=problems(types.NOT_FOUND, types.SCOPE_MISSING),
)
def read_bundle(service: ServiceDep, caller: CodeSender, bundle_id: BundleId) -> BundleOut:
    """Whether it is stored, so that it need not be sent again."""
    return BundleOut.model_validate(bundles.get(service.database, bundle_id))


@router.put(
    "/{bundle_id}",
    summary="Send a bundle",
    responses={
        201: {"model": BundleOut, "description": "It was not stored before."},
        **problems(types.NOT_FOUND, types.SCOPE_MISSING, types.BUNDLE_REFUSED),
    },
)
def send_bundle(
    service: ServiceDep,
    caller: CodeSender,
    reply: Response,
    bundle_id: BundleId,
    body: Annotated[
        bytes,
        Body(
            min_length=1,
            media_type=MEDIA_TYPE,
            description="A tar file of regular files, compressed with zlib. At most "
            "`bundles.max_bytes`.",
        ),
    ],
) -> BundleOut:
    """A working directory, for studies that name it as `bundle`. Sending it again changes nothing.
    It is kept until nothing has used it for `bundles.keep_days`."""
    known = bundles.is_stored(service.database, bundle_id)
    try:
        found = bundles.store_compressed(
            service.database, service.settings.bundles, bundle_id, body, caller.id
        )
    except InvalidBundle as error:
        raise HttpProblem(types.BUNDLE_REFUSED, str(error)) from None
    reply.status_code = 200 if known else 201
    return BundleOut.model_validate(found)


@router.delete(
    "/{bundle_id}",
    summary="Delete a bundle",
    status_code=204,
    responses=problems(types.NOT_FOUND, types.CONFLICT),
)
def delete_bundle(service: ServiceDep, caller: Admin, bundle_id: BundleId) -> None:
    """Hosts that have unpacked it keep it until they have not used it for a while. A bundle that a
    waiting or running study needs cannot be deleted."""
    bundles.delete(service.database, bundle_id)
