"""Writes `kafka.lock` anew: `python -m infra.embedded.relock`. For who changes the version of Kafka.

jgo resolves the broker's runtime dependencies from Maven Central; the checksums are those of the files that
it gets. A changed lock is to be read before it is committed.
"""

import sys
import tempfile
from pathlib import Path

from infra.embedded.jars import LOCK_FILE, sha256_of

COORDINATES = (
    "org.apache.kafka:kafka_2.13:4.3.1",
    # Kafka brings the logging interface alone. This implementation writes to standard error, which is the
    # stage's log, and starts in no time.
    "org.slf4j:slf4j-simple:1.7.36",
)

NEWER = {
    "jackson-core": "2.21.6",
    "jackson-databind": "2.21.6",
    "jackson-dataformat-csv": "2.21.6",
    "jackson-dataformat-yaml": "2.21.6",
    "jackson-datatype-jdk8": "2.21.6",
    "log4j-api": "2.25.5",
    "log4j-core": "2.25.5",
}
"""Versions in place of those that Kafka asks for, of the same minor line: advisories are out on its own."""


def lock_text(coordinates: tuple[str, ...] = COORDINATES) -> str:
    """The lock of these coordinates and all they need at run time; downloads everything."""
    from jgo.maven import MavenContext, PythonResolver

    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(resolver=PythonResolver(), repo_cache=Path(folder), timeout=30)
        wanted = [context.create_dependency(each) for each in coordinates]
        resolved, transitive = context.resolver.resolve(wanted)
        found = sorted((*resolved, *transitive), key=lambda each: (each.groupId, each.artifactId))
        lines = ["# Written by `python -m infra.embedded.relock`: what the broker needs at run time."]
        for dependency in found:
            group, artifact = dependency.groupId, dependency.artifactId
            version = NEWER.get(artifact, dependency.version)
            path = context.create_dependency(f"{group}:{artifact}:{version}").artifact.resolve()
            lines += [
                "",
                "[[dependencies]]",
                f'groupId = "{group}"',
                f'artifactId = "{artifact}"',
                f'version = "{version}"',
                f"size = {path.stat().st_size}",
                f'sha256 = "{sha256_of(path)}"',
            ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    LOCK_FILE.write_text(lock_text())
    print(f"{LOCK_FILE} written", file=sys.stderr)
