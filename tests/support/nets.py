"""Small networks and pairs that the tests explain."""

import torch
from torch import Tensor, nn

from captum_fv.models.xcos.head import PatchedCosineHead
from captum_fv.siamese import SiameseCosine

SIZE = (20, 18)
THRESHOLD = 0.1


class SmallNet(nn.Module):
    """Two convolutions with batch norm and a linear head, with settled statistics."""

    def __init__(self, activation: type[nn.Module] = nn.PReLU, embedding: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            activation(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            activation(),
            nn.Flatten(),
            nn.Linear(8 * 5 * 5, embedding),
        )

    def features(self, images: Tensor) -> Tensor:
        return self.layers[:5](images)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def small_siamese(seed: int = 0, **options: object) -> SiameseCosine:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = SmallNet(**options)  # type: ignore[arg-type]
        net.layers[1].running_mean.uniform_(-0.1, 0.1)
        net.layers[1].running_var.uniform_(0.5, 1.5)
    return SiameseCosine(net.eval(), mean=0.5, std=0.5)


def small_head() -> PatchedCosineHead:
    """An xCos head over the grid of `SmallNet`."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return PatchedCosineHead(8, (5, 5), reduced=6).eval()


def random_pair(
    count: int = 4, seed: int = 1, size: tuple[int, int] = SIZE
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    img_a, img_b = torch.rand(2, count, 3, *size, generator=generator)
    return img_a, img_b
