"""How this project compiles a kernel with Numba."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(signature: Any = None) -> Callable[[F], F]:
    """Compile a function to machine code, cached on disk, without the GIL while it runs.

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
        options = {"nogil": True, "error_model": "numpy", "boundscheck": False}
        arguments = () if signature is None else (signature,)
        try:
            dispatcher = njit(*arguments, cache=True, **options)(function)
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            dispatcher = njit(*arguments, **options)(function)
        return dispatcher  # type: ignore[no-any-return]

    return decorate
