"""Solvers: functions that find the orthogonal matrix bringing rows close to their signs.

One module a solver, each with a function ``solve(z, *, objective, random_state, n_init=None, ...)
-> SolverResult`` (see `Solver` for what the arguments promise). `get_solver` finds them by name;
`register_solver` adds one.
"""

from __future__ import annotations

import difflib
import importlib
import inspect

from h2q.errors import InvalidInputError
from h2q.quantization.solvers.result import Solver, SolverResult

#: Name of a solver -> the module whose `solve` it is; imported when first asked for.
_MODULES = {
    "graduated": "h2q.quantization.solvers.graduated",
    "procrustes": "h2q.quantization.solvers.procrustes",
    "sgd": "h2q.quantization.solvers.sgd",
}
_REGISTERED: dict[str, Solver] = {}

__all__ = [
    "Solver",
    "SolverResult",
    "check_options",
    "get_solver",
    "register_solver",
    "solver_names",
    "takes_validation",
]


def solver_names() -> list[str]:
    """Names `get_solver` knows, sorted."""
    return sorted({*_MODULES, *_REGISTERED})


def register_solver(name: str, solver: Solver) -> None:
    """Make `solver` available to the estimators under `name`; a later call replaces it.

    Parameters
    ----------
    name : str
        What users pass as ``solver=`` and what saved quantizers remember.
    solver : callable
        A function of the shape of `Solver`.
    """
    _REGISTERED[name] = solver


def get_solver(name: str) -> Solver:
    """Return the solver called `name`.

    Raises
    ------
    InvalidInputError
        If there is none; the message lists the names and the nearest one.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name in _MODULES:
        solver: Solver = importlib.import_module(_MODULES[name]).solve
        return solver
    near = difflib.get_close_matches(str(name), solver_names(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InvalidInputError(f"unknown solver {name!r}: choose one of {solver_names()}{hint}")


def check_options(name: str, options: dict[str, object]) -> None:
    """Reject options the solver called `name` does not take.

    Raises
    ------
    InvalidInputError
        Naming the unknown options and those the solver takes.
    """
    parameters = inspect.signature(get_solver(name)).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    known -= {"objective", "random_state", "n_init", "validation"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise InvalidInputError(
            f"solver {name!r} has no option {unknown}; it takes {sorted(known)}"
        )


def takes_validation(solver: Solver) -> bool:
    """Tell whether a solver chooses by rows held out, given to it as ``validation=``."""
    return "validation" in inspect.signature(solver).parameters
