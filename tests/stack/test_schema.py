"""The boards have only what the newest schema of Grafana has; older versions are seen in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.grafana.dashboards import FILES, Tree, parsed, placed
from tests.stack import npm

SOURCE = Path(__file__).parent / "schema"
PACKAGE = "@grafana/schema"
PANELS = f"./node_modules/{PACKAGE}/dist/types/raw/composable"
WITHOUT_SCHEMA = {"row", "alertlist", "traces"}
"""Types of panels that the package does not have."""
WITHOUT_CUSTOM = {"stat", "bargauge", "logs"}
"""Types of panels without fields of their own."""
OF_DATA_SOURCE = {"expr", "step", "titleFormat", "textFormat", "tagKeys"}
"""Fields of an annotation that belong to its data source."""
# The members of an enumeration are written as their texts.
PLAIN = """
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
    : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]?: Plain<T[K]> } : T;
"""
COMPILE = ("--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler")

pytestmark = pytest.mark.needs("node", "npm")


def typed(board: Tree) -> str:
    """Return a board and its panels as constants in TypeScript with the types of the schema."""
    shown = {name: value for name, value in board.items() if name != "__inputs"}
    marks = [
        {name: value for name, value in mark.items() if name not in OF_DATA_SOURCE}
        for mark in board["annotations"]["list"]
    ]
    constants = [("Dashboard", {**shown, "annotations": {"list": marks}})]
    for panel in placed(board):
        kind = panel["type"].replace("-", "")
        if kind not in WITHOUT_SCHEMA:
            constants.append((f"{kind}.Options", panel["options"]))
            if kind not in WITHOUT_CUSTOM:
                own = panel["fieldConfig"]["defaults"].get("custom", {})
                constants.append((f"{kind}.FieldConfig", own))
    kinds = sorted({kind.partition(".")[0] for kind, _ in constants[1:]})
    lines = [
        f"import type {{ Dashboard }} from '{PACKAGE}';",
        *(f"import type * as {kind} from '{PANELS}/{kind}/panelcfg/x/types.gen';" for kind in kinds),
        PLAIN,
        *(
            f"const value{number}: Plain<{kind}> = {json.dumps(value)};"
            for number, (kind, value) in enumerate(constants)
        ),
    ]
    return "\n".join(lines)


def compiled(text: str) -> str:
    """Return what the compiler says of a text, empty for nothing.

    Raises:
        RuntimeError: When it finds errors.
    """
    folder = npm.installed(SOURCE)
    with TemporaryDirectory(dir=folder) as own:
        path = Path(own) / "boards.ts"
        path.write_text(text.replace("'./node_modules", "'../node_modules"), encoding="utf-8")
        return npm.run(folder, "node", "node_modules/typescript/bin/tsc", *COMPILE, str(path))


@pytest.mark.parametrize("file", FILES)
def test_newest_schema(file: str) -> None:
    """Every field of the board and of its panels exists in the newest schema, with such values."""
    assert "" == compiled(typed(parsed(file)))


def test_schema_finds_errors() -> None:
    """A field that the schema does not have is an error, in a panel of a closed row too."""
    board = json.loads(json.dumps(parsed(FILES[0])))
    (row,) = [row for row in board["panels"] if row.get("panels")]
    row["panels"][0]["options"]["wraps"] = True

    with pytest.raises(RuntimeError, match="wraps"):
        compiled(typed(board))
