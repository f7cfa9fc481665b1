"""Dashboard and alert rules speak of what micro really exposes, and say what they should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from process_kit import Bench

_NAME: Final = re.compile(r"\b(citadel[_:][a-z0-9_:]+)")
_KIND_OF_SAMPLE: Final = re.compile(r"_(total|bucket|count|sum)$")


@pytest.fixture(scope="module")
def monitoring(repository: Path) -> Path:
    return repository / "deploy" / "monitoring"


@pytest.fixture(scope="module")
def promtool() -> str:
    """The checker of Prometheus (Debian's package prometheus has it)."""
    found = shutil.which("promtool")
    if found is None:
        assert not os.environ.get("CITADEL_REQUIRE_PROMTOOL"), "promtool should be here"
        pytest.skip("no promtool; Debian's package prometheus has it")
    return found


def ran(*command: str, given: str | None = None) -> str:
    """What a command that must succeed printed."""
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def queries(node: object) -> Iterator[str]:
    """Every expression in a dashboard."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "expr":
                yield value
            else:
                yield from queries(value)
    elif isinstance(node, list):
        for each in node:
            yield from queries(each)


def rules(monitoring: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((monitoring / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard(monitoring: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((monitoring / "grafana" / "dashboard.json").read_text())
    return found


def test_every_metric_that_is_asked_for_is_exposed_by_a_micro(
    bench: Bench,
    monitoring: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    # What a lane counts is there only with one.
    lane = tmp_path_factory.getbasetemp() / "lane"
    with (bench.folder / "unhurried.toml").open("a") as config:
        config.write(f'[bridge]\nlane = "{lane}"\n')
    ready = bench.up()
    with urllib.request.urlopen(f"{ready['http']}/metrics", timeout=20) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    exposed = {*families} | {_KIND_OF_SAMPLE.sub("", name) for name in families}
    recorded = {rule["record"] for rule in rules(monitoring) if "record" in rule}
    asked = [*queries(dashboard(monitoring)), *(rule["expr"] for rule in rules(monitoring))]
    named = {name for expr in asked for name in _NAME.findall(expr)}
    assert len(named) > 25
    assert "citadel_lane_connected 0.0" in text.splitlines()
    unknown = {n for n in named if n not in recorded and _KIND_OF_SAMPLE.sub("", n) not in exposed}
    assert unknown == set()

    # promtool reads the format as Prometheus does, and knows the conventions of names and units.
    checker = request.getfixturevalue("promtool")
    assert ran(checker, "check", "metrics", given=text) == ""


def test_rules_and_configuration_are_what_prometheus_takes(promtool: str, monitoring: Path) -> None:
    shown = ran(promtool, "check", "config", str(monitoring / "prometheus.yml"))
    assert "1 rule files found" in shown
    ran(promtool, "check", "rules", "--lint-fatal", str(monitoring / "rules.yml"))
    ran(promtool, "test", "rules", str(monitoring / "rules_test.yml"))


def test_every_alert_has_a_test_and_says_what_to_do(monitoring: Path) -> None:
    tests = yaml.safe_load((monitoring / "rules_test.yml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test.get("alert_rule_test", ())
        if case["exp_alerts"]
    }
    alerts = {rule["alert"]: rule for rule in rules(monitoring) if "alert" in rule}
    assert fired == set(alerts)
    for name, rule in alerts.items():
        assert rule["labels"]["severity"] in {"critical", "warning"}, name
        assert set(rule["annotations"]) == {"summary", "remedy"}, name


def test_the_dashboard_is_whole(monitoring: Path) -> None:
    board = dashboard(monitoring)
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["targets"], panel["title"]
    # One micro among several can be chosen: every query takes the choice.
    for expr in queries(panels):
        assert expr.count('{instance=~"$instance"') == len(_NAME.findall(expr)), expr
