"""Signatures with real keys and certificates, made here."""

import datetime
import shlex
import stat
import zipfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pipeline.sharing.archive import write_archive
from pipeline.sharing.keys import create_key_pair, key_fingerprint
from pipeline.sharing.manifest import MANIFEST, make_manifest
from tests.pipeline.sharing.conftest import MADE


@pytest.fixture
def files():
    return {
        "LICENSE": b"free",
        "docs/README.md": b"# A model\n",
        "models/model.safetensors": b"weights",
    }


@pytest.fixture
def package(files, tmp_path):
    path = tmp_path / "cells.zip"
    write_archive(path, "cells", {**files, MANIFEST: make_manifest("cells", files, MADE)})
    return path


@pytest.fixture
def sender(tmp_path):
    create_key_pair(tmp_path / "sender")
    return tmp_path / "sender"


def test_a_signed_package_is_its_senders(package, sender, call):
    assert call("sign", package, "--key", sender / "private.pem")[0] == 0
    fingerprint = key_fingerprint(sender / "public.pem")
    public = ("--key", sender / "public.pem")
    assert call("key", "pin", "mayo", *public, "--fingerprint", fingerprint)[0] == 0
    code, output = call("verify", package, "--from", "mayo")
    assert code == 0
    assert f"{package}: unchanged, signed by mayo" in output


def test_each_command_names_the_one_that_follows(package, tmp_path, call):
    def next_of(*words):
        code, output = call(*words)
        assert code == 0, output
        last = output.splitlines()[-1]
        assert last.startswith("next        unet-school ")
        return shlex.split(last)[2:]

    keys, file = tmp_path / "keys", str(package)
    private, public = str(keys / "private.pem"), str(keys / "public.pem")
    assert next_of("key", "new", "--out", keys) == ["sign", "FILE.zip", "--key", private]
    verify = next_of("sign", package, "--key", private)
    assert verify == ["verify", file, "--key", public]
    assert next_of(*verify) == ["receive", file, "--key", public, "--out", "OUT"]
    elsewhere = ["--signature", str(tmp_path / "x.sig")]
    verify = next_of("sign", package, "--key", private, "--out", elsewhere[1])
    assert verify == ["verify", file, "--key", public, *elsewhere]
    assert next_of(*verify) == ["receive", file, "--key", public, *elsewhere, "--out", "OUT"]
    fingerprint = key_fingerprint(keys / "public.pem")
    pinned = next_of("key", "pin", "mayo", "--key", public, "--fingerprint", fingerprint)
    assert pinned == ["receive", "FILE.zip", "--from", "mayo", "--out", "OUT"]


def test_another_key_is_refused(package, sender, tmp_path, call):
    call("sign", package, "--key", sender / "private.pem")
    create_key_pair(tmp_path / "other")
    code, output = call("verify", package, "--key", tmp_path / "other" / "public.pem")
    assert code == 2
    assert "cells.zip.sig: the signature does not match: not signed by" in output


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda files: files | {"docs/README.md": b"# Best"}, "docs/README.md: changed"),
        (lambda files: {"LICENSE": b"free", "docs/README.md": files["docs/README.md"]}, "missing"),
        (lambda files: files | {"docs/more.md": b""}, "docs/more.md: added"),
        (
            lambda files: {k.replace("README", "READ"): v for k, v in files.items()},
            "docs/READ.md: added",
        ),
    ],
)
def test_a_file_that_is_not_as_signed_is_named(package, sender, files, call, change, line):
    call("sign", package, "--key", sender / "private.pem")
    manifest = make_manifest("cells", files, MADE)
    write_archive(package, "cells", {**change(files), MANIFEST: manifest})
    code, output = call("verify", package, "--key", sender / "public.pem")
    assert code == 2
    assert line in output


def test_another_manifest_does_not_match_the_signature(package, sender, files, call):
    call("sign", package, "--key", sender / "private.pem")
    changed = files | {"models/model.safetensors": b"other weights"}
    write_archive(package, "cells", {**changed, MANIFEST: make_manifest("cells", changed, MADE)})
    code, output = call("verify", package, "--key", sender / "public.pem")
    assert (code, "the signature does not match" in output) == (2, True)


@pytest.mark.parametrize("name", [".git/config", ".gitattributes", ".hidden"])
def test_hidden_files_are_not_skipped(package, sender, call, name):
    call("sign", package, "--key", sender / "private.pem")
    with zipfile.ZipFile(package, "a") as archive:
        archive.writestr(f"cells/{name}", b"x")
    code, output = call("verify", package, "--key", sender / "public.pem")
    assert (code, f"cells/{name}: a hidden file" in output) == (1, True)


def test_an_archive_that_differs_from_its_manifest_is_not_signed(package, sender, files, call):
    write_archive(package, "cells", {**files, MANIFEST: make_manifest("cells", {}, MADE)})
    code, output = call("sign", package, "--key", sender / "private.pem")
    assert code == 1
    assert "LICENSE: added: the manifest does not list it; pack it again" in output
    assert not package.with_name("cells.zip.sig").exists()


def test_packing_twice_gives_the_same_bytes(package, files):
    first = package.read_bytes()
    shuffled = dict(reversed(files.items()))
    write_archive(package, "cells", {MANIFEST: make_manifest("cells", shuffled, MADE), **shuffled})
    assert package.read_bytes() == first


def test_a_key_with_a_password(package, tmp_path, call, monkeypatch):
    monkeypatch.setenv("UNET_SCHOOL_KEY_PASSWORD", "a long one")
    code, output = call("key", "new", "--out", tmp_path / "locked")
    assert code == 0
    assert "give it to receivers by telephone or letter" in output
    private = tmp_path / "locked" / "private.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert b"ENCRYPTED" in private.read_bytes()
    assert call("sign", package, "--key", private)[0] == 0
    monkeypatch.delenv("UNET_SCHOOL_KEY_PASSWORD")
    code, output = call("sign", package, "--key", private, "--out", tmp_path / "x.sig")
    assert code == 1
    assert "private.pem: cannot sign with this key" in output


def test_keys_are_pinned_by_their_key_fingerprint(sender, tmp_path, call):
    public, fingerprint = sender / "public.pem", key_fingerprint(sender / "public.pem")
    assert call("key", "show", public) == (0, f"{fingerprint}\n")
    pin = ("key", "pin", "mayo", "--key", public, "--fingerprint")
    code, line = call(*pin, "SHA256:wrong")
    assert code == 1
    assert f"has the fingerprint {fingerprint}, not SHA256:wrong; ask the sender again" in line
    assert call(*pin, fingerprint)[0] == call(*pin, fingerprint)[0] == 0
    other = create_key_pair(tmp_path / "other")
    again = ("key", "pin", "mayo", "--key", other, "--fingerprint", key_fingerprint(other))
    assert "another key is pinned for mayo" in call(*again)[1]
    assert call("key", "pin", "../x", "--key", public, "--fingerprint", fingerprint)[0] == 1


def test_user_errors(package, sender, tmp_path, call):
    assert (
        "no key is pinned; pinned senders: none" in call("verify", package, "--from", "nobody")[1]
    )
    assert "holds a key already" in call("key", "new", "--out", sender)[1]
    assert "no such file" in call("sign", package, "--key", tmp_path / "none.pem")[1]
    key = ("--key", sender / "public.pem")
    assert "cells.zip.sig: no such file; unet-school sign" in call("verify", package, *key)[1]
    assert "not a public key in PEM" in call("key", "show", sender / "private.pem")[1]
    (tmp_path / "rsa.pem").write_bytes(
        rsa.generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert "expected one of an elliptic curve" in call("key", "show", tmp_path / "rsa.pem")[1]
    package.write_bytes(b"")
    assert "expected a zip file" in call("verify", package, *key)[1]


def certificate(subject, key, issuer, issuer_key, is_root, days=30):
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    use = x509.KeyUsage(
        digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(use, critical=True)
    )
    if not is_root:
        signing = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
        builder = builder.add_extension(signing, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture
def certify(sender, tmp_path):
    """Return a function that makes a root certificate and one of the sender's key below it."""

    def certify(root="root", days=30):
        key = serialization.load_pem_private_key((sender / "private.pem").read_bytes(), None)
        root_key = ec.generate_private_key(ec.SECP256R1())
        trusted = certificate(root, root_key, None, root_key, is_root=True)
        own = certificate("mayo", key, trusted.subject, root_key, is_root=False, days=days)
        paths = tmp_path / f"{root}.pem", tmp_path / f"{root}-own.pem"
        for path, content in zip(paths, (trusted, own), strict=True):
            path.write_bytes(content.public_bytes(serialization.Encoding.PEM))
        return paths

    return certify


def test_a_key_with_a_certificate(package, sender, certify, call):
    (root, own), (other, _) = certify(), certify("other")
    signed = ("sign", package, "--key", sender / "private.pem", "--certificate", own)
    assert call(*signed)[0] == 0
    assert call("verify", package, "--roots", root)[0] == 0
    code, output = call("verify", package, "--roots", other)
    assert (code, "the signature does not match" in output) == (2, True)


def test_an_expired_certificate_is_refused(package, sender, certify, call):
    root, own = certify(days=-1)
    call("sign", package, "--key", sender / "private.pem", "--certificate", own)
    code, output = call("verify", package, "--roots", root)
    assert code == 2
    assert "cells.zip.sig: the certificate of CN=mayo: valid from" in output


def test_a_huge_signature_is_not_read(package, sender, call):
    package.with_name("cells.zip.sig").write_bytes(b" " * (1 << 20) + b" ")
    code, output = call("verify", package, "--key", sender / "public.pem")
    assert (code, "1048577 bytes: expected 1048576 at most" in output) == (2, True)
