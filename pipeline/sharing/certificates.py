"""The days of a signature's certificates, which the signing library does not compare with today.

It checks each certificate for the moment at which the signer's became valid, so an expired one
would be accepted for ever.
"""

import base64
import datetime
import json
from pathlib import Path

from cryptography import x509

from pipeline.sharing.archive import RefusedError


def ended_certificates(signature: Path) -> list[RefusedError]:
    """Return a refusal for each certificate of a signature that is not valid today.

    Args:
        signature: a signature file that the library has accepted.
    """
    content = json.loads(signature.read_text("utf-8"))
    chain = content["verificationMaterial"]["x509CertificateChain"]["certificates"]
    certificates = [
        x509.load_der_x509_certificate(base64.b64decode(entry["rawBytes"])) for entry in chain
    ]
    now = datetime.datetime.now(datetime.UTC)
    return [
        RefusedError(
            signature.name,
            f"the certificate of {certificate.subject.rfc4514_string()}",
            f"valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}; ask the sender to sign with a new one",
        )
        for certificate in certificates
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    ]
