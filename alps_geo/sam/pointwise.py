"""A convolution of single cells whose result does not depend on the number of threads."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PointwiseConvolution(nn.Conv2d):
    """A convolution of 1 x 1 cells without bias, on processors as a product of matrices.

    oneDNN convolves in another way on one thread than on several, to other last digits. A product
    of matrices is the same on any number of threads, and as fast.
    """

    def __init__(self, channels: int, result: int) -> None:
        super().__init__(channels, result, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a (B, C, H, W) grid."""
        if x.device.type != "cpu":
            return super().forward(x)
        cells = F.linear(x.permute(0, 2, 3, 1), self.weight[:, :, 0, 0])
        return cells.permute(0, 3, 1, 2)
