"""An example of each command and of each of its options, as the help shows them.

A test types them all.
"""

EXAMPLES = {
    "": (
        "demo",
        "new bundles/mine --images DIR --masks DIR",
        "train bundles/mine",
        "--version",
    ),
    "demo": ("demo", "demo --out first --tracking mlruns"),
    "doctor": (
        "doctor",
        "doctor --tracking mlruns --models bundles/membranes",
        "doctor --json",
    ),
    "bundles": ("bundles", "bundles copy membranes"),
    "bundles copy": (
        "bundles copy membranes",
        "bundles copy membranes nuclei --to work/bundles",
        "bundles copy --all",
    ),
    "data": ("data prepare folder --images images --masks masks --out data/mine",),
    "data phantom": (
        "data phantom --out data/cells",
        "data phantom --kind lungs --out data/ct --count 60 --size 512 --seed 1",
    ),
    "data prepare": ("data prepare isbi2012 --source downloads/isbi2012 --out data/isbi2012",),
    "data prepare isbi2012": (
        "data prepare isbi2012 --source downloads/isbi2012 --out data/isbi2012",
        "data prepare isbi2012 --source downloads/isbi2012 --out data/isbi --split contiguous "
        "--sizes 20 5 5 --seed 1",
    ),
    "data prepare nuclei": (
        "data prepare nuclei --source downloads/stage1_train --out data/nuclei",
        "data prepare nuclei --source downloads/stage1_train --out data/n --sizes 8 1 1 --seed 1",
    ),
    "data prepare shenzhen": (
        "data prepare shenzhen --source downloads/shenzhen --out data/shenzhen",
        "data prepare shenzhen --source downloads/shenzhen --out data/shenzhen256 --size 256 "
        "--sizes 60 20 20 --seed 1",
    ),
    "data prepare pancreas_ct": (
        "data prepare pancreas_ct --source downloads/ct --out data/pancreas_ct",
        "data prepare pancreas_ct --source downloads/ct --out data/p --sizes 60 20 20 --seed 1",
    ),
    "data prepare lung_ct": (
        "data prepare lung_ct --source downloads/lungs --out data/lung_ct",
        "data prepare lung_ct --source downloads/lungs --out data/l --sizes 60 20 20 --seed 1",
    ),
    "data prepare decathlon": (
        "data prepare decathlon --source Task04_Hippocampus --out data/hippocampus",
        "data prepare decathlon --source Task09_Spleen --out data/spleen --sizes 8 1 1 --seed 1",
    ),
    "data prepare folder": (
        "data prepare folder --images images --masks masks --out data/mine",
        "data prepare folder --images images --out data/mine --pattern {name}_mask "
        "--patient '(p\\d+)_' --groups patients.csv --sizes 60 20 20 --seed 1",
        "data prepare folder --images mr --out data/mr --channels T1=_0000 T2=_0001 --modality MR",
        "data prepare folder --images dicom --masks masks --out data/ct --series Modality=CT",
        "data prepare folder --images dicom --masks seg --out data/liver --labels Liver=1 "
        "--fraction 0.3",
    ),
    "data check": ("data check data/mine", "data check data/mine --mend"),
    "data split": (
        "data split data/mine --by patient --stratify sex --sizes 60 20 20 --seed 1",
        "data split data/mine --folds 5",
    ),
    "new": (
        "new bundles/mine --images images --masks masks",
        "new bundles/mine --images images --pattern {name}_mask --kind instances",
        "new bundles/mine --images ct --masks masks --labels liver=1 tumour=2 --mend",
        "new bundles/mine --images mr --channels T1=_0000 T2=_0001 --modality MR "
        "--patient '(p\\d+)_'",
        "new bundles/mine --images dicom --masks masks --series Modality=CT "
        "--groups patients.csv --sizes 60 20 20 --seed 1",
        "new bundles/mine --images dicom --masks seg --labels Liver=1 Tumour=2 --fraction 0.3",
    ),
    "pretrain": (
        "pretrain bundles/mine --images images",
        "pretrain bundles/mine --images dicom --series Modality=CT --data data/mine "
        "--with unetpp --set max_epochs=100 --tracking mlruns",
    ),
    "train": (
        "train bundles/membranes --data data/isbi2012",
        "train bundles/membranes --data data/isbi2012 --with unetpp --set max_epochs=40",
        "train bundles/membranes --resume bundles/membranes/models/RUN --tracking mlruns",
    ),
    "federate": (
        "federate bundles/lungs_xray --sites A=data/a B=data/b C=data/c --rounds 5",
        "federate bundles/mine --sites A=data/a B=data/b --fedprox 0.01 --statistics site --seed 1 "
        "--policy policy.yaml --out federated/mine --tracking mlruns",
        "federate bundles/mine --sites A=data/a B=data/b --privacy svt fraction=0.5 epsilon=10",
        "federate bundles/mine --sites A B C --export job --with unetpp --set max_epochs=40",
    ),
    "evaluate": (
        "evaluate bundles/membranes --data data/isbi2012",
        "evaluate bundles/membranes --run RUN --out evaluation --tracking mlruns",
        "evaluate bundles/membranes --data data/isbi2012 --with unetpp --set symmetries=1",
    ),
    "infer": (
        "infer bundles/membranes --images images --out predictions",
        "infer bundles/mine --images images --outer",
        "infer bundles/mine --run RUN --images dicom --series Modality=CT --probabilities",
        "infer bundles/mine --images dicom --dicom seg rtstruct sr capture --dicom-seg labelmap",
        "infer bundles/membranes --data data/isbi2012 --with unetpp --set symmetries=1 "
        "--tracking mlruns",
    ),
    "explain": (
        "explain bundles/membranes --data data/isbi2012",
        "explain bundles/membranes --run RUN --out explanation --tracking mlruns",
        "explain bundles/membranes --data data/isbi2012 --with unetpp --set seed=1",
        "explain bundles/membranes --data data/isbi2012 --quick",
    ),
    "pacs": ("pacs watch --config pacs.yaml",),
    "pacs echo": ("pacs echo --config pacs.yaml", "pacs echo --peer archive"),
    "pacs pull": (
        "pacs pull --peer archive --study 1.2.840.1 1.2.840.2 --out studies",
        "pacs pull --config pacs.yaml --peer archive --where PatientID=4711 StudyDate=20260101- "
        "--out studies",
    ),
    "pacs push": ("pacs push segmentations --peer archive --config pacs.yaml",),
    "pacs watch": ("pacs watch --config pacs.yaml", "pacs watch --once"),
    "pacs list": ("pacs list --config pacs.yaml", "pacs list --state failed"),
    "pacs retry": ("pacs retry --study 1.2.840.1", "pacs retry --config pacs.yaml --all"),
    "serve": (
        "serve bundles/mine --images images --data labelled",
        "serve bundles/mine --images dicom --series Modality=CT --data labelled --origin "
        "http://localhost:3000 --training --dicom-seg labelmap",
        "serve bundles/mine --run RUN --data labelled --host 10.20.0.9 --port 8001 --users "
        "users.txt --upload-mb 1024 --waiting 4",
        "serve bundles/membranes --data labelled --with unetpp --set threshold=0.4",
    ),
    "watch": (
        "watch bundles/mine --table inferences.db --out watched",
        "watch bundles/mine --run RUN --table inferences.db --out watched --week 2026-W48 "
        "--alpha 0.001 --tracking mlruns",
        "watch bundles/membranes --out watched --with unetpp --set models_dir=models",
    ),
    "compare": (
        "compare RUN OTHER_RUN",
        "compare bundle=membranes --metric accuracy --out comparison",
        "compare RUN OTHER_RUN --groups sex finding --tracking mlruns",
    ),
    "compare-networks": (
        "compare-networks bundles/membranes --data data/isbi2012",
        "compare-networks bundles/membranes --networks unet unetpp --seeds 3 --metric iou "
        "--out compared/membranes --tracking mlruns",
        "compare-networks bundles/mine --with mine.yaml --set max_epochs=40",
        "compare-networks bundles/mine --seeds 3 --jobs slurm --slurm slurm.yaml",
        "compare-networks bundles/mine --seeds 3 --job 0",
    ),
    "crossval": (
        "crossval bundles/membranes --dataset-dir data/isbi2012 --out runs/cv",
        "crossval bundles/lungs_xray --out runs/cv --folds 10 --seed 1 --stratify sex "
        "--groups sex finding --age age --metric dice --tracking mlruns",
        "crossval bundles/mine --out runs/cv --with unetpp --set max_epochs=40",
        "crossval bundles/mine --out runs/cv --hold-out",
        "crossval bundles/mine --out runs/cv --jobs 4",
        "crossval bundles/mine --out runs/cv --jobs slurm --slurm slurm.yaml",
        "crossval bundles/mine --out runs/cv --job 0",
    ),
    "reproduce": (
        "reproduce unet_school_isbi --table",
        "reproduce unet_school_isbi --dataset-dir data/isbi2012 --only unet unetpp --seeds 3",
        "reproduce unet_school_isbi --scale paper --out reproduced --tracking mlruns --rerun",
        "reproduce unet_school_isbi --root work --set threads=1",
        "reproduce unet_school_isbi --only unet --allow-dirty",
        "reproduce unet_school_isbi --seeds 3 --jobs slurm --slurm slurm.yaml",
        "reproduce unet_school_isbi --seeds 3 --job 0 --parent ID",
    ),
    "search": (
        "search bundles/mine --data data/mine --space space.yaml --trials 20",
        "search bundles/mine --space space.yaml --minutes 120 --seed 1 --out searched/mine "
        "--tracking mlruns",
        "search bundles/mine --space space.yaml --with unetpp --set max_epochs=40 --jobs 4",
        "search bundles/mine --space space.yaml --jobs slurm --slurm slurm.yaml",
        "search bundles/mine --space space.yaml --job 0",
    ),
    "ui": ("ui bundles/membranes", "ui --port 5001 --tracking mlruns"),
    "pack": (
        "pack bundles/mine --run RUN --out mine.zip",
        "pack bundles/mine --run RUN --out mine.zip --sample image.png --exports exports.json",
        "pack bundles/mine --run RUN --out mine.zip --dataset-dir data/mine --tracking mlruns "
        "--no-registry",
    ),
    "key": ("key new --out keys",),
    "key new": ("key new --out keys",),
    "key show": ("key show keys/public.pem",),
    "key pin": (
        'key pin "Hospital A" --key public.pem --fingerprint SHA256:…',
        'key pin "Hospital A" --key public.pem --fingerprint SHA256:… --until 2030-12-31',
    ),
    "key revoke": ('key revoke "Hospital A" --reason "the key was stolen"',),
    "key list": ("key list",),
    "sign": (
        "sign mine.zip --key keys/private.pem",
        "sign mine.zip --key private.pem --certificate own.pem --chain root.pem --out mine.sig",
    ),
    "verify": (
        'verify mine.zip --from "Hospital A"',
        "verify mine.zip --key public.pem --signature mine.sig",
        "verify mine.zip --roots root.pem",
    ),
    "audit": (
        "audit mine.zip",
        "audit mine.zip --policy policy.yaml --json audit.json --all",
    ),
    "receive": (
        'receive mine.zip --from "Hospital A" --out received/mine',
        "receive mine.zip --key public.pem --signature mine.sig --out received/mine",
        "receive mine.zip --roots root.pem --policy policy.yaml --protocol protocol.md "
        "--out received/mine",
    ),
    "export": (
        "export bundles/mine --images images --out exported",
        "export bundles/mine --images images --out exported --formats onnx --model model.pt "
        "--with unetpp",
    ),
}
"""What stands behind ``unet-school``, by the words of the command."""
