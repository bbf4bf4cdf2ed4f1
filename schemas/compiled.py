"""How this project compiles a kernel with Numba."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final[Mapping[str, Any]] = {
    "nogil": True,
    "error_model": "numpy",
    "boundscheck": False,
    "forceinline": True,
    "_nrt": False,
}


def compiled(signature: Any = None) -> Callable[[F], F]:
    """Compile a function to machine code, cached on disk, without the GIL while it runs.

    It must not make arrays: Numba's counting of references is left out, which halves the time of the walker.
    What it calls becomes part of it.

    With a signature it is compiled (or loaded from the cache) when its module is imported and never for other
    types. Without one it is for callees; these must stand in the SAME file as their callers, because the
    cache only notices that the caller's file has changed.

    Indexes are not checked and division by zero gives inf: a kernel must check what it reads.

    Where neither the source's folder, NUMBA_CACHE_DIR nor the user's cache folder can be written, it is
    compiled at each start, which costs some seconds.

    Args:
        signature: Numba's signature, or None.
    """

    def decorate(function: F) -> F:
        arguments = () if signature is None else (signature,)
        try:
            dispatcher = njit(*arguments, cache=True, **_OPTIONS)(function)
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            dispatcher = njit(*arguments, **_OPTIONS)(function)
        return dispatcher  # type: ignore[no-any-return]

    return decorate
