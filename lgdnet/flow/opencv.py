"""The flow algorithms of OpenCV, pair by pair, in one thread. N frame pairs, H x W pixels"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from lgdnet.flow.errors import FlowError
from lgdnet.flow.parameters import DISParameters, DualTVL1Parameters, FarnebackParameters

DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


def pair_by_pair(
    first: np.ndarray, second: np.ndarray, calc: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """(N, H, W) uint8 twice -> (N, 2, H, W) float32"""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # two processes of one thread beat one process of two
    try:
        flow = np.empty((len(first), 2, *first.shape[1:]), np.float32)
        for field, a, b in zip(flow, first, second, strict=True):
            field[:] = calc(a, b).transpose(2, 0, 1)
        return flow
    finally:
        cv2.setNumThreads(threads)


def dis(first: np.ndarray, second: np.ndarray, parameters: DISParameters) -> np.ndarray:
    """Dense inverse search. (N, H, W) uint8 twice -> (N, 2, H, W) float32 pixels"""
    if parameters.preset not in DIS_PRESETS:
        raise FlowError(
            f"flow: parameters: preset must be one of {', '.join(DIS_PRESETS)}, not {parameters.preset!r}"
        )
    algorithm: Any = cv2.DISOpticalFlow.create(DIS_PRESETS[parameters.preset])
    if len(first):
        # On small pictures of some sizes the first call chooses other scales than all later ones; so it is made twice,
        # and a field does not depend on which others are asked for with it.
        pair_by_pair(first[:1], second[:1], lambda a, b: algorithm.calc(a, b, None))
    return pair_by_pair(first, second, lambda a, b: algorithm.calc(a, b, None))


def farneback(first: np.ndarray, second: np.ndarray, parameters: FarnebackParameters) -> np.ndarray:
    """Polynomial expansion. (N, H, W) uint8 twice -> (N, 2, H, W) float32 pixels"""
    p = parameters
    values: tuple[Any, ...] = (
        *(None, p.pyramid_scale, p.num_scales, p.window),
        *(p.num_iterations, p.poly_n, p.poly_sigma, 0),
    )
    return pair_by_pair(first, second, lambda a, b: cv2.calcOpticalFlowFarneback(a, b, *values))


def dual_tvl1(first: np.ndarray, second: np.ndarray, parameters: DualTVL1Parameters) -> np.ndarray:
    """OpenCV's TV-L1. (N, H, W) uint8 twice -> (N, 2, H, W) float32 pixels"""
    p = parameters
    algorithm: Any = cv2.optflow.createOptFlow_DualTVL1()
    algorithm.setScalesNumber(p.num_scales)
    algorithm.setScaleStep(p.scale_step)
    algorithm.setWarpingsNumber(p.num_warps)
    algorithm.setOuterIterations(p.num_medians)
    algorithm.setInnerIterations(p.num_iterations)
    algorithm.setLambda(p.lambda_)
    algorithm.setTheta(p.theta)
    algorithm.setTau(p.tau)
    algorithm.setEpsilon(p.epsilon)
    return pair_by_pair(first, second, lambda a, b: algorithm.calc(a, b, None))
