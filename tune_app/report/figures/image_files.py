"""A figure as image files: for the screen, and for a paper that takes no pixels."""

import io
from threading import Lock
from typing import Any

import matplotlib
from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")

DPI = 200  # of a PNG: print
_settings_lock = Lock()  # they are the process's


def image_files(figure: Figure, title: str) -> dict[str, bytes]:
    """The same bytes each time, with the title, and with the figure's label as its caption.

    Args:
        figure: with its caption as its label; laid out for good.
        title: of the figure.

    Returns:
        The file by format.
    """
    caption = str(figure.get_label())
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Title": title, "Description": caption},
        "pdf": {"Title": title, "Subject": caption, "CreationDate": None},
        "svg": {"Title": title, "Description": caption, "Date": None},
    }
    if engine := figure.get_layout_engine():
        # Once, for this is half of the cost: savefig would do it twice for each file.
        engine.execute(figure)
        figure.set_layout_engine(None)
    files = {}
    with _settings_lock, matplotlib.rc_context():
        matplotlib.rcParams["pdf.fonttype"] = 42  # TrueType: journals refuse the default, Type 3
        matplotlib.rcParams["svg.fonttype"] = "none"  # text to search and to edit, not paths
        matplotlib.rcParams["svg.hashsalt"] = "lottery-sweeps"  # ids that are the same each time
        for format in FORMATS:
            file = io.BytesIO()
            figure.savefig(file, format=format, dpi=DPI, metadata=metadata[format])
            files[format] = file.getvalue()
    return files
