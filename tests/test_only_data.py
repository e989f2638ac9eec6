"""Nothing that is read can run: no pickle, no eval, no loader that would unpickle, anywhere in the product."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import ModelLoadError
from models.pretrained import load_encoder

ROOT = Path(__file__).parents[1]
PACKAGES = ("events", "index", "models", "serving", "streams", "load", "bench", "demo", "cli")
FORBIDDEN_MODULES = {
    *(
        "pickle",
        "_pickle",
        "cPickle",
        "cloudpickle",
        "dill",
        "joblib",
        "marshal",
        "shelve",
        "copyreg",
        "jsonpickle",
    ),
    *("runpy", "code", "codeop", "pty"),
}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
FORBIDDEN_CALLS = {
    *("torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"),
    *("faiss.read_index", "faiss.deserialize_index", "faiss.read_VectorTransform", "faiss.write_index"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"),
    *("pandas.read_pickle", "pd.read_pickle", "os.system", "os.popen"),
    *("lightgbm.Booster", "multiprocessing.connection.Client", "multiprocessing.connection.Listener"),
}
# An index's own snapshot, in a folder that only its user may write (SECURITY.md): numbers, parsed by native code.
FAISS_FILES = {
    "index/item_snapshot.py": ["calls faiss.write_index"],
    "index/main_tier.py": ["calls faiss.read_index"],
}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def dotted(node: ast.expr) -> str:
    """`a.b.c` for the expression a.b.c, "" for another one."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return f"{dotted(node.value)}.{node.attr}" if dotted(node.value) else ""
        case _:
            return ""


def renamed(tree: ast.Module) -> dict[str, str]:
    """What names stand for that imports give: `import numpy as np`, `from torch import load as read`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def full_name(node: ast.expr, *, names: dict[str, str]) -> str:
    head, dot, rest = dotted(node).partition(".")
    return names.get(head, head) + dot + rest


RUNS_A_MODULE = {"bench/chaos/template.py": ["imports runpy"]}  # of our own, as `python -m` would


def keyword(call: ast.Call, name: str) -> object:
    """The constant given for a keyword; None where it is left out, the node where it is no constant."""
    for given in call.keywords:
        if given.arg == name:
            return given.value.value if isinstance(given.value, ast.Constant) else given.value
    return None


def offences(text: str) -> Iterator[str]:
    """What a source text does that is forbidden."""
    tree = ast.parse(text)
    names = renamed(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"imports {m}" for m in modules if m.split(".")[0] in FORBIDDEN_MODULES)
        if not isinstance(node, ast.Call):
            continue
        called = full_name(node.func, names=names)
        if called in FORBIDDEN_CALLS | FORBIDDEN_NAMES:
            yield f"calls {called}"
        if called in ("numpy.load", "numpy.save") and keyword(node, "allow_pickle") not in (None, False):
            yield f"{called} with allow_pickle"  # left out it is False for load; save is looked at below
        if called == "numpy.save" and keyword(node, "allow_pickle") is not False:
            yield "numpy.save without allow_pickle=False"
        if keyword(node, "trust_remote_code") not in (None, False):
            yield f"{called} with trust_remote_code"
        if called.endswith("AutoModel.from_pretrained") and keyword(node, "use_safetensors") is not True:
            yield f"{called} without use_safetensors=True"
        if keyword(node, "shell") not in (None, False):
            yield f"{called} with shell"


def test_the_product_does_nothing_forbidden() -> None:
    assert len(sources()) > 150
    found = {str(path.relative_to(ROOT)): list(offences(path.read_text())) for path in sources()}
    assert {path: what for path, what in found.items() if what} == FAISS_FILES | RUNS_A_MODULE


def test_every_package_is_looked_at() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = {name.split(".")[0] for name in project["tool"]["setuptools"]["packages"]}
    assert shipped == set(PACKAGES)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib as j",
        "eval('1')",
        "import torch\ntorch.load('x')",
        "from torch import load as read\nread('x')",
        "import torch as t\nt.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nyes = True\nnp.load('x', allow_pickle=yes)",
        "import numpy as np\nnp.save('x', a)",
        "import faiss\nfaiss.read_index('x')",
        "from faiss import read_index\nread_index('x')",
        "import yaml\nyaml.load(text)",
        "from transformers import AutoModel\nAutoModel.from_pretrained('x')",
        "from transformers import AutoConfig\nAutoConfig.from_pretrained('x', trust_remote_code=True)",
        "import subprocess\nsubprocess.run('x', shell=True)",
    ],
)
def test_the_look_finds_what_it_looks_for(text: str) -> None:
    assert list(offences(text))


@pytest.mark.parametrize(
    "text",
    [
        "model.eval()",
        "import numpy as np\nnp.load('x', mmap_mode='r')",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import yaml\nyaml.safe_load(text)",
        "import re\nre.compile('x')",
    ],
)
def test_the_look_lets_the_harmless_pass(text: str) -> None:
    assert list(offences(text)) == []


class _Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self._path,))  # type: ignore[return-value]


def test_a_model_whose_weights_are_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    from transformers import BertConfig

    BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    ).save_pretrained(tmp_path)
    torch.save({"x": _Bomb(tmp_path / "exploded")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelLoadError):
        load_encoder(str(tmp_path))
    assert not (tmp_path / "exploded").exists()


def test_numpy_does_not_unpickle_by_default(tmp_path: Path) -> None:
    np.save(tmp_path / "bomb.npy", np.array([_Bomb(tmp_path / "exploded")], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "bomb.npy")
    assert not (tmp_path / "exploded").exists()
