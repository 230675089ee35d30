"""Write every dashboard to its file."""

from __future__ import annotations

from grafana.generator.boards import BOARDS, FOLDER, render

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, board in BOARDS.items():
        (FOLDER / name).write_text(render(board()), encoding="utf-8")
