"""The calls of the MONAI Label plug-ins of 3D Slicer and OHIF, as they make them."""

import email.parser
import email.policy
import http.client
import json
import mimetypes
import urllib.parse
from pathlib import Path
from typing import NamedTuple

import requests


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)


class Slicer:
    """3D Slicer: forms by hand with whole paths as names of files, answers by their length."""

    boundary = "----------lImIt_of_THE_fIle_eW_$"

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = urllib.parse.urlsplit(url)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def call(self, method, path, body=None, kind=None, **headers) -> Answer:
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port)
        if isinstance(body, dict):
            body, kind = json.dumps(body), "application/json"
        sent = {**self.headers, **headers}
        if body:
            sent |= {"content-type": kind, "content-length": str(len(body))}
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        # its reader of forms takes the bytes as they come: chunks would be in them
        assert response.getheader("transfer-encoding") is None
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer

    def form(self, method, path, fields, files) -> Answer:
        lines: list[bytes] = []
        for key, value in fields.items():
            lines += [f"--{self.boundary}".encode(),
                      f'Content-Disposition: form-data; name="{key}"'.encode(), b"",
                      value.encode()]  # fmt: skip
        for key, file in files.items():
            kind = mimetypes.guess_type(str(file))[0] or "application/octet-stream"
            head = f'Content-Disposition: form-data; name="{key}"; filename="{file}"'
            lines += [f"--{self.boundary}".encode(), head.encode(),
                      f"Content-Type: {kind}".encode(), b"", Path(file).read_bytes()]  # fmt: skip
        lines += [f"--{self.boundary}--".encode(), b""]
        body = b"".join(line + b"\r\n" for line in lines)
        return self.call(method, path, body, f"multipart/form-data; boundary={self.boundary}")

    def info(self):
        return self.call("GET", "/info/").json()

    def log_in(self, name, password) -> Answer:
        form = {"username": name, "password": password, "grant_type": "password"}
        body = urllib.parse.urlencode(form)
        return self.call("POST", "/auth/token", body, "application/x-www-form-urlencoded")

    def next_sample(self, strategy) -> Answer:
        return self.call("POST", f"/activelearning/{strategy}", {"client_id": "user-xyz"})

    def infer(self, model, image, session=None, **params) -> Answer:
        path = f"/infer/{model}?image={urllib.parse.quote_plus(image)}"
        path += f"&session_id={session}" if session else ""
        params = {"client_id": "user-xyz", **params}
        return self.form("POST", path, {"params": json.dumps(params)}, {})

    def upload_image(self, file, image) -> Answer:
        path = f"/datastore/?image={urllib.parse.quote_plus(image)}"
        return self.form("PUT", path, {"params": '{"client_id": "user-xyz"}'}, {"file": file})

    def save_label(self, image, file, label_info=None, tag="") -> Answer:
        path = f"/datastore/label?image={urllib.parse.quote_plus(image)}"
        path += f"&tag={tag}" if tag else ""
        params = {"client_id": "user-xyz"} | ({"label_info": label_info} if label_info else {})
        return self.form("PUT", path, {"params": json.dumps(params)}, {"label": file})

    def create_session(self, file):
        with Path(file).open("rb") as content:
            files = [("files", (Path(file).name, content))]
            data = {"client_id": "user-xyz"}
            url = urllib.parse.urlunsplit(self.url) + "/session/"
            return requests.put(url, files=files, data=data, headers=self.headers, timeout=60)


def parts_of(answer: Answer) -> tuple[dict, str, bytes]:
    """Parse a form as Slicer's plug-in does: its parameters, name and content of its file."""
    head = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + answer.body)
    fields = {part.get_param("name", header="content-disposition"): part
              for part in message.iter_parts()}  # fmt: skip
    image = fields["image"]
    params = json.loads(fields["params"].get_payload(decode=True))
    return params, image.get_filename(), image.get_payload(decode=True)


class Ohif:
    """OHIF in a browser: its origin in every call, a question before one that changes something."""

    origin = "http://localhost:3000"

    def __init__(self, url: str) -> None:
        self.url = url

    def infer(self, model, image, output="all", dtype="uint16"):
        params = {"result_extension": ".nrrd", "result_dtype": dtype, "result_compress": False,
                  "restore_label_idx": False}  # fmt: skip
        url = f"{self.url}/infer/{urllib.parse.quote(model)}"
        return requests.post(
            url, params={"image": image, "output": output},
            files={"params": (None, json.dumps(params))},
            headers={"origin": self.origin, "accept": "application/json, multipart/form-data"},
            timeout=60,
        )  # fmt: skip

    def next_sample(self, strategy):
        return requests.post(
            f"{self.url}/activelearning/{strategy}", json={}, headers={"origin": self.origin},
            timeout=60,
        )  # fmt: skip

    def save_label(self, image, label: bytes, label_info):
        asked = requests.options(
            f"{self.url}/datastore/label", timeout=60,
            headers={"origin": self.origin, "access-control-request-method": "PUT"},
        )  # fmt: skip
        assert asked.status_code == 200, asked.text
        assert asked.headers["access-control-allow-origin"] == self.origin
        files = {"params": (None, json.dumps({"label_info": label_info})),
                 "label": ("label.bin", label, "application/octet-stream")}  # fmt: skip
        return requests.put(
            f"{self.url}/datastore/label", params={"image": image}, files=files,
            headers={"origin": self.origin}, timeout=60,
        )  # fmt: skip


def parts_of_ohif(response) -> tuple[dict, bytes]:
    """Parse a form as OHIF's plug-in does: by the text of its parts."""
    boundary = response.headers["content-type"].split("boundary=")[1]
    parts = response.content.split(f"--{boundary}".encode())
    (params,) = [part for part in parts if b"Content-Type: application/json" in part]
    (image,) = [part for part in parts if b"Content-Type: application/octet-stream" in part]
    content = image.split(b"\r\n\r\n", 1)[1]
    said = json.loads(params[params.index(b"{") : params.rindex(b"}") + 1])
    return said, content[: content.rindex(b"\r\n")]


def first_volume(images: Path) -> Path:
    """Return the first of the volumes that a service has."""
    return sorted(images.glob("*.nii.gz"))[0]
