"""A real archive, Orthanc, on free ports of loopback, with its files in a temporary folder."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path

import requests

PROGRAM = shutil.which("Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
MISSING = "" if PROGRAM and PLUGIN.is_file() else (
    "Orthanc is not installed: apt-get install orthanc orthanc-dicomweb"
)  # fmt: skip
USER, PASSWORD = "radiology", "s3cret-of-the-tests"
TITLE = "ARCHIVE"
START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Orthanc:
    """The archive; ``kill`` and ``start`` again keep its content.

    Args:
        folder: of its files.
        own_port: at which this machine listens, for C-MOVE and what the archive sends.
        own_title: by which this machine is known to it.
    """

    def __init__(self, folder: Path, own_port: int, own_title: str = "UNET_SCHOOL") -> None:
        self.folder, self.http, self.dicom = folder, free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "db").mkdir(parents=True)
        settings = {
            "Name": "tests", "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"), "Plugins": [str(PLUGIN)],
            "HttpPort": self.http, "DicomPort": self.dicom, "DicomAet": TITLE,
            "DicomCheckCalledAet": True, "DicomAlwaysAllowEcho": False,
            "DicomAlwaysAllowStore": False, "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD},
            "ConcurrentJobs": 1, "SaveJobs": False, "HttpThreadsCount": 4,
            "DicomModalities": {
                "us": {"AET": own_title, "Host": "127.0.0.1", "Port": own_port,
                       "AllowEcho": True, "AllowFind": True, "AllowGet": True, "AllowMove": True,
                       "AllowStore": True},
            },
        }  # fmt: skip
        (folder / "orthanc.json").write_text(json.dumps(settings))

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, self.folder / "orthanc.json"], stdout=log, stderr=log
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            try:
                self.get("system")
                return
            except requests.ConnectionError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def get(self, path: str) -> object:
        answer = requests.get(f"{self.url}/{path}", auth=(USER, PASSWORD), timeout=30)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, content: object) -> object:
        answer = requests.post(
            f"{self.url}/{path}", json=content, auth=(USER, PASSWORD), timeout=30
        )
        answer.raise_for_status()
        return answer.json()

    def delete_all(self) -> None:
        for patient in self.get("patients"):
            requests.delete(f"{self.url}/patients/{patient}", auth=(USER, PASSWORD), timeout=30)

    def series_by_study(self, modality: str) -> dict[str, int]:
        """Return the number of instances of a modality in each study, by StudyInstanceUID."""
        numbers: dict[str, int] = {}
        for study in self.get("studies?expand"):
            uid = study["MainDicomTags"]["StudyInstanceUID"]
            for series in study["Series"]:
                found = self.get(f"series/{series}")
                if found["MainDicomTags"]["Modality"] == modality:
                    numbers[uid] = numbers.get(uid, 0) + len(found["Instances"])
        return numbers
