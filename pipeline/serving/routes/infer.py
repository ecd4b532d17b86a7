"""``/infer``: the segmentation of an image."""

import json
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from pipeline.errors import few
from pipeline.serving.geometry import Segmented
from pipeline.serving.image_files import Upload
from pipeline.serving.label_files import (
    centroids,
    check_extension,
    numbers_present,
    write_label_map,
)
from pipeline.serving.routes.datastore import BINARY
from pipeline.serving.routes.forms import author_of, form_of, params_of, service_of, upload_of
from pipeline.serving.service import Service

router = APIRouter(prefix="/infer")
EXTENSION = ".nii.gz"


class LabelMapFile(NamedTuple):
    """A label map as it is sent.

    Attributes:
        name: of the file.
        content: its bytes.
        params: what is said of it.
    """

    name: str
    content: bytes
    params: dict[str, Any]


@router.post("/{model}")
async def infer(
    request: Request,
    model: str,
    image: str = "",
    session_id: str = "",
    output: Literal["image", "json", "all", "dicom_seg"] = "all",
) -> Response:
    """Segment a served, a lent or an uploaded image."""
    service = service_of(request)
    service.check_model(model)
    async with form_of(request) as form:
        params, upload = params_of(form), upload_of(form, "file")
        _check(params, upload_of(form, "label"))
        if output == "dicom_seg":
            served = service.images.get(image)
            content = await run_in_threadpool(service.segmenter.segment_as_dicom, served)
            return Response(content, media_type="application/dicom")
        segmented = await run_in_threadpool(
            label_map_of, service, author_of(request), image, session_id, upload, params
        )
    return answer(segmented, output)


def _check(params: Mapping[str, Any], label: Upload | None) -> None:
    """Refuse what the model does not use, and a format that is not written."""
    check_extension(str(params.get("result_extension") or EXTENSION))
    given = prompts_in(params) or ([] if label is None else ["label"])
    if given:
        raise ValueError(
            f"{few(given)}: this model takes no points, boxes, scribbles or labels; leave them out"
        )


def prompts_in(params: Mapping[str, Any]) -> list[str]:
    """Return the keys by which an interactive model is given points, boxes or scribbles.

    Plug-ins name them as they like: ``foreground``, ``roi``, or each label with its points. They
    are lists, and nothing else that a call of this protocol says is one.

    Example:
        >>> prompts_in({"liver": [[1, 2, 3]], "background": [], "result_dtype": "uint16"})
        ['liver']
    """
    return [key for key, value in params.items() if value and isinstance(value, list | dict)]


def label_map_of(
    service: Service,
    user: str,
    image: str,
    session: str,
    upload: Upload | None,
    params: Mapping[str, Any],
) -> LabelMapFile:
    """Segment an image, and return its label map in the format that is asked for.

    Raises:
        UnknownError: no such image or session.
        BusyError: too many wait.
        ValueError: it cannot be segmented.
    """
    if upload is not None:
        return _label_map(service, service.segment_upload(upload, user), params)
    if session:
        return _label_map(service, service.segment_session(session, user), params)
    return _label_map(service, service.segmenter.segment(service.images.get(image)), params)


def _label_map(service: Service, result: Segmented, params: Mapping[str, Any]) -> LabelMapFile:
    extension = str(params.get("result_extension") or EXTENSION)
    wide = params.get("result_dtype") == "uint16"
    compress = params.get("result_compress") is not False
    present = numbers_present(result.voxels, service.numbers)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"label{extension}"
        write_label_map(path, result.voxels, result.grid, wide, compress)
        content = path.read_bytes()
    said = {
        "label_names": present, "centroids": centroids(result.voxels, present), **result.flags,
        "model_sha256": service.inference.model.record.sha256,
    }  # fmt: skip
    return LabelMapFile(f"{uuid.uuid4().hex}{extension}", content, said)


def answer(label_map: LabelMapFile, output: str) -> Response:
    """Return a label map, what is said of it, or both as parts of a form."""
    if output == "json":
        return JSONResponse(label_map.params)
    if output == "image":
        headers = {"content-disposition": f'attachment; filename="{label_map.name}"'}
        return Response(label_map.content, media_type=BINARY, headers=headers)
    boundary = uuid.uuid4().hex
    params = json.dumps(label_map.params).encode()
    body = b"".join([
        _part(boundary, 'name="params"', "application/json", params),
        _part(boundary, f'name="image"; filename="{label_map.name}"', BINARY, label_map.content),
        f"--{boundary}--\r\n".encode(),
    ])  # fmt: skip
    return Response(body, media_type=f"multipart/form-data; boundary={boundary}")


def _part(boundary: str, names: str, kind: str, content: bytes) -> bytes:
    head = (
        f"--{boundary}\r\nContent-Disposition: form-data; {names}\r\nContent-Type: {kind}\r\n\r\n"
    )
    return head.encode() + content + b"\r\n"
