"""A configuration written into a file of its own, and what becomes of it."""

from pathlib import Path

import pytest
from config_files import Complaints, Load

from opsvisor.config.load import native
from opsvisor.config.problems import ConfigError
from opsvisor.config.settings import Loaded


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a text as opsvisor.toml."""

    def load_text(text: str) -> Loaded:
        path = tmp_path / "opsvisor.toml"
        path.write_text(text, "utf-8")
        return native(path, {})

    return load_text


@pytest.fixture
def complaints(tmp_path: Path, load: Load) -> Complaints:
    """All problems of a text that can't be loaded, as users see them, without the directory."""

    def complain(text: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(text)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return complain
