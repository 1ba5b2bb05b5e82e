"""Pictures of training and its results, drawn with matplotlib (the extra `plots`).

    from fnn import plots

Functions draw on the axes they are given and return them. Given none, they make a figure
of their own, which pyplot does not know: `axes.figure` is shown by a notebook (after
`%matplotlib inline`), and `axes.figure.savefig(path)` writes it. Nothing is shown and no
setting is changed. Colours are Okabe and Ito's, which colour-blind readers can distinguish, the
bright ones on dark paper; everything else follows the style in force.
"""

from fnn.plots.boundary import decision_boundary
from fnn.plots.confusion import confusion_matrix
from fnn.plots.curves import learning_curves
from fnn.plots.heat import heat_map
from fnn.plots.images import image_grid
from fnn.plots.scatter import predictions
from fnn.plots.surface import loss_surface

__all__ = [
    "confusion_matrix",
    "decision_boundary",
    "heat_map",
    "image_grid",
    "learning_curves",
    "loss_surface",
    "predictions",
]
