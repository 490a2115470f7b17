"""What is in an image: a bill of materials in CycloneDX 1.6, as JSON on standard output.

Run by the image's own Python, so it tells what is there and not what should be. The same image
gives the same bytes.
"""

import json
import os
import re
import sys
import uuid
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

DEBIAN = Path("/var/lib/dpkg/status")
"""What Debian's packages there are."""

OURS = "Apache-2.0"


def bill(service: str, version: str, components: list[dict[str, Any]]) -> dict[str, Any]:
    """The document of an image of `service`."""
    subject = f"goalkick-{service}"
    body: dict[str, Any] = {
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": subject,
                "name": subject,
                "version": version,
                "licenses": [{"license": {"id": OURS}}],
            }
        },
        "components": components,
    }
    seal = json.dumps(body, sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, seal)}",
        "version": 1,
        **body,
    }


def of_python(found: list[Distribution]) -> list[dict[str, Any]]:
    """Python distributions, in order of name."""
    entries = {}
    for each in found:
        name = re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower()
        purl = f"pkg:pypi/{name}@{each.version}"
        entry: dict[str, Any] = {
            "type": "library", "bom-ref": purl, "name": name, "version": each.version,
            "purl": purl,
        }  # fmt: skip
        said = each.metadata["License-Expression"]
        if said:
            entry["licenses"] = [{"expression": said}]
        entries[purl] = entry
    return [entries[purl] for purl in sorted(entries)]


def of_debian(status: str) -> list[dict[str, Any]]:
    """Debian packages that are installed, by what dpkg's status file says."""
    entries = []
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, version = fields["Package"], fields["Version"]
        purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}"
        purl += f"?arch={fields['Architecture']}"
        entries.append(
            {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        )
    return sorted(entries, key=lambda entry: entry["bom-ref"])


def main() -> None:
    """Prints the bill of the image that this runs in."""
    service, version = sys.argv[1:3]
    # Only what is on the service's own path, and Python's own packages; not the site's tools.
    folders = [f for f in os.environ.get("PYTHONPATH", "").split(os.pathsep) if f] or sys.path
    components = of_python(list(distributions(path=folders)))
    if DEBIAN.exists():
        components += of_debian(DEBIAN.read_text())
    sys.stdout.write(json.dumps(bill(service, version, components), indent=1, sort_keys=True))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
