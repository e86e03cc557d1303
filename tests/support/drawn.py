"""Charts as they are drawn: where a matplotlib figure has a mark."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from actbench.analysis.plots._figures import charts_of, figure_of
from actbench.analysis.plots._style import LOOKS


def charted(comparison, name, look="paper", **options):
    """The data of a chart and the figure that shows it; None for both where the comparison has no such data."""
    found = charts_of(comparison, [name])
    return (found[0].data, figure_of(found[0], look=LOOKS[look], **options)) if found else (None, None)


def artists(figure: Figure, gid: str):
    """The artists under a name."""
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def position(figure: Figure, gid: str):
    """Where a marker is drawn, in the data of its axes: (x, y)."""
    (line,) = artists(figure, gid)
    (x,), (y,) = line.get_data()
    return float(x), float(y)


def texts(figure: Figure):
    """Every text that is printed."""
    return [text for ax in figure.axes for text in _texts(ax)]


def _texts(ax: Axes):
    labels = [*ax.get_xticklabels(), *ax.get_yticklabels(), *ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label]
    return [text for text in labels if text.get_text()]
