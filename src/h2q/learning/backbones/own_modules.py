"""A backbone of one's own: any module, or what makes one, and how a file says so.

The model file states ``package.module:Name`` and the arguments, which JSON can hold. It holds no
code, and what it names is imported for nobody who did not say so: `maker_of`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from h2q._own_code import TRUSTED, code_name, import_code, is_trusted
from h2q.errors import InvalidInputError
from h2q.learning.backbones.base import Backbone, BackboneSpec
from h2q.learning.backbones.preprocessing import Preprocessing

FAMILY = "own"
Maker = Callable[..., nn.Module]

_trusted: dict[str, Maker] = {}


class OwnBackbone(Backbone):
    """A backbone that `make` made; see `own`."""

    def __init__(
        self,
        network: nn.Module,
        spec: BackboneSpec,
        n_features: int,
        preprocessing: Preprocessing | None,
        make: Maker,
    ) -> None:
        super().__init__(network, spec, n_features, preprocessing)
        self.make = make

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `make`."""
        options: dict[str, Any] = self.spec.arguments["options"]
        return options


def own(
    make: str | Maker | nn.Module,
    options: dict[str, Any] | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    n_inputs: int | None = None,
    fallback: Preprocessing | None = None,
) -> Backbone:
    """Make a backbone of a module of one's own.

    Parameters
    ----------
    make : class, function, str or nn.Module
        Called with `options` it gives a module from a batch, (n, c, h, w) or (n, d), to rows
        (n, m). A str is ``package.module:Name`` and is imported. A module that is made already is
        taken as it is; the arguments of its class are read from its attributes of the same names,
        as scikit-learn does, and tried.
    options : dict, optional
        Arguments of `make`; values that JSON can hold.
    preprocessing : Preprocessing, optional
        What makes an image the module's input; the module's own ``preprocessing`` otherwise.
    n_inputs : int, optional
        Dimension d, where the input is rows.
    fallback : Preprocessing, optional
        Taken where nothing else says what the module is fed.

    Returns
    -------
    Backbone
        If `make` gives a `Backbone` of h2q, that one.

    Raises
    ------
    InvalidInputError
        If the module cannot take such input, gives no rows, or could not be made again from what
        a file can say of it.

    Examples
    --------
    >>> backbone = own(nn.Linear, {"in_features": 8, "out_features": 4}, n_inputs=8)
    >>> backbone.n_features, backbone.spec.architecture
    (4, 'torch.nn.modules.linear:Linear')
    >>> own(nn.Sequential(nn.Linear(8, 4)), n_inputs=8)
    Traceback (most recent call last):
    ...
    h2q.errors.InvalidInputError: the backbone 'torch.nn.modules.container:Sequential' cannot be ...
    """
    if isinstance(make, str):
        make = import_code(make, "backbone")
    if isinstance(make, Backbone):
        return make
    given = isinstance(make, nn.Module)
    maker: Maker
    if isinstance(make, nn.Module):
        if options:
            raise InvalidInputError(
                "options are arguments of a class or function; the backbone is a module that is "
                "made already"
            )
        network, maker = make, type(make)
        name = code_name(maker)
        options = _read_options(network, name)
    else:
        name = code_name(make) if callable(make) else repr(make)
        options = dict(options or {})
        if not callable(make):
            raise InvalidInputError(
                f"the backbone {name} is no module, and no class or function that makes one"
            )
        maker = make
        network = _call(maker, name, options)
        if isinstance(network, OwnBackbone):  # the file names what the caller named
            preprocessing = preprocessing or network.preprocessing
            network = network.network
        elif isinstance(network, Backbone):
            return network
    _check_json(name, options)
    preprocessing = preprocessing or _preprocessing_of(network, name)
    if preprocessing is None and n_inputs is None:
        preprocessing = fallback
    if preprocessing is None and n_inputs is None:
        raise InvalidInputError(
            f"the backbone {name!r}: say what it is fed: preprocessing= for images, n_inputs= for "
            "rows"
        )
    shape = (2, n_inputs or 1) if preprocessing is None else (2, *preprocessing.size)
    rows = _probe(network, name, shape)
    if given:
        _check_twin(network, maker, name, options, shape, rows)
    arguments = {"n_features": int(rows.shape[1]), "options": options}
    spec = BackboneSpec(name, FAMILY, name, arguments)
    return OwnBackbone(network, spec, int(rows.shape[1]), preprocessing, maker)


def trust(make: str | Maker) -> None:
    """Say that files may name this class or function: models that do load in this process.

    Parameters
    ----------
    make : class, function or str
        What made the backbone; a str, ``package.module:Name``, is imported.

    Examples
    --------
    >>> trust(nn.Linear)
    """
    if isinstance(make, str):
        _trusted[make] = import_code(make, "backbone")
    else:
        _trusted[code_name(make)] = make


def maker_of(backbone: dict[str, Any], make: Maker | None, source: str) -> Maker | None:
    """Return what makes the backbone a file describes; None for a backbone of h2q.

    Parameters
    ----------
    backbone : dict
        As `BackboneSpec.to_dict` gives it; from anybody.
    make : class or function, optional
        What the caller hands over, whatever the file names.
    source : str
        What errors call the file.

    Raises
    ------
    InvalidInputError
        If it is code that the caller neither hands over nor trusts; nothing is imported then.
    """
    name = backbone.get("architecture")
    if backbone.get("family") != FAMILY:
        if make is not None:
            raise InvalidInputError(
                f"{source}: its backbone is {str(name)[:80]!r} of h2q; leave backbone= out"
            )
        return None
    if make is not None:
        if not callable(make) or isinstance(make, nn.Module):
            raise InvalidInputError(
                f"backbone={make!r:.80}: give the class, or a function, that makes it"
            )
        return make
    name = str(name)[:200]
    if name in _trusted:
        return _trusted[name]
    if is_trusted(name):
        found: Maker = import_code(name, "backbone")
        return found
    raise InvalidInputError(
        f"{source}: its backbone is code of somebody's own, {name}, and a file makes h2q import "
        f"nothing. If it is yours, hand it over: Hasher.load(path, backbone=...), or "
        f"h2q.learning.backbones.trust(...) for this process, or {TRUSTED}={name} in the "
        "environment for commands"
    )


def build(spec: BackboneSpec, make: Maker) -> Backbone:
    """Build what a file describes, by what `maker_of` returned."""
    network = _call(make, spec.architecture, spec.arguments["options"])
    if isinstance(network, Backbone):
        network = network.network
    return OwnBackbone(network, spec, int(spec.arguments["n_features"]), None, make)


def _call(make: Maker, name: str, options: dict[str, Any]) -> nn.Module:
    try:
        network = make(**options)
    except Exception as error:  # somebody's code raises what it likes
        raise InvalidInputError(
            f"the backbone {name!r} cannot be made with the arguments {options} "
            f"({type(error).__name__}: {error})"
        ) from error
    if not isinstance(network, nn.Module):
        raise InvalidInputError(
            f"the backbone {name!r} gave a {type(network).__name__}; it must give a torch.nn.Module"
        )
    return network


def _read_options(network: nn.Module, name: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for each in inspect.signature(type(network)).parameters.values():
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            continue
        value = getattr(network, each.name, None)
        if hasattr(network, each.name) and _is_json(value):
            options[each.name] = value
        elif each.default is each.empty:
            raise _cannot_be_saved(
                name, f"it does not keep the argument {each.name!r} of its class as an attribute"
            )
    return options


def _cannot_be_saved(name: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"the backbone {name!r} cannot be saved: {why}. Say how it is made: "
        "h2q.learning.backbones.own(make, options), with a class or a function of yours that "
        "makes it and that function's arguments"
    )


def _is_json(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


def _check_json(name: str, options: dict[str, Any]) -> None:
    for key, value in options.items():
        if not _is_json(value):
            raise InvalidInputError(
                f"the backbone {name!r}: its argument {key}={value!r:.80} is nothing JSON can "
                "hold, so no file can; give numbers, text, lists or dicts and make the rest inside"
            )


def _preprocessing_of(network: nn.Module, name: str) -> Preprocessing | None:
    found = getattr(network, "preprocessing", None)
    if found is None or isinstance(found, Preprocessing):
        return found
    raise InvalidInputError(
        f"the backbone {name!r}: its preprocessing is a {type(found).__name__}; give a "
        "h2q.learning.backbones.Preprocessing"
    )


def _probe(network: nn.Module, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Rows of two random inputs; the module and the generators stay as they are."""
    tensors = [*network.parameters(), *network.buffers()]
    device = tensors[0].device if tensors else torch.device("cpu")
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)
    with _undisturbed(network), torch.no_grad():
        try:
            rows = network(x)
        except Exception as error:  # somebody's code raises what it likes
            raise InvalidInputError(
                f"the backbone {name!r} cannot take a batch of shape {shape} "
                f"({type(error).__name__}: {error}); say what it takes by its preprocessing "
                "(h2q.learning.backbones.Preprocessing(size=...)) or, for rows, by its first layer"
            ) from error
    if not isinstance(rows, torch.Tensor) or rows.ndim != 2 or len(rows) != 2:
        what = tuple(rows.shape) if isinstance(rows, torch.Tensor) else type(rows).__name__
        raise InvalidInputError(
            f"the backbone {name!r} makes {what} of two inputs; it must make rows (2, n_features): "
            "pool or flatten at its end"
        )
    return rows


@contextmanager
def _undisturbed(network: nn.Module) -> Iterator[None]:
    """Set evaluation mode and a seed; put both back."""
    training = [module for module in network.modules() if module.training]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True


def _check_twin(
    network: nn.Module,
    make: Maker,
    name: str,
    options: dict[str, Any],
    shape: tuple[int, ...],
    rows: torch.Tensor,
) -> None:
    """Make it again from what was read of it, and compare what both give."""
    try:
        with torch.random.fork_rng(devices=[]):
            twin = _call(make, name, options)
        twin.load_state_dict(network.state_dict())
        other = _probe(twin.to(rows.device), name, shape)
    except (InvalidInputError, RuntimeError) as error:
        raise _cannot_be_saved(name, f"made again with {options}, it differs ({error})") from error
    if other.shape != rows.shape or not torch.allclose(other, rows, 1e-4, 1e-5, equal_nan=True):
        raise _cannot_be_saved(name, f"made again with {options}, it gives other features")
