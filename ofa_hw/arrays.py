"""The one name of arrays of float64, which figures, costs and predictions are."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
