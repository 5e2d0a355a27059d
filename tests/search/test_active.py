"""What to evaluate next."""

import numpy as np

from ofa_hw.search import GeneLayout
from ofa_hw.search.active import uncertain_archs
from ofa_hw.search.operators import neighbours
from tests.search import example

SPACE = example.SPACE


class Doubting:
    """A predictor that is the less certain the larger a network is."""

    space = SPACE

    def predict(self, genes):
        size = genes.sum(axis=1) / 100
        return 1 - size, size


def test_the_next_subnets_are_new_near_the_front_and_uncertain():
    predictor = Doubting()
    front = SPACE.sample(8, np.random.default_rng(2))
    known = front[:4]
    archs = uncertain_archs(predictor, front, 30, known=known)
    assert len(set(archs)) == 30
    assert not set(archs) & set(known)
    genes = SPACE.encode(front)
    around = neighbours(GeneLayout.of_space(SPACE), genes)
    near = {row.tobytes() for row in np.concatenate([genes, around])}
    assert all(row.tobytes() in near for row in SPACE.encode(archs))
    _, chosen = predictor.predict(SPACE.encode(archs))
    _, rest = predictor.predict(around)
    assert chosen.mean() > rest.mean()
    assert archs[:5] == uncertain_archs(predictor, front, 5, known=known)


def test_where_nothing_is_left_nothing_is_chosen():
    predictor = Doubting()
    front = [SPACE.smallest]
    around = SPACE.decode(neighbours(GeneLayout.of_space(SPACE), SPACE.encode(front)))
    assert uncertain_archs(predictor, front, 5, known=[*front, *around]) == []
