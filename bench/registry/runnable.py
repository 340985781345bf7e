"""Check that the harness can run a backbone, once for its code, its weights, the libraries and the machine."""

import json
import platform
from contextlib import suppress

from bench.contracts import Backbone
from bench.toolkit.code_hash import code_hash
from bench.toolkit.durable import make_folder, write_atomic
from bench.toolkit.files import cache_folder, text_hash
from bench.toolkit.versions import library_versions


def require_runnable(backbone: Backbone) -> None:
    """Require what ``Backbone.require_runnable`` does, unless the same model has passed it here before.

    The passes of a language model's check take longer than loading it.

    Args:
        backbone: The backbone, frozen and in evaluation mode.

    Raises:
        UsageError: As ``Backbone.require_runnable``.
    """
    kind = type(backbone)
    if kind.require_runnable is Backbone.require_runnable:
        return
    name, versions = f"{kind.__module__}.{kind.__qualname__}", json.dumps(library_versions(), sort_keys=True)
    folder = cache_folder() / "models" / "runnable"
    passed = folder / text_hash(name, code_hash(kind.__module__), backbone.fingerprint, versions, platform.machine())
    if passed.is_file():
        return
    backbone.require_runnable()
    with suppress(OSError):  # it is checked again next time
        make_folder(folder)
        write_atomic(passed, f"{name}\n")
