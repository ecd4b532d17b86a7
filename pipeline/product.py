"""What was installed: its version and commit, and where its bundles and records lie."""

from pathlib import Path

from pipeline.provenance import git_commit, version_of

DISTRIBUTION = "unet-school"
_SOURCE = Path(__file__).parents[1]


def product_root() -> Path:
    """Return the folder that holds ``bundles`` and ``docs/results``.

    In a checkout it is the repository. A wheel has the same layout in its folder ``unet_school``.

    Example:
        >>> (product_root() / "bundles" / "membranes" / "configs" / "train.yaml").is_file()
        True
    """
    installed = _SOURCE / "unet_school"
    return installed if installed.is_dir() else _SOURCE


def is_checkout() -> bool:
    """Return whether the code runs from a clone of the repository, whose files are the user's."""
    return (_SOURCE / ".git").exists()  # a file in a worktree


def product_commit() -> str:
    """Return the commit of the code; ``none`` where it was installed from a wheel.

    An environment often lies in the repository of something else: its commit would say nothing.
    """
    return git_commit(_SOURCE) if is_checkout() else "none"


def version_line() -> str:
    """Return the version, with the commit in a checkout.

    Example:
        >>> version_line().split()[0]
        'unet-school'
    """
    commit = f", commit {product_commit()}" if is_checkout() else ""
    return f"{DISTRIBUTION} {version_of(DISTRIBUTION)}{commit}"
