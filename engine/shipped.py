"""Where the files that ship beside the code are: the starter workspace and the demo's purchases."""

from pathlib import Path

_INSTALLED = Path(__file__).parent / "_shipped"
_CHECKOUT = Path(__file__).parent.parent


def starter() -> Path:
    """The folder with the starter workspace: config.yaml, rules/, templates/."""
    return _INSTALLED / "starter" if _INSTALLED.is_dir() else _CHECKOUT


def cdnow() -> Path:
    """The folder with the CDNOW purchases."""
    return _INSTALLED / "cdnow" if _INSTALLED.is_dir() else _CHECKOUT / "examples" / "cdnow"
