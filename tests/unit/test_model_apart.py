"""The model that judges the ledger shares no code with it."""

import ast
import sys
from pathlib import Path

import pytest

LAWS = Path(__file__).parents[1] / "laws"
MODEL = [
    *(LAWS / f"{name}.py" for name in ("world", "records", "book", "writing")),
    *sorted(LAWS.glob("kinds/*.py")),
]


@pytest.mark.parametrize("path", MODEL, ids=lambda path: path.stem)
def test_the_model_imports_the_standard_library_and_itself_alone(path: Path) -> None:
    """Every import of the model's modules is of the standard library, or of the model."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    allowed = {".".join(one.relative_to(LAWS.parents[1]).with_suffix("").parts) for one in MODEL}
    assert {one for one in imported if one.partition(".")[0] not in sys.stdlib_module_names} <= allowed
