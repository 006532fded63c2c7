"""Our OpenAPI description against the server, by a generator of requests that others wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from running_server import Running, small_bundle

# Not checked: that every odd request is refused (names of models that aren't there answer 404, which
# it takes for neither), and what stateful services do.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


def test_requests_of_all_kinds_get_what_the_description_says(tmp_path: Path) -> None:
    with Running(f"net={small_bundle(tmp_path / 'b')}", "--port", "0") as running:
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                f"{running.where}/openapi.json",
                f"--checks={','.join(CHECKS)}",
                "--phases=coverage,fuzzing",
                "--max-examples=20",
                "--seed=1",
                "--suppress-health-check=all",
                "--warnings=off",
                "--no-color",
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
