import os
import pty
import threading

from tests.cli.command import Process


def test_a_person_who_watches_sees_the_updates_go_by(cells, recipe_file, tmp_path):
    """On a terminal a bar counts to its end on stderr; stdout holds the path alone."""
    control, terminal = pty.openpty()
    (tmp_path / "stderr.txt").symlink_to(os.ttyname(terminal))
    words = ["train", cells, "--recipe", recipe_file, "--out", tmp_path / "run"]
    process = Process([*words, "--device", "cpu"], tmp_path)
    seen = bytearray()

    def read():
        try:
            while chunk := os.read(control, 4096):
                seen.extend(chunk)
        except OSError:
            """The terminal was closed."""

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while process.is_running():
        reader.join(0.05)
    os.close(terminal)
    reader.join(5)
    os.close(control)
    assert (tmp_path / "stdout.txt").read_text() == f"{tmp_path / 'run'}\n"
    text = seen.decode()
    assert "training" in text
    assert "20/20" in text
    assert "Traceback" not in text
