"""What scripts call for, told from their text."""

from __future__ import annotations

import pytest

from trebuchet.plan.tools import (
    calls,
    debian_packages,
    not_brought,
    wants_conda,
    wants_docker,
    wants_uv,
)


@pytest.mark.parametrize(
    "script",
    [
        "wget x",
        "  wget x",
        "cd y && wget x",
        "cd y; wget x",
        "true | wget",
        "(wget x)",
        "x=$(wget -O- y)",
        "sudo wget x",
        "sudo -E true\nsudo A=1 wget x",
        "A=1 B=2 wget x",
        "if true; then wget x; fi",
        "nohup wget x &",
        "wget",
    ],
)
def test_a_command_is_found_where_commands_stand(script: str) -> None:
    assert calls(script, "wget")


@pytest.mark.parametrize(
    "script", ["wgetter x", "pip install wget", "echo wget", "./wget x", "wget.py", "a/wget", "wget/x"]
)
def test_a_word_elsewhere_is_no_command(script: str) -> None:
    assert not calls(script, "wget")


def test_packages_come_once_and_in_a_fixed_order() -> None:
    assert debian_packages("gcc a; make; g++ b; unzip c; wget d") == ["wget", "unzip", "build-essential"]


def test_conda_that_a_script_installs_is_not_brought() -> None:
    assert wants_conda("conda activate x")
    assert wants_conda("source ~/miniconda3/etc/profile.d/conda.sh")
    assert not wants_conda("bash Miniforge3-Linux-x86_64.sh -b; conda activate x")


def test_uv_and_docker() -> None:
    assert wants_uv("uv pip install x")
    assert wants_uv("uvx ruff")
    assert not wants_uv("pip install uv-thing")
    assert wants_docker("sudo docker run x")


def test_a_long_script_takes_no_time() -> None:
    assert not calls(";a=b " * 700_000, "wget")


def test_commands_of_other_clouds_are_told_unless_the_script_installs_them() -> None:
    assert not_brought("gsutil cp a b; kubectl get pods") == ["gsutil", "kubectl"]
    assert not_brought("gsutil cp a b", ["gsutil"]) == []
    assert not_brought("pip install -U gsutil\ngsutil cp a b") == []
    assert not_brought("apt-get install google-cloud-cli\ngcloud info; gsutil ls") == []
    assert not_brought("curl -LO https://dl.k8s.io/release/bin/linux/amd64/kubectl\nkubectl get pods") == []
    assert not_brought("curl -sL https://aka.ms/InstallAzureCLIDeb | sudo bash\naz login") == []
    assert not_brought("echo gsutil") == []


def test_packages_bring_what_scripts_ask_of_the_system() -> None:
    script = "lsb_release -a; echo 1+1 | bc; ssh-keyscan github.com"
    assert debian_packages(script) == ["openssh-client", "lsb-release", "bc"]
