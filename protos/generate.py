"""Makes the Python code of the wire language: `python protos/generate.py [OUT]`.

Replaces `goalkick/proto/**` under OUT, which is the sources of libs/common if it is not given. The
code is never edited; a test compares it with the .proto files.
"""

import shutil
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

PROTOS = Path(__file__).resolve().parent
SOURCES = PROTOS.parent / "libs" / "common" / "src"


def generate(out: Path) -> None:
    """Replaces `out`/goalkick/proto by fresh code.

    Raises:
        SystemExit: protoc refused a file; it has said why on stderr.
    """
    shutil.rmtree(out / "goalkick" / "proto", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            # Beside the running interpreter, whether or not its environment is activated.
            f"--plugin=protoc-gen-mypy={Path(sys.executable).parent / 'protoc-gen-mypy'}",
            f"--python_out={out}",
            f"--mypy_out=quiet:{out}",
            *sorted(str(path) for path in PROTOS.rglob("*.proto")),
        ]
    )
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCES)
