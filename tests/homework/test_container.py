"""The image and the Kubernetes job: what they say, and the job's own script with the pod's rights.

No image is built here: the tests have no network.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from grading import load, points, student_version

from lecture_utils.homework.sandbox import Limits

ROOT = Path(__file__).resolve().parents[2]
CONTAINERFILE = (ROOT / "homework" / "Containerfile").read_text("utf-8")
STEM = "01_perceptron"
GB = 2**30


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    """The YAML's parts by kind."""
    text = (ROOT / "homework" / "job.yaml").read_text("utf-8")
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def pod(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return documents["Job"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    return container


def test_one_submission_an_index(documents: dict[str, dict[str, Any]]) -> None:
    spec = documents["Job"]["spec"]
    assert documents["Job"]["apiVersion"] == "batch/v1"
    assert spec["completionMode"] == "Indexed"
    assert 1 <= spec["parallelism"] <= spec["completions"]
    # One failing index must not end the others, which needs this policy.
    assert spec["backoffLimitPerIndex"] == 1
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert "activeDeadlineSeconds" not in spec  # it would end the whole class


def test_limits_of_the_pod_leave_room_for_those_of_a_submission(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    limits = Limits()
    assert pod["activeDeadlineSeconds"] >= limits.submission_seconds + 200
    memory = int(container["resources"]["limits"]["memory"].removesuffix("Gi")) * GB
    assert memory >= limits.resident + GB
    (tmp,) = [v["emptyDir"] for v in pod["volumes"] if v["name"] == "tmp"]
    assert int(tmp["sizeLimit"].removesuffix("Mi")) * 2**20 >= limits.scratch
    assert set(container["resources"]["requests"]) == set(container["resources"]["limits"])


def test_rights_of_the_pod(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["hostUsers"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    rights = container["securityContext"]
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["privileged"] is False
    assert rights["readOnlyRootFilesystem"] is True
    allowed = ["SETUID", "SETGID", "KILL", "DAC_OVERRIDE"]
    assert rights["capabilities"] == {"drop": ["ALL"], "add": allowed}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert set(mounts) == {"/course/submitted", "/course/results", "/tmp"}
    assert mounts["/course/submitted"]["readOnly"] is True


def test_no_network(documents: dict[str, dict[str, Any]]) -> None:
    policy = documents["NetworkPolicy"]["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert not {"ingress", "egress"} & set(policy)
    labels = documents["Job"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


def test_image_installs_the_locks_and_one_command() -> None:
    lines = [line for line in CONTAINERFILE.splitlines() if not line.startswith("#")]
    assert lines[0] == "FROM python:3.11-slim"
    assert 'ENTRYPOINT ["lecture", "homework", "job"]' in lines
    text = "\n".join(lines)
    assert "-r requirements.txt" in text and "-c requirements-dev.txt '.[homework]'" in text
    (torch,) = [
        line
        for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines()
        if line.startswith("torch==")
    ]
    assert torch.split()[0] in text
    assert "chmod 700 /course" in text


def test_image_is_built_without_submissions() -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    assert rules[0] == "*"
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    assert "homework" not in allowed
    assert all((ROOT / name).exists() for name in allowed)


def why_not_here() -> str:
    if os.getuid() != 0:
        return "only root can give itself just the rights of the pod"
    return "" if shutil.which("bwrap") else "needs bubblewrap"


SPY = """
import os
for path in ("/course/submitted", "/course/results", "/course", NOTEBOOKS):
    try:
        print(path, os.listdir(path))
    except OSError as error:
        print(path, type(error).__name__)
print("user", os.getuid(), os.geteuid())
try:
    open("/tmp/../course/results/x", "w")
except OSError as error:
    print("write", type(error).__name__)
"""


def run_script(
    container: dict[str, Any], tmp_path: Path, index: int, opened: bool = False
) -> subprocess.CompletedProcess[str]:
    """The job's script on two submissions. bubblewrap stands in for the container: root with four
    capabilities, a read-only file system, no network, an empty /tmp. ``opened``: the notebooks
    were left readable in the image."""
    for name in ("ada", "bob"):
        notebook = load(STEM)
        if name == "bob":
            notebook = student_version(notebook)
            answers = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("solution")]
            for cell in answers:
                cell.source = f"NOTEBOOKS = {str(ROOT / 'notebooks')!r}\n{SPY}"
        folder = tmp_path / "submitted" / name / STEM
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / f"{STEM}.ipynb")
    (tmp_path / "results").mkdir()
    line = ["bwrap", "--tmpfs", "/", "--dev", "/dev", "--proc", "/proc"]
    line += [f"--unshare-{space}" for space in ("net", "pid", "ipc", "uts")]
    for name in ("bin", "etc", "lib", "lib64", "sbin", "usr"):
        path = Path("/", name)
        if path.is_symlink():
            line += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            line += ["--ro-bind", str(path), str(path)]
    for path in (Path(sys.base_prefix), ROOT, Path(sys.prefix)):
        for folder in reversed(path.parents[:-1]):
            line += ["--perms", "0755", "--dir", str(folder)]
        line += ["--ro-bind", str(path), str(path)]
    line += ["--perms", "0700", "--dir", "/course", "--perms", "1777", "--tmpfs", "/tmp"]
    line += ["--ro-bind", str(tmp_path / "submitted"), "/course/submitted"]
    line += ["--bind", str(tmp_path / "results"), "/course/results"]
    for folder in (ROOT, Path(sys.prefix)):  # where they lie below /tmp
        for parent in reversed(folder.parents[:-1]):
            line += ["--perms", "0755", "--dir", str(parent)] if parent.parts[1] == "tmp" else []
        line += ["--ro-bind", str(folder), str(folder)]
    closed = tmp_path / "notebooks"  # as the image closes them
    shutil.copytree(ROOT / "notebooks", closed)
    closed.chmod(0o755 if opened else 0o700)
    line += ["--ro-bind", str(closed), str(ROOT / "notebooks")]
    line += ["--remount-ro", "/", "--chdir", container["workingDir"]]
    line += ["--cap-drop", "ALL"]
    for name in container["securityContext"]["capabilities"]["add"]:
        line += ["--cap-add", f"CAP_{name}"]
    given = {
        "ASSIGNMENT": STEM,
        "JOB_COMPLETION_INDEX": str(index),
        "LECTURE_COURSE": "/course",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
    }
    return subprocess.run(
        [*line, *container["command"], *container["args"]],
        env=given,
        capture_output=True,
        text=True,
        timeout=300,
    )


here = pytest.mark.skipif(bool(why_not_here()), reason=why_not_here())


@here
@pytest.mark.parametrize(("index", "student", "score"), [(0, "ada", 1.0), (1, "bob", 0.0)])
def test_script_of_the_job_with_the_rights_of_the_pod(
    container: dict[str, Any], tmp_path: Path, index: int, student: str, score: float
) -> None:
    run = run_script(container, tmp_path, index)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in (tmp_path / "results").iterdir()] == [f"{student}.json"]
    result = json.loads((tmp_path / "results" / f"{student}.json").read_text("utf-8"))
    assert (result["student"], result["sandbox"]) == (student, "container")
    assert result["score"] == score * sum(points(STEM).values())
    if student == "bob":
        outputs = next(c["outputs"] for c in result["cells"] if c["outputs"])
        said = "".join(output["text"] for output in outputs)
        assert said.splitlines() == [
            "/course/submitted PermissionError",
            "/course/results PermissionError",
            "/course PermissionError",
            f"{ROOT / 'notebooks'} PermissionError",
            "user 65534 65534",
            "write PermissionError",
        ]


@here
def test_an_image_that_shows_the_solutions_is_refused(
    container: dict[str, Any], tmp_path: Path
) -> None:
    run = run_script(container, tmp_path, 0, opened=True)
    assert run.returncode == 1
    assert "chmod -R go=" in run.stderr
    assert list((tmp_path / "results").iterdir()) == []
