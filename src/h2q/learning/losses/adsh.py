"""Asymmetric deep supervised hashing (ADSH)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from h2q.errors import InvalidInputError
from h2q.learning.losses import _batch


class ADSHLoss(nn.Module):
    r"""Asymmetric deep supervised hashing (ADSH): real queries against discrete database codes.

    .. math::
        J = \sum_{i \in \Omega} \sum_{j=1}^{n} (u_i^\top v_j - k S_{ij})^2
            + \gamma \sum_{i \in \Omega} \lVert v_i - u_i \rVert^2,
        \qquad u = \tanh(z), \quad v_j \in \{-1, +1\}^k

    with :math:`S_{ij} = 1` when i and j share a label and :math:`S_{ij} = -r` otherwise. In the
    paper r = 1. With many classes nearly all pairs are dissimilar, and the cheapest codes then put
    all queries on one side and all codes on the other; so by default r is the number of similar
    pairs over that of dissimilar ones, which makes the mean of S zero (`balanced`). The codes
    V (n, k) of all training rows are variables of their own. The optimisation alternates:
    `inner_epochs` epochs of gradient steps on the rows Omega, drawn anew each time, then one exact
    update of each column of V (`update_codes`).

    Parameters
    ----------
    n_bits : int
        Length k of the embeddings and codes.
    gamma : float, default=200
        Weight of a row's own code against its embedding (the paper's and H²Q's experiments).
    n_sampled : int, default=1000
        Rows in Omega; all, if there are fewer (the paper's and H²Q's experiments).
    inner_epochs : int, default=3
        Epochs over Omega between two updates of V (the paper and H²Q).
    balanced : bool, default=True
        Targets of mean zero over all pairs, as the public implementations of ADSH have them
        ("soft constraint"); False for the paper's -1.
    random_state : int, default=0
        Seed of the first codes and of each Omega.

    Attributes
    ----------
    codes : Tensor of shape (n, k)
        V, of -1 and +1: the database codes of ADSH (empty before `on_dataset`).
    labels : Tensor of shape (n, c)

    Notes
    -----
    The trainer's part is in `h2q.learning.losses.protocol`. The loss of a batch is its share of J
    over (rows of the batch) x n, so that its size depends on neither.

    References
    ----------
    Q.-Y. Jiang, W.-J. Li, "Asymmetric Deep Supervised Hashing", AAAI 2018, eq. 3 and 5 to 9,
    algorithm 1.

    Examples
    --------
    >>> import torch
    >>> labels = torch.eye(2).repeat(3, 1)
    >>> loss = ADSHLoss(n_bits=4)
    >>> loss.on_dataset(labels)
    >>> rows = torch.arange(6)
    >>> z = torch.where(labels[:, :1] > 0, 3.0, -3.0) * torch.ones(4)
    >>> before = loss(z, labels, indices=rows)
    >>> loss.on_epoch_end(z, rows)
    >>> bool(loss(z, labels, indices=rows) < before)
    True
    """

    codes: Tensor
    labels: Tensor

    def __init__(
        self,
        *,
        n_bits: int,
        gamma: float = 200.0,
        n_sampled: int = 1000,
        inner_epochs: int = 3,
        balanced: bool = True,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        self.n_bits = n_bits
        self.gamma = gamma
        self.n_sampled = n_sampled
        self.inner_epochs = inner_epochs
        self.balanced = balanced
        self.random_state = random_state
        self._negative = -1.0
        self.register_buffer("codes", torch.empty(0, n_bits))
        # Labels come with the data set, so a checkpoint need not hold them.
        self.register_buffer("labels", torch.empty(0, 0), persistent=False)

    def on_dataset(self, labels: Tensor) -> None:
        """Take the labels of all training rows, multi-hot (n, c), and draw the first codes."""
        if labels.ndim != 2 or len(labels) == 0:
            raise InvalidInputError(
                f"ADSH needs the multi-hot labels of all training rows (n, c), not an array of "
                f"shape {tuple(labels.shape)}"
            )
        draws = torch.randint(0, 2, (len(labels), self.n_bits), generator=self._generator(0))
        self.codes = (2.0 * draws - 1.0).to(self.codes.device)
        self.labels = labels.to(device=self.codes.device, dtype=torch.float32)
        self._negative = balancing_target(self.labels) if self.balanced else -1.0

    def epoch_rows(self, epoch: int) -> Tensor | None:
        """Omega of this epoch, sorted; None when it is all rows."""
        n = len(self._dataset())
        if n <= self.n_sampled:
            return None
        generator = self._generator(1 + epoch // self.inner_epochs)
        return torch.randperm(n, generator=generator)[: self.n_sampled].sort().values

    def rows_to_embed(self, epoch: int) -> Tensor | None:
        """Omega after the last of its epochs; None after the others."""
        if (epoch + 1) % self.inner_epochs:
            return None
        rows = self.epoch_rows(epoch)
        return torch.arange(len(self.labels)) if rows is None else rows

    def on_epoch_end(self, embeddings: Tensor, indices: Tensor) -> None:
        """Update V for the embeddings z (m, k), before tanh, of the rows `indices` (m,)."""
        u = _batch.at_least_float32(embeddings.detach()).tanh().to(self.codes.device)
        rows = indices.to(self.codes.device)
        s = signed_similarity(self._dataset()[rows], self.labels, self._negative)
        self.codes = update_codes(self.codes, u, rows, s, self.gamma)

    @_batch.full_precision
    def forward(self, embeddings: Tensor, labels: Tensor, *, indices: Tensor) -> Tensor:
        """Loss of a batch.

        Parameters
        ----------
        embeddings : Tensor of shape (n, k)
        labels : Tensor of shape (n, c)
            Multi-hot.
        indices : Tensor of shape (n,)
            The batch's rows of the labels given to `on_dataset`.
        """
        dataset = self._dataset().to(embeddings)
        v = self.codes.to(embeddings)
        u = embeddings.tanh()
        s = signed_similarity(labels, dataset, self._negative)
        pairs = (u @ v.T - self.n_bits * s).square().sum()
        own = (v[indices.to(v.device)] - u).square().sum()
        return (pairs + self.gamma * own) / max(u.shape[0] * len(v), 1)

    def _dataset(self) -> Tensor:
        if len(self.labels) == 0:
            raise InvalidInputError(
                "ADSH has not seen the training set: call on_dataset(labels) before training"
            )
        return self.labels

    def _generator(self, stream: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.random_state * 1_000_003 + stream)


def signed_similarity(labels: Tensor, others: Tensor, negative: float = -1.0) -> Tensor:
    """Return +1 where two items share a label and `negative` elsewhere, (n, m)."""
    return torch.where(_batch.similar(labels, others), 1.0, negative).to(labels)


def balancing_target(labels: Tensor, block: int = 4096) -> float:
    """Target of dissimilar pairs that makes the mean over all pairs zero: -similar / dissimilar.

    At least -1, the paper's: where similar pairs are the more, as with few labels, there is no
    majority of dissimilar ones to make up for.
    """
    similar = sum(
        int(_batch.similar(labels[start : start + block], labels).count_nonzero())
        for start in range(0, len(labels), block)
    )
    dissimilar = len(labels) ** 2 - similar
    return -min(1.0, similar / max(dissimilar, 1))


def update_codes(codes: Tensor, u: Tensor, rows: Tensor, s: Tensor, gamma: float) -> Tensor:
    r"""One pass over the columns of V, each set to its optimum given the others.

    With U = u (m, k), :math:`Q = -2 k S^\top U - 2 \gamma \bar U` and :math:`\bar U` the rows of U
    put at `rows` among zeros, column c becomes
    :math:`-\operatorname{sign}(2 \hat V_c \hat U_c^\top U_{*c} + Q_{*c})`, where the hats leave
    column c out (eq. 9). No update increases J.

    Parameters
    ----------
    codes : Tensor of shape (n, k)
        V, of -1 and +1.
    u : Tensor of shape (m, k)
    rows : Tensor of int64 and shape (m,)
    s : Tensor of shape (m, n)
        Similarity targets (`signed_similarity`).
    gamma : float

    Returns
    -------
    Tensor of shape (n, k)
        The new V; `codes` is left as it was.
    """
    v = codes.to(u, copy=True)
    n_bits = v.shape[1]
    q = -2.0 * n_bits * (s.to(u).T @ u)
    q.index_add_(0, rows, -2.0 * gamma * u)
    gram = u.T @ u
    for c in range(n_bits):
        others = v @ gram[:, c] - v[:, c] * gram[c, c]
        slope = 2.0 * others + q[:, c]
        # At a slope of 0 either sign is optimal: keep the old one.
        v[:, c] = torch.where(slope == 0, v[:, c], -slope.sign())
    return v.to(codes)
