"""Training of the similarity stage, with Lightning kept in this folder.

``run.py`` is the way through; ``sources.py`` says what is held and what is read, ``data.py`` makes
the batches, ``sampler.py`` their order, ``feature_cache.py`` the features of a frozen backbone,
``module.py`` the step, ``gather.py`` the pairs across processes, ``trainer.py`` the loop,
``progress.py`` what is kept of each epoch, ``run_folder.py`` where.
"""

from __future__ import annotations

from h2q.learning.training.run import TrainingResult, fit

__all__ = ["TrainingResult", "fit"]
