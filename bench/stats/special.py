"""``scipy.special``, imported without parts of numpy that nothing here needs.

While it is imported, scipy takes over all names of numpy, and numpy imports some of its parts when a name is first
read. Its compiler of Fortran and its tools for tests take as long as all the rest. Meanwhile these names stand for
nothing; afterwards numpy has them as before.
"""

import numpy as np

_UNUSED = [name for name in ("ctypeslib", "f2py", "testing") if name not in vars(np)]
for _name in _UNUSED:
    setattr(np, _name, None)
try:
    from scipy import special as special
finally:
    for _name in _UNUSED:
        if vars(np)[_name] is None:  # where it was imported after all, it stays
            delattr(np, _name)
