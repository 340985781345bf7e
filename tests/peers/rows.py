"""All rows."""

from tests.peers import harness, on_features, on_texts, probe, published, training
from tests.peers.row import Row

ROWS: tuple[Row, ...] = (
    *on_texts.ROWS, *on_features.ROWS, *training.ROWS, *probe.ROWS, *harness.ROWS, *published.ROWS,
)  # fmt: skip
