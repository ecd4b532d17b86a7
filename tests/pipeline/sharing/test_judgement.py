"""What a package's values may be: data alone, unless a person has read and accepted them."""

import copy
import hashlib

import pytest

from pipeline.sharing.audit import audit
from pipeline.sharing.expressions import as_evaluated, judge_expression
from pipeline.sharing.judgement import judge_values
from pipeline.sharing.kinds import KINDS, is_plain
from pipeline.sharing.packed_configs import packed_configs
from pipeline.sharing.policy import read_policy
from pipeline.sharing.values import VALUES, read_values

LOADER = {"_target_": "LoadImaged", "keys": "image"}
READER = {"_target_": "pipeline.data.readers.PageReader"}


@pytest.fixture
def values(whole):
    return read_values(whole[VALUES])


def with_value(values, key, value, config="train"):
    own = {**getattr(values, config), key: value}
    return values.model_copy(update={config: own})


def refusals(values, key, value, config="train"):
    judged = judge_values(with_value(values, key, copy.deepcopy(value), config), read_policy())
    return [judgement for judgement in judged if judgement.reason]


DATA = {
    "a reader that is a mapping": (
        "image_preprocessing",
        [{**LOADER, "reader": {"os.system": 1, "pipeline.data.readers.PageReader": 1}}],
    ),
    "a reader by name": ("image_preprocessing", [{**LOADER, "reader": "os.system"}]),
    "a reader by the name of its role": ("image_preprocessing", [{**LOADER, "reader": "reader"}]),
    "transforms by the name of their role": ("augmentation", "list of transform"),
    "a reader by expression": ("image_preprocessing", [{**LOADER, "reader": "$'os' + '.system'"}]),
    "a reader by reference": ("image_preprocessing", [{**LOADER, "reader": "@bundle"}]),
    "a reader with more": ("image_preprocessing", [{**LOADER, "reader": {**READER, "x": 1}}]),
    "an argument beyond": ("image_preprocessing", [{**LOADER, "reader": READER, "command": "id"}]),
    "a transform that unpacks": (
        "augmentation", [{"_target_": "Compose", "unpack_items": True, "transforms": [LOADER]}],
    ),
    "a mode": ("augmentation", [{"_target_": "RandFlipd", "keys": "a", "_mode_": "callable"}]),
    "a debugger": ("loss", {"_target_": "torch.nn.BCEWithLogitsLoss", "_mode_": "debug"}),
    "a requirement": ("loss", {"_target_": "torch.nn.BCEWithLogitsLoss", "_requires_": "$1"}),
    "an unknown target": ("loss", {"_target_": "os.system", "command": "id"}),
    "a target that is no text": ("loss", {"_target_": ["os.system"]}),
    "a target by reference": ("loss", {"_target_": "@bundle"}),
    "a component as expression": ("network_def", "$@network"),
    "a list of others": ("augmentation", [{"_target_": "os.system"}]),
    "a label out of the folder": ("labels", {"../../x": 1}),
    "a label with a separator": ("labels", {"a/b": 1}),
    "a label with an escape": ("labels", {"a\x1b[2K": 1}),
    "a number beyond": ("labels", {"a": 10**9}),
    "features that fill the memory": ("network_def#features", [10**8] * 5),
    "many threads": ("threads", 10**9),
    "a place of the machine": ("models_dir", "/etc"),
    "another bundle's models": ("models_dir", "$@bundle_root + '/../other/models'"),
    "the bundle's root": ("bundle_root", "/"),
    "an image folder": ("image_dir", "/home"),
    "a path as own knob": ("knob", "../../secret"),
    "a home as own knob": ("knob", "~/secret"),
    "an address as own knob": ("knob", "http://example.org/x"),
    "a drive as own knob": ("knob", "C:/x"),
    "a share as own knob": ("knob", "\\\\host\\share"),
    "a macro": ("knob", "%../other.yaml::x"),
    "a key with signs": ("a b", 1),
    "a key that merges": ("+x", 1),
    "a key of a key": ("knob", {"$x": 1}),
    "a list that is too long": ("knob", [0] * 1000),
    "an epoch that never comes": ("max_epochs", 10**400),
    "a name of a run": ("tags", {"paper": "x"}),
    "part of a key": ("labels#interior", 7),
    "part of an argument": ("loss#reduction", "none"),
    "part of an own key": ("knob#x", 1),
    "a loader without a reader": ("image_preprocessing", [{**LOADER}]),
    "windows without end": (
        "window_inferer", {"_target_": "SlidingWindowInferer", "roi_size": [8, 8], "overlap": 0.9},
    ),
    "a comparison by nonsense": ("group_metric", "nonsense"),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_what_is_no_data_is_refused(values, name):
    key, value = DATA[name]
    if key == "network_def#features":
        outer, inner = key.split("#")
        key, value = outer, {**values.train[outer], inner: value}
    first = refusals(values, key, value)[0]
    assert first.key.startswith(f"train::{key}")


TRUTH = {
    "noise at random": (
        "image_preprocessing", {"_target_": "RandShiftIntensityd", "keys": "image", "offsets": 50.0}
    ),
    "the mask as the image": (
        "image_preprocessing", {"_target_": "CopyItemsd", "keys": "label", "names": "image"}
    ),
    "a map as the image": (
        "image_preprocessing",
        {"_target_": "transforms.BorderWeightMapd", "keys": "label", "weight_key": "image"},
    ),
    "a crop to the mask": (
        "image_preprocessing",
        {"_target_": "CropForegroundd", "keys": ["image", "label"], "source_key": "label"},
    ),
    "a truth that is always right": (
        "label_preprocessing", {"_target_": "AsDiscreted", "keys": "label", "threshold": -1}
    ),
    "a truth of all numbers": (
        "label_preprocessing",
        {"_target_": "transforms.ClassMasksd", "keys": "label", "numbers": [[1, 2]]},
    ),
    "a truth of the instances": (
        "label_resampling", {"_target_": "CopyItemsd", "keys": "inside", "names": "label"}
    ),
    "a truth of one pixel": (
        "label_preprocessing", {"_target_": "Resized", "keys": "label", "spatial_size": [1, 1]}
    ),
    "a mask without noise": (
        "label_resampling", {"_target_": "RandFlipd", "keys": "label", "prob": 1.0}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRUTH)
def test_what_an_evaluation_sees_is_neither_drawn_nor_forged(values, name):
    key, step = TRUTH[name]
    judged = list(judge_values(with_value(values, key, [*values.train[key], step]), read_policy()))
    assert any(judgement.reason or judgement.is_custom for judgement in judged)


@pytest.mark.parametrize("config", ["evaluate", "inference", "explain"])
@pytest.mark.parametrize(
    "key", ["network_def", "image_preprocessing", "window", "labels", "spatial_dims", "knob"]
)
def test_a_model_is_the_same_in_every_config(values, config, key):
    (refusal,) = refusals(values, key, values.train.get(key, 1), config)
    assert refusal.reason == "it stands in train alone, so that what was measured is what is used"


CUSTOM = {
    "a target of another role": ("loss", READER),
    "an expression": ("patch", "$[16 * side for side in @window]"),
    "another worker": ("train#dataloader", {"_target_": "DataLoader"}),
    "a step": ("training", ["$@network.parameters()"]),
    "an import": ("imports", ["$import os"]),
    "an own knob by expression": ("knob", "$len(@keys)"),
}


@pytest.mark.parametrize("name", CUSTOM)
def test_what_is_more_than_values_needs_a_person(values, packed, name):
    key, value = CUSTOM[name]
    changed = with_value(values, key, value)
    judged = list(judge_values(changed, read_policy()))
    assert any(judgement.is_custom or judgement.reason for judgement in judged)
    files = {VALUES: changed.to_json(), **packed_configs(changed)}
    assert audit(packed(**files)).refusals


def test_a_custom_config_is_accepted_by_its_hash(values, packed):
    changed = with_value(values, "patch", "$[@train#margin * side for side in @window]")
    path = packed(**{VALUES: changed.to_json(), **packed_configs(changed)})
    digest = hashlib.sha256(changed.to_json()).hexdigest()
    (line,) = map(str, audit(path).refusals)
    assert line.startswith(f"{VALUES}: a custom config, SHA-256 {digest}: it has own expressions")
    policy = read_policy().model_copy(update={"custom_configs": frozenset({digest})})
    report = audit(path, policy)
    assert report.refusals == []
    shown = {judgement.text for judgement in report.judgements if judgement.is_custom}
    expression = "[__local_refs['train::margin'] * side for side in __local_refs['window']]"
    assert shown == {expression, "__local_refs['patch']"}
    harmful = with_value(values, "knob", "$open('x')")
    digest = hashlib.sha256(harmful.to_json()).hexdigest()
    policy = read_policy().model_copy(update={"custom_configs": frozenset({digest})})
    path = packed(**{VALUES: harmful.to_json(), **packed_configs(harmful)})
    assert "calls open" in str(audit(path, policy).refusals[0])


EXPRESSIONS = {
    "$__import__('os').system('id')": "calls",
    "$import os": "imports",
    "$from os import system": "imports",
    "$().__class__.__bases__[0].__subclasses__()": "calls",
    "$torch.load('x')": "calls torch.load",
    "$torch.ops.load_library('x')": "calls torch.ops.load_library",
    "$@network.__class__": "walks to",
    "$@network.load_state_dict(1)": "calls",
    "$@network.run.__globals__": "walks to",
    "$[x for x in ().__class__.__mro__]": "walks to",
    "$exec('import os')": "calls exec",
    "$getattr(@network, 'forward')": "calls getattr",
    "$(lambda: __import__('os'))()": "calls",
    "$lambda item: @loader": "holds Lambda",
    "$[len('image', 'os.system') for len in [@loader_class]]": "binds the name len again",
    "$[torch.tensor(1) for torch in [@x]]": "binds the name torch again",
    "$[x('image') for x in [@loader_class]]": "calls x",
    "$[x for x in @keys for y in @keys]": "more than one simple loop",
    "$[[x for x in @keys] for x in @keys]": "binds the name x again",
    "$@keys[0 #(eval('1')('os').system('id') or 1)\n]": "beyond printable ASCII",
    "$@keys[0 #(eval('1') or 1)]": "a '#' outside a reference",
    "$@keys[0 ::(eval('1') or 1)]": "a '#' outside a reference",
    "$torch.cuda.is_available()": "calls torch.cuda.is_available",
    "$f'{@network}'": "holds JoinedStr",
    "${'a': 1}": "holds Dict",
    "$10 ** 10 ** 10": "a power of more than 1",
    "$'a' * 9999": "repeats a text",
    "$[0] * 9999": "repeats a text or a list",
    "$99999999999": "more than 10000",
    "$(y := 5)": "holds NamedExpr",
    "$'/etc/passwd'": "may be a path",
    "$'a/'[1] + 'etc'": "may be a path",
    "$'/.' + './.' + './x'": "may be a path",
    "$'C:' + '\\\\x'": "may be a path",
    "$@bundle_root + '/../../x'": "may be a path",
    "$@bundle_root + '/.ssh'": "may be a path",
    "$@bundle_root + '' if 0 else '/abs'": "may be a path",
    "$@empty + '/etc/passwd'": "empty is no folder's key",
    "$reference_": "the name reference_",
    "$os.environ": "walks to os.environ",
    "$torch.device(**@record)": "calls torch.device",
    "$1 +": "not a Python expression",
    "$\u0131mport os": "beyond printable ASCII",
    "$" + "1+" * 400 + "1": "characters, more than 300",
    "$" + "(" * 140 + "1" + ")" * 140: "",
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_beyond_what_a_custom_config_may_hold(text):
    reason = judge_expression(text, read_policy().allowed)
    assert EXPRESSIONS[text] in reason
    assert reason or not EXPRESSIONS[text]


@pytest.mark.parametrize(
    "text",
    [
        "$@preprocessing + @label_preprocessing", "$[side - 2 * @margin for side in @patch]",
        "$@network.parameters()", "$0.99 ** (@steps / 500)", "$@models_dir + '/model.pt'",
        "$@bundle_root + '/eval/' + @run_name", "$list(@labels.values())", "@window",
    ],
)  # fmt: skip
def test_an_expression_that_a_custom_config_may_hold(text):
    assert judge_expression(text, read_policy().allowed) == ""


def test_an_expression_is_shown_as_monai_evaluates_it():
    assert as_evaluated("$@keys[0 #(f())]") == "__local_refs['keys'][0 ::(f())]"


def test_kinds_accept_their_own_and_no_code():
    own = {
        "flag": True, "number": 1e3, "numbers": [[1, 2.5]], "share": 0.5, "count": 0,
        "counts": [0, 1], "width": 3, "widths": [[3, 3, 1]], "sides": [8, 8], "name": "Ödem",
        "names": ["image", "label"], "word": "conv-norm-act", "words": ["nearest"],
        "labels": {"a": 1, "whole": [1, 2]}, "endings": {"T1": "_0000"},
        "selection": "Modality=MR,SeriesDescription~T1", "null": None, "image": "image",
        "label": "label", "inside": "inside", "masks": ["label", "instances"], "metric": "iou",
        "overlap": 0.5,
    }  # fmt: skip
    assert set(own) == set(KINDS)
    never = ("$f()", "@x", "%x", "a/b", "..\\x", "a\nb", {"_target_": "os.system"}, float("nan"))
    for name, kind in KINDS.items():
        assert kind.accepts(own[name]), name
        assert [value for value in never if kind.accepts(value)] == [], name
        assert not kind.accepts([[[[[1]]]]]), name
    assert is_plain({"sides": own["sides"], "of": own["names"], "more": {"a": None}})
    assert not any(map(is_plain, never[:7]))
