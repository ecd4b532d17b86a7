"""Keys that end: pinned until a day, revoked, renewed."""

import datetime
import json

import pytest

from pipeline.sharing.archive import write_archive
from pipeline.sharing.keys import create_key_pair, key_fingerprint
from pipeline.sharing.manifest import MANIFEST, make_manifest
from pipeline.sharing.pins import key_refusals, pin_key, pinned_key, pins_of, revoke_key
from tests.pipeline.sharing.conftest import MADE

TODAY = datetime.date.today()
YESTERDAY, TOMORROW = TODAY - datetime.timedelta(1), TODAY + datetime.timedelta(1)


@pytest.fixture
def sender(tmp_path):
    create_key_pair(tmp_path / "sender")
    return tmp_path / "sender"


@pytest.fixture
def public(sender):
    return sender / "public.pem"


@pytest.fixture
def package(tmp_path, sender, call):
    files = {"LICENSE": b"free"}
    write_archive(
        tmp_path / "cells.zip", "cells", {**files, MANIFEST: make_manifest("cells", files, MADE)}
    )
    call("sign", tmp_path / "cells.zip", "--key", sender / "private.pem")
    return tmp_path / "cells.zip"


def pin(public, sender="mayo", **more):
    return pin_key(sender, public, key_fingerprint(public), **more)


def expire(senders, sender="mayo"):
    record = senders / f"{sender}.json"
    content = json.loads(record.read_text())
    content["keys"][-1]["until"] = str(YESTERDAY)
    record.write_text(json.dumps(content))


def test_a_revoked_key_is_refused_by_name_day_and_reason(package, public, call):
    pin(public)
    assert call("verify", package, "--from", "mayo")[0] == 0
    code, output = call("key", "revoke", "mayo", "--reason", "laptop stolen")
    assert (code, "mayo, SHA256:" in output) == (0, True)
    for identity in (("--from", "mayo"), ("--key", public)):
        code, output = call("verify", package, *identity)
        assert code == 2
        assert f"revoked on {TODAY} (laptop stolen); ask the sender for a new key" in output
        assert "refused     mayo: key SHA256:" in output


def test_receive_refuses_a_key_that_has_ended_on_its_page(package, public, call, tmp_path):
    pin(public)
    revoke_key("mayo", "stolen")
    code, _ = call("receive", package, "--from", "mayo", "--out", tmp_path / "out")
    page = package.with_name("cells.zip.acceptance.md").read_text()
    assert (code, "# Acceptance protocol: REFUSED" in page) == (2, True)
    assert "- refused: mayo: key SHA256" in page
    assert f"revoked on {TODAY} (stolen)" in page
    assert not (tmp_path / "out").exists()


def test_a_revoked_key_stays_as_a_record_and_is_not_pinned_again(public):
    pin(public)
    revoke_key("mayo", "stolen")
    assert pinned_key("mayo").is_file()
    assert pins_of("mayo")[-1].state == f"revoked on {TODAY} (stolen)"
    for sender in ("mayo", "other"):
        with pytest.raises(ValueError, match=r"mayo: this key was revoked on .* \(stolen\)"):
            pin(public, sender)
    with pytest.raises(ValueError, match=r"revoked on .* already"):
        revoke_key("mayo")


def test_a_new_key_replaces_a_revoked_one(public, tmp_path, senders):
    pin(public)
    other = create_key_pair(tmp_path / "other")
    with pytest.raises(FileExistsError, match=r"for mayo; .* key revoke mayo"):
        pin(other)
    revoke_key("mayo")
    assert pin(other).read_bytes() == other.read_bytes()
    assert [key.fingerprint for key in pins_of("mayo")] == [
        key_fingerprint(public), key_fingerprint(other),
    ]  # fmt: skip
    assert key_refusals(other) == []
    assert "revoked" in str(key_refusals(public)[0])


def test_an_expired_key_refuses_a_new_package_and_says_how_to_renew(package, public, call, senders):
    pin(public, until=TOMORROW)
    assert call("verify", package, "--from", "mayo")[0] == 0
    expire(senders)
    code, output = call("verify", package, "--from", "mayo")
    assert code == 2
    assert f"expired on {YESTERDAY}; ask the sender" in output
    assert "unet-school key pin mayo --key FILE --fingerprint … --until YYYY-MM-DD" in output
    renew = ("key", "pin", "mayo", "--key", public, "--fingerprint", key_fingerprint(public))
    assert f"valid until {TOMORROW}" in call(*renew, "--until", TOMORROW)[1]
    assert call("verify", package, "--from", "mayo")[0] == 0


def test_the_last_day_is_a_day(public, senders):
    pin(public, until=TODAY)
    assert key_refusals(public) == []
    expire(senders)
    assert key_refusals(public, new_package=False) == []


def test_a_pin_of_an_older_release_has_no_end(public, senders):
    pin(public)
    (senders / "mayo.json").unlink()
    assert pins_of("mayo")[-1].state == "valid"
    assert revoke_key("mayo").revoked == TODAY


def test_the_list_of_keys(public, call):
    assert "no keys are pinned in" in call("key", "list")[1]
    pin(public, until=TOMORROW)
    line = f"mayo        {key_fingerprint(public)}, pinned on {TODAY}, valid until {TOMORROW}\n"
    assert call("key", "list") == (0, line)


def test_user_errors(public, senders):
    with pytest.raises(ValueError, match=f"--until {YESTERDAY}: is over"):
        pin(public, until=YESTERDAY)
    with pytest.raises(FileNotFoundError, match="nobody: no key is pinned"):
        revoke_key("nobody")
    pin(public)
    (senders / "mayo.json").write_text('{"keys": []}')
    with pytest.raises(ValueError, match=r"mayo\.json: not the record of mayo\.pem"):
        key_refusals(public)
