"""Writer of the map in docs/architecture.md: every module with the first line of its docstring.

Run it by `make docs`; with --check it fails if the map is stale, and changes nothing.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
MAP = re.compile(r"(?<=<!-- map -->\n).*?(?=<!-- end of map -->)", re.S)


def page() -> str:
    """Return docs/architecture.md with the map as the code is."""
    text = "\n".join(["", *_lines(ROOT / "alps_geo", "alps_geo"), "", ""])
    return MAP.sub(lambda _: text, PAGE.read_text(encoding="utf-8"))


def _lines(folder: Path, name: str, depth: int = 0) -> list[str]:
    """List a package and all in it, packages after modules."""
    lines = [f"{'  ' * depth}- **{name}/** {_summary(folder / '__init__.py')}"]
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    lines += [f"{'  ' * (depth + 1)}- `{path.name}` {_summary(path)}" for path in modules]
    for inner in sorted(path.parent for path in folder.glob("*/__init__.py")):
        lines += _lines(inner, inner.name, depth + 1)
    return lines


def _summary(path: Path) -> str:
    documentation = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return documentation.partition("\n")[0]


def main() -> int:
    """Write the map, or check it; return the exit code."""
    if "--check" in sys.argv:
        if PAGE.read_text(encoding="utf-8") == page():
            return 0
        print(f"{PAGE} is stale: make docs writes it")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
