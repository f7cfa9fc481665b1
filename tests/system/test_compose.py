"""What the containers promise, read from the files that make them; no container engine is needed.

``tests/compose/check.sh`` proves the same on a running stack.
"""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from freqtrade.configuration.load_config import load_from_files

from citadel_macro.config import settings_of
from citadel_macro.demo import ccxt_config
from citadel_micro.shell.config.config import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVICES: Final = ("keys", "micro", "macro", "watchdog", "sim", "prometheus", "grafana")
LONG_RUNNING: Final = ("micro", "macro", "watchdog", "sim", "prometheus", "grafana")
BASE: Final = "python:3.12-slim-bookworm"
SECRET: Final = re.compile(r"(?i)secret|password|passwd|token|api_?key|credential")


@pytest.fixture(scope="module")
def compose(repository: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((repository / "docker-compose.yml").read_text())
    return content


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


@pytest.fixture(scope="module")
def demo_env(repository: Path) -> dict[str, str]:
    lines = (repository / "demo.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def volumes(service: dict[str, Any]) -> dict[str, str]:
    """Named volumes by the place where they are mounted."""
    found = {}
    for text in service.get("volumes", []):
        name, target, *_ = text.split(":")
        found[target] = name
    return found


class Dockerfile:
    """Instructions of a Dockerfile, by stage; continued lines are joined."""

    def __init__(self, path: Path) -> None:
        text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
        joined = re.sub(r"\\\n\s*", " ", text)
        self.stages: list[list[tuple[str, str]]] = []
        self.bases: list[str] = []
        for line in filter(None, (line.strip() for line in joined.splitlines())):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                self.stages.append([])
                self.bases.append(rest.split()[0])
            else:
                self.stages[-1].append((word, rest.strip()))

    def all(self, word: str) -> list[str]:
        return [rest for stage in self.stages for name, rest in stage if name == word]

    def last(self, word: str) -> str:
        """The instruction of the final stage that holds."""
        return [rest for name, rest in self.stages[-1] if name == word][-1]


@pytest.fixture(scope="module", params=["micro", "macro"])
def side(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def dockerfile(repository: Path, side: str) -> Dockerfile:
    return Dockerfile(repository / side / "Dockerfile")


# --- the stack -----------------------------------------------------------------------------------


def test_what_trades_on_paper_is_behind_no_profile(services: dict[str, Any]) -> None:
    assert set(services) == set(SERVICES)
    profiles = {name: service.get("profiles") for name, service in services.items()}
    assert profiles == {
        "keys": None,
        "micro": None,
        "macro": None,
        "watchdog": ["live"],
        "sim": ["demo"],
        "prometheus": ["monitoring"],
        "grafana": ["monitoring"],
    }


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_images_of_others_are_pinned_by_digest(services: dict[str, Any], name: str) -> None:
    assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}", services[name]["image"])
    assert "build" not in services[name]


def test_every_file_that_a_service_is_given_is_there(
    repository: Path, compose: dict[str, Any], services: dict[str, Any]
) -> None:
    given = {each["source"] for service in services.values() for each in service.get("configs", ())}
    assert given == set(compose["configs"])
    files = [each["file"] for name, each in compose["configs"].items() if name != "live"]
    assert [file for file in files if not (repository / file).is_file()] == []


def test_the_watchdog_hears_micro_and_holds_no_key_but_its_own(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    its = services["watchdog"]
    assert its["volumes"] == ["micro-journal:/data:ro"]
    assert its["secrets"] == ["watchdog"]
    assert [name for name, each in services.items() if "watchdog" in each.get("secrets", [])] == [
        "watchdog"
    ]
    assert set(compose["secrets"]) == {"watchdog"}
    assert "ports" not in its


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_locked_down(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - the container's own
    for escape in ("privileged", "cap_add", "pid", "ipc", "devices", "user", "extends"):
        assert escape not in service
    assert service.get("network_mode") == ("none" if name == "keys" else None)


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_runs_is_probed_and_comes_back(services: dict[str, Any], name: str) -> None:
    assert services[name]["restart"] == "unless-stopped"
    assert services[name]["healthcheck"]["test"][0] == "CMD"
    assert services[name]["healthcheck"]["retries"] >= 1


def test_keys_are_made_once_before_anything_that_needs_them(services: dict[str, Any]) -> None:
    assert services["keys"]["restart"] == "no"
    for name in ("micro", "macro"):
        needs = services[name]["depends_on"]["keys"]
        assert needs == {"condition": "service_completed_successfully"}


def test_no_side_is_given_the_other_sides_keys(services: dict[str, Any]) -> None:
    given = {name: volumes(services[name]) for name in SERVICES}
    assert given["micro"]["/keys"] == "keys-micro"
    assert given["macro"]["/keys"] == "keys-macro"
    assert given["keys"] == {"/made/micro": "keys-micro", "/made/macro": "keys-macro"}
    assert not set(given["micro"].values()) & set(given["macro"].values())
    assert given["sim"] == {}
    for name in ("micro", "macro"):  # who uses keys cannot replace them
        assert [v for v in services[name]["volumes"] if "/keys" in v] == [f"keys-{name}:/keys:ro"]


def test_everything_that_lasts_is_in_a_named_volume(
    compose: dict[str, Any], services: dict[str, Any]
) -> None:
    mounted = [v for service in services.values() for v in volumes(service).values()]
    assert set(mounted) == set(compose["volumes"])
    assert not [name for name in mounted if name.startswith((".", "/", "~"))]
    assert volumes(services["micro"])["/data"] == "micro-journal"
    assert volumes(services["macro"])["/data"] == "macro-data"


def test_ports_are_published_on_loopback_only(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 4  # micro's, FreqUI's, and those of the profile monitoring
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_no_secret_is_in_the_environment(
    services: dict[str, Any], demo_env: dict[str, str]
) -> None:
    names = [name for service in services.values() for name in service.get("environment", {})]
    assert not [name for name in (*names, *demo_env) if SECRET.search(name)]


# --- what the parts are told fits together -------------------------------------------------------


def test_every_switch_of_the_demo_is_read_by_the_stack(
    repository: Path, services: dict[str, Any], demo_env: dict[str, str]
) -> None:
    text = (repository / "docker-compose.yml").read_text()
    assert demo_env.pop("COMPOSE_PROFILES") == "demo"
    for name in demo_env:
        passed_on = name in services["micro"]["environment"]
        assert passed_on != (f"${{{name}:-" in text), name
    # Passed on with no value: absent in the container when it is absent outside.
    assert set(services["micro"]["environment"].values()) == {None}


def test_micro_takes_its_configuration_and_the_demos_switches(
    repository: Path, services: dict[str, Any], demo_env: dict[str, str]
) -> None:
    file = repository / "micro" / "micro.toml"
    plain = load(file)
    venue = plain.venues["binance-spot"]
    assert (venue.rest_url, venue.ws_url) == (None, None)  # the venue's own, public
    assert plain.mode == "paper"
    assert plain.bridge.macro_required
    assert str(plain.bridge.keys) == "/keys"
    assert str(plain.run_dir) == "/data"
    assert services["micro"]["ports"][0].endswith(f":{plain.http.port}")
    assert f":{plain.http.port}/healthz" in services["micro"]["healthcheck"]["test"][-1]

    switches = {
        name: value for name, value in demo_env.items() if name.startswith("CITADEL_VENUES")
    }
    demo = load(file, environment=switches).venues["binance-spot"]
    port = next(a for a in services["sim"]["command"] if a.startswith("--port=")).partition("=")[2]
    assert (demo.rest_url, demo.ws_url) == (f"http://sim:{port}", f"ws://sim:{port}")
    assert f":{port}/" in services["sim"]["healthcheck"]["test"][-1]


def freqtrade_config(repository: Path, name: str) -> dict[str, Any]:
    return load_from_files([str(repository / "macro" / "user_data" / name)])


def test_macro_takes_its_configuration_and_meets_micro(
    repository: Path, services: dict[str, Any], demo_env: dict[str, str]
) -> None:
    micro = load(repository / "micro" / "micro.toml")
    option = services["macro"]["command"][-1]
    plain = re.search(r":-([\w.-]+)\}$", option)
    assert plain is not None
    for name in (plain.group(1), demo_env["CITADEL_MACRO_CONFIG"]):
        config = freqtrade_config(repository, name)
        settings = settings_of(config)
        assert config["dry_run"] is False
        assert not any(SECRET.search(key) for key in config["exchange"])
        assert config["db_url"] == "sqlite:////data/trades.sqlite"
        assert settings.keys_dir == "/keys"
        assert settings.venue in micro.venues
        pairs = set(config["exchange"]["pair_whitelist"])
        assert pairs <= set(micro.venues[settings.venue].symbols)
        # The names in between are the services'.
        assert settings.market == (micro.bridge.market.replace("0.0.0.0", "micro"),)  # noqa: S104
        assert settings.signals.replace("0.0.0.0", "macro") in micro.bridge.macros  # noqa: S104
        assert services["macro"]["healthcheck"]["test"][1:5] == [
            *("python", "-m", "citadel_bridge.health", *settings.market)
        ]


def test_the_demo_leaves_nothing_to_be_asked_outside(
    repository: Path, demo_env: dict[str, str]
) -> None:
    config = freqtrade_config(repository, demo_env["CITADEL_MACRO_CONFIG"])
    venue = "CITADEL_VENUES__BINANCE_SPOT__"
    rest, ws = demo_env[f"{venue}REST_URL"], demo_env[f"{venue}WS_URL"]
    assert config["exchange"]["ccxt_config"] == ccxt_config(rest, ws)
    public = freqtrade_config(repository, "config-compose.json")
    assert "urls" not in public["exchange"]["ccxt_config"]


@pytest.fixture
def healthz(free_port: Callable[[], int]) -> Iterator[tuple[int, list[int]]]:
    """A stand-in for micro's health page: its port, and the status that it gives."""
    status = [200]

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0])
            self.end_headers()

        def log_request(self, *_arguments: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", free_port()), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, status
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_probe_of_micro_tells_well_from_not(
    services: dict[str, Any], healthz: tuple[int, list[int]]
) -> None:
    port, status = healthz
    _, python, flag, code = services["micro"]["healthcheck"]["test"]
    assert (python, flag) == ("python", "-c")

    def probe(port: int) -> int:
        here = code.replace("5580", str(port))
        return subprocess.run(
            [sys.executable, flag, here], capture_output=True, timeout=120, check=False
        ).returncode

    assert probe(port) == 0
    status[0] = 503
    assert probe(port) != 0
    assert probe(1) != 0  # nobody listens


# --- the images ----------------------------------------------------------------------------------


def test_images_are_built_on_one_build_of_one_base(repository: Path) -> None:
    """A context that has the name of a stage's base is taken instead of it."""
    for side in ("micro", "macro"):
        bases = Dockerfile(repository / side / "Dockerfile").bases
        assert set(bases) == {BASE, "dependencies"}
        assert bases[-1] == BASE  # nothing of the build but what is copied
    contexts = []
    for path in ("docker-compose.yml", "deploy/shards.yml", "deploy/freqtrade/join.yml"):
        compose = yaml.safe_load((repository / path).read_text())
        builds = [each["build"] for each in compose["services"].values() if "build" in each]
        assert builds, path
        contexts += [build["additional_contexts"] for build in builds]
    assert all(each == contexts[0] for each in contexts)
    ((name, _, image),) = (each.partition("=") for each in contexts[0])
    assert name == BASE
    assert re.fullmatch(rf"docker-image://{re.escape(BASE)}@sha256:[0-9a-f]{{64}}", image)


def test_images_run_as_nobody_special(dockerfile: Dockerfile) -> None:
    assert dockerfile.last("USER") == "10001:10001"
    order = [word for word, _ in dockerfile.stages[-1]]
    assert not {"RUN", "COPY", "ADD"} & set(order[order.index("USER") :])


def test_every_file_that_is_installed_is_known_by_its_hash(dockerfile: Dockerfile) -> None:
    installs = [run for run in dockerfile.all("RUN") if re.search(r"\bpip\b.*\binstall\b", run)]
    assert len(installs) == 3
    for run in installs:
        assert "--require-hashes" in run or "--no-index" in run, run
        assert "--no-deps" in run, run
    assert "--no-deps" in next(run for run in dockerfile.all("RUN") if "pip wheel" in run)


def test_a_change_of_code_installs_no_dependency_anew(dockerfile: Dockerfile, side: str) -> None:
    install = dockerfile.stages[0]
    copied = [rest for word, rest in install if word in {"COPY", "ADD"}]
    names = {"micro": ("micro",), "macro": ("macro", "ml")}[side]
    assert copied == [" ".join([*(f"deploy/locked/{name}.txt" for name in names), "locked/"])]


def test_the_extras_of_an_image_are_files_of_its_packages(
    services: dict[str, Any], dockerfile: Dockerfile, side: str
) -> None:
    """What is in them: ``test_locked.py``."""
    (run,) = [
        each for each in dockerfile.all("RUN") if "--require-hashes" in each and "opt" in each
    ]
    told = run.partition("--no-deps")[2]
    if side == "micro":
        assert told.split() == ["--requirement", "locked/micro.txt"]
        return
    extras = "macro,ml"
    told_here = services["macro"]["build"]["args"]
    (frequi,) = set(dockerfile.all("ARG")) - {f"EXTRAS={extras}"}
    assert re.fullmatch(r"FREQUI=\d+\.\d+\.\d+", frequi)
    assert told_here["EXTRAS"].endswith(f":-{extras}}}")
    assert told_here["FREQUI"].endswith(f"-{frequi.partition('=')[2]}}}")
    for chosen in ("macro,ml", "macro"):
        shown = subprocess.run(
            ["/bin/sh", "-c", f"echo {told}"],
            env={**os.environ, "EXTRAS": chosen},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.split()
        assert shown == [
            word for name in chosen.split(",") for word in ("--requirement", f"locked/{name}.txt")
        ]


def test_no_secret_gets_into_a_layer(repository: Path, dockerfile: Dockerfile) -> None:
    for word in ("ARG", "ENV"):
        assert not [rest for rest in dockerfile.all(word) if SECRET.search(rest)]
    assert dockerfile.all("ADD") == []
    ignore = (repository / ".dockerignore").read_text().splitlines()
    # All is left out but what is named; what is named leaves out whatever could be secret.
    assert next(line for line in ignore if not line.startswith("#")) == "*"
    for pattern in ("**/.env", "**/*.secret", "**/*.key", "**/*.sqlite*", "macro/user_data/*"):
        assert pattern in ignore
    let_in = {line.removeprefix("!").split("/")[0] for line in ignore if line.startswith("!")}
    for copy in dockerfile.all("COPY"):
        *sources, _target = [part for part in copy.split() if not part.startswith("--")]
        if "--from=" not in copy:
            assert "." not in sources
            assert {source.split("/")[0] for source in sources} <= let_in


def test_folders_of_volumes_belong_to_who_writes_them(
    dockerfile: Dockerfile, services: dict[str, Any], side: str
) -> None:
    # A new named volume takes owner and mode from the image; without the folder, it is root's.
    (made,) = [run for run in dockerfile.all("RUN") if "install -d" in run]
    folders = set(made.split("-m 0700")[1].split())
    used = ("micro", "keys") if side == "micro" else ("macro",)
    assert {target for name in used for target in volumes(services[name])} <= folders
    assert "-o citadel -g citadel" in made
