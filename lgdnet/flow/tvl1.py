"""TV-L1 optical flow of many frame pairs at once, in plain PyTorch: any device, no custom OpenCV build.

Zach, Pock and Bischof, "A duality based approach for realtime TV-L1 optical flow", DAGM 2007, in the form that
OpenCV's `DualTVL1OpticalFlow` gave it (pyramid, bicubic warps, median filter), with a fixed number of iterations:

    v  = u + s grad(I1),   s = clip(-rho(u) / |grad I1|^2, -lambda theta, lambda theta)      (eq. 15)
    u  = v + theta div p                                                                     (eq. 13)
    p  = (p + tau/theta grad(u)) / (1 + tau/theta |grad(u)|)                                 (eq. 14)

The two updates are one fused pass over memory each when compiled. What makes that possible is the layout: the
images of a batch are stacked into one plane of N*H rows with a spare row above and below, so that the neighbours
left, right, above and below of all pixels are views of the same memory, at offsets -1, +1, -W and +W. What such a
view reads across an edge is either multiplied by zero or is zero already: p never leaves zero where its gradient
is masked.
"""

# N frame pairs, H x W pixels, R = N * H rows
import torch
import torch.nn.functional as F
from torch import Tensor

from lgdnet.flow.parameters import SMALLEST_SIDE, TVL1Parameters
from lgdnet.flow.tvl1_steps import EAGER, Steps, can_compile, compiled_steps, median_5x5


class Plane:
    """N images of H x W as one plane of rows with a spare row of zeros above and below."""

    def __init__(self, N: int, H: int, W: int, device: torch.device) -> None:
        self.shape = (N, H, W)
        self.memory = torch.zeros((N * H + 2) * W, device=device)

    def at(self, dy: int = 0, dx: int = 0) -> Tensor:
        """The plane seen from each pixel's neighbour (dy, dx), as a view. (R, W)"""
        N, H, W = self.shape
        start = W + dy * W + dx
        return self.memory[start : start + N * H * W].view(N * H, W)

    def images(self) -> Tensor:
        """(N, H, W), a view"""
        return self.at().view(self.shape)


@torch.no_grad()
def tvl1(
    first: Tensor,
    second: Tensor,
    parameters: TVL1Parameters = TVL1Parameters(),  # noqa: B008  frozen
    *,
    compiled: bool | None = None,
) -> Tensor:
    """Flow in pixels from grey images `first` to `second`, grey levels 0-255. (N, H, W) twice -> (N, 2, H, W) float32

    compiled: None compiles where that is possible and goes on without where not.
    """
    if first.shape != second.shape or first.dim() != 3:
        raise ValueError(
            f"two batches of grey images (N, H, W) are needed, not {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if compiled is None:
        compiled = can_compile(first.device.type)
    steps = compiled_steps() if compiled else EAGER
    pyramid = list(zip(scales(first, parameters), scales(second, parameters), strict=True))
    flow: Tensor | None = None
    for I0, I1 in reversed(pyramid):
        flow = flow_at_scale(I0, I1, enlarge(flow, I0), parameters, steps)
    assert flow is not None
    return flow


def scales(images: Tensor, parameters: TVL1Parameters) -> list[Tensor]:
    """The images at each scale, finest first. (N, H, W)"""
    pyramid = [images.float()]
    for _ in range(parameters.num_scales - 1):
        H, W = (round(side * parameters.scale_step) for side in pyramid[-1].shape[1:])
        if min(H, W) < SMALLEST_SIDE:
            break
        pyramid.append(resize(pyramid[-1].unsqueeze(1), H, W).squeeze(1))
    return pyramid


def resize(images: Tensor, H: int, W: int) -> Tensor:
    """(N, C, h, w) -> (N, C, H, W), bilinear"""
    return F.interpolate(images, size=(H, W), mode="bilinear", align_corners=False)


def enlarge(flow: Tensor | None, images: Tensor) -> Tensor:
    """The flow of the scale below at the size of `images`, in this scale's pixels. (N, 2, h, w) -> (N, 2, H, W)"""
    N, H, W = images.shape
    if flow is None:
        return images.new_zeros(N, 2, H, W)
    h, w = flow.shape[2:]
    return resize(flow, H, W) * flow.new_tensor((W / w, H / h)).view(2, 1, 1)


def flow_at_scale(I0: Tensor, I1: Tensor, start: Tensor, parameters: TVL1Parameters, steps: Steps) -> Tensor:
    """Warps and iterations at one scale, from the flow `start`. (N, 2, H, W)"""
    N, H, W = I0.shape
    planes = [Plane(N, H, W, I0.device) for _ in range(6)]
    u = planes[:2]
    for component, begin in zip(u, start.unbind(1), strict=True):
        component.images().copy_(begin)
    p = (planes[2:4], planes[4:6])
    u_here = (u[0].at(), u[1].at())
    u_forward = tuple((c.at(), c.at(dx=1), c.at(dy=1)) for c in u)
    p_backward = tuple((px.at(), px.at(dx=-1), py.at(), py.at(dy=-1)) for px, py in p)
    p_here = tuple((px.at(), py.at()) for px, py in p)
    inside = edges(N, H, W, I0.device)
    theta, reach = parameters.theta, parameters.lambda_ * parameters.theta
    warped = Warped(I1)
    for _ in range(parameters.num_warps):
        u_images = (u[0].images(), u[1].images())
        data = steps.data_term(I0, *u_images, *warped.at(*u_images))
        for _ in range(parameters.num_medians):
            for component in u:
                component.images().copy_(median_5x5(component.images(), steps))
            for _ in range(parameters.num_iterations):
                steps.update_flow(u_here, p_backward, data, theta, reach)
                steps.update_duals(u_forward, p_here, inside, parameters.tau / theta)
    return torch.stack([component.images() for component in u], 1)


def edges(N: int, H: int, W: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """0 where the pixel to the right (W,), or below (R, 1), does not exist; else 1."""
    has_right = torch.ones(W, device=device)
    has_right[-1] = 0
    has_below = torch.ones(N, H, 1, device=device)
    has_below[:, -1] = 0
    return has_right, has_below.view(N * H, 1)


class Warped:
    """The second images and their gradients, looked up where the flow points."""

    def __init__(self, I1: Tensor) -> None:
        H, W = I1.shape[1:]
        I1 = I1.unsqueeze(1)
        along_x = F.pad(I1, (1, 1, 0, 0), mode="replicate")
        along_y = F.pad(I1, (0, 0, 1, 1), mode="replicate")
        I1_x = (along_x[..., 2:] - along_x[..., :-2]) / 2
        I1_y = (along_y[..., 2:, :] - along_y[..., :-2, :]) / 2
        self.maps = torch.cat((I1, I1_x, I1_y), 1).contiguous(
            memory_format=torch.channels_last
        )  # (N, 3, H, W)
        self.x = torch.arange(W, device=I1.device, dtype=torch.float32)
        self.y = torch.arange(H, device=I1.device, dtype=torch.float32).view(H, 1)
        self.scale = torch.tensor((2 / (W - 1), 2 / (H - 1)), device=I1.device)  # grid_sample's -1 to 1

    def at(self, u1: Tensor, u2: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image, gradient x, gradient y at (x + u1, y + u2), bicubic, and whether that is inside. (N, H, W) each

        Outside, the border goes on. OpenCV has black there, which makes a cliff at the border: the iterations
        do not converge on it, and a still video moves.
        """
        where = torch.stack((self.x + u1, self.y + u2), -1) * self.scale - 1
        image, I_x, I_y = F.grid_sample(self.maps, where, "bicubic", "border", align_corners=True).unbind(1)
        return image, I_x, I_y, (where.abs() <= 1).all(-1)
