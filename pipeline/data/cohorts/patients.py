"""Whose images are of one patient: what names and DICOM files say, and what must be asked."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.data.cohorts.dicom_cases import dicom_patients
from pipeline.data.sources import Source

NO_PATIENT = "none"
"""What ``--patient`` says where each image is a patient of its own."""
BIDS = re.compile(r"^(sub-[A-Za-z0-9]+)")
LAST_NUMBER = re.compile(r"^(?P<prefix>.+)(?P<separator>[-_. ])[A-Za-z]*\d+$")
"""A name that ends on a separator and a number, as P07_slice3."""


class PatientProposal(NamedTuple):
    """A reading of names that may give the patients.

    Attributes:
        expression: regular expression whose group is the patient.
        images: number of images that it fits.
        names: different names of patients.
        description: of the place of the patient in a name.
    """

    expression: str
    images: int
    names: tuple[str, ...]
    description: str


def patients_of_sources(
    sources: Sequence[Source], expression: str | None
) -> tuple[dict[str, str], list[str]]:
    """Return the patient of each image by its name, and remarks; empty where no patient is known.

    Args:
        sources: images.
        expression: regular expression on a name, whose first group is the patient; ``none``: each
            image is a patient of its own; None: of DICOM a pseudonym, of other images unknown.

    Raises:
        ValueError: the expression matches no patient in a name; or there is none, and names look as
            if several images were of one patient.
    """
    if expression == NO_PATIENT:
        return {}, []
    if expression is not None:
        return {source.name: _patient(source.name, expression) for source in sources}, []
    check_no_patients_in_names([source.name for source in sources if source.series is None])
    pseudonyms, remarks = dicom_patients(sources)
    if 0 < len(pseudonyms) < len(sources):
        raise ValueError(
            f"patients: {len(pseudonyms)} of {len(sources)} images are DICOM, which names the "
            f"patient; the others do not: give --patient EXPRESSION, or --patient {NO_PATIENT}"
        )
    return pseudonyms, remarks


def check_no_patients_in_names(names: Sequence[str]) -> None:
    """Check that names do not look as if several images were of one patient.

    Raises:
        ValueError: they do; the message proposes an expression for ``--patient``.
    """
    proposal = propose_patients(names)
    if proposal is None:
        return
    shown = ", ".join(proposal.names[:2])
    raise ValueError(
        f"patients: {proposal.images} images of {len(proposal.names)} names "
        f"{proposal.description}, as {shown}; images of one patient must not be divided: give "
        f"--patient '{proposal.expression}', or --patient {NO_PATIENT} if each image is a patient "
        "of its own"
    )


def propose_patients(names: Sequence[str]) -> PatientProposal | None:
    """Return the reading by which several images are of one patient; None: names show none.

    A part that all names share is no patient, as in ``img_000``, nor is a part that no two share.

    Example:
        >>> propose_patients(["P07_slice3", "P07_slice4", "P08_slice1"]).expression
        '^(.+)_'
        >>> propose_patients(["img_000", "img_001"]), propose_patients(["P07_1", "P08_2"])
        (None, None)
    """
    subjects = [match[1] for name in names if (match := BIDS.match(name))]
    if _repeat(subjects):
        return _proposal(BIDS.pattern, subjects, "by BIDS")
    ending = _common_ending(names)
    matches = [match for name in names if (match := LAST_NUMBER.match(name.removesuffix(ending)))]
    prefixes = [match["prefix"] for match in matches]
    if not _repeat(prefixes):
        return None
    separator = Counter(match["separator"] for match in matches).most_common(1)[0][0]
    after = rf"[^{re.escape(separator)}]*{re.escape(ending)}$" if ending else ""
    return _proposal(
        f"^(.+){re.escape(separator) if separator == '.' else separator}{after}",
        prefixes,
        f"before '{separator}'",
    )


def _proposal(expression: str, patients: Sequence[str], description: str) -> PatientProposal:
    names = tuple(dict.fromkeys(patients))
    return PatientProposal(expression, len(patients), names, description)


def _repeat(patients: Sequence[str]) -> bool:
    return 1 < len(set(patients)) < len(patients)


def _common_ending(names: Sequence[str]) -> str:
    """Return the last separator and what follows it, if all names end so."""
    match = re.search(r"[-_. ][^-_. ]*$", names[0]) if len(names) > 1 else None
    return match[0] if match and all(name.endswith(match[0]) for name in names) else ""


def _patient(name: str, expression: str) -> str:
    try:
        match = re.search(expression, name)
    except re.error as error:
        raise ValueError(f"--patient {expression}: not a regular expression ({error})") from None
    if not match or not match.groups():
        raise ValueError(
            f"--patient {expression}: matches no patient in '{name}'; expected an expression "
            r"with a group, as in '^([^_]+)_', or --patient none"
        )
    return match[1]
