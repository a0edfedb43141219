"""Safe names of files, made from texts of the database."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import PureWindowsPath

# The characters of names that are entered through `ParameterTable`; others come by SQL alone.
UNSAFE = re.compile(r"[^\w.+-]|\A[.-]|-(?=-|\Z)")
# No safe text holds "--", or begins or ends with "-": commas are not liked by LaTeX and shells.
BETWEEN, BEFORE_DIGEST = "--", "~"
LONGEST = 200  # bytes of a file's name; file systems take 255, some fewer


def safe(text: object) -> str:
    """Return a text as a part of a file's name: no path, not hidden, and no other text's.

    What is not safe becomes ``%`` and the two digits of each of its bytes; no text at all is ``%``.
    """
    return UNSAFE.sub(lambda found: _escaped(found[0]), str(text)) or "%"


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


def file_name(*texts: object, ending: str = "") -> str:
    """Return a file's name made of texts; other texts have another one."""
    name = BETWEEN.join(map(safe, texts))
    if len(f"{name}{ending}".encode()) > LONGEST:
        end = f"{BEFORE_DIGEST}{sha256(name.encode()).hexdigest()[:16]}{ending}"
        name = name.encode()[: LONGEST - len(end.encode())].decode(errors="ignore")
        return name + end
    return name + ending


def leads_out(path: str) -> bool:
    """Return whether a path leads out of the folder that it is joined to, on whatever system."""
    windows = PureWindowsPath(path)  # splits at / and at \\, and knows drives
    return ".." in windows.parts or bool(windows.anchor) or "\0" in path
