"""What `--set` of the command line changes in a decoded recipe."""

from __future__ import annotations

from typing import Any

from edgeseg.runtime.data.described.yamltext import YamlError, read_yaml
from edgeseg.runtime.errors import ConfigError


def set_value(values: dict[str, Any], assignment: str) -> None:
    """Apply one `key.sub=value` of the command line to decoded YAML, in place.

    Raises:
        ConfigError: If it has no `=`, or the value is no YAML.
    """
    key, separator, text = assignment.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set {assignment!r} is not of the form key=value, such as teacher.epochs=20")
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {assignment!r}: {section!r} is a single value and has no keys below it")
    try:
        values[last] = read_yaml(text).values
    except YamlError as err:
        raise ConfigError(f"--set {assignment!r}: the value is no YAML ({err})") from err
