import pytest

from edgeseg.benchmarks.targets.address import Address, find_address, read_devices
from edgeseg.runtime.errors import ConfigError


@pytest.fixture(autouse=True)
def nothing_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("local", Address("local", "local")),
        ("ssh://pi@raspberrypi.local", Address("ssh://pi@raspberrypi.local", "ssh", "raspberrypi.local", "pi")),
        ("ssh://MyAlias", Address("ssh://MyAlias", "ssh", "MyAlias")),  # an alias of ssh's configuration keeps its case
        ("ssh://u@[fe80::1%eth0]:2222", Address("ssh://u@[fe80::1%eth0]:2222", "ssh", "fe80::1%eth0", "u", 2222)),
        ("trtexec://nvidia@nano", Address("trtexec://nvidia@nano", "trtexec", "nano", "nvidia")),
        ("adb://R5CR1234", Address("adb://R5CR1234", "adb", "R5CR1234")),
        ("adb://192.168.1.5:5555", Address("adb://192.168.1.5:5555", "adb", "192.168.1.5:5555")),
    ],
)
def test_urls(url, address, tmp_path):
    assert find_address(url, tmp_path) == address


@pytest.mark.parametrize(
    "url",
    ["ssh://-oProxyCommand=touch%20x", "ssh://pi@-oX", "ssh://", "ssh://a b", "ssh://pi@h:0", "ssh://h:99999", "ssh://h/p",
     "trtexec://-oX", "adb://", "adb://-s", "adb://a b", "http://pi", "ssh://a;b"],
)  # fmt: skip
def test_what_is_no_target_is_refused(url, tmp_path):
    with pytest.raises(ConfigError, match="give local, ssh"):
        find_address(url, tmp_path)


def test_devices_yaml(tmp_path):
    (tmp_path / "devices.yaml").write_text(
        "pi5: ssh://pi@pi5\n"
        "nano:\n  url: ssh://nano\n  python: python3.10\n  venv: false\n"
        "2024: {url: 'adb://ABC', evidence: replayed}\n"
    )
    assert read_devices(tmp_path) == {
        "pi5": Address("pi5", "ssh", "pi5", "pi"),
        "nano": Address("nano", "ssh", "nano", python="python3.10", venv=False),
        "2024": Address("2024", "adb", "ABC", evidence="replayed"),
    }
    assert find_address("pi5", tmp_path).user == "pi"
    with pytest.raises(ConfigError, match=r"--on pi4: no such device: .*devices.yaml has pi5, nano, 2024.*pi5"):
        find_address("pi4", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pi: {url: ssh://pi, pyhton: x}", r"devices.yaml: pi: unknown key 'pyhton'.*python"),
        ("pi: {python: x}", "the key 'url' is missing"),
        ("pi: {url: ssh://pi, evidence: device}", "evidence is 'device'"),
        ("pi: {url: ssh://pi, python: -c}", "python is '-c'"),
        ("pi: ftp://pi", "pi ftp://pi: give local"),
        ("- pi", "one entry per device"),
        ("a: [", "no YAML"),
    ],
)
def test_a_wrong_file_says_where(tmp_path, text, message):
    (tmp_path / "devices.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        find_address("pi", tmp_path)


def test_no_file(tmp_path):
    assert read_devices(tmp_path) == {}
    with pytest.raises(ConfigError, match=r"--on pi: no such device: no devices.yaml"):
        find_address("pi", tmp_path)
